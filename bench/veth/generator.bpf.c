// The load: BPF_PROG_TEST_RUN runs this on live frames (BPF_F_TEST_XDP_LIVE_FRAMES) and each run
// sends one frame out of the generator's veth. Frames come back from a page pool with the bytes of
// their last trip, so everything that varies is written each time.
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define FRAME_BYTES 64
#define FIRST_SOURCE_PORT 1024

const volatile __u32 interface_index;
const volatile __u32 flow_count;
const volatile __u32 mac_count;
// MAC number n is 02:42 and the four bytes of this address + n.
const volatile __u32 first_address;

// Key 0: how often the program ran on this CPU, which is what was offered.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} offered SEC(".maps");

SEC("xdp")
int generate(struct xdp_md *context)
{
	__u8 *frame = (void *)(long)context->data;
	__u8 *end = (void *)(long)context->data_end;
	__u32 key = 0;
	__u64 *count = bpf_map_lookup_elem(&offered, &key);

	if (!count || frame + FRAME_BYTES > end)
		return XDP_ABORTED;
	__u64 number = (*count)++;

	// A multiplicative hash spreads the destinations evenly and never in table order.
	__u32 spread = (__u32)number * 0x9e3779b1u;
	__u32 mac = (__u32)(((__u64)spread * mac_count) >> 32);
	__u32 address = bpf_htonl(first_address + mac);
	__u16 port = bpf_htons(FIRST_SOURCE_PORT + number % flow_count);

	__builtin_memcpy(frame + 2, &address, sizeof(address));
	__builtin_memcpy(frame + 34, &port, sizeof(port));
	return bpf_redirect(interface_index, 0);
}

char program_license[] SEC("license") = "GPL";
