# A directory becomes a bpf file system when something is to be pinned in it, unless -n forbids.
set -eu
dir=$TMP/fresh
mkdir "$dir"
create="type hash key 4 value 4 entries 1 name ${NAME}_fresh"
unshare -m bash <<END
    bpftool -n map create $dir/x $create 2>&1
    bpftool map create $dir/x $create && ls -d $dir/x | grep -o "x$"
    grep -c " $dir bpf rw.*mode=700" /proc/mounts
    bpftool -j map pin pinned $dir/x $dir/y && ls -d $dir/* | grep -c "[xy]$"
    bpftool map show pinned $dir/y | grep -o "hash  name"
    bpftool map create $dir/none/x $create 2>&1 | grep -c none
END
ls "$dir" | wc -l
