# Which maps have a name that begins so, and how large is what they hold?
set -euo pipefail
for size in 4 8 16; do
    bpftool map create "$PINS/size$size" type array key 4 value $size entries 10 name "${NAME}_s$size"
done

bpftool -j map show |
    jq -r --arg name "${NAME}_" '.[] | select(.name // "" | startswith($name)) | .id' |
    while read -r id; do
        bpftool -j map show id "$id" |
            jq -r --arg name "${NAME}_" '[(.name | ltrimstr($name)), .type, .max_entries * .bytes_value] | @tsv'
    done

ids=$(bpftool map | sed -n "s/^\([0-9]*\): array  name ${NAME}_s[0-9]* .*/\1/p")
echo "$ids" | wc -l
for id in $ids; do
    bpftool map show id "$id" | awk 'NR == 2 { print $1, $2, $3, $4 }'
done
