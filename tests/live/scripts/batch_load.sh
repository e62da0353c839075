# A map filled by one batch, emptied by another.
set -eu
map="pinned $PINS/ports"
{
    echo "# allowed ports"
    echo "map create $PINS/ports type hash key 2 value 1 entries 300 name ${NAME}_ports"
    for port in $(seq 0 255); do
        echo "map update $map key $port 0 value 1 noexist  # $port"
    done
} >"$TMP/fill"
bpftool batch file "$TMP/fill"
bpftool -j map dump $map | jq length

sed -n "s/update\(.*\) value.*/delete\1/p" "$TMP/fill" | head -n 200 | bpftool batch file -
bpftool map dump $map | tail -n 1

# the second line fails, so the third is not run
bpftool -j batch file - <<END | jq -c '.[].output'
map lookup $map key 255 0
map lookup $map key 1 0
map lookup $map key 254 0
END
echo "${PIPESTATUS[0]}"
