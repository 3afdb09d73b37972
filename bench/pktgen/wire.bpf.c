// A wire between two veths that counts what passes in each tenth of a second, and can drop, swap or
// repeat one frame in so many. It is the independent meter that the generator is checked with.
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define WINDOWS 1024
#define WINDOW_NS 100000000ULL
// Behind Ethernet, IPv4 and UDP: the stamp's eight bytes of trial and sequence.
#define NUMBER_AT (42 + 6)

enum { PASS, DROP, SWAP, REPEAT };

const volatile __u32 out_index;
const volatile __u32 fault;
const volatile __u32 every = 1000;

struct state {
	__u64 frames;
	__u64 faults;
	__u64 first_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct state);
} state SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WINDOWS);
	__type(key, __u32);
	__type(value, __u64);
} windows SEC(".maps");

static __always_inline void add_to_number(__u8 *frame, __u64 add)
{
	__u64 number;

	__builtin_memcpy(&number, frame + NUMBER_AT, sizeof(number));
	number = bpf_cpu_to_be64(bpf_be64_to_cpu(number) + add);
	__builtin_memcpy(frame + NUMBER_AT, &number, sizeof(number));
}

SEC("xdp")
int wire(struct xdp_md *context)
{
	__u8 *frame = (void *)(long)context->data;
	__u8 *end = (void *)(long)context->data_end;
	__u32 key = 0;
	struct state *now = bpf_map_lookup_elem(&state, &key);

	if (!now || frame + NUMBER_AT + 8 > end)
		return XDP_DROP;
	__u64 time_ns = bpf_ktime_get_ns();

	if (!now->frames)
		now->first_ns = time_ns;
	__u32 window = (time_ns - now->first_ns) / WINDOW_NS;
	__u64 *count = bpf_map_lookup_elem(&windows, &window);

	if (count)
		*count += 1;
	__u64 place = now->frames % every;

	now->frames += 1;
	if (fault == DROP && place == 1) {
		now->faults += 1;
		return XDP_DROP;
	}
	// Numbers n and n + 1 change places: what a queue that overtakes another does.
	if (fault == SWAP && place == 1)
		add_to_number(frame, 1);
	if (fault == SWAP && place == 2) {
		add_to_number(frame, -1);
		now->faults += 1;
	}
	// Number n comes again in the place of n + 1.
	if (fault == REPEAT && place == 1) {
		add_to_number(frame, -1);
		now->faults += 1;
	}
	return bpf_redirect(out_index, 0);
}

char program_license[] SEC("license") = "GPL";
