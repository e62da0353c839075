// The name of every task and of its parent, for the tutorial (docs/tutorial.md).

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("iter/task")
int tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (task)
		BPF_SEQ_PRINTF(ctx->meta->seq, "%s < %s\n", task->comm, task->real_parent->comm);
	return 0;
}
