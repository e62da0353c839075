/*
 * What this package says to Linux, and what Linux answers: the layouts of <linux/bpf.h>,
 * <linux/perf_event.h> and a few calls of the C library, as of Linux 6.18.
 *
 * Read by abi_build.py only, never when the tool runs.  Names are the kernel's, with one
 * difference: every arm of union bpf_attr has a name here, also where the kernel leaves it
 * nameless, so that an arm has a size of its own.  The arms of one name per command are listed
 * in syscall.py.  Pointers travel as u64 whatever the machine, hence `u64 keys` and the like.
 * A test holds every field against the BTF of the running kernel.
 */

typedef uint8_t  u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int16_t  s16;
typedef int32_t  s32;
typedef int64_t  s64;

/* ---------------------------------------------------------------- bpf(2): commands */

enum bpf_cmd {
	BPF_MAP_CREATE,
	BPF_MAP_LOOKUP_ELEM,
	BPF_MAP_UPDATE_ELEM,
	BPF_MAP_DELETE_ELEM,
	BPF_MAP_GET_NEXT_KEY,
	BPF_PROG_LOAD,
	BPF_OBJ_PIN,
	BPF_OBJ_GET,
	BPF_PROG_ATTACH,
	BPF_PROG_DETACH,
	BPF_PROG_TEST_RUN,
	BPF_PROG_GET_NEXT_ID,
	BPF_MAP_GET_NEXT_ID,
	BPF_PROG_GET_FD_BY_ID,
	BPF_MAP_GET_FD_BY_ID,
	BPF_OBJ_GET_INFO_BY_FD,
	BPF_PROG_QUERY,
	BPF_RAW_TRACEPOINT_OPEN,
	BPF_BTF_LOAD,
	BPF_BTF_GET_FD_BY_ID,
	BPF_TASK_FD_QUERY,
	BPF_MAP_LOOKUP_AND_DELETE_ELEM,
	BPF_MAP_FREEZE,
	BPF_BTF_GET_NEXT_ID,
	BPF_MAP_LOOKUP_BATCH,
	BPF_MAP_LOOKUP_AND_DELETE_BATCH,
	BPF_MAP_UPDATE_BATCH,
	BPF_MAP_DELETE_BATCH,
	BPF_LINK_CREATE,
	BPF_LINK_UPDATE,
	BPF_LINK_GET_FD_BY_ID,
	BPF_LINK_GET_NEXT_ID,
	BPF_ENABLE_STATS,
	BPF_ITER_CREATE,
	BPF_LINK_DETACH,
	BPF_PROG_BIND_MAP,
	BPF_TOKEN_CREATE,
	BPF_PROG_STREAM_READ_BY_FD,
};

/* ---------------------------------------------------------------- bpf(2): questions */

union bpf_attr {
	struct {
		u32 map_type;
		u32 key_size;
		u32 value_size;
		u32 max_entries;
		u32 map_flags;
		u32 inner_map_fd;
		u32 numa_node;
		char map_name[16];
		u32 map_ifindex;
		u32 btf_fd;
		u32 btf_key_type_id;
		u32 btf_value_type_id;
		u32 btf_vmlinux_value_type_id;
		u64 map_extra;
		s32 value_type_btf_obj_fd;
		s32 map_token_fd;
		u64 excl_prog_hash;
		u32 excl_prog_hash_size;
	} map_create;
	struct {
		u32 map_fd;
		u64 key;
		union {
			u64 value;
			u64 next_key;
		};
		u64 flags;
	} elem;
	struct {
		u64 in_batch;
		u64 out_batch;
		u64 keys;
		u64 values;
		u32 count;                /* asked, then done */
		u32 map_fd;
		u64 elem_flags;
		u64 flags;
	} batch;
	struct {
		u32 prog_type;
		u32 insn_cnt;
		u64 insns;
		u64 license;
		u32 log_level;
		u32 log_size;
		u64 log_buf;
		u32 kern_version;
		u32 prog_flags;
		char prog_name[16];
		u32 prog_ifindex;
		u32 expected_attach_type;
		u32 prog_btf_fd;
		u32 func_info_rec_size;
		u64 func_info;
		u32 func_info_cnt;
		u32 line_info_rec_size;
		u64 line_info;
		u32 line_info_cnt;
		u32 attach_btf_id;
		union {
			u32 attach_prog_fd;
			u32 attach_btf_obj_fd;
		};
		u32 core_relo_cnt;
		u64 fd_array;
		u64 core_relos;
		u32 core_relo_rec_size;
		u32 log_true_size;
		s32 prog_token_fd;
		u32 fd_array_cnt;
		u64 signature;
		u32 signature_size;
		s32 keyring_id;
	} prog_load;
	struct {
		u64 pathname;
		u32 bpf_fd;
		u32 file_flags;
		s32 path_fd;
	} obj;
	struct {
		union {
			u32 target_fd;
			u32 target_ifindex;
		};
		u32 attach_bpf_fd;
		u32 attach_type;
		u32 attach_flags;
		u32 replace_bpf_fd;
		union {
			u32 relative_fd;
			u32 relative_id;
		};
		u64 expected_revision;
	} prog_attach;
	struct {
		u32 prog_fd;
		u32 retval;
		u32 data_size_in;
		u32 data_size_out;
		u64 data_in;
		u64 data_out;
		u32 repeat;
		u32 duration;
		u32 ctx_size_in;
		u32 ctx_size_out;
		u64 ctx_in;
		u64 ctx_out;
		u32 flags;
		u32 cpu;
		u32 batch_size;
	} test;
	struct {
		union {
			u32 start_id;
			u32 prog_id;
			u32 map_id;
			u32 btf_id;
			u32 link_id;
		};
		u32 next_id;
		u32 open_flags;
		s32 fd_by_id_token_fd;
	} get_id;
	struct {
		u32 bpf_fd;
		u32 info_len;             /* room, then filled */
		u64 info;
	} info;
	struct {
		union {
			u32 target_fd;
			u32 target_ifindex;
		};
		u32 attach_type;
		u32 query_flags;
		u32 attach_flags;
		u64 prog_ids;
		union {
			u32 prog_cnt;         /* room, then there */
			u32 count;
		};
		u64 prog_attach_flags;
		u64 link_ids;
		u64 link_attach_flags;
		u64 revision;
	} query;
	struct {
		u64 name;
		u32 prog_fd;
		u64 cookie;
	} raw_tracepoint;
	struct {
		u64 btf;
		u64 btf_log_buf;
		u32 btf_size;
		u32 btf_log_size;
		u32 btf_log_level;
		u32 btf_log_true_size;
		u32 btf_flags;
		s32 btf_token_fd;
	} btf_load;
	struct {
		u32 pid;
		u32 fd;
		u32 flags;
		u32 buf_len;
		u64 buf;
		u32 prog_id;
		u32 fd_type;
		u64 probe_offset;
		u64 probe_addr;
	} task_fd_query;
	struct {
		union {
			u32 prog_fd;
			u32 map_fd;
		};
		union {
			u32 target_fd;
			u32 target_ifindex;
		};
		u32 attach_type;
		u32 flags;
		union {
			u32 target_btf_id;
			struct {
				u64 iter_info;
				u32 iter_info_len;
			};
			struct {
				u64 bpf_cookie;
			} perf_event;
			struct {
				u32 flags;
				u32 cnt;
				u64 syms;
				u64 addrs;
				u64 cookies;
			} kprobe_multi;
			struct {
				u32 target_btf_id;
				u64 cookie;
			} tracing;
			struct {
				u32 pf;
				u32 hooknum;
				s32 priority;
				u32 flags;
			} netfilter;
			struct {
				union {
					u32 relative_fd;
					u32 relative_id;
				};
				u64 expected_revision;
			} tcx;
			struct {
				u64 path;
				u64 offsets;
				u64 ref_ctr_offsets;
				u64 cookies;
				u32 cnt;
				u32 flags;
				u32 pid;
			} uprobe_multi;
			struct {
				union {
					u32 relative_fd;
					u32 relative_id;
				};
				u64 expected_revision;
			} netkit;
			struct {
				union {
					u32 relative_fd;
					u32 relative_id;
				};
				u64 expected_revision;
			} cgroup;
			struct {
				u64 ids;
				u64 cookies;
				u32 cnt;
			} tracing_multi;
		};
	} link_create;
	struct {
		u32 link_fd;
		union {
			u32 new_prog_fd;
			u32 new_map_fd;
		};
		u32 flags;
		union {
			u32 old_prog_fd;
			u32 old_map_fd;
		};
	} link_update;
	struct {
		u32 link_fd;
	} link_detach;
	struct {
		u32 type;
	} enable_stats;
	struct {
		u32 link_fd;
		u32 flags;
	} iter_create;
	struct {
		u32 prog_fd;
		u32 map_fd;
		u32 flags;
	} prog_bind_map;
	struct {
		u32 flags;
		u32 bpffs_fd;
	} token_create;
	struct {
		u64 stream_buf;
		u32 stream_buf_len;
		u32 stream_id;
		u32 prog_fd;
	} prog_stream_read;
};

/* ---------------------------------------------------------------- bpf(2): answers */

struct bpf_prog_info {
	u32 type;
	u32 id;
	u8  tag[8];
	u32 jited_prog_len;
	u32 xlated_prog_len;
	u64 jited_prog_insns;
	u64 xlated_prog_insns;
	u64 load_time;                /* ns since boot */
	u32 created_by_uid;
	u32 nr_map_ids;
	u64 map_ids;
	char name[16];
	u32 ifindex;
	u32 gpl_compatible : 1;
	u64 netns_dev;
	u64 netns_ino;
	u32 nr_jited_ksyms;
	u32 nr_jited_func_lens;
	u64 jited_ksyms;
	u64 jited_func_lens;
	u32 btf_id;
	u32 func_info_rec_size;
	u64 func_info;
	u32 nr_func_info;
	u32 nr_line_info;
	u64 line_info;
	u64 jited_line_info;
	u32 nr_jited_line_info;
	u32 line_info_rec_size;
	u32 jited_line_info_rec_size;
	u32 nr_prog_tags;
	u64 prog_tags;
	u64 run_time_ns;
	u64 run_cnt;
	u64 recursion_misses;
	u32 verified_insns;
	u32 attach_btf_obj_id;
	u32 attach_btf_id;
};

struct bpf_map_info {
	u32 type;
	u32 id;
	u32 key_size;
	u32 value_size;
	u32 max_entries;
	u32 map_flags;
	char name[16];
	u32 ifindex;
	u32 btf_vmlinux_value_type_id;
	u64 netns_dev;
	u64 netns_ino;
	u32 btf_id;
	u32 btf_key_type_id;
	u32 btf_value_type_id;
	u32 btf_vmlinux_id;
	u64 map_extra;
	u64 hash;
	u32 hash_size;
};

struct bpf_btf_info {
	u64 btf;
	u32 btf_size;
	u32 id;
	u64 name;
	u32 name_len;
	u32 kernel_btf;
};

struct bpf_link_info {
	u32 type;
	u32 id;
	u32 prog_id;
	union {
		struct {
			u64 tp_name;
			u32 tp_name_len;
			u64 cookie;
		} raw_tracepoint;
		struct {
			u32 attach_type;
			u32 target_obj_id;
			u32 target_btf_id;
			u64 cookie;
		} tracing;
		struct {
			u64 cgroup_id;
			u32 attach_type;
		} cgroup;
		struct {
			u64 target_name;
			u32 target_name_len;
			union {
				struct {
					u32 map_id;
				} map;
			};
			union {
				struct {
					u64 cgroup_id;
					u32 order;
				} cgroup;
				struct {
					u32 tid;
					u32 pid;
				} task;
			};
		} iter;
		struct {
			u32 netns_ino;
			u32 attach_type;
		} netns;
		struct {
			u32 ifindex;
		} xdp;
		struct {
			u32 map_id;
		} struct_ops;
		struct {
			u32 pf;
			u32 hooknum;
			s32 priority;
			u32 flags;
		} netfilter;
		struct {
			u64 addrs;
			u32 count;
			u32 flags;
			u64 missed;
			u64 cookies;
		} kprobe_multi;
		struct {
			u64 path;
			u64 offsets;
			u64 ref_ctr_offsets;
			u64 cookies;
			u32 path_size;
			u32 count;
			u32 flags;
			u32 pid;
		} uprobe_multi;
		struct {
			u32 type;             /* enum bpf_perf_event_type */
			union {
				struct {
					u64 file_name;
					u32 name_len;
					u32 offset;
					u64 cookie;
					u64 ref_ctr_offset;
				} uprobe;
				struct {
					u64 func_name;
					u32 name_len;
					u32 offset;
					u64 addr;
					u64 missed;
					u64 cookie;
				} kprobe;
				struct {
					u64 tp_name;
					u32 name_len;
					u64 cookie;
				} tracepoint;
				struct {
					u64 config;
					u32 type;
					u64 cookie;
				} event;
			};
		} perf_event;
		struct {
			u32 ifindex;
			u32 attach_type;
		} tcx;
		struct {
			u32 ifindex;
			u32 attach_type;
		} netkit;
		struct {
			u32 map_id;
			u32 attach_type;
		} sockmap;
	};
};

/* ---------------------------------------------------------------- perf_event_open(2) */

struct perf_event_attr {
	u32 type;
	u32 size;
	u64 config;
	union {
		u64 sample_period;
		u64 sample_freq;
	};
	u64 sample_type;
	u64 read_format;
	u64 disabled : 1;
	u64 inherit : 1;
	u64 pinned : 1;
	u64 exclusive : 1;
	u64 exclude_user : 1;
	u64 exclude_kernel : 1;
	u64 exclude_hv : 1;
	u64 exclude_idle : 1;
	u64 mmap : 1;
	u64 comm : 1;
	u64 freq : 1;
	u64 inherit_stat : 1;
	u64 enable_on_exec : 1;
	u64 task : 1;
	u64 watermark : 1;
	u64 precise_ip : 2;
	u64 mmap_data : 1;
	u64 sample_id_all : 1;
	u64 exclude_host : 1;
	u64 exclude_guest : 1;
	u64 later_flags : 43;         /* of no use here */
	union {
		u32 wakeup_events;
		u32 wakeup_watermark;
	};
	u32 bp_type;
	union {
		u64 bp_addr;
		u64 kprobe_func;
		u64 uprobe_path;
		u64 config1;
	};
	union {
		u64 bp_len;
		u64 kprobe_addr;
		u64 probe_offset;
		u64 config2;
	};
	u64 branch_sample_type;
	u64 sample_regs_user;
	u32 sample_stack_user;
	s32 clockid;
	u64 sample_regs_intr;
	u32 aux_watermark;
	u16 sample_max_stack;
};

/* The first page of a ring, as far as data_size. */
struct perf_event_mmap_page {
	u32 version;
	u32 compat_version;
	u8  unused[1016];             /* counter reading without a system call */
	u64 data_head;
	u64 data_tail;
	u64 data_offset;
	u64 data_size;
};

struct perf_event_header {
	u32 type;
	u16 misc;
	u16 size;
};

/* ---------------------------------------------------------------- the C library */

/* The head of struct statfs; the rest is room for whatever the library writes. */
struct statfs {
	long f_type;
	long room[63];
};

/* Who asks, and what the one thread of it that asks may do: the low word of each set first. */
struct __user_cap_header_struct {
	u32 version;
	int pid;
};

struct __user_cap_data_struct {
	u32 effective;
	u32 permitted;
	u32 inheritable;
};

int capget(struct __user_cap_header_struct *header, struct __user_cap_data_struct *sets);
int capset(struct __user_cap_header_struct *header, const struct __user_cap_data_struct *sets);

/* Six words fit every system call; so the function needs no variable arguments. */
long syscall(long number, long a, long b, long c, long d, long e);
void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset);
int munmap(void *address, size_t length);
int mount(const char *source, const char *target, const char *type, unsigned long flags,
          const char *data);
int umount2(const char *target, int flags);
int statfs(const char *path, struct statfs *answer);
