// SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0 OR MIT)
// Underlay port: VXLAN to our address, port and VNIs goes to the socket of its queue, all else
// stays with the kernel and is counted by why. Our address is an IPv4 or an IPv6 one, and the
// other IP version is of no interest. The I flag is not looked at: a packet without it is ours
// to drop. When the socket is gone, the packet passes.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// The order is that of `LEFT_REASONS` in program.rs.
enum left {
	LEFT_NOT_IP,
	LEFT_IP_OPTIONS,
	LEFT_FRAGMENT,
	LEFT_NOT_UDP,
	LEFT_OTHER_ADDRESS,
	LEFT_OTHER_PORT,
	LEFT_TOO_SHORT,
	LEFT_OTHER_VNI,
	LEFT_REASONS,
};

// Set by the loader; address (of IPv4 the first word) and port in network byte order.
const volatile __u32 vtep_is_ipv6 = 0;
const volatile __u32 vtep_address[4] = {};
const volatile __u16 vxlan_port = 0;

// IPv6 extension headers that linux/in6.h does not name (RFC 7045, section 4).
enum {
	HOST_IDENTITY = 139,
	SHIM6 = 140,
};

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

// From the UDP header on, whatever was before it.
static __always_inline int take_vxlan(struct xdp_md *ctx, struct udphdr *udp, void *end)
{
	__be32 *vxlan = (void *)(udp + 1);

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

static __always_inline int take_ipv4(struct xdp_md *ctx, struct iphdr *ip, void *end)
{
	if ((void *)(ip + 1) > end)
		return leave(LEFT_TOO_SHORT);
	if (ip->version != 4)
		return leave(LEFT_NOT_IP);
	if (ip->ihl != 5)
		return leave(LEFT_IP_OPTIONS);
	// More-fragments flag or an offset; the reserved and DF bits don't matter.
	if (ip->frag_off & bpf_htons(0x3fff))
		return leave(LEFT_FRAGMENT);
	if (ip->protocol != IPPROTO_UDP)
		return leave(LEFT_NOT_UDP);
	if (ip->daddr != vtep_address[0])
		return leave(LEFT_OTHER_ADDRESS);
	return take_vxlan(ctx, (void *)(ip + 1), end);
}

static __always_inline int not_udp_but(__u8 next_header)
{
	switch (next_header) {
	case IPPROTO_FRAGMENT:
		return LEFT_FRAGMENT;
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_AH:
	case IPPROTO_DSTOPTS:
	case IPPROTO_MH:
	case HOST_IDENTITY:
	case SHIM6:
		return LEFT_IP_OPTIONS;
	default:
		return LEFT_NOT_UDP;
	}
}

// Extension headers are not walked: VXLAN has none.
static __always_inline int take_ipv6(struct xdp_md *ctx, struct ipv6hdr *ip, void *end)
{
	if ((void *)(ip + 1) > end)
		return leave(LEFT_TOO_SHORT);
	if (ip->version != 6)
		return leave(LEFT_NOT_IP);
	if (ip->nexthdr != IPPROTO_UDP)
		return leave(not_udp_but(ip->nexthdr));

	__be32 *to = ip->daddr.in6_u.u6_addr32;

	if (to[0] != vtep_address[0] || to[1] != vtep_address[1] ||
	    to[2] != vtep_address[2] || to[3] != vtep_address[3])
		return leave(LEFT_OTHER_ADDRESS);
	return take_vxlan(ctx, (void *)(ip + 1), end);
}

SEC("xdp")
int overlane_underlay(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	void *ip = eth + 1;

	if (ip > end)
		return leave(LEFT_TOO_SHORT);
	switch (eth->h_proto) {
	case bpf_htons(ETH_P_IP):
		return vtep_is_ipv6 ? leave(LEFT_OTHER_ADDRESS) : take_ipv4(ctx, ip, end);
	case bpf_htons(ETH_P_IPV6):
		return vtep_is_ipv6 ? take_ipv6(ctx, ip, end) : leave(LEFT_OTHER_ADDRESS);
	default:
		return leave(LEFT_NOT_IP);
	}
}

char _license[] SEC("license") = "Dual MIT/GPL";
