// SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0 OR MIT)
// Underlay port: VXLAN to our address, port and VNIs goes to the socket of its queue, all else
// stays with the kernel and is counted by why. The I flag is not looked at: a packet without
// it is ours to drop. When the socket is gone, the packet passes.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// The order is that of `LEFT_REASONS` in program.rs.
enum left {
	LEFT_NOT_IPV4,
	LEFT_IP_OPTIONS,
	LEFT_FRAGMENT,
	LEFT_NOT_UDP,
	LEFT_OTHER_ADDRESS,
	LEFT_OTHER_PORT,
	LEFT_TOO_SHORT,
	LEFT_OTHER_VNI,
	LEFT_REASONS,
};

// Set by the loader; both in network byte order.
const volatile __u32 vtep_address = 0;
const volatile __u16 vxlan_port = 0;

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

// Our VNIs, host byte order.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u8);
} vnis SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LEFT_REASONS);
	__type(key, __u32);
	__type(value, __u64);
} left_to_kernel SEC(".maps");

static __always_inline int leave(__u32 reason)
{
	__u64 *count = bpf_map_lookup_elem(&left_to_kernel, &reason);

	if (count)
		*count += 1;
	return XDP_PASS;
}

SEC("xdp")
int overlane_underlay(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	__be32 *vxlan = (void *)(udp + 1);

	if ((void *)(eth + 1) > end)
		return leave(LEFT_TOO_SHORT);
	if (eth->h_proto != bpf_htons(ETH_P_IP))
		return leave(LEFT_NOT_IPV4);
	if ((void *)(ip + 1) > end)
		return leave(LEFT_TOO_SHORT);
	if (ip->version != 4)
		return leave(LEFT_NOT_IPV4);
	if (ip->ihl != 5)
		return leave(LEFT_IP_OPTIONS);
	// More-fragments flag or an offset; the reserved and DF bits don't matter.
	if (ip->frag_off & bpf_htons(0x3fff))
		return leave(LEFT_FRAGMENT);
	if (ip->protocol != IPPROTO_UDP)
		return leave(LEFT_NOT_UDP);
	if (ip->daddr != vtep_address)
		return leave(LEFT_OTHER_ADDRESS);
	if ((void *)(udp + 1) > end)
		return leave(LEFT_TOO_SHORT);
	if (udp->dest != vxlan_port)
		return leave(LEFT_OTHER_PORT);
	if ((void *)(vxlan + 2) > end)
		return leave(LEFT_TOO_SHORT);

	__u32 vni = bpf_ntohl(vxlan[1]) >> 8;

	if (!bpf_map_lookup_elem(&vnis, &vni))
		return leave(LEFT_OTHER_VNI);
	return bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_PASS);
}

char _license[] SEC("license") = "Dual MIT/GPL";
