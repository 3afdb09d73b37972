//! Rows of the followed VNI that the switch has no use for: why, and how many.

/// Why a row is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// It names a nexthop group (`nhid`) instead of a VTEP.
    NextHopGroup,
    /// It names no VTEP, or 0.0.0.0.
    NoVtep,
    /// Its destination is a multicast group.
    MulticastVtep,
    /// It is sent with another VNI than that looked up.
    OtherVni,
    /// The VTEP listens on another UDP port than the device's.
    OtherPort,
    /// It is of a group MAC, which the switch floods.
    GroupMac,
    /// The MAC has a VTEP already (the first is followed).
    SecondVtep,
}

const ALL: [Why; 7] = [
    Why::NextHopGroup,
    Why::NoVtep,
    Why::MulticastVtep,
    Why::OtherVni,
    Why::OtherPort,
    Why::GroupMac,
    Why::SecondVtep,
];

impl Why {
    /// What such rows have in common, after "rows with ".
    pub fn words(self) -> &'static str {
        match self {
            Why::NextHopGroup => "a nexthop group (nhid) in the place of a VTEP",
            Why::NoVtep => "no VTEP",
            Why::MulticastVtep => "a multicast group for a VTEP",
            Why::OtherVni => "a destination VNI other than the network's",
            Why::OtherPort => "a UDP port other than the device's",
            Why::GroupMac => "a multicast MAC",
            Why::SecondVtep => "a second VTEP for one MAC",
        }
    }
}

/// How many of each were met since the last reading of the tables began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unfollowed([u64; ALL.len()]);

impl Unfollowed {
    pub fn note(&mut self, why: Why) {
        self.0[why as usize] += 1;
    }

    /// Those that were met.
    pub fn list(&self) -> Vec<(Why, u64)> {
        ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0).collect()
    }
}
