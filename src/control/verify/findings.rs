//! What a look has found: the list for the client, and what is to be done about it.

use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
};

use crate::{
    control::{
        claims::EndpointNumber,
        protocol::{Differing, Verified},
    },
    tables::{BridgeIx, FdbKey, PortIx},
};

/// So many differences are listed; all are counted.
const MOST_LISTED: usize = 1000;

/// Something to be done, in the order in which it is done: ports first, since rows name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mend {
    /// Give the port its program back, on the device that it has.
    Attach(PortIx),
    /// Take the port's device anew, made again if it is ours to make.
    Return(PortIx),
    /// Set up both ends of the port's veth pair as they were made.
    Furnish(PortIx),
    /// Tell the underlay's program its VNIs.
    Vnis,
    /// Claim what the gateway says.
    Gateway(BridgeIx),
    /// Claim what the endpoint says.
    Claim(BridgeIx, EndpointNumber),
    /// Release a MAC that no such endpoint has.
    ReleaseMac(FdbKey, EndpointNumber),
    /// Release an address that no such endpoint has.
    ReleaseAddress(BridgeIx, IpAddr, EndpointNumber),
    /// Write the row that is claimed, or remove it.
    Mac(FdbKey),
    /// The same for a neighbour row.
    Address(BridgeIx, IpAddr),
    /// Publish networks and peers again.
    Publish,
}

/// By what a difference is known again.
type Key = (String, String, String);

fn key_of(one: &Differing) -> Key {
    (one.kind.clone(), one.what.clone(), one.wanted.clone())
}

/// What one look has found.
#[derive(Debug, Default)]
pub struct Findings {
    /// For the client.
    pub verified: Verified,
    /// What is to be done, each thing once.
    pub mends: BTreeSet<Mend>,
    /// At a second look: what the first one has listed. It is not listed again.
    watched: HashSet<Key>,
    /// Which of it is still so.
    still: HashSet<Key>,
}

impl Findings {
    /// Adds a difference; `words` are what, wanted and found, made only if they are needed.
    pub fn add(&mut self, kind: &str, mend: Option<Mend>, words: impl FnOnce() -> [String; 3]) {
        self.mends.extend(mend);
        let is_listed = self.verified.differences.len() < MOST_LISTED;
        if !is_listed && self.watched.is_empty() {
            self.verified.differing += 1;
            return;
        }
        let [what, wanted, found] = words();
        self.add_said(Differing { kind: kind.into(), what, wanted, found, repaired: None });
    }

    /// Adds one in its words, which nothing here can put right.
    pub fn add_said(&mut self, one: Differing) {
        if !self.watched.is_empty() {
            let key = key_of(&one);
            if self.watched.contains(&key) {
                self.still.insert(key);
                return;
            }
        }
        self.verified.differing += 1;
        if self.verified.differences.len() < MOST_LISTED {
            self.verified.differences.push(one);
        }
    }

    /// Whether nothing differs.
    pub fn is_clean(&self) -> bool {
        self.verified.differing == 0
    }

    /// For the look after the repair.
    pub fn watch(&self) -> Findings {
        let watched = self.verified.differences.iter().map(key_of).collect();
        Findings { watched, ..Findings::default() }
    }

    /// What this look has found and what `second`, after the repair, still has. What only the
    /// second has found is added, unless the first one's list was cut off: then it is not known
    /// whether it is new.
    pub fn after_repair(self, second: Findings) -> Verified {
        let mut result = self.verified;
        let was_whole = result.differing == result.differences.len();
        for one in &mut result.differences {
            one.repaired = Some(!second.still.contains(&key_of(one)));
        }
        let Verified { fdb, neighbours, ports, peers, differences, differing } = second.verified;
        if was_whole {
            let new = differences.into_iter();
            let room = MOST_LISTED - result.differences.len();
            let new = new.map(|one| Differing { repaired: Some(false), ..one });
            result.differences.extend(new.take(room));
            result.differing += differing;
        }
        Verified { fdb, neighbours, ports, peers, ..result }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(found: &mut Findings, numbers: impl IntoIterator<Item = usize>) {
        for number in numbers {
            let words = || [number.to_string(), "a".to_owned(), "b".to_owned()];
            found.add("fdb", Some(Mend::Attach(PortIx(number as u16))), words);
        }
    }

    #[test]
    fn a_thousand_are_listed_and_all_are_counted_and_mended() {
        let mut found = Findings::default();
        add(&mut found, 0..1500);
        assert_eq!((found.verified.differing, found.verified.differences.len()), (1500, 1000));
        assert_eq!(found.mends.len(), 1500);
        // Of those listed one is left, and of the others one, which nobody can tell apart.
        let mut second = found.watch();
        add(&mut second, [7, 1200]);
        let result = found.after_repair(second);
        assert_eq!((result.differing, result.differences.len()), (1500, 1000));
        let left = result.differences.iter().filter(|one| one.repaired == Some(false));
        assert_eq!(left.map(|one| one.what.as_str()).collect::<Vec<_>>(), ["7"]);
    }

    #[test]
    fn what_only_the_second_look_finds_is_told_too() {
        let mut found = Findings::default();
        add(&mut found, [1, 2]);
        let mut second = found.watch();
        second.verified.ports = 5;
        add(&mut second, [2, 3]);
        let result = found.after_repair(second);
        let told: Vec<_> =
            result.differences.iter().map(|one| (one.what.as_str(), one.repaired)).collect();
        assert_eq!(told, [("1", Some(true)), ("2", Some(false)), ("3", Some(false))]);
        assert_eq!((result.differing, result.ports), (3, 5));
    }
}
