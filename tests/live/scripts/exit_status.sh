# What a script can tell from the exit status alone.
map="pinned $PINS/set"
try() {
    "$@" >"$TMP/out" 2>"$TMP/err"
    echo "$? $(wc -l <"$TMP/out") $(wc -l <"$TMP/err") ${*:2:2}"
}
try bpftool map create "$PINS/set" type hash key 1 value 1 entries 2 name "${NAME}_set"
try bpftool map update $map key 1 value 1 noexist
try bpftool map update $map key 1 value 1 noexist
try bpftool map update $map key 2 value 1 exist
try bpftool map update $map key 2 value 1
try bpftool map update $map key 3 value 1
try bpftool map lookup $map key 1
try bpftool map lookup $map key 9
try bpftool map delete $map key 9
try bpftool map getnext $map
try bpftool map freeze $map
try bpftool map delete $map key 1
try bpftool map show pinned "$PINS/nothing"
if bpftool -j map lookup $map key 9 | jq -e . >/dev/null; then echo there; else echo missing; fi
