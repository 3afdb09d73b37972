// SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0 OR MIT)
// Access port: every frame goes to the socket of its queue. Without a socket it is dropped,
// since the kernel has no business with a container's frames.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

SEC("xdp")
int overlane_access(struct xdp_md *ctx)
{
	return bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_DROP);
}

char _license[] SEC("license") = "Dual MIT/GPL";
