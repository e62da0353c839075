# Work handed over through a queue, until it is empty.
set -uo pipefail
bpftool map create "$PINS/work" type queue key 0 value 4 entries 5 name "${NAME}_work"
for job in 10 20 30; do
    bpftool map push pinned "$PINS/work" value $job 0 0 0
done
bpftool -j map peek pinned "$PINS/work" | jq -c .value
while job=$(bpftool -j map pop pinned "$PINS/work"); do
    jq -r '.value[0]' <<<"$job"
done
echo "then $job"
bpftool map dequeue pinned "$PINS/work"
