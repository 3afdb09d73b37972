// SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0 OR MIT)
// The receiver: finds this trial's frames by their stamp and counts them, measures them, or hands
// them to sockets. Everything else goes on to the kernel.
#include "stamp.bpf.h"

// `Purpose` in receive/mod.rs.
enum purpose { COUNT, MEASURE, SOCKETS };

const volatile __u32 purpose;
// Every frame is one of ours, whether it has a stamp or not.
const volatile __u8 everything;

// Senders told apart; higher numbers share with lower ones.
#define SENDERS 16
#define FLOWS 65536
// The last 2^18 sequences of a sender are remembered, 64 to a word.
#define WINDOW_BITS 18
#define WORDS 4096

// The histogram has 64 buckets for each power of two: receive/buckets.rs.
#define SUB_BITS 6
#define SUB_BUCKETS 64
#define MOST_BITS 40
#define BUCKETS ((MOST_BITS - SUB_BITS + 1) * SUB_BUCKETS)

struct counters {
	__u64 frames;
	__u64 bytes;
	__u64 foreign;
	__u64 duplicated;
	__u64 reordered;
};

struct histogram {
	__u64 count[BUCKETS];
};

// Sequences seen: one bit each for those that start with `generation`.
struct word {
	__u64 generation;
	__u64 bits;
};

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

// The trial whose frames are ours.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} expected SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct histogram);
} latencies SEC(".maps");

// Highest number (trial and sequence) of each flow of each sender.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SENDERS * FLOWS);
	__type(key, __u32);
	__type(value, __u64);
} highest SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SENDERS * WORDS);
	__type(key, __u32);
	__type(value, struct word);
} window SEC(".maps");

static __always_inline const __u8 *stamp_at(const __u8 *at, const __u8 *end)
{
	if (at + STAMP_LEN > end)
		return 0;
	__u32 word = bpf_ntohl(*(const __u32 *)(at + STAMP_MAGIC_OFFSET));
	return (word & STAMP_MAGIC_MASK) == STAMP_MAGIC ? at : 0;
}

static __always_inline const __u8 *find_stamp(const __u8 *frame, const __u8 *end)
{
	const __u8 *stamp = stamp_at(frame + STAMP_AT, end);

	if (!stamp)
		stamp = stamp_at(frame + STAMP_AT + OUTER_BYTES, end);
	if (!stamp)
		stamp = stamp_at(frame + STAMP_AT + TAG_BYTES, end);
	if (!stamp)
		stamp = stamp_at(frame + STAMP_AT + OUTER_BYTES + TAG_BYTES, end);
	return stamp;
}

static __always_inline __u64 get64(const __u8 *at)
{
	return bpf_be64_to_cpu(*(const __u64 *)at);
}

static __always_inline __u32 bucket(__u64 ns)
{
	__u32 power = 0;

	if (ns >> MOST_BITS)
		ns = (1ull << MOST_BITS) - 1;
	if (ns < SUB_BUCKETS)
		return ns;
	__u64 rest = ns;
	if (rest >> 32) { power += 32; rest >>= 32; }
	if (rest >> 16) { power += 16; rest >>= 16; }
	if (rest >> 8) { power += 8; rest >>= 8; }
	if (rest >> 4) { power += 4; rest >>= 4; }
	if (rest >> 2) { power += 2; rest >>= 2; }
	if (rest >> 1) { power += 1; }
	return (power - SUB_BITS + 1) * SUB_BUCKETS + ((ns >> (power - SUB_BITS)) & (SUB_BUCKETS - 1));
}

static __always_inline void count_latency(__u64 time_ns)
{
	__u64 now = bpf_ktime_get_ns();
	__u32 key = 0;
	struct histogram *histogram = bpf_map_lookup_elem(&latencies, &key);
	// Cores' clocks may differ by a little: a frame from the future took no time.
	__u32 index = bucket(now > time_ns ? now - time_ns : 1);

	if (histogram && index < BUCKETS)
		histogram->count[index]++;
}

// Notes that this number has been seen; whether it had been before. Two CPUs that start a word's
// new generation together may lose each other's bits, so a duplicate may be missed, no more.
static __always_inline int is_duplicate(__u32 sender, __u64 number)
{
	__u64 generation = number >> WINDOW_BITS;
	__u64 bit = 1ull << (number & 63);
	__u32 key = (sender % SENDERS) * WORDS + ((number >> 6) & (WORDS - 1));
	struct word *word = bpf_map_lookup_elem(&window, &key);

	if (!word)
		return 0;
	if (word->generation == generation)
		return (__sync_fetch_and_or(&word->bits, bit) & bit) != 0;
	int same_trial = (word->generation ^ generation) >> (SEQUENCE_BITS - WINDOW_BITS) == 0;
	// Older than the window: nobody knows.
	if (same_trial && generation < word->generation)
		return 0;
	word->bits = bit;
	word->generation = generation;
	return 0;
}

// RFC 4737, section 3.3: behind a later one of its flow. Frames of a flow that are received by
// several CPUs at once may be taken for ordered.
static __always_inline int is_reordered(__u32 sender, __u32 flow, __u64 number)
{
	__u32 key = (sender % SENDERS) * FLOWS + flow;
	__u64 *most = bpf_map_lookup_elem(&highest, &key);

	if (!most)
		return 0;
	if ((*most ^ number) >> SEQUENCE_BITS == 0 && number < *most)
		return 1;
	*most = number;
	return 0;
}

static __always_inline void measure(struct counters *counters, const __u8 *stamp)
{
	__u64 number = get64(stamp + STAMP_NUMBER_OFFSET);
	__u64 time_ns = get64(stamp + STAMP_TIME_OFFSET);
	__u32 sender = stamp[3];
	__u32 flow = bpf_ntohs(*(const __u16 *)(stamp + STAMP_FLOW_OFFSET));

	count_latency(time_ns);
	if (is_duplicate(sender, number))
		counters->duplicated++;
	else if (is_reordered(sender, flow, number))
		counters->reordered++;
}

static __always_inline int is_expected(const __u8 *stamp)
{
	__u32 key = 0;
	__u32 *trial = bpf_map_lookup_elem(&expected, &key);

	return trial && get64(stamp + STAMP_NUMBER_OFFSET) >> SEQUENCE_BITS == *trial;
}

static __always_inline int receive(struct xdp_md *context, __u64 bytes)
{
	__u32 key = 0;
	struct counters *counters = bpf_map_lookup_elem(&seen, &key);

	if (!counters)
		return XDP_PASS;
	if (!everything) {
		const __u8 *stamp = find_stamp((void *)(long)context->data,
					       (void *)(long)context->data_end);
		if (!stamp || !is_expected(stamp)) {
			counters->foreign++;
			return XDP_PASS;
		}
		if (purpose == MEASURE)
			measure(counters, stamp);
	}
	counters->frames++;
	counters->bytes += bytes;
	if (purpose == SOCKETS)
		return bpf_redirect_map(&xsks, context->rx_queue_index, XDP_DROP);
	return XDP_DROP;
}

SEC("xdp")
int overlane_receive(struct xdp_md *context)
{
	return receive(context, (void *)(long)context->data_end - (void *)(long)context->data);
}

// For frames in several buffers, as jumbo frames on a veth are: since Linux 5.18.
SEC("xdp.frags")
int overlane_receive_f(struct xdp_md *context)
{
	return receive(context, bpf_xdp_get_buff_len(context));
}

char _license[] SEC("license") = "Dual MIT/GPL";
