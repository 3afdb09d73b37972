// SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0 OR MIT)
// Counts what an interface takes of the frames that are redirected to it: bpf_redirect itself
// cannot tell, as frames are handed over up to 16 at a time (kernel/bpf/devmap.c, bq_xmit_all).
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

// All that is needed of it; where it lies is found out when this is loaded.
struct net_device {
	int ifindex;
} __attribute__((preserve_access_index));

const volatile __u32 interface_index;

// By CPU, as each sender has its own.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} taken SEC(".maps");

// include/trace/events/xdp.h: from_dev, to_dev, sent, drops, err.
SEC("raw_tp/xdp_devmap_xmit")
int overlane_taken(struct bpf_raw_tracepoint_args *context)
{
	struct net_device *to = (void *)context->args[1];
	int sent = (int)context->args[2];
	__u32 key = 0;
	__u64 *count = bpf_map_lookup_elem(&taken, &key);

	if (count && sent > 0 && BPF_CORE_READ(to, ifindex) == interface_index)
		*count += sent;
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
