// The meter: counts what arrives at the far end of the underlay and drops it. A frame is "good"
// if it is VXLAN (RFC 7348, section 5) of the right length to the right port with the right VNI.
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define OUTER_BYTES 50
#define VXLAN_PORT 4789
#define VNI_FLAG 0x08

const volatile __u32 expected_vni;
const volatile __u32 expected_bytes;

struct count {
	__u64 packets;
	__u64 bytes;
	__u64 good;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct count);
} arrived SEC(".maps");

static __always_inline int is_good(const __u8 *frame, const __u8 *end)
{
	if (frame + OUTER_BYTES > end || end - frame != expected_bytes)
		return 0;
	if (frame[12] != 0x08 || frame[13] != 0x00) // EtherType IPv4
		return 0;
	if (frame[14] != 0x45 || frame[23] != 17) // no options, UDP
		return 0;
	if (frame[36] != VXLAN_PORT >> 8 || frame[37] != (VXLAN_PORT & 0xff))
		return 0;
	__u32 vni = frame[46] << 16 | frame[47] << 8 | frame[48];
	return (frame[42] & VNI_FLAG) && vni == expected_vni;
}

SEC("xdp")
int meter(struct xdp_md *context)
{
	const __u8 *frame = (void *)(long)context->data;
	const __u8 *end = (void *)(long)context->data_end;
	__u32 key = 0;
	struct count *count = bpf_map_lookup_elem(&arrived, &key);

	if (count) {
		count->packets++;
		count->bytes += end - frame;
		count->good += is_good(frame, end);
	}
	return XDP_DROP;
}

char program_license[] SEC("license") = "GPL";
