# fish completion for pybpftool

# begin table
set -g __pybpftool_states \
    'help:0 batch:2 prog:4 map:97 perf:242 feature:243 btf:255 version:0' \
    'file:3' \
    '@file:0' \
    'show:5 list:5 dump:10 graph:25 pin:31 load:37 loadall:37 check:44 attach:47 detach:57 run:67 profile:77 tracelog:84 top:90 help:0' \
    'id:6 pinned:7 tag:8 name:9' \
    '@live:5' \
    '@live:5' \
    '@live:5' \
    '@live:5' \
    'xlated:11 jited:18' \
    'id:12 pinned:15 tag:16 name:17' \
    '@live:13' \
    '~file:14 ~opcodes:13 ~linum:13 ~visual:13' \
    '@file:13' \
    '@live:13' \
    '@live:13' \
    '@live:13' \
    'id:19 pinned:22 tag:23 name:24' \
    '@live:20' \
    '~file:21 ~opcodes:20 ~linum:20' \
    '@file:20' \
    '@live:20' \
    '@live:20' \
    '@live:20' \
    'id:26 pinned:28 tag:29 name:30' \
    '@live:27' \
    '~svg:27' \
    '@live:27' \
    '@live:27' \
    '@live:27' \
    'id:32 pinned:34 tag:35 name:36' \
    '@live:33' \
    '@file:0' \
    '@live:33' \
    '@live:33' \
    '@live:33' \
    '@file:38' \
    '@file:39' \
    '~type:40 ~offload_dev:41 ~xdpmeta_dev:41 ~map:39 ~pinmaps:42 ~autoattach:39 ~kernel_btf:43' \
    'socket:39 kprobe:39 kretprobe:39 classifier:39 action:39 tracepoint:39 raw_tracepoint:39 xdp:39 perf_event:39 cgroup/skb:39 cgroup/sock:39 cgroup/dev:39 lwt_in:39 lwt_out:39 lwt_xmit:39 lwt_seg6local:39 sockops:39 sk_skb:39 sk_msg:39 lirc_mode2:39 sk_reuseport:39 flow_dissector:39 cgroup/sysctl:39 cgroup/bind4:39 cgroup/bind6:39 cgroup/post_bind4:39 cgroup/post_bind6:39 cgroup/connect4:39 cgroup/connect6:39 cgroup/connect_unix:39 cgroup/getpeername4:39 cgroup/getpeername6:39 cgroup/getpeername_unix:39 cgroup/getsockname4:39 cgroup/getsockname6:39 cgroup/getsockname_unix:39 cgroup/sendmsg4:39 cgroup/sendmsg6:39 cgroup/sendmsg_unix:39 cgroup/recvmsg4:39 cgroup/recvmsg6:39 cgroup/recvmsg_unix:39 cgroup/getsockopt:39 cgroup/setsockopt:39 cgroup/sock_release:39 struct_ops:39 fentry:39 fexit:39 fsession:39 freplace:39 sk_lookup:39' \
    '@device:39' \
    '@file:39' \
    '@file:39' \
    '@file:45' \
    '~btf:46 ~features:46' \
    '@file:45' \
    'id:48 pinned:54 tag:55 name:56' \
    '@live:49' \
    'sk_msg_verdict:50 sk_skb_verdict:50 sk_skb_stream_verdict:50 sk_skb_stream_parser:50 flow_dissector:50' \
    'id:51 pinned:52 name:53' \
    '@live:50' \
    '@live:50' \
    '@live:50' \
    '@live:49' \
    '@live:49' \
    '@live:49' \
    'id:58 pinned:64 tag:65 name:66' \
    '@live:59' \
    'sk_msg_verdict:60 sk_skb_verdict:60 sk_skb_stream_verdict:60 sk_skb_stream_parser:60 flow_dissector:60' \
    'id:61 pinned:62 name:63' \
    '@live:60' \
    '@live:60' \
    '@live:60' \
    '@live:59' \
    '@live:59' \
    '@live:59' \
    'id:68 pinned:74 tag:75 name:76' \
    '@live:69' \
    '~data_in:70 ~data_out:70 ~data_size_out:71 ~ctx_in:70 ~ctx_out:70 ~ctx_size_out:72 ~repeat:73' \
    '@file:69' \
    '@word:69' \
    '@word:69' \
    '@word:69' \
    '@live:69' \
    '@live:69' \
    '@live:69' \
    'id:78 pinned:81 tag:82 name:83' \
    '@live:79' \
    '~duration:80 @word:79' \
    '@word:79' \
    '@live:79' \
    '@live:79' \
    '@live:79' \
    '~stdout:85 ~stderr:85 id:86 pinned:87 tag:88 name:89' \
    '~stdout:85 ~stderr:85 id:86 pinned:87 tag:88 name:89' \
    '@live:85' \
    '@live:85' \
    '@live:85' \
    '@live:85' \
    '~interval:91 ~count:92 ~once:90 ~sort:93 ~name:94 ~type:95 ~pid:96 csv:90 jsonl:90' \
    '@word:90' \
    '@word:90' \
    'cpu:90 runs:90 average:90 id:90 name:90 type:90' \
    '@word:90' \
    'unspec:90 socket_filter:90 kprobe:90 sched_cls:90 sched_act:90 tracepoint:90 xdp:90 perf_event:90 cgroup_skb:90 cgroup_sock:90 lwt_in:90 lwt_out:90 lwt_xmit:90 sock_ops:90 sk_skb:90 cgroup_device:90 sk_msg:90 raw_tracepoint:90 cgroup_sock_addr:90 lwt_seg6local:90 lirc_mode2:90 sk_reuseport:90 flow_dissector:90 cgroup_sysctl:90 raw_tracepoint_writable:90 cgroup_sockopt:90 tracing:90 struct_ops:90 ext:90 lsm:90 sk_lookup:90 syscall:90 netfilter:90' \
    '@word:90' \
    'show:98 list:98 create:102 dump:115 update:121 lookup:135 getnext:144 delete:150 pin:159 event_pipe:164 peek:173 push:177 pop:190 enqueue:194 dequeue:207 freeze:211 export:215 import:221 diff:227 watch:236 help:0' \
    'id:99 pinned:100 name:101' \
    '@live:98' \
    '@live:98' \
    '@live:98' \
    '@file:103' \
    '~type:104 ~key:105 ~value:106 ~entries:107 ~name:108 ~flags:109 ~inner_map:110 ~offload_dev:114' \
    'hash:103 array:103 prog_array:103 perf_event_array:103 percpu_hash:103 percpu_array:103 stack_trace:103 cgroup_array:103 lru_hash:103 lru_percpu_hash:103 lpm_trie:103 array_of_maps:103 hash_of_maps:103 devmap:103 devmap_hash:103 sockmap:103 cpumap:103 xskmap:103 sockhash:103 cgroup_storage:103 reuseport_sockarray:103 percpu_cgroup_storage:103 queue:103 stack:103 sk_storage:103 struct_ops:103 ringbuf:103 inode_storage:103 task_storage:103 bloom_filter:103 user_ringbuf:103 cgrp_storage:103 arena:103 insn_array:103 rhash:103' \
    '@word:103' \
    '@word:103' \
    '@word:103' \
    '@word:103' \
    '@word:103' \
    'id:111 pinned:112 name:113' \
    '@live:103' \
    '@live:103' \
    '@live:103' \
    '@device:103' \
    'id:116 pinned:119 name:120' \
    '@live:117' \
    '~limit:118 ~recursive:117' \
    '@word:117' \
    '@live:117' \
    '@live:117' \
    'id:122 pinned:133 name:134' \
    '@live:123' \
    '~key:124 ~value:127 any:123 exist:123 noexist:123' \
    'hex:125 @word:132' \
    '@word:126' \
    '~key:124 ~value:127 any:123 exist:123 noexist:123 @word:126' \
    'hex:125 id:128 pinned:129 name:130 tag:131 @word:132' \
    '@live:123' \
    '@live:123' \
    '@live:123' \
    '@live:123' \
    '~key:124 ~value:127 any:123 exist:123 noexist:123 @word:126' \
    '@live:123' \
    '@live:123' \
    'id:136 pinned:142 name:143' \
    '@live:137' \
    '~key:138' \
    'hex:139 @word:141' \
    '@word:140' \
    '~key:138 @word:140' \
    '~key:138 @word:140' \
    '@live:137' \
    '@live:137' \
    'id:145 pinned:148 name:149' \
    '@live:146' \
    '~key:147' \
    '@word:146' \
    '@live:146' \
    '@live:146' \
    'id:151 pinned:157 name:158' \
    '@live:152' \
    '~key:153' \
    'hex:154 @word:156' \
    '@word:155' \
    '~key:153 @word:155' \
    '~key:153 @word:155' \
    '@live:152' \
    '@live:152' \
    'id:160 pinned:162 name:163' \
    '@live:161' \
    '@file:0' \
    '@live:161' \
    '@live:161' \
    'id:165 pinned:171 name:172' \
    '@live:166' \
    '~cpu:167 ~index:168 ~type:169 ~file:170' \
    '@word:166' \
    '@word:166' \
    '@word:166' \
    '@file:166' \
    '@live:166' \
    '@live:166' \
    'id:174 pinned:175 name:176' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    'id:178 pinned:188 name:189' \
    '@live:179' \
    '~value:180' \
    'hex:181 id:183 pinned:184 name:185 tag:186 @word:187' \
    '@word:182' \
    '~value:180 @word:182' \
    '@live:179' \
    '@live:179' \
    '@live:179' \
    '@live:179' \
    '~value:180 @word:182' \
    '@live:179' \
    '@live:179' \
    'id:191 pinned:192 name:193' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    'id:195 pinned:205 name:206' \
    '@live:196' \
    '~value:197' \
    'hex:198 id:200 pinned:201 name:202 tag:203 @word:204' \
    '@word:199' \
    '~value:197 @word:199' \
    '@live:196' \
    '@live:196' \
    '@live:196' \
    '@live:196' \
    '~value:197 @word:199' \
    '@live:196' \
    '@live:196' \
    'id:208 pinned:209 name:210' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    'id:212 pinned:213 name:214' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    'id:216 pinned:219 name:220' \
    '@live:217' \
    '~file:218' \
    '@file:217' \
    '@live:217' \
    '@live:217' \
    'id:222 pinned:225 name:226 @file:223' \
    '@live:223' \
    '~file:224 any:223 exist:223 noexist:223 ~dry_run:223' \
    '@file:223' \
    '@live:223' \
    '@live:223' \
    'id:228 pinned:234 name:235' \
    '@live:229' \
    'id:230 pinned:231 name:232 file:233' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    '@file:0' \
    '@live:229' \
    '@live:229' \
    'id:237 pinned:240 name:241' \
    '@live:238' \
    '~interval:239' \
    '@word:238' \
    '@live:238' \
    '@live:238' \
    'show:0 list:0 help:0' \
    'probe:244 diff:252 list_builtins:254 help:0' \
    'kernel:245 dev:246 ~full:245 ~unprivileged:245 ~macros:245 ~prefix:247 prog_type:248 map_type:248 attach_type:248 link_type:248 helper:251 kfunc:251 attach_types:0 link_types:0 kfuncs:0' \
    'kernel:245 dev:246 ~full:245 ~unprivileged:245 ~macros:245 ~prefix:247' \
    '@device:245' \
    '@word:245' \
    '@word:249' \
    '~type:250' \
    'unspec:249 socket_filter:249 kprobe:249 sched_cls:249 sched_act:249 tracepoint:249 xdp:249 perf_event:249 cgroup_skb:249 cgroup_sock:249 lwt_in:249 lwt_out:249 lwt_xmit:249 sock_ops:249 sk_skb:249 cgroup_device:249 sk_msg:249 raw_tracepoint:249 cgroup_sock_addr:249 lwt_seg6local:249 lirc_mode2:249 sk_reuseport:249 flow_dissector:249 cgroup_sysctl:249 raw_tracepoint_writable:249 cgroup_sockopt:249 tracing:249 struct_ops:249 ext:249 lsm:249 sk_lookup:249 syscall:249 netfilter:249' \
    '@word:249' \
    '@file:253' \
    '@file:0' \
    'prog_types:0 map_types:0 attach_types:0 link_types:0 helpers:0' \
    'show:256 list:256 dump:258 layout:277 diff:290 help:0' \
    '~id:257' \
    '@live:256' \
    'id:259 prog:264 map:269 file:274' \
    '@live:260' \
    '~format:261 ~unsorted:260 root_id:262 type:263' \
    'raw:260 c:260' \
    '@word:260' \
    '@word:260' \
    'id:265 pinned:266 tag:267 name:268' \
    '@live:260' \
    '@live:260' \
    '@live:260' \
    '@live:260' \
    'id:270 pinned:272 name:273' \
    '@live:271' \
    'key:260 value:260 kv:260 all:260 ~format:261 ~unsorted:260 root_id:262 type:263' \
    '@live:271' \
    '@live:271' \
    '@file:275' \
    'file:276 ~format:261 ~unsorted:260 root_id:262 type:263' \
    '@file:260' \
    '@word:278' \
    'id:279 prog:280 map:285 file:289 ~expand:278' \
    '@live:278' \
    'id:281 pinned:282 tag:283 name:284' \
    '@live:278' \
    '@live:278' \
    '@live:278' \
    '@live:278' \
    'id:286 pinned:287 name:288' \
    '@live:278' \
    '@live:278' \
    '@live:278' \
    '@file:278' \
    'id:291 prog:304 map:309 file:313 @file:292' \
    '@live:292' \
    'id:293 prog:294 map:299 file:303 @file:0' \
    '@live:0' \
    'id:295 pinned:296 tag:297 name:298' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    'id:300 pinned:301 name:302' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    '@file:0' \
    'id:305 pinned:306 tag:307 name:308' \
    '@live:292' \
    '@live:292' \
    '@live:292' \
    '@live:292' \
    'id:310 pinned:311 name:312' \
    '@live:292' \
    '@live:292' \
    '@live:292' \
    '@file:292'
set -g __pybpftool_options \
    --json \
    --help \
    --pretty \
    --version \
    --bpffs \
    --mapcompat \
    --nomount \
    --debug \
    --use-loader \
    --sign \
    --base-btf \
    --output \
    --color=auto \
    --color=always \
    --color=never
# end table

function __pybpftool_words
    set -l state 1
    set -l used
    set -l files
    set -l skip
    set -l words (commandline -opc 2>/dev/null)
    set -l current (commandline -ct 2>/dev/null)
    for word in $words[2..-1]
        set -l after $skip
        set skip
        test -n "$after"; and continue
        switch $word
            case -B -k -i -o --base-btf --output --color
                set skip $word
            case '-*'
            case '*'
                set -l ways
                test $state -gt 0; and set ways (string split ' ' -- $__pybpftool_states[$state])
                set state 0
                for way in $ways
                    set -l parts (string split : -- $way)
                    set -l key (string trim -l -c '~' -- $parts[1])
                    if string match -q '@*' -- $key
                        or test -n "$word" -a "$word" = (string sub -l (string length -- "$word") -- $key)
                        set state $parts[2]
                        set -a used $key
                        break
                    end
                end
        end
    end
    if test "$skip" = --color
        string replace -f -- --color= '' $__pybpftool_options
        return
    else if test -n "$skip"
        __fish_complete_path $current
        return
    end
    if string match -q -- '-*' $current
        string join \n -- $__pybpftool_options
        return
    end
    test $state -gt 0; or return
    set -l live
    for way in (string split ' ' -- $__pybpftool_states[$state])
        set -l key (string split : -- $way)[1]
        switch $key
            case @file
                set files 1
            case @live
                set live 1
            case @device
                for each in /sys/class/net/*
                    string replace -r '.*/' '' -- $each
                end
            case '@*'
            case '~*'
                set key (string sub -s 2 -- $key)
                contains -- $key $used; or echo $key
            case '*'
                test -n "$key"; and echo $key
        end
    end
    if test -n "$live"; and command -q $words[1]
        set -lx _PYBPFTOOL_COMPLETE fish_complete
        set -lx COMP_WORDS (commandline -cp)
        set -lx COMP_CWORD $current
        for line in ($words[1] </dev/null 2>/dev/null)
            set -l parts (string split -m 1 , -- $line)
            switch $parts[1]
                case file
                    set files 1
                case '*'
                    echo $parts[2]
            end
        end
    end
    test -n "$files"; and __fish_complete_path $current
end
complete -c pybpftool -f -a '(__pybpftool_words 2>/dev/null)'
