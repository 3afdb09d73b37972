//! Rows of the tables in the words of `fdb show`, `neigh show` and `monitor`.
//!
//! Rows have numbers where people have names; [`Naming`] knows them. The control thread does while
//! it tells `monitor` of a change, and [`copied`](super::copied) rows bring those of their moment.

use std::net::IpAddr;

use crate::{
    control::{
        follow::{Kind, Origin},
        protocol::{FdbFilter, FdbRow, NeighRow},
    },
    tables::{BridgeIx, Endpoint, FdbKey, Neighbour, PortIx, Row, State, VtepIx},
};

/// The overlay's own port in text rows, as the original's kernel device is called.
pub(super) const OVERLAY_PORT: &str = "vxlan0";
/// The port of the gateway's row, as the original's bridge is called.
pub(super) const SWITCH_PORT: &str = "br0";

/// What the numbers in rows stand for.
pub(super) trait Naming {
    /// A network's name and VNI; empty and 0 for one that is gone.
    fn network(&self, bridge: BridgeIx) -> (&str, u32);
    /// Whether the network of a subnet has others.
    fn is_one_of_several(&self, bridge: BridgeIx) -> bool;
    /// A peer's address.
    fn vtep(&self, vtep: VtepIx) -> Option<IpAddr>;
    /// A port's name.
    fn port(&self, port: PortIx) -> &str;
    /// The load balancer whose row this is, of those that are the switch's own.
    fn load_balancer(&self, key: FdbKey) -> Option<&str>;
}

/// What `bridge fdb` would call a row's device, and its `dst`.
fn place<N: Naming>(naming: &N, key: FdbKey, to: Endpoint) -> (&str, Option<IpAddr>) {
    match to {
        Endpoint::Remote(vtep) => (OVERLAY_PORT, naming.vtep(vtep)),
        Endpoint::Local(port) => (naming.port(port), None),
        Endpoint::Switch => (naming.load_balancer(key).unwrap_or(SWITCH_PORT), None),
    }
}

/// A row's state as it is shown: that of a row which is there since a followed device has it, as
/// the kernel has it.
fn state(row: &Row, origin: Option<Origin>) -> &'static str {
    match (origin.map(|origin| origin.kind), row.state) {
        (Some(Kind::Permanent), _) | (None, State::Permanent) => "permanent",
        (Some(Kind::Static), _) => "static",
        (Some(Kind::Dynamic), _) | (None, State::Learned { .. }) => "",
    }
}

/// A forwarding row, with its origin if a followed device has it there.
pub(super) fn fdb_row(
    naming: &impl Naming,
    key: FdbKey,
    row: &Row,
    origin: Option<Origin>,
) -> FdbRow {
    let (network, vni) = naming.network(key.bridge());
    let (ifname, dst) = place(naming, key, row.to);
    let marks = origin.map_or([false; 2], |origin| [origin.external, origin.sticky]);
    let flags = [(dst.is_some(), "self"), (marks[0], "extern_learn"), (marks[1], "sticky")];
    let flags = flags.iter().filter(|(on, _)| *on).map(|(_, flag)| (*flag).to_owned());
    FdbRow {
        mac: key.mac().to_string(),
        ifname: ifname.to_owned(),
        vni,
        flags: flags.collect(),
        master: dst.is_none().then(|| network.to_owned()),
        dst: dst.map(|dst| dst.to_string()),
        state: state(row, origin).into(),
        network: network.to_owned(),
    }
}

/// A neighbour row.
pub(super) fn neigh_row(
    naming: &impl Naming,
    bridge: BridgeIx,
    address: IpAddr,
    neighbour: &Neighbour,
) -> NeighRow {
    let (network, vni) = naming.network(bridge);
    NeighRow {
        dst: address.to_string(),
        dev: OVERLAY_PORT.into(),
        lladdr: neighbour.mac.to_string(),
        state: vec!["PERMANENT".into()],
        network: network.to_owned(),
        vni: naming.is_one_of_several(bridge).then_some(vni),
    }
}

/// Whether a subnet is of the network and VNI that a filter gives.
pub(super) fn is_of(
    naming: &impl Naming,
    network: Option<&str>,
    vni: Option<u32>,
    bridge: BridgeIx,
) -> bool {
    let (its_network, its_vni) = naming.network(bridge);
    network.is_none_or(|wanted| wanted == its_network) && vni.is_none_or(|wanted| wanted == its_vni)
}

/// Whether a row matches all of a filter but for its state.
pub(super) fn is_there(
    naming: &impl Naming,
    filter: &FdbFilter,
    key: FdbKey,
    to: Endpoint,
) -> bool {
    filter.mac.is_none_or(|mac| mac.0 == key.mac())
        && is_of(naming, filter.network.as_deref(), filter.vni, key.bridge())
        && filter.dst.is_none_or(|wanted| place(naming, key, to).1 == Some(wanted))
        && filter.dev.as_ref().is_none_or(|wanted| wanted == place(naming, key, to).0)
}

/// Whether a row, as it is shown, matches all of a filter.
pub(super) fn is_shown(
    naming: &impl Naming,
    filter: &FdbFilter,
    key: FdbKey,
    row: &Row,
    origin: Option<Origin>,
) -> bool {
    is_there(naming, filter, key, row.to)
        && filter.permanent.is_none_or(|wanted| wanted == (state(row, origin) == "permanent"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{control::protocol::MacText, wire::Mac};

    const MAC: Mac = Mac([2, 0x42, 10, 0, 1, 9]);

    /// One network, one port, one peer.
    struct Names;

    impl Naming for Names {
        fn network(&self, _: BridgeIx) -> (&str, u32) {
            ("mynet", 4097)
        }

        fn is_one_of_several(&self, _: BridgeIx) -> bool {
            false
        }

        fn vtep(&self, _: VtepIx) -> Option<IpAddr> {
            "fd00::2".parse().ok()
        }

        fn port(&self, _: PortIx) -> &str {
            "app.1"
        }

        fn load_balancer(&self, _: FdbKey) -> Option<&str> {
            None
        }
    }

    fn key() -> FdbKey {
        FdbKey::new(BridgeIx(0), MAC)
    }

    fn remote() -> Row {
        Row::permanent(Endpoint::Remote(VtepIx(0)))
    }

    #[test]
    fn rows_match_all_filters() {
        let all = FdbFilter {
            mac: Some(MacText(MAC)),
            network: Some("mynet".into()),
            vni: Some(4097),
            dst: "fd00::2".parse().ok(),
            dev: Some("vxlan0".into()),
            permanent: Some(true),
        };
        let shows = |filter: &FdbFilter| is_shown(&Names, filter, key(), &remote(), None);
        assert!(shows(&FdbFilter::default()));
        assert!(shows(&all));
        for other in [
            FdbFilter { mac: Some(MacText(Mac([2, 0x42, 10, 0, 1, 10]))), ..all.clone() },
            FdbFilter { network: Some("other".into()), ..all.clone() },
            FdbFilter { vni: Some(4098), ..all.clone() },
            FdbFilter { dst: "fd00::3".parse().ok(), ..all.clone() },
            FdbFilter { dev: Some("app.1".into()), ..all.clone() },
            FdbFilter { permanent: Some(false), ..all.clone() },
        ] {
            assert!(!shows(&other), "{other:?}");
        }
    }

    #[test]
    fn a_followed_row_is_shown_and_picked_as_the_kernel_has_it() {
        for (kind, says, is_permanent) in [
            (Kind::Permanent, "permanent", true),
            (Kind::Static, "static", false),
            (Kind::Dynamic, "", false),
        ] {
            let origin = Some(Origin { external: true, sticky: false, kind });
            let row = fdb_row(&Names, key(), &remote(), origin);
            assert_eq!(
                (row.state.as_str(), row.flags.join(" ")),
                (says, "self extern_learn".into())
            );
            let permanent = FdbFilter { permanent: Some(true), ..FdbFilter::default() };
            let is_shown = is_shown(&Names, &permanent, key(), &remote(), origin);
            assert_eq!(is_shown, is_permanent, "{kind:?}");
        }
    }
}
