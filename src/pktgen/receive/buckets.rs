//! The receive program's latency histogram: 64 buckets for each power of two, so that a bucket's
//! middle is within 0.8 % of everything in it. `bucket` in `receive.bpf.c` is its other half.

/// Buckets for each power of two: 2 to this.
const SUB_BITS: u32 = 6;
const SUB_BUCKETS: usize = 1 << SUB_BITS;
const MOST_BITS: u32 = 40;
/// Latencies, in nanoseconds, are below this (18 minutes); longer ones are in the last bucket.
pub const MOST_NS: u64 = 1 << MOST_BITS;
/// Their number.
pub const BUCKETS: usize = (MOST_BITS - SUB_BITS + 1) as usize * SUB_BUCKETS;

/// The middle of a bucket, nanoseconds; never 0.
pub fn middle_ns(bucket: usize) -> u64 {
    let (row, column) = (bucket / SUB_BUCKETS, (bucket % SUB_BUCKETS) as u64);
    if row == 0 {
        return column.max(1);
    }
    let shift = (row - 1).min(u32::MAX as usize) as u32;
    let least = (SUB_BUCKETS as u64 + column) << shift;
    least + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the program has it.
    fn bucket(ns: u64) -> usize {
        let ns = ns.min(MOST_NS - 1);
        if ns < SUB_BUCKETS as u64 {
            return ns as usize;
        }
        let power = ns.ilog2();
        let row = (power - SUB_BITS + 1) as usize;
        row * SUB_BUCKETS + (ns >> (power - SUB_BITS)) as usize % SUB_BUCKETS
    }

    #[test]
    fn each_middle_is_in_its_bucket() {
        assert_eq!((bucket(0), middle_ns(0)), (0, 1));
        for index in 1..BUCKETS {
            assert_eq!(bucket(middle_ns(index)), index, "{}", middle_ns(index));
        }
    }

    #[test]
    fn middles_are_near_and_in_order() {
        for power in 0..MOST_BITS {
            for ns in [1u64 << power, (1 << power) + (1 << power) / 3, (2 << power) - 1] {
                let middle = middle_ns(bucket(ns));
                assert!(middle.abs_diff(ns) * 128 <= ns, "{ns} is counted as {middle}");
            }
        }
        assert!((1..BUCKETS).is_sorted_by_key(middle_ns));
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert!(middle_ns(BUCKETS - 1) < MOST_NS);
    }
}
