// SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0 OR MIT)
// The sender: BPF_PROG_TEST_RUN runs this on live frames, and each turn either sends a frame out
// of the interface or drops it, which costs little, as the kernel takes its page again.
//
// Pages come back with the bytes of their last trip, changed by whoever received them, so all
// headers are written each time. The context is reset by the kernel (net/bpf/test_run.c,
// reset_ctx): each turn starts with the whole of data_in.
#include "stamp.bpf.h"

#define FIRST_PORT 1024
#define FIRST_OUTER_PORT 49152
#define OUTER_PORT_MASK 16383
// A turn with nothing due reads the clock up to so often (some 20 ns each), so that a call's
// 2^32 turns last for about an hour at low rates; the next call takes tens of milliseconds to start.
#define MOST_LOOKS 40
// The header is copied in words; what lies behind it is the stamp, written afterwards.
#define HEADER_WORDS 12
#define PLAIN_HEADER_WORDS 6

// Bytes of the frame as they stand in it; all that varies is 0.
const volatile __u64 header[HEADER_WORDS];
const volatile __u8 encapsulated;
// Bytes of data_in, the longest frame.
const volatile __u32 full_bytes;
const volatile __u8 sender;
const volatile __u32 interface_index;
const volatile __u32 pick_count;
// Last four bytes of MAC number 0.
const volatile __u32 first_destination;
const volatile __u32 first_source;
// Sums of the IPv4 headers' 16-bit words without length and checksum.
const volatile __u32 sum;
const volatile __u32 outer_sum;

// `Pick` in traffic/mod.rs.
struct pick {
	__u32 destination;
	__u32 source;
	__u32 vni;
	__u16 flow;
	__u16 size;
};

enum pace { EVERY, MAX, BURSTS };

// One trial: what live.rs asks for (live/order.rs has the same order), then how far it is.
struct run {
	__u64 pace;
	__u64 end_ns;
	// Who is late may catch up until then.
	__u64 stop_ns;
	__u64 limit;
	// From frame to frame, and its fraction in 2^-32 ns.
	__u64 step_ns;
	__u64 step_fraction;
	__u64 burst_frames;
	__u64 every_ns;
	// The trial's number, as it stands in a stamp above the sequence.
	__u64 trial;
	// Frames in a batch less one; a batch is sent when it is full.
	__u64 batch_mask;

	// When the next frame is due; with pace MAX: when the trial starts.
	__u64 due_ns;
	__u64 due_fraction;
	__u64 in_burst;
	__u64 pick;
	__u64 turn;
	// The batch has a frame that waits for its end.
	__u64 waiting;
	__u64 sent;
	__u64 bytes;
	__u64 last_ns;
	__u64 over;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct run);
} run_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pick);
} picks SEC(".maps");

static __always_inline void put16(__u8 *at, __u16 value)
{
	*(__u16 *)at = bpf_htons(value);
}

static __always_inline void put32(__u8 *at, __u32 value)
{
	*(__u32 *)at = bpf_htonl(value);
}

static __always_inline void put64(__u8 *at, __u64 value)
{
	*(__u64 *)at = bpf_cpu_to_be64(value);
}

// RFC 791: the complement of the ones' complement sum.
static __always_inline void put_lengths(__u8 *ip, __u32 words, __u16 length)
{
	words += length;
	words = (words & 0xffff) + (words >> 16);
	words = (words & 0xffff) + (words >> 16);
	put16(ip + 2, length);
	put16(ip + 10, ~words);
	put16(ip + 24, length - 20);
}

static __always_inline void put_inner(__u8 *frame, const struct pick *pick)
{
	put32(frame + 2, first_destination + pick->destination);
	put32(frame + 8, first_source + pick->source);
	put_lengths(frame + 14, sum, pick->size - 14);
	put16(frame + 34, FIRST_PORT + pick->flow);
}

static __always_inline void put_outer(__u8 *frame, const struct pick *pick)
{
	put_lengths(frame + 14, outer_sum, pick->size + OUTER_BYTES - 14);
	put16(frame + 34, FIRST_OUTER_PORT + (pick->flow & OUTER_PORT_MASK));
	// Its last byte is reserved (RFC 7348, section 5).
	put32(frame + 46, pick->vni << 8);
}

static __always_inline void put_stamp(__u8 *at, const struct pick *pick, __u64 number, __u64 time_ns)
{
	put32(at + STAMP_MAGIC_OFFSET, STAMP_MAGIC | sender);
	put16(at + STAMP_FLOW_OFFSET, pick->flow);
	put64(at + STAMP_NUMBER_OFFSET, number);
	put64(at + STAMP_TIME_OFFSET, time_ns);
}

static __always_inline int put_frame(struct xdp_md *context, const struct pick *pick, __u64 number,
				     __u64 time_ns)
{
	int outer = encapsulated ? OUTER_BYTES : 0;
	int spare = full_bytes - outer - pick->size;

	if (spare && bpf_xdp_adjust_tail(context, -spare))
		return -1;
	__u8 *frame = (void *)(long)context->data;
	if (frame + outer + STAMP_AT + STAMP_LEN > (__u8 *)(long)context->data_end)
		return -1;
	if (encapsulated) {
#pragma unroll
		for (int word = 0; word < HEADER_WORDS; word++)
			((__u64 *)frame)[word] = header[word];
		put_outer(frame, pick);
		put_inner(frame + OUTER_BYTES, pick);
		put_stamp(frame + OUTER_BYTES + STAMP_AT, pick, number, time_ns);
	} else {
#pragma unroll
		for (int word = 0; word < PLAIN_HEADER_WORDS; word++)
			((__u64 *)frame)[word] = header[word];
		put_inner(frame, pick);
		put_stamp(frame + STAMP_AT, pick, number, time_ns);
	}
	return 0;
}

// Sets when the frame after this one is due.
static __always_inline void advance(struct run *run)
{
	if (run->pace == EVERY) {
		__u64 fraction = run->due_fraction + run->step_fraction;

		run->due_ns += run->step_ns + (fraction >> 32);
		run->due_fraction = fraction & 0xffffffff;
	} else if (run->pace == BURSTS && ++run->in_burst >= run->burst_frames) {
		run->in_burst = 0;
		run->due_ns += run->every_ns;
	}
}

// Whether a frame is to be sent now; waits for it, but not long. `*now` is when.
static __always_inline int is_due(struct run *run, __u64 *now)
{
	*now = bpf_ktime_get_ns();
	if (run->sent >= run->limit || *now >= run->stop_ns || run->due_ns >= run->end_ns) {
		run->over = 1;
		return 0;
	}
	// A burst that is complete must not wait here; let the batch get full.
	if (run->pace == BURSTS && run->waiting && *now < run->due_ns)
		return 0;
	for (int look = 0; look < MOST_LOOKS && *now < run->due_ns; look++)
		*now = bpf_ktime_get_ns();
	return *now >= run->due_ns;
}

SEC("xdp")
int overlane_live(struct xdp_md *context)
{
	__u32 key = 0;
	struct run *run = bpf_map_lookup_elem(&run_map, &key);
	__u64 now;

	if (!run || run->over)
		return XDP_DROP;
	if ((run->turn++ & run->batch_mask) == 0)
		run->waiting = 0;
	if (!is_due(run, &now))
		return XDP_DROP;
	key = run->pick;
	struct pick *pick = bpf_map_lookup_elem(&picks, &key);
	__u64 time_ns = run->pace == MAX ? now : run->due_ns;

	if (!pick || put_frame(context, pick, run->trial | run->sent, time_ns)) {
		// Never with picks that live.rs has checked.
		run->over = 1;
		return XDP_DROP;
	}
	run->pick = key + 1 < pick_count ? key + 1 : 0;
	run->waiting = 1;
	run->sent++;
	run->last_ns = now;
	run->bytes += pick->size + (encapsulated ? OUTER_BYTES : 0);
	advance(run);
	return bpf_redirect(interface_index, 0);
}

char _license[] SEC("license") = "Dual MIT/GPL";
