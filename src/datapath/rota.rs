//! Which queues a worker looks at in a turn: those with traffic lately each time, the others in
//! rotation.
//!
//! Called by `Ports` only. A look at a queue that has nothing costs several cache lines, so that
//! hundreds of quiet ports would cost more than the frames of the few that are busy. Looks are
//! given out by the time that turns take, so that what they cost is bounded, and an idle queue's
//! first frame waits for at most `idle * CYCLES_A_LOOK` and a turn, whatever the busy ones do.
//! Invariant: an idle queue is looked at again after as many looks as there are idle queues, and
//! one later for each that is woken meanwhile: none is passed over.

use crate::{af_xdp::MOST_SLOTS, tables::PortIx};

/// Time-stamp cycles of a turn for which an idle queue is looked at in the next, beside the one
/// that each turn looks at. A look costs some 50 when the queue's lines have left the caches.
const CYCLES_A_LOOK: u64 = 1000;
/// A queue without a frame in this many turns is idle, after as many again at the latest.
const ACTIVE_TURNS: u32 = 1000;

/// Every so many turns the fill ring of an idle queue is looked after, the next one each time.
const UPKEEP_TURNS: u32 = 8;

/// One queue of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    port: PortIx,
    queue: usize,
    /// It had a frame since the last sorting.
    busy: bool,
}

/// The queues of a worker, in two parts.
#[derive(Debug)]
pub struct Rota {
    /// The active ones, then the idle ones.
    members: Vec<Member>,
    active: usize,
    /// The next idle one to be looked at.
    next: usize,
    /// The next one whose fill ring is to be looked after.
    next_upkeep: usize,
    /// Turns since the last sorting.
    turns: u32,
}

impl Rota {
    /// No queues.
    pub fn new() -> Rota {
        // Each has a slot of the worker's packet memory: nothing grows later.
        let members = Vec::with_capacity(usize::from(MOST_SLOTS));
        Rota { members, active: 0, next: 0, next_upkeep: 0, turns: 0 }
    }

    /// A port's queues come, and count as active at first: their fill rings are empty.
    pub fn add(&mut self, port: PortIx, queues: usize) {
        for queue in 0..queues {
            self.members.push(Member { port, queue, busy: true });
            self.wake(self.members.len() - 1);
        }
    }

    /// A port's queues go.
    pub fn remove(&mut self, port: PortIx) {
        let active = &self.members[..self.active];
        self.active -= active.iter().filter(|member| member.port == port).count();
        self.members.retain(|member| member.port != port);
    }

    /// How many are active: those numbered below.
    #[inline]
    pub fn active(&self) -> usize {
        self.active
    }

    /// The `n`th queue.
    #[inline]
    pub fn get(&self, n: usize) -> Option<(PortIx, usize)> {
        self.members.get(n).map(|member| (member.port, member.queue))
    }

    /// The `n`th queue had a frame.
    #[inline]
    pub fn note_busy(&mut self, n: usize) {
        if let Some(member) = self.members.get_mut(n) {
            member.busy = true;
        }
    }

    /// Begins a turn, the last of which took `spent` cycles: how many idle queues to look at in it.
    #[inline]
    pub fn begin_turn(&mut self, spent: u64) -> usize {
        self.turns += 1;
        if self.turns >= ACTIVE_TURNS {
            self.turns = 0;
            self.sort();
        }
        let looks = 1 + usize::try_from(spent / CYCLES_A_LOOK).unwrap_or(usize::MAX - 1);
        (self.members.len() - self.active).min(looks)
    }

    /// The idle queue whose look is due, by number; the same until [`Rota::pass`] or
    /// [`Rota::wake`].
    #[inline]
    pub fn due(&mut self) -> usize {
        if self.next < self.active || self.next >= self.members.len() {
            self.next = self.active;
        }
        self.next
    }

    /// The idle queue whose fill ring is to be looked after in this turn, by number, if any.
    #[inline]
    pub fn due_for_upkeep(&mut self) -> Option<usize> {
        if !self.turns.is_multiple_of(UPKEEP_TURNS) || self.active == self.members.len() {
            return None;
        }
        if self.next_upkeep < self.active || self.next_upkeep >= self.members.len() {
            self.next_upkeep = self.active;
        }
        self.next_upkeep += 1;
        Some(self.next_upkeep - 1)
    }

    /// The one that was due has nothing.
    #[inline]
    pub fn pass(&mut self) {
        self.next += 1;
    }

    /// The `n`th queue, an idle one, is active from now on. Another one gets its number.
    pub fn wake(&mut self, n: usize) {
        if let Some(member) = self.members.get_mut(n) {
            member.busy = true;
            self.members.swap(n, self.active);
            self.active += 1;
        }
    }

    /// Whatever had no frame since the last sorting is idle.
    fn sort(&mut self) {
        for n in (0..self.active).rev() {
            let Some(member) = self.members.get_mut(n) else { continue };
            if !std::mem::take(&mut member.busy) {
                self.active -= 1;
                self.members.swap(n, self.active);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Turns until nothing is active any more.
    fn asleep(ports: u16) -> Rota {
        let mut rota = Rota::new();
        (0..ports).for_each(|port| rota.add(PortIx(port), 1));
        assert_eq!(rota.active(), usize::from(ports));
        (0..2 * ACTIVE_TURNS).for_each(|_| {
            rota.begin_turn(0);
        });
        assert_eq!(rota.active(), 0);
        rota
    }

    /// One turn after one of so many cycles: which idle ports were looked at; those for which
    /// `has` holds are woken.
    fn turn(rota: &mut Rota, spent: u64, has: impl Fn(PortIx) -> bool) -> Vec<PortIx> {
        let mut seen = Vec::new();
        for _ in 0..rota.begin_turn(spent) {
            let n = rota.due();
            let (port, _) = rota.get(n).unwrap();
            seen.push(port);
            if has(port) { rota.wake(n) } else { rota.pass() }
        }
        seen
    }

    #[test]
    fn a_quiet_queue_becomes_idle_and_a_busy_one_stays() {
        let mut rota = Rota::new();
        (0..5).for_each(|port| rota.add(PortIx(port), 1));
        for _ in 0..10 * ACTIVE_TURNS {
            rota.begin_turn(0);
            let busy = (0..rota.active()).find(|n| rota.get(*n) == Some((PortIx(3), 0))).unwrap();
            rota.note_busy(busy);
        }
        assert_eq!((rota.active(), rota.get(0)), (1, Some((PortIx(3), 0))));
    }

    #[test]
    fn every_idle_queue_has_its_look_in_a_bounded_number_of_turns() {
        let ports = 101;
        let mut rota = asleep(ports);
        // Looks and wakings so far, and at the last look at each port.
        let (mut looks, mut woken) = (0, 0);
        let mut last = BTreeMap::new();
        for now in 0..5 * ports {
            let is_woken = |port: PortIx| port.0 % 7 == now % 7;
            for port in turn(&mut rota, CYCLES_A_LOOK * u64::from(now % 3), is_woken) {
                looks += 1;
                let (looks_then, woken_then) = last.insert(port, (looks, woken)).unwrap_or((0, 0));
                let most = i32::from(ports) + woken - woken_then;
                assert!(looks - looks_then <= most, "{port:?} was passed over");
                woken += i32::from(is_woken(port));
            }
        }
        assert_eq!(last.len(), usize::from(ports));
    }

    #[test]
    fn every_idle_queues_fill_ring_is_looked_after() {
        // As many queues as are looked at between two: each is due again, not the same one.
        let ports = UPKEEP_TURNS as usize;
        let mut rota = asleep(ports as u16);
        let mut tended = vec![0; ports];
        for _ in 0..10 * ports * UPKEEP_TURNS as usize {
            turn(&mut rota, 0, |_| false);
            if let Some(n) = rota.due_for_upkeep() {
                tended[usize::from(rota.get(n).unwrap().0.0)] += 1;
            }
        }
        assert!(tended.iter().all(|times| *times >= 9), "{tended:?}");
    }

    #[test]
    fn ports_that_come_and_go_leave_the_others_as_they_are() {
        let mut rota = asleep(10);
        rota.add(PortIx(10), 2);
        assert_eq!(rota.active(), 2, "only the new one is active");
        rota.remove(PortIx(4));
        rota.remove(PortIx(10));
        assert_eq!((rota.active(), rota.members.len()), (0, 9));
        rota.add(PortIx(4), 1);
        assert_eq!((rota.active(), rota.get(0)), (1, Some((PortIx(4), 0))));
        let mut members: Vec<_> = rota.members.iter().map(|member| member.port.0).collect();
        members.sort_unstable();
        assert_eq!(members, Vec::from_iter(0..10));
    }

    #[test]
    fn the_longer_a_turn_took_the_more_idle_queues_are_looked_at() {
        let mut rota = asleep(100);
        let mut looks = |spent| turn(&mut rota, spent, |_| false).len();
        assert_eq!(looks(0), 1);
        assert_eq!(looks(CYCLES_A_LOOK - 1), 1);
        assert_eq!(looks(10 * CYCLES_A_LOOK), 11);
        assert_eq!(looks(0), 1, "for the last turn only");
        assert_eq!(looks(u64::MAX), 100, "each once");
        assert_eq!(turn(&mut Rota::new(), u64::MAX, |_| true), []);
    }
}
