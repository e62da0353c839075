# Counters of every CPU, added up.
set -euo pipefail
map="pinned $PINS/counters"
bpftool map create "$PINS/counters" type percpu_array key 4 value 8 entries 3 name "${NAME}_counters"
for key in 0 1 2; do
    bpftool map update $map key $key 0 0 0 value $((key + 1)) 1 0 0 0 0 0 0
done

cpus=$(bpftool -j map lookup $map key 0 0 0 0 | jq '.values | length')
bpftool -j map dump $map | jq -r --argjson cpus "$cpus" '
    def byte: ltrimstr("0x") | explode | map(if . > 57 then . - 87 else . - 48 end) | .[0] * 16 + .[1];
    def number: reverse | reduce .[] as $b (0; . * 256 + ($b | byte));
    .[] | "\(.key | number): \(([.values[].value | number] | add) / $cpus)"'
bpftool map lookup $map key 2 0 0 0 | grep -c "^value (CPU" | grep -qx "$cpus"
bpftool map dump $map | tail -n 1
