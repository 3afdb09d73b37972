//! How often a worker may tell a sender that its packets are too big: once per flow and second.
//!
//! A fixed table without a clock of its own. Each port has a part of it, so that whoever makes up
//! flows keeps answers only from itself; and which flows share a set cannot be known outside.
//! Flows are told apart by a hash, and each worker has a table: where a port's frames come by
//! several queues, a flow that changes queues may be told once by each worker.

use crate::{mailbox::TICKS_PER_S, tables::PortIx};

/// Places of a set.
const WAYS: usize = 4;
/// Sets of a part; a port is told of [`WAYS`] times as many flows a second at most.
const SETS: usize = 32;
/// Parts; ports whose numbers are equal modulo this share one.
const PARTS: usize = 32;

/// A flow that was told, and when.
#[derive(Clone, Copy, Debug)]
struct Told {
    port: PortIx,
    flow: u32,
    tick: u32,
}

type Set = [Option<Told>; WAYS];

/// The flows that were told lately.
pub struct AnswerLimit {
    sets: Box<[[Set; SETS]; PARTS]>,
    /// Odd: multiplied by it, a flow's hash chooses a set.
    secret: u64,
}

impl AnswerLimit {
    /// None was.
    pub fn new(random: u64) -> AnswerLimit {
        AnswerLimit { sets: Box::new([[[None; WAYS]; SETS]; PARTS]), secret: random | 1 }
    }

    /// Whether the flow of this hash at this port may be told now; it counts as told then.
    pub fn allows(&mut self, port: PortIx, flow: u32, now: u32) -> bool {
        let mixed = u64::from(flow).wrapping_mul(self.secret) >> 32;
        let part = self.sets.get_mut(usize::from(port.0) % PARTS);
        let Some(set) = part.and_then(|part| part.get_mut(mixed as usize % SETS)) else {
            return false;
        };
        // The clock is coarse: a tick more makes sure of the second.
        let is_over = |told: Told| now.wrapping_sub(told.tick) > TICKS_PER_S;
        let same =
            |told: &Option<Told>| told.is_some_and(|told| (told.port, told.flow) == (port, flow));
        let free = |told: &Option<Told>| told.is_none_or(is_over);
        let place = set.iter().position(same).or_else(|| set.iter().position(free));
        match place.and_then(|place| set.get_mut(place)) {
            Some(place) if free(place) => {
                *place = Some(Told { port, flow, tick: now });
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: PortIx = PortIx(1);
    const RANDOM: u64 = 0x1234_5678_9abc_def0;

    #[test]
    fn each_flow_is_told_once_a_second() {
        let mut limit = AnswerLimit::new(RANDOM);
        for now in [5, 6, 14, 15] {
            assert_eq!(limit.allows(PORT, 7, now), now == 5, "tick {now}");
        }
        assert!(limit.allows(PORT, 8, 14));
        assert!(limit.allows(PortIx(2), 7, 15), "another port's is another flow");
        assert!(limit.allows(PORT, 7, 16));
        assert!(!limit.allows(PORT, 7, 26));
        assert!(limit.allows(PORT, 7, 27));
    }

    #[test]
    fn made_up_flows_keep_answers_from_their_own_port_only() {
        let mut limit = AnswerLimit::new(RANDOM);
        let hash = |n: u32| n.wrapping_mul(0x9e37_79b9);
        let told = (0..100_000).filter(|n| limit.allows(PORT, hash(*n), 3)).count();
        assert_eq!(told, WAYS * SETS);
        assert!((0..100_000).all(|n| !limit.allows(PORT, hash(n), 13)));
        assert!((2..32).all(|port| limit.allows(PortIx(port), hash(1), 13)));
        assert!(limit.allows(PORT, 1, 14));
    }
}
