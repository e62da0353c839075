# fish completion for pybpftool

# begin table
set -g __pybpftool_states \
    'help:0 batch:2 prog:4 map:87 perf:232 feature:233 btf:245 version:0' \
    'file:3' \
    '@file:0' \
    'show:5 list:5 dump:10 graph:25 pin:31 attach:37 detach:47 run:57 profile:67 tracelog:74 top:80 help:0' \
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
    'id:38 pinned:44 tag:45 name:46' \
    '@live:39' \
    'sk_msg_verdict:40 sk_skb_verdict:40 sk_skb_stream_verdict:40 sk_skb_stream_parser:40 flow_dissector:40' \
    'id:41 pinned:42 name:43' \
    '@live:40' \
    '@live:40' \
    '@live:40' \
    '@live:39' \
    '@live:39' \
    '@live:39' \
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
    '~data_in:60 ~data_out:60 ~data_size_out:61 ~ctx_in:60 ~ctx_out:60 ~ctx_size_out:62 ~repeat:63' \
    '@file:59' \
    '@word:59' \
    '@word:59' \
    '@word:59' \
    '@live:59' \
    '@live:59' \
    '@live:59' \
    'id:68 pinned:71 tag:72 name:73' \
    '@live:69' \
    '~duration:70 @word:69' \
    '@word:69' \
    '@live:69' \
    '@live:69' \
    '@live:69' \
    '~stdout:75 ~stderr:75 id:76 pinned:77 tag:78 name:79' \
    '~stdout:75 ~stderr:75 id:76 pinned:77 tag:78 name:79' \
    '@live:75' \
    '@live:75' \
    '@live:75' \
    '@live:75' \
    '~interval:81 ~count:82 ~once:80 ~sort:83 ~name:84 ~type:85 ~pid:86 csv:80 jsonl:80' \
    '@word:80' \
    '@word:80' \
    'cpu:80 runs:80 average:80 id:80 name:80 type:80' \
    '@word:80' \
    'unspec:80 socket_filter:80 kprobe:80 sched_cls:80 sched_act:80 tracepoint:80 xdp:80 perf_event:80 cgroup_skb:80 cgroup_sock:80 lwt_in:80 lwt_out:80 lwt_xmit:80 sock_ops:80 sk_skb:80 cgroup_device:80 sk_msg:80 raw_tracepoint:80 cgroup_sock_addr:80 lwt_seg6local:80 lirc_mode2:80 sk_reuseport:80 flow_dissector:80 cgroup_sysctl:80 raw_tracepoint_writable:80 cgroup_sockopt:80 tracing:80 struct_ops:80 ext:80 lsm:80 sk_lookup:80 syscall:80 netfilter:80' \
    '@word:80' \
    'show:88 list:88 create:92 dump:105 update:111 lookup:125 getnext:134 delete:140 pin:149 event_pipe:154 peek:163 push:167 pop:180 enqueue:184 dequeue:197 freeze:201 export:205 import:211 diff:217 watch:226 help:0' \
    'id:89 pinned:90 name:91' \
    '@live:88' \
    '@live:88' \
    '@live:88' \
    '@file:93' \
    '~type:94 ~key:95 ~value:96 ~entries:97 ~name:98 ~flags:99 ~inner_map:100 ~offload_dev:104' \
    'hash:93 array:93 prog_array:93 perf_event_array:93 percpu_hash:93 percpu_array:93 stack_trace:93 cgroup_array:93 lru_hash:93 lru_percpu_hash:93 lpm_trie:93 array_of_maps:93 hash_of_maps:93 devmap:93 devmap_hash:93 sockmap:93 cpumap:93 xskmap:93 sockhash:93 cgroup_storage:93 reuseport_sockarray:93 percpu_cgroup_storage:93 queue:93 stack:93 sk_storage:93 struct_ops:93 ringbuf:93 inode_storage:93 task_storage:93 bloom_filter:93 user_ringbuf:93 cgrp_storage:93 arena:93 insn_array:93 rhash:93' \
    '@word:93' \
    '@word:93' \
    '@word:93' \
    '@word:93' \
    '@word:93' \
    'id:101 pinned:102 name:103' \
    '@live:93' \
    '@live:93' \
    '@live:93' \
    '@device:93' \
    'id:106 pinned:109 name:110' \
    '@live:107' \
    '~limit:108 ~recursive:107' \
    '@word:107' \
    '@live:107' \
    '@live:107' \
    'id:112 pinned:123 name:124' \
    '@live:113' \
    '~key:114 ~value:117 any:113 exist:113 noexist:113' \
    'hex:115 @word:122' \
    '@word:116' \
    '~key:114 ~value:117 any:113 exist:113 noexist:113 @word:116' \
    'hex:115 id:118 pinned:119 name:120 tag:121 @word:122' \
    '@live:113' \
    '@live:113' \
    '@live:113' \
    '@live:113' \
    '~key:114 ~value:117 any:113 exist:113 noexist:113 @word:116' \
    '@live:113' \
    '@live:113' \
    'id:126 pinned:132 name:133' \
    '@live:127' \
    '~key:128' \
    'hex:129 @word:131' \
    '@word:130' \
    '~key:128 @word:130' \
    '~key:128 @word:130' \
    '@live:127' \
    '@live:127' \
    'id:135 pinned:138 name:139' \
    '@live:136' \
    '~key:137' \
    '@word:136' \
    '@live:136' \
    '@live:136' \
    'id:141 pinned:147 name:148' \
    '@live:142' \
    '~key:143' \
    'hex:144 @word:146' \
    '@word:145' \
    '~key:143 @word:145' \
    '~key:143 @word:145' \
    '@live:142' \
    '@live:142' \
    'id:150 pinned:152 name:153' \
    '@live:151' \
    '@file:0' \
    '@live:151' \
    '@live:151' \
    'id:155 pinned:161 name:162' \
    '@live:156' \
    '~cpu:157 ~index:158 ~type:159 ~file:160' \
    '@word:156' \
    '@word:156' \
    '@word:156' \
    '@file:156' \
    '@live:156' \
    '@live:156' \
    'id:164 pinned:165 name:166' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    'id:168 pinned:178 name:179' \
    '@live:169' \
    '~value:170' \
    'hex:171 id:173 pinned:174 name:175 tag:176 @word:177' \
    '@word:172' \
    '~value:170 @word:172' \
    '@live:169' \
    '@live:169' \
    '@live:169' \
    '@live:169' \
    '~value:170 @word:172' \
    '@live:169' \
    '@live:169' \
    'id:181 pinned:182 name:183' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    'id:185 pinned:195 name:196' \
    '@live:186' \
    '~value:187' \
    'hex:188 id:190 pinned:191 name:192 tag:193 @word:194' \
    '@word:189' \
    '~value:187 @word:189' \
    '@live:186' \
    '@live:186' \
    '@live:186' \
    '@live:186' \
    '~value:187 @word:189' \
    '@live:186' \
    '@live:186' \
    'id:198 pinned:199 name:200' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    'id:202 pinned:203 name:204' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    'id:206 pinned:209 name:210' \
    '@live:207' \
    '~file:208' \
    '@file:207' \
    '@live:207' \
    '@live:207' \
    'id:212 pinned:215 name:216 @file:213' \
    '@live:213' \
    '~file:214 any:213 exist:213 noexist:213 ~dry_run:213' \
    '@file:213' \
    '@live:213' \
    '@live:213' \
    'id:218 pinned:224 name:225' \
    '@live:219' \
    'id:220 pinned:221 name:222 file:223' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    '@file:0' \
    '@live:219' \
    '@live:219' \
    'id:227 pinned:230 name:231' \
    '@live:228' \
    '~interval:229' \
    '@word:228' \
    '@live:228' \
    '@live:228' \
    'show:0 list:0 help:0' \
    'probe:234 diff:242 list_builtins:244 help:0' \
    'kernel:235 dev:236 ~full:235 ~unprivileged:235 ~macros:235 ~prefix:237 prog_type:238 map_type:238 attach_type:238 link_type:238 helper:241 kfunc:241 attach_types:0 link_types:0 kfuncs:0' \
    'kernel:235 dev:236 ~full:235 ~unprivileged:235 ~macros:235 ~prefix:237' \
    '@device:235' \
    '@word:235' \
    '@word:239' \
    '~type:240' \
    'unspec:239 socket_filter:239 kprobe:239 sched_cls:239 sched_act:239 tracepoint:239 xdp:239 perf_event:239 cgroup_skb:239 cgroup_sock:239 lwt_in:239 lwt_out:239 lwt_xmit:239 sock_ops:239 sk_skb:239 cgroup_device:239 sk_msg:239 raw_tracepoint:239 cgroup_sock_addr:239 lwt_seg6local:239 lirc_mode2:239 sk_reuseport:239 flow_dissector:239 cgroup_sysctl:239 raw_tracepoint_writable:239 cgroup_sockopt:239 tracing:239 struct_ops:239 ext:239 lsm:239 sk_lookup:239 syscall:239 netfilter:239' \
    '@word:239' \
    '@file:243' \
    '@file:0' \
    'prog_types:0 map_types:0 attach_types:0 link_types:0 helpers:0' \
    'show:246 list:246 dump:248 layout:267 diff:280 help:0' \
    '~id:247' \
    '@live:246' \
    'id:249 prog:254 map:259 file:264' \
    '@live:250' \
    '~format:251 ~unsorted:250 root_id:252 type:253' \
    'raw:250 c:250' \
    '@word:250' \
    '@word:250' \
    'id:255 pinned:256 tag:257 name:258' \
    '@live:250' \
    '@live:250' \
    '@live:250' \
    '@live:250' \
    'id:260 pinned:262 name:263' \
    '@live:261' \
    'key:250 value:250 kv:250 all:250 ~format:251 ~unsorted:250 root_id:252 type:253' \
    '@live:261' \
    '@live:261' \
    '@file:265' \
    'file:266 ~format:251 ~unsorted:250 root_id:252 type:253' \
    '@file:250' \
    '@word:268' \
    'id:269 prog:270 map:275 file:279 ~expand:268' \
    '@live:268' \
    'id:271 pinned:272 tag:273 name:274' \
    '@live:268' \
    '@live:268' \
    '@live:268' \
    '@live:268' \
    'id:276 pinned:277 name:278' \
    '@live:268' \
    '@live:268' \
    '@live:268' \
    '@file:268' \
    'id:281 prog:294 map:299 file:303 @file:282' \
    '@live:282' \
    'id:283 prog:284 map:289 file:293 @file:0' \
    '@live:0' \
    'id:285 pinned:286 tag:287 name:288' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    'id:290 pinned:291 name:292' \
    '@live:0' \
    '@live:0' \
    '@live:0' \
    '@file:0' \
    'id:295 pinned:296 tag:297 name:298' \
    '@live:282' \
    '@live:282' \
    '@live:282' \
    '@live:282' \
    'id:300 pinned:301 name:302' \
    '@live:282' \
    '@live:282' \
    '@live:282' \
    '@file:282'
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
    --output
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
            case -B -k -i -o --base-btf --output
                set skip 1
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
    if test -n "$skip"
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
