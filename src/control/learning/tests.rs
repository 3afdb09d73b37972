//! The policy against a plain model: maps without limits of time or memory, and every count
//! made anew from the rows.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::Ipv4Addr,
};

use proptest::prelude::*;

use super::*;
use crate::tables::{PortIx, Underlay, VtepIx, Writer};

/// MACs in each network.
const MACS: u32 = 12;
/// With ages up to 51 s a stamp's unit is one tick, so that the model can be exact.
const AGES_S: [u32; 3] = [3, 20, 0];
const LIMITS: [u32; 3] = [7, 1000, 3];
const PLACES: [Endpoint; 5] = [
    Endpoint::Local(PortIx(1)),
    Endpoint::Local(PortIx(2)),
    Endpoint::Local(PortIx(3)),
    Endpoint::Remote(VtepIx(0)),
    Endpoint::Remote(VtepIx(1)),
];

fn rules(age_s: u32, learn_limit: u32) -> Rules {
    Rules { learning: true, age_s, learn_limit }
}

fn writer() -> Writer {
    Writer::new(Underlay { address: Ipv4Addr::UNSPECIFIED.into(), port: 4789 })
}

fn mac(number: u32) -> Mac {
    let [a, b, c, d] = number.to_be_bytes();
    Mac([0x02, 0, a, b, c, d])
}

fn key(bridge: u16, number: u32) -> FdbKey {
    FdbKey::new(BridgeIx(bridge), mac(number))
}

fn seen(bridge: u16, number: u32, from: Endpoint, tick: u32) -> Sighting {
    Sighting { bridge: BridgeIx(bridge), mac: mac(number), from, tick }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ModelRow {
    to: Endpoint,
    /// `None`: permanent.
    seen: Option<u32>,
}

#[derive(Default)]
struct Model {
    rows: BTreeMap<FdbKey, ModelRow>,
    /// Ticks of the moves that were let pass, and until when the MAC is held.
    moves: BTreeMap<FdbKey, (Vec<u32>, u32)>,
    counts: [Counts; 3],
}

impl Model {
    fn learned(&self, bridge: u16) -> BTreeMap<Endpoint, u32> {
        let mut by_endpoint = BTreeMap::new();
        for (key, row) in &self.rows {
            if key.bridge().0 == bridge && row.seen.is_some() {
                *by_endpoint.entry(row.to).or_default() += 1;
            }
        }
        by_endpoint
    }

    fn sight(&mut self, bridge: u16, key: FdbKey, from: Endpoint, tick: u32) -> Outcome {
        let counts = &mut self.counts[usize::from(bridge)];
        match self.rows.get_mut(&key) {
            Some(ModelRow { seen: None, .. }) => Outcome::Ignored,
            Some(ModelRow { seen: Some(before), .. }) if *before > tick => Outcome::Ignored,
            Some(row) if row.to == from => {
                row.seen = Some(tick);
                Outcome::Known
            }
            Some(row) => {
                if is_here(row.to) && !is_here(from) {
                    return Outcome::Ignored;
                }
                let (moves, held_until) = self.moves.entry(key).or_default();
                if tick < *held_until {
                    counts.moves_damped += 1;
                    return Outcome::Damped;
                }
                let last: Vec<_> = moves.iter().rev().take(5).collect();
                if last.len() == 5 && last.iter().all(|then| tick.saturating_sub(**then) < 10) {
                    moves.clear();
                    *held_until = tick + 50;
                    counts.moves_damped += 1;
                    return Outcome::Damped;
                }
                moves.push(tick);
                *row = ModelRow { to: from, seen: Some(tick) };
                counts.moves += 1;
                Outcome::Moved
            }
            None => {
                let learned = self.learned(bridge);
                let own = learned.get(&from).copied().unwrap_or(0);
                let endpoints = learned.len() as u32 + u32::from(own == 0);
                let limit = LIMITS[usize::from(bridge)];
                if learned.values().sum::<u32>() >= limit && own >= limit / endpoints {
                    self.counts[usize::from(bridge)].refused += 1;
                    return Outcome::Refused;
                }
                self.rows.insert(key, ModelRow { to: from, seen: Some(tick) });
                Outcome::Learned
            }
        }
    }
}

/// What is under test, and the model beside it.
struct Both {
    tables: Writer,
    learning: Learning,
    model: Model,
    now: u32,
}

impl Both {
    fn new() -> Both {
        let rules = AGES_S.into_iter().zip(LIMITS).map(|(age_s, limit)| rules(age_s, limit));
        // The model knows nothing of keys that take each other's place among the latest.
        let are_apart = |learning: &Learning| {
            let keys = (0..3).flat_map(|bridge| (0..MACS).map(move |number| key(bridge, number)));
            let mut taken = HashSet::new();
            keys.map(|key| learning.latest.place(key)).all(|place| taken.insert(place))
        };
        let mut tries = std::iter::repeat_with(|| Learning::new(rules.clone()));
        let learning = tries.find(are_apart).expect("endless tries");
        Both { tables: writer(), learning, model: Model::default(), now: 100 }
    }

    fn rows(&self) -> BTreeMap<FdbKey, ModelRow> {
        let plain = |(key, row): (FdbKey, Row)| {
            let seen = match row.state {
                State::Permanent => None,
                State::Learned { .. } => self.model.rows.get(&key).and_then(|row| row.seen),
            };
            (key, ModelRow { to: row.to, seen })
        };
        self.tables.fdb.iter().map(plain).collect()
    }

    fn sight(&mut self, bridge: u16, number: u32, from: Endpoint, late: u32) {
        let tick = self.now - late;
        let learned = self.model.learned(bridge);
        let sighting = seen(bridge, number, from, tick);
        let outcome = self.learning.sight(&mut self.tables.fdb, &sighting);
        assert_eq!(outcome, self.model.sight(bridge, key(bridge, number), from, tick));
        let is_full = learned.values().sum::<u32>() >= LIMITS[usize::from(bridge)];
        if outcome == Outcome::Learned && is_full {
            // Which row gave way is free; that it was one of the largest endpoint's is not.
            let there = self.rows();
            let mut gone = self.model.rows.keys().filter(|key| !there.contains_key(*key));
            let victim = *gone.next().expect("one gave way");
            assert_eq!(gone.next(), None);
            let row = self.model.rows.remove(&victim).expect("it was there");
            assert!(row.seen.is_some() && victim.bridge().0 == bridge, "{victim:?} {row:?}");
            assert_eq!(learned[&row.to], *learned.values().max().expect("some are learned"));
            self.model.counts[usize::from(bridge)].evicted += 1;
        }
    }

    fn permanent(&mut self, bridge: u16, number: u32, to: Endpoint) {
        let key = key(bridge, number);
        self.learning.insert_permanent(&mut self.tables.fdb, key, to);
        self.model.rows.insert(key, ModelRow { to, seen: None });
    }

    fn remove(&mut self, bridge: u16, number: u32) {
        let key = key(bridge, number);
        self.learning.remove(&mut self.tables.fdb, key);
        self.model.rows.remove(&key);
    }

    fn forget(&mut self, gone: Endpoint) {
        let forgotten = self.learning.forget(&mut self.tables.fdb, |_, endpoint| endpoint == gone);
        let before = self.model.rows.len();
        self.model.rows.retain(|_, row| row.seen.is_none() || row.to != gone);
        assert_eq!(forgotten, before - self.model.rows.len());
    }

    /// Tick by tick, as the control thread does. What goes was due; what is long overdue has gone.
    fn pass(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.now += 1;
            self.learning.sweep(&mut self.tables.fdb, self.now);
            self.tables.tend();
            let (there, now) = (self.rows(), self.now);
            let counts = &mut self.model.counts;
            self.model.rows.retain(|key, row| {
                let bridge = usize::from(key.bridge().0);
                let age = AGES_S[bridge] * TICKS_PER_S;
                let overdue = match row.seen {
                    Some(seen) if age > 0 => i64::from(now - seen) - i64::from(age),
                    _ => i64::MIN,
                };
                let stays = there.contains_key(key);
                assert!(stays || overdue > 0, "{key:?} {row:?} went at {now}");
                assert!(!stays || overdue <= i64::from(2 * TICKS_PER_S), "{key:?} {row:?} {now}");
                counts[bridge].aged += u64::from(!stays);
                stays
            });
        }
    }

    fn check(&self) {
        assert_eq!(self.rows(), self.model.rows);
        for (bridge, counts) in (0..).zip(self.model.counts) {
            let learned = self.model.learned(bridge);
            let total = learned.values().sum();
            let bridge = BridgeIx(bridge);
            assert_eq!(self.learning.counts(bridge), Counts { learned: total, ..counts });
            for place in PLACES {
                let own = learned.get(&place).copied().unwrap_or(0);
                assert_eq!(self.learning.learned_from(bridge, place), own, "{place:?}");
            }
            assert!(total <= LIMITS[usize::from(bridge.0)]);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Sight { bridge: u16, mac: u32, from: Endpoint, late: u32 },
    Permanent { bridge: u16, mac: u32, to: Endpoint },
    Remove { bridge: u16, mac: u32 },
    Forget(Endpoint),
    Pass(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let (bridge, mac) = (0..3u16, 0..MACS);
    let place = prop::sample::select(&PLACES[..]);
    let late = prop_oneof![4 => Just(0), 1 => 1..4u32];
    prop_oneof![
        20 => (bridge.clone(), mac.clone(), place.clone(), late)
            .prop_map(|(bridge, mac, from, late)| Step::Sight { bridge, mac, from, late }),
        1 => (bridge.clone(), mac.clone(), place.clone())
            .prop_map(|(bridge, mac, to)| Step::Permanent { bridge, mac, to }),
        2 => (bridge, mac).prop_map(|(bridge, mac)| Step::Remove { bridge, mac }),
        1 => place.prop_map(Step::Forget),
        4 => prop_oneof![3 => 1..3u32, 1 => 1..60u32].prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn the_policy_does_what_the_model_does(steps in prop::collection::vec(step(), 1..400)) {
        let mut both = Both::new();
        for step in steps {
            match step {
                Step::Sight { bridge, mac, from, late } => both.sight(bridge, mac, from, late),
                Step::Permanent { bridge, mac, to } => both.permanent(bridge, mac, to),
                Step::Remove { bridge, mac } => both.remove(bridge, mac),
                Step::Forget(gone) => both.forget(gone),
                Step::Pass(ticks) => both.pass(ticks),
            }
            both.check();
        }
    }

    /// Whatever the age (and so the unit of stamps), a row goes after it and not much later.
    #[test]
    fn rows_go_in_time_at_any_age(age_s in 1..200_000u32, start in any::<u16>()) {
        let (mut tables, mut learning) = (writer(), Learning::new([rules(age_s, 10)]));
        let seen_at = u32::from(start);
        learning.sight(&mut tables.fdb, &seen(0, 1, PLACES[0], seen_at));
        let age = age_s * TICKS_PER_S;
        // A tick's sweep is a part of the table; a long pause is caught up with in one.
        learning.sweep(&mut tables.fdb, seen_at + age - 1);
        learning.sweep(&mut tables.fdb, seen_at + age);
        prop_assert_eq!(tables.fdb.len(), 1);
        let unit = (age / 256).max(1);
        learning.sweep(&mut tables.fdb, seen_at + age + 2 * unit + TICKS_PER_S);
        prop_assert_eq!(tables.fdb.len(), 0);
        prop_assert_eq!(learning.counts(BridgeIx(0)).aged, 1);
    }

    #[test]
    fn a_refresh_within_a_unit_stores_nothing(age_s in 26..100_000u32, at in any::<u16>()) {
        let (mut tables, mut learning) = (writer(), Learning::new([rules(age_s, 10)]));
        let unit = (age_s * TICKS_PER_S / 256).max(1);
        let first = u32::from(at) / unit * unit;
        learning.sight(&mut tables.fdb, &seen(0, 1, PLACES[0], first));
        let row = tables.fdb.row(key(0, 1));
        learning.sight(&mut tables.fdb, &seen(0, 1, PLACES[0], first + unit - 1));
        prop_assert_eq!(tables.fdb.row(key(0, 1)), row);
        learning.sight(&mut tables.fdb, &seen(0, 1, PLACES[0], first + unit));
        prop_assert_ne!(tables.fdb.row(key(0, 1)), row);
    }
}

#[test]
fn rows_that_never_age_can_still_move_after_any_time() {
    let (mut tables, mut learning) = (writer(), Learning::new([rules(0, 10)]));
    learning.sight(&mut tables.fdb, &seen(0, 1, PLACES[0], 0));
    // Stamps of one second repeat after 4096 of them: far beyond that, at times that would
    // look like before the last sighting if the stamp had stayed as it was.
    let mut from = 0;
    for minute in 1..=600 {
        (0..60).for_each(|s| {
            learning.sweep(&mut tables.fdb, ((minute - 1) * 60 + s + 1) * TICKS_PER_S);
        });
        if minute % 50 == 0 {
            from = (from + 1) % 3;
            let sighting = seen(0, 1, PLACES[from], minute * 60 * TICKS_PER_S);
            assert_eq!(learning.sight(&mut tables.fdb, &sighting), Outcome::Moved, "{minute}");
        }
    }
    assert_eq!(learning.counts(BridgeIx(0)), Counts { learned: 1, moves: 12, ..Counts::default() });
}

/// Stamps of a long age are too coarse to tell the two apart.
#[test]
fn an_older_sighting_of_the_same_stamp_unit_undoes_nothing() {
    let (mut tables, mut learning) = (writer(), Learning::new([rules(300, 10)]));
    let [a, b, ..] = PLACES;
    learning.sight(&mut tables.fdb, &seen(0, 1, b, 6));
    assert_eq!(learning.sight(&mut tables.fdb, &seen(0, 1, a, 5)), Outcome::Ignored);
    assert_eq!(learning.sight(&mut tables.fdb, &seen(0, 1, a, 7)), Outcome::Moved);
}

/// Sightings that were made in the same tick are worked off endpoint by endpoint, and yet the
/// last one wins.
#[test]
fn the_last_of_one_tick_wins_whoever_comes_first() {
    let (mut tables, mut learning) = (writer(), Learning::new([rules(300, 1000)]));
    let [a, b, ..] = PLACES;
    let others = (100..103).map(|number| seen(0, number, a, 5));
    let held = learning.hear(
        &mut tables.fdb,
        others.chain([seen(0, 1, a, 5), seen(0, 1, b, 5)]).collect::<Vec<_>>(),
    );
    assert_eq!(held, []);
    assert_eq!(tables.fdb.row(key(0, 1)).map(|row| row.to), Some(b));
}

#[test]
fn a_batch_is_worked_off_in_turns() {
    let (mut tables, mut learning) = (writer(), Learning::new([rules(300, 10)]));
    let [a, b, ..] = PLACES;
    let noisy = (100..200).map(|number| seen(0, number, a, 5));
    let quiet = (1..=3).map(|number| seen(0, number, b, 5));
    learning.hear(&mut tables.fdb, noisy.chain(quiet).collect::<Vec<_>>());
    let counts = learning.counts(BridgeIx(0));
    assert_eq!((learning.learned_from(BridgeIx(0), b), counts.evicted), (3, 0));
    assert_eq!((learning.learned_from(BridgeIx(0), a), counts.refused), (7, 93));
}

#[test]
fn the_log_is_told_of_a_held_mac_once() {
    let (mut tables, mut learning) = (writer(), Learning::new([rules(300, 10)]));
    let [a, b, ..] = PLACES;
    let flapping: Vec<_> = (0..40).map(|n| seen(0, 1, if n % 2 == 0 { a } else { b }, 3)).collect();
    let held = learning.hear(&mut tables.fdb, flapping.clone());
    let expected = Held { bridge: BridgeIx(0), mac: mac(1), at: b, seen_at: a };
    assert_eq!(held, [expected]);
    let held = learning.hear(&mut tables.fdb, flapping);
    assert_eq!(held, [], "still held");
    let counts = learning.counts(BridgeIx(0));
    assert_eq!((counts.moves, counts.learned), (5, 1));
    assert!(counts.moves_damped > 20, "{counts:?}");
}

#[test]
fn a_storm_of_moves_is_a_line_a_second() {
    let (mut tables, mut learning) = (writer(), Learning::new([rules(300, 1000)]));
    let [a, b, ..] = PLACES;
    let mut lines = 0;
    for tick in 0..30 {
        for round in 0..10 {
            let from = if round % 2 == 0 { a } else { b };
            let storm = (0..500).map(|number| seen(0, number, from, tick));
            lines += learning.hear(&mut tables.fdb, storm).len();
        }
        learning.sweep(&mut tables.fdb, tick);
    }
    assert_eq!(lines, 1, "all were held in the first second, for five");
}

#[test]
fn an_older_sighting_is_no_second_line_in_the_log() {
    let mut network = Network::new(rules(300, 10));
    let told = [30, 29, 39, 40].map(|tick| network.tells(tick));
    assert_eq!(told, [true, false, false, true]);
}

#[test]
fn what_is_remembered_of_moves_is_bounded_and_forgotten() {
    let mut moves = Moves::default();
    for number in 0..40_000 {
        assert_eq!(moves.judge(key(0, number), 1), Verdict::Goes);
    }
    assert!(moves.macs() <= 1 << 14, "{}", moves.macs());
    moves.purge(100);
    assert_eq!(moves.macs(), 0);
}

#[test]
fn what_should_not_be_learned_is_not() {
    let silent = Rules { learning: false, ..rules(300, 10) };
    let (mut tables, mut learning) = (writer(), Learning::new([rules(300, 10), silent]));
    let group = Mac([0x01, 0, 0x5e, 0, 0, 1]);
    let refused: BTreeSet<_> = [
        seen(1, 1, PLACES[0], 1),
        seen(9, 1, PLACES[0], 1),
        Sighting { mac: Mac::default(), ..seen(0, 1, PLACES[0], 1) },
        Sighting { mac: group, ..seen(0, 1, PLACES[0], 1) },
    ]
    .map(|sighting| format!("{:?}", learning.sight(&mut tables.fdb, &sighting)))
    .into();
    assert_eq!(refused, BTreeSet::from(["Ignored".to_owned()]));
    assert!(tables.fdb.is_empty());
}
