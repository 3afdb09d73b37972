//! The subnets of a network: its own keys, and each `[[network.NAME.segment]]`. Each is a bridge
//! domain with a VNI and addresses of its own.

use std::{
    collections::{BTreeMap, HashMap},
    iter,
    net::{Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use toml::Spanned;

use super::{problems::Problems, words};
use crate::{
    profile::{
        plan::{NetworkPlan, Subnet, Subnet6},
        raw,
    },
    wire::Vni,
};

/// One subnet as far as it is right. Outer `None`: wrong, and told; inner `None`: there is none.
pub(super) struct Segment {
    /// Its VNI.
    pub vni: Option<Vni>,
    /// Its subnet.
    pub subnet: Option<Subnet>,
    /// Its gateway.
    pub gateway: Option<Option<Ipv4Addr>>,
    /// Its IPv6 subnet.
    pub subnet6: Option<Option<Subnet6>>,
    /// Its IPv6 gateway.
    pub gateway6: Option<Option<Ipv6Addr>>,
}

/// The keys that say what a subnet is, wherever they are written.
struct Written<'r> {
    /// The header that they stand under, or the name in it.
    table: Range<usize>,
    vni: &'r raw::Number,
    subnet: &'r raw::Text,
    gateway: &'r raw::Text,
    subnet6: &'r raw::Text,
    gateway6: &'r raw::Text,
    /// What to do when its VNI is taken.
    remedy: &'static str,
}

impl From<&NetworkPlan> for Segment {
    fn from(plan: &NetworkPlan) -> Segment {
        let &NetworkPlan { vni, subnet, gateway, subnet6, gateway6, .. } = plan;
        Segment {
            vni: Some(vni),
            subnet: Some(subnet),
            gateway: Some(gateway),
            subnet6: Some(subnet6),
            gateway6: Some(gateway6),
        }
    }
}

impl<'r> Written<'r> {
    fn of_network(name: &Spanned<String>, raw: &'r raw::Network) -> Written<'r> {
        let raw::Network { vni, subnet, gateway, subnet6, gateway6, .. } = raw;
        let remedy = "give each network its own VNI";
        Written { table: name.span(), vni, subnet, gateway, subnet6, gateway6, remedy }
    }

    fn of_segment(table: &'r Spanned<raw::Segment>) -> Written<'r> {
        let raw::Segment { vni, subnet, gateway, subnet6, gateway6 } = table.get_ref();
        let remedy = "give each network and each segment its own VNI";
        Written { table: table.span(), vni, subnet, gateway, subnet6, gateway6, remedy }
    }
}

/// Every subnet of the network `name`: its own first, then its segments in file order. `vnis`:
/// those of the file so far.
pub(super) fn check_all(
    problems: &mut Problems,
    vnis: &mut HashMap<u32, usize>,
    name: &Spanned<String>,
    raw: &raw::Network,
) -> Vec<Segment> {
    let mut taken = Taken::default();
    iter::once(Written::of_network(name, raw))
        .chain(raw.segment.iter().map(Written::of_segment))
        .map(|written| check(problems, vnis, &mut taken, &written))
        .collect()
}

fn check(
    problems: &mut Problems,
    vnis: &mut HashMap<u32, usize>,
    taken: &mut Taken,
    written: &Written,
) -> Segment {
    let vni = vni(problems, vnis, written);
    let subnet = subnet(problems, taken, written);
    let gateway = gateway(problems, written.gateway, subnet);
    let subnet6 = subnet6(problems, taken, written.subnet6);
    let gateway6 = gateway6(problems, written, subnet6);
    Segment { vni, subnet, gateway, subnet6, gateway6 }
}

fn vni(problems: &mut Problems, vnis: &mut HashMap<u32, usize>, written: &Written) -> Option<Vni> {
    let value = problems.required(written.vni, written.table.clone(), "vni", "vni = 4097")?;
    let number: u32 = problems.number(written.vni, "a VNI", 1..=i64::from(Vni::MAX), 0)?;
    problems.once(vnis, number, value, written.remedy);
    Vni::new(number)
}

fn subnet(problems: &mut Problems, taken: &mut Taken, written: &Written) -> Option<Subnet> {
    let example = "subnet = \"10.0.1.0/24\"";
    let text = problems.required(written.subnet, written.table.clone(), "subnet", example)?;
    let subnet = problems.judge_parsed(text, words::subnet(text.get_ref()))?;
    let [first, last] = [subnet.network, subnet.broadcast()].map(|address| address.to_bits());
    taken.ipv4.take(problems, text, first.into()..=last.into());
    Some(subnet)
}

fn gateway(
    problems: &mut Problems,
    text: &raw::Text,
    subnet: Option<Subnet>,
) -> Option<Option<Ipv4Addr>> {
    let Some(text) = text else {
        return Some(None);
    };
    let address = problems.judge_parsed(text, words::ipv4(text.get_ref(), "a network"))?;
    if let Some(subnet) = subnet {
        problems.judge(text, words::host_in(address, subnet))?;
    }
    Some(Some(address))
}

fn subnet6(
    problems: &mut Problems,
    taken: &mut Taken,
    text: &raw::Text,
) -> Option<Option<Subnet6>> {
    let Some(text) = text else {
        return Some(None);
    };
    let subnet = problems.judge_parsed(text, words::subnet6(text.get_ref()))?;
    let [first, last] = [subnet.network, subnet.last()].map(|address| address.to_bits());
    taken.ipv6.take(problems, text, first..=last);
    Some(Some(subnet))
}

/// It is answered with the MAC of `gateway`, and so needs that.
fn gateway6(
    problems: &mut Problems,
    written: &Written,
    subnet6: Option<Option<Subnet6>>,
) -> Option<Option<Ipv6Addr>> {
    let Some(text) = written.gateway6 else {
        return Some(None);
    };
    let address = problems.judge_parsed(text, words::ipv6(text.get_ref(), "gateway6"))?;
    if written.gateway.is_none() {
        return problems.at(text, "has the MAC of `gateway`, which is missing; add it");
    }
    match subnet6 {
        None => {}
        Some(None) => {
            return problems
                .at(text, "belongs to an IPv6 subnet; add `subnet6` or leave the key out");
        }
        Some(Some(subnet)) => {
            problems.judge(text, words::host_in6(address, subnet))?;
        }
    }
    Some(Some(address))
}

/// What the subnets of one network have taken so far.
#[derive(Default)]
struct Taken {
    ipv4: Ranges,
    ipv6: Ranges,
}

/// Ranges of addresses that do not overlap, by their first: the last, and how and at which byte
/// offset the range was written.
#[derive(Default)]
struct Ranges(BTreeMap<u128, (u128, String, usize)>);

impl Ranges {
    /// Takes `range`, which `text` says; a problem if some of it is taken.
    fn take(
        &mut self,
        problems: &mut Problems,
        text: &Spanned<String>,
        range: std::ops::RangeInclusive<u128>,
    ) {
        let (first, last) = range.into_inner();
        // Of ranges that do not overlap, the last to start before our end is the one to ask.
        let nearest = self.0.range(..=last).next_back();
        let subnet = text.get_ref();
        if let Some((_, (its_last, other, offset))) = nearest
            && *its_last >= first
        {
            let line = problems.line(*offset);
            let message = format!(
                "{subnet} overlaps {other}{line}; give each subnet of a network its own \
                 addresses"
            );
            problems.at::<()>(text, message);
        } else {
            self.0.insert(first, (last, subnet.clone(), text.span().start));
        }
    }
}
