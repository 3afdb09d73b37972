// SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0 OR MIT)
// Access ports: every frame goes to the socket of its port and queue. Without one it is dropped,
// since the kernel has no business with a container's frames.
//
// One program serves all of them, so one map has all their sockets, and another says where a
// device's begin. Sizes and layout are those of `program/access.rs`.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

struct place {
	__u32 first;
	__u32 queues;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct place);
} places SEC(".maps");

SEC("xdp")
int overlane_access(struct xdp_md *ctx)
{
	__u32 device = ctx->ingress_ifindex;
	__u32 queue = ctx->rx_queue_index;
	struct place *place = bpf_map_lookup_elem(&places, &device);

	// Queues that came later have no socket; the entries behind ours are another port's.
	if (!place || queue >= place->queues)
		return XDP_DROP;
	return bpf_redirect_map(&xsks, place->first + queue, XDP_DROP);
}

char _license[] SEC("license") = "Dual MIT/GPL";
