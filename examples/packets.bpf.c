// Packets counted by their length, for the guide of the Python API (docs/api.md).

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

const volatile unsigned int limit = 1500;
unsigned long switches;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, unsigned int);
	__type(value, unsigned long);
} lengths SEC(".maps");

SEC("xdp")
int count(struct xdp_md *ctx)
{
	unsigned int length = ctx->data_end - ctx->data;
	unsigned long one = 1, *seen;

	if (length > limit)
		return XDP_DROP;
	seen = bpf_map_lookup_elem(&lengths, &length);
	if (seen)
		__sync_fetch_and_add(seen, 1);
	else
		bpf_map_update_elem(&lengths, &length, &one, BPF_NOEXIST);
	return XDP_PASS;
}

SEC("raw_tp/sched_switch")
int switched(void *ctx)
{
	__sync_fetch_and_add(&switches, 1);
	return 0;
}
