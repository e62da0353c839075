# fish completion for pybpftool

# begin table
set -g __pybpftool_states \
    'help:0 batch:2 prog:4 map:94 perf:239 feature:240 btf:252 version:0' \
    'file:3' \
    '@file:0' \
    'show:5 list:5 dump:10 graph:25 pin:31 load:37 loadall:37 attach:44 detach:54 run:64 profile:74 tracelog:81 top:87 help:0' \
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
    'id:45 pinned:51 tag:52 name:53' \
    '@live:46' \
    'sk_msg_verdict:47 sk_skb_verdict:47 sk_skb_stream_verdict:47 sk_skb_stream_parser:47 flow_dissector:47' \
    'id:48 pinned:49 name:50' \
    '@live:47' \
    '@live:47' \
    '@live:47' \
    '@live:46' \
    '@live:46' \
    '@live:46' \
    'id:55 pinned:61 tag:62 name:63' \
    '@live:56' \
    'sk_msg_verdict:57 sk_skb_verdict:57 sk_skb_stream_verdict:57 sk_skb_stream_parser:57 flow_dissector:57' \
    'id:58 pinned:59 name:60' \
    '@live:57' \
    '@live:57' \
    '@live:57' \
    '@live:56' \
    '@live:56' \
    '@live:56' \
    'id:65 pinned:71 tag:72 name:73' \
    '@live:66' \
    '~data_in:67 ~data_out:67 ~data_size_out:68 ~ctx_in:67 ~ctx_out:67 ~ctx_size_out:69 ~repeat:70' \
    '@file:66' \
    '@word:66' \
    '@word:66' \
    '@word:66' \
    '@live:66' \
    '@live:66' \
    '@live:66' \
    'id:75 pinned:78 tag:79 name:80' \
    '@live:76' \
    '~duration:77 @word:76' \
    '@word:76' \
    '@live:76' \
    '@live:76' \
    '@live:76' \
    '~stdout:82 ~stderr:82 id:83 pinned:84 tag:85 name:86' \
    '~stdout:82 ~stderr:82 id:83 pinned:84 tag:85 name:86' \
    '@live:82' \
    '@live:82' \
    '@live:82' \
    '@live:82' \
    '~interval:88 ~count:89 ~once:87 ~sort:90 ~name:91 ~type:92 ~pid:93 csv:87 jsonl:87' \
    '@word:87' \
    '@word:87' \
    'cpu:87 runs:87 average:87 id:87 name:87 type:87' \
    '@word:87' \
    'unspec:87 socket_filter:87 kprobe:87 sched_cls:87 sched_act:87 tracepoint:87 xdp:87 perf_event:87 cgroup_skb:87 cgroup_sock:87 lwt_in:87 lwt_out:87 lwt_xmit:87 sock_ops:87 sk_skb:87 cgroup_device:87 sk_msg:87 raw_tracepoint:87 cgroup_sock_addr:87 lwt_seg6local:87 lirc_mode2:87 sk_reuseport:87 flow_dissector:87 cgroup_sysctl:87 raw_tracepoint_writable:87 cgroup_sockopt:87 tracing:87 struct_ops:87 ext:87 lsm:87 sk_lookup:87 syscall:87 netfilter:87' \
    '@word:87' \
    'show:95 list:95 create:99 dump:112 update:118 lookup:132 getnext:141 delete:147 pin:156 event_pipe:161 peek:170 push:174 pop:187 enqueue:191 dequeue:204 freeze:208 export:212 import:218 diff:224 watch:233 help:0' \
    'id:96 pinned:97 name:98' \
    '@live:95' \
    '@live:95' \
    '@live:95' \
    '@file:100' \
    '~type:101 ~key:102 ~value:103 ~entries:104 ~name:105 ~flags:106 ~inner_map:107 ~offload_dev:111' \
    'hash:100 array:100 prog_array:100 perf_event_array:100 percpu_hash:100 percpu_array:100 stack_trace:100 cgroup_array:100 lru_hash:100 lru_percpu_hash:100 lpm_trie:100 array_of_maps:100 hash_of_maps:100 devmap:100 devmap_hash:100 sockmap:100 cpumap:100 xskmap:100 sockhash:100 cgroup_storage:100 reuseport_sockarray:100 percpu_cgroup_storage:100 queue:100 stack:100 sk_storage:100 struct_ops:100 ringbuf:100 inode_storage:100 task_storage:100 bloom_filter:100 user_ringbuf:100 cgrp_storage:100 arena:100 insn_array:100 rhash:100' \
    '@word:100' \
    '@word:100' \
    '@word:100' \
    '@word:100' \
    '@word:100' \
    'id:108 pinned:109 name:110' \
    '@live:100' \
    '@live:100' \
    '@live:100' \
    '@device:100' \
    'id:113 pinned:116 name:117' \
    '@live:114' \
    '~limit:115 ~recursive:114' \
    '@word:114' \
    '@live:114' \
    '@live:114' \
    'id:119 pinned:130 name:131' \
    '@live:120' \
    '~key:121 ~value:124 any:120 exist:120 noexist:120' \
    'hex:122 @word:129' \
    '@word:123' \
    '~key:121 ~value:124 any:120 exist:120 noexist:120 @word:123' \
    'hex:122 id:125 pinned:126 name:127 tag:128 @word:129' \
    '@live:120' \
    '@live:120' \
    '@live:120' \
    '@live:120' \
    '~key:121 ~value:124 any:120 exist:120 noexist:120 @word:123' \
    '@live:120' \
    '@live:120' \
    'id:133 pinned:139 name:140' \
    '@live:134' \
    '~key:135' \
    'hex:136 @word:138' \
    '@word:137' \
    '~key:135 @word:137' \
    '~key:135 @word:137' \
    '@live:134' \
    '@live:134' \
    'id:142 pinned:145 name:146' \
    '@live:143' \
    '~key:144' \
    '@word:143' \
    '@live:143' \
    '@live:143' \
    'id:148 pinned:154 name:155' \
    '@live:149' \
    '~key:150' \
    'hex:151 @word:153' \
    '@word:152' \
    '~key:150 @word:152' \
    '~key:150 @word:152' \
    '@live:149' \
    '@live:149' \
    'id:157 pinned:159 name:160' \
    '@live:158' \
    '@file:0' \
    '@live:158' \
    '@live:158' \
    'id:162 pinned:168 name:169' \
    '@live:163' \
    '~cpu:164 ~index:165 ~type:166 ~file:167' \
    '@word:163' \
    '@word:163' \
    '@word:163' \
    '@file:163' \
    '@live:163' \
    '@live:163' \
    'id:171 pinned:172 name:173' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    'id:175 pinned:185 name:186' \
    '@live:176' \
    '~value:177' \
    'hex:178 id:180 pinned:181 name:182 tag:183 @word:184' \
    '@word:179' \
    '~value:177 @word:179' \
    '@live:176' \
    '@live:176' \
    '@live:176' \
    '@live:176' \
    '~value:177 @word:179' \
    '@live:176' \
    '@live:176' \
    'id:188 pinned:189 name:190' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    'id:192 pinned:202 name:203' \
    '@live:193' \
    '~value:194' \
    'hex:195 id:197 pinned:198 name:199 tag:200 @word:201' \
    '@word:196' \
    '~value:194 @word:196' \
    '@live:193' \
    '@live:193' \
    '@live:193' \
    '@live:193' \
    '~value:194 @word:196' \
    '@live:193' \
    '@live:193' \
    'id:205 pinned:206 name:207' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    'id:209 pinned:210 name:211' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    'id:213 pinned:216 name:217' \
    '@live:214' \
    '~file:215' \
    '@file:214' \
    '@live:214' \
    '@live:214' \
    'id:219 pinned:222 name:223 @file:220' \
    '@live:220' \
    '~file:221 any:220 exist:220 noexist:220 ~dry_run:220' \
    '@file:220' \
    '@live:220' \
    '@live:220' \
    'id:225 pinned:231 name:232' \
    '@live:226' \
    'id:227 pinned:228 name:229 file:230' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    '@file:0' \
    '@live:226' \
    '@live:226' \
    'id:234 pinned:237 name:238' \
    '@live:235' \
    '~interval:236' \
    '@word:235' \
    '@live:235' \
    '@live:235' \
    'show:0 list:0 help:0' \
    'probe:241 diff:249 list_builtins:251 help:0' \
    'kernel:242 dev:243 ~full:242 ~unprivileged:242 ~macros:242 ~prefix:244 prog_type:245 map_type:245 attach_type:245 link_type:245 helper:248 kfunc:248 attach_types:0 link_types:0 kfuncs:0' \
    'kernel:242 dev:243 ~full:242 ~unprivileged:242 ~macros:242 ~prefix:244' \
    '@device:242' \
    '@word:242' \
    '@word:246' \
    '~type:247' \
    'unspec:246 socket_filter:246 kprobe:246 sched_cls:246 sched_act:246 tracepoint:246 xdp:246 perf_event:246 cgroup_skb:246 cgroup_sock:246 lwt_in:246 lwt_out:246 lwt_xmit:246 sock_ops:246 sk_skb:246 cgroup_device:246 sk_msg:246 raw_tracepoint:246 cgroup_sock_addr:246 lwt_seg6local:246 lirc_mode2:246 sk_reuseport:246 flow_dissector:246 cgroup_sysctl:246 raw_tracepoint_writable:246 cgroup_sockopt:246 tracing:246 struct_ops:246 ext:246 lsm:246 sk_lookup:246 syscall:246 netfilter:246' \
    '@word:246' \
    '@file:250' \
    '@file:0' \
    'prog_types:0 map_types:0 attach_types:0 link_types:0 helpers:0' \
    'show:253 list:253 dump:255 layout:274 diff:287 help:0' \
    '~id:254' \
    '@live:253' \
    'id:256 prog:261 map:266 file:271' \
    '@live:257' \
    '~format:258 ~unsorted:257 root_id:259 type:260' \
    'raw:257 c:257' \
    '@word:257' \
    '@word:257' \
    'id:262 pinned:263 tag:264 name:265' \
    '@live:257' \
    '@live:257' \
    '@live:257' \
    '@live:257' \
    'id:267 pinned:269 name:270' \
    '@live:268' \
    'key:257 value:257 kv:257 all:257 ~format:258 ~unsorted:257 root_id:259 type:260' \
    '@live:268' \
    '@live:268' \
    '@file:272' \
    'file:273 ~format:258 ~unsorted:257 root_id:259 type:260' \
    '@file:257' \
    '@word:275' \
    'id:276 prog:277 map:282 file:286 ~expand:275' \
    '@live:275' \
    'id:278 pinned:279 tag:280 name:281' \
    '@live:275' \
    '@live:275' \
    '@live:275' \
    '@live:275' \
    'id:283 pinned:284 name:285' \
    '@live:275' \
    '@live:275' \
    '@live:275' \
    '@file:275' \
    'id:288 prog:301 map:306 file:310 @file:289' \
    '@live:289' \
    'id:290 prog:291 map:296 file:300 @file:0' \
    '@live:0' \
    'id:292 pinned:293 tag:294 name:295' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    'id:297 pinned:298 name:299' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    '@file:0' \
    'id:302 pinned:303 tag:304 name:305' \
    '@live:289' \
    '@live:289' \
    '@live:289' \
    '@live:289' \
    'id:307 pinned:308 name:309' \
    '@live:289' \
    '@live:289' \
    '@live:289' \
    '@file:289'
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
