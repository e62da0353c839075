# Where the maps of this script are pinned, and whether they are the same.
set -eu
bpftool map create "$PINS/one" type hash key 4 value 4 entries 1 name "${NAME}_one"
bpftool map pin pinned "$PINS/one" "$PINS/two"
bpftool -jf map show | jq -r --arg pins "$PINS/" '
    .[] | .pinned[]? | select(startswith($pins)) | ltrimstr($pins)' | sort
id() { bpftool -j map show pinned "$1" | jq .id; }
[ "$(id "$PINS/one")" = "$(id "$PINS/two")" ] && echo same
rm "$PINS/one"
bpftool -f map show name "${NAME}_one" | sed -n 's|^.pinned.*/||p'
bpftool map list | head -n 1 | grep -c ':'
