//! `verify --repair`: does what a look has found to be done. What cannot be done is told in the
//! log; whether it helped, the next look says.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use crate::{
    control::{
        Control,
        claims::{Claimant, Claims},
        learning::Learning,
        netlink::mend_in,
        news::port_news,
        ports::{PortRecord, PortState, Role},
        protocol::News,
        verify::findings::Mend,
    },
    tables::{BridgeIx, Endpoint, FdbKey, FdbWriter, Neighbour, NeighbourWriter, PortIx, UNDERLAY},
};

impl Control {
    pub(super) fn mend(&mut self, mends: &BTreeSet<Mend>) {
        let mut furnished = BTreeSet::new();
        for mend in mends {
            let outcome = match *mend {
                Mend::Attach(port) => self.return_port(port, true),
                Mend::Return(port) => self.return_port(port, false),
                Mend::Furnish(port) => {
                    furnished.insert(port);
                    Ok(())
                }
                Mend::Vnis => self.mend_vnis(),
                _ => {
                    self.mend_rows(*mend);
                    Ok(())
                }
            };
            if let Err(error) = outcome {
                tracing::warn!("verify --repair: {error:#}");
            }
        }
        self.furnish(&furnished);
        self.tables.tend();
    }

    fn mend_vnis(&mut self) -> Result<()> {
        let vnis = self.vnis();
        let program = self.ports[usize::from(UNDERLAY.0)].underlay_program();
        program.map_or(Ok(()), |program| program.put_vnis_right(&vnis))
    }

    fn mend_rows(&mut self, mend: Mend) {
        match mend {
            Mend::Gateway(bridge) => self.claim_gateway(bridge),
            Mend::Claim(bridge, number) => {
                let network = self.truth.network(bridge);
                let record = network.and_then(|network| network.endpoints.get(&number)).cloned();
                if let Some(record) = record {
                    self.claim_endpoint(bridge, number, &record);
                }
            }
            Mend::ReleaseMac(key, number) => {
                self.release_mac(key, Claimant::Endpoint(number));
            }
            Mend::ReleaseAddress(bridge, address, number) => {
                self.release_address((bridge, address), Claimant::Endpoint(number));
            }
            Mend::Mac(key) => {
                let Control { truth, learning, tables, .. } = self;
                mend_mac(&truth.macs, learning, &mut tables.fdb, key);
            }
            Mend::Address(bridge, address) => {
                let Control { truth, tables, .. } = self;
                mend_address(&truth.owners, &mut tables.neighbours, (bridge, address));
            }
            Mend::Publish => {
                self.tables.set_underlay(self.underlay);
                self.publish();
            }
            Mend::Attach(_) | Mend::Return(_) | Mend::Furnish(_) | Mend::Vnis => {}
        }
    }

    /// Gives a port up and takes it again: with `keep` on the device that is there, which a
    /// container may be using; else its device is made again if it is ours to make.
    fn return_port(&mut self, ix: PortIx, keep: bool) -> Result<()> {
        let at = usize::from(ix.0);
        if self.ports[at].is_attached() {
            self.ports[at].detach(&self.workers);
            self.let_go_of(&[ix]);
            let news = port_news(&self.ports[at]);
            self.monitors.tell(News::PortGone(news));
        }
        let is_made = self.made.contains(&self.ports[at].device);
        let outcome = match keep && is_made {
            true => {
                let Control { ports, netlink, workers, plan, access, .. } = self;
                ports[at].attach(netlink, workers, &plan.tuning, access).map(|()| true)
            }
            false => self.bring_back(ix),
        };
        let port = &mut self.ports[at];
        port.retry = (1, 1);
        match outcome {
            Ok(true) => {
                port.trouble.clear();
                let news = port_news(port);
                self.monitors.tell(match port.state {
                    PortState::Up => News::PortUp(news),
                    _ => News::PortDown(news),
                });
                Ok(())
            }
            Ok(false) => {
                self.ports_went = true;
                self.forget_gone_ports();
                Ok(())
            }
            Err(error) => {
                port.trouble = format!("{error:#}");
                let what = format!("port {}", port.name);
                self.ports_went = true;
                self.forget_gone_ports();
                Err(error).context(what)
            }
        }
    }

    /// Sets both ends of pairs up as they were made.
    fn furnish(&mut self, ports: &BTreeSet<PortIx>) {
        for port in ports {
            if let Err(error) = self.furnish_our_end(*port) {
                tracing::warn!("verify --repair: {error:#}");
            }
        }
        for (netns, (_, specs)) in self.ends(|port| ports.contains(&port)) {
            if let Err(error) = mend_in(&netns, &specs) {
                tracing::warn!("verify --repair: {error:#}");
            }
        }
    }

    fn furnish_our_end(&mut self, ix: PortIx) -> Result<()> {
        let PortRecord { index, role, .. } = &self.ports[usize::from(ix.0)];
        let Role::Access(bridge) = *role else { return Ok(()) };
        let Some(network) = self.truth.network(bridge) else { return Ok(()) };
        let mtu = u32::from(network.mtu);
        let Some(link) = self.netlink.link_by_index(*index)? else { return Ok(()) };
        if link.mtu != mtu {
            self.netlink.set_mtu(link.index, mtu)?;
        }
        if !link.up {
            self.netlink.set_up(link.index, true)?;
        }
        Ok(())
    }
}

/// The row that is claimed, or none.
fn mend_mac(
    claims: &Claims<FdbKey, Endpoint>,
    learning: &mut Learning,
    fdb: &mut FdbWriter,
    key: FdbKey,
) {
    match claims.effective(key) {
        Some((_, to)) => learning.insert_permanent(fdb, key, to),
        None => learning.remove(fdb, key),
    };
}

/// The same for a neighbour.
fn mend_address(
    claims: &Claims<(BridgeIx, std::net::IpAddr), Neighbour>,
    neighbours: &mut NeighbourWriter,
    key: (BridgeIx, std::net::IpAddr),
) {
    match claims.effective(key) {
        Some((_, neighbour)) => neighbours.insert(key.0, key.1, neighbour),
        None => neighbours.remove(key.0, key.1),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        control::{
            claims::EndpointNumber,
            verify::tables::{claimed_addresses, claimed_macs, other_addresses, other_macs},
        },
        tables::{Owner, Row, Stamp, State, Underlay, Writer},
        wire::Mac,
    };

    const BRIDGE: BridgeIx = BridgeIx(0);
    const BY: Claimant = Claimant::Endpoint(EndpointNumber(1));

    struct Node {
        tables: Writer,
        learning: Learning,
        macs: Claims<FdbKey, Endpoint>,
        owners: Claims<(BridgeIx, std::net::IpAddr), Neighbour>,
    }

    impl Node {
        fn mends(&self) -> BTreeSet<Mend> {
            let (mut reader, mut mends) = (self.tables.reader(), BTreeSet::new());
            let view = reader.enter();
            let macs = self.macs.in_effect().map(|(key, _, to)| (key, to));
            claimed_macs(&view, macs, |fault| {
                mends.insert(Mend::Mac(fault.key));
            });
            let keys = self.tables.fdb.iter().map(|(key, _)| key);
            let is_claimed = |key| self.macs.effective(key).is_some();
            other_macs(
                &view,
                keys,
                is_claimed,
                |_, to| to == there(1),
                |fault| {
                    mends.insert(Mend::Mac(fault.key));
                },
            );
            let owners = self.owners.in_effect().map(|(key, _, row)| (key, row));
            claimed_addresses(&view, owners, |fault| {
                mends.insert(Mend::Address(fault.key.0, fault.key.1));
            });
            let keys = self.tables.neighbours.iter().map(|(bridge, address, _)| (bridge, address));
            let is_claimed = |key| self.owners.effective(key).is_some();
            other_addresses(&view, keys, is_claimed, |fault| {
                mends.insert(Mend::Address(fault.key.0, fault.key.1));
            });
            mends
        }

        fn mend(&mut self, mends: &BTreeSet<Mend>) {
            let Node { tables, learning, macs, owners } = self;
            for mend in mends {
                match *mend {
                    Mend::Mac(key) => mend_mac(macs, learning, &mut tables.fdb, key),
                    Mend::Address(bridge, address) => {
                        mend_address(owners, &mut tables.neighbours, (bridge, address));
                    }
                    _ => unreachable!(),
                }
            }
        }
    }

    fn there(port: u16) -> Endpoint {
        Endpoint::Local(PortIx(port))
    }

    fn key(n: u8) -> FdbKey {
        FdbKey::new(BRIDGE, Mac([2, 0, 0, 0, 0, n]))
    }

    fn address(n: u8) -> (BridgeIx, std::net::IpAddr) {
        match n % 2 {
            0 => (BRIDGE, [10, 0, 0, n].into()),
            _ => (BRIDGE, [0xfd00, 0, 0, 0, 0, 0, 0, u16::from(n)].into()),
        }
    }

    fn owner(n: u8) -> Neighbour {
        Neighbour { mac: Mac([2, 0, 0, 0, 0, n]), owner: Owner::Endpoint }
    }

    fn node() -> Node {
        let underlay = Underlay { address: [10, 0, 0, 1].into(), port: 4789 };
        let mut node = Node {
            tables: Writer::new(underlay),
            learning: Learning::new([]),
            macs: Claims::default(),
            owners: Claims::default(),
        };
        for n in 0..20 {
            node.macs.claim(key(n), BY, there(1));
            node.tables.fdb.insert(key(n), Row::permanent(there(1)));
            node.owners.claim(address(n), BY, owner(n));
            node.tables.neighbours.insert(address(n).0, address(n).1, owner(n));
        }
        node
    }

    #[test]
    fn whatever_is_done_to_the_rows_is_found_and_put_right() {
        let mut node = node();
        let learned = |to| Row { to, state: State::Learned { seen: Stamp::new(1) } };
        node.tables.fdb.insert(key(100), learned(there(1)));
        assert_eq!(node.mends(), BTreeSet::new(), "a row learned at a place that is there");

        let fdb = &mut node.tables.fdb;
        fdb.remove(key(1));
        fdb.insert(key(2), Row::permanent(there(2)));
        fdb.insert(key(3), learned(there(1)));
        fdb.insert(key(101), Row::permanent(there(1)));
        fdb.insert(key(102), learned(there(9)));
        let neighbours = &mut node.tables.neighbours;
        for n in [4, 5] {
            neighbours.remove(address(n).0, address(n).1);
        }
        for n in [6, 7] {
            neighbours.insert(address(n).0, address(n).1, owner(99));
        }
        let gateway = Neighbour { owner: Owner::Gateway, ..owner(8) };
        neighbours.insert(address(8).0, address(8).1, gateway);
        for n in [103, 104] {
            neighbours.insert(address(n).0, address(n).1, owner(n));
        }

        let mends = node.mends();
        let macs = [1, 2, 3, 101, 102].map(|n| Mend::Mac(key(n)));
        let addresses = [4, 5, 6, 7, 8, 103, 104].map(|n| Mend::Address(BRIDGE, address(n).1));
        assert_eq!(mends, macs.into_iter().chain(addresses).collect());
        node.mend(&mends);
        assert_eq!(node.mends(), BTreeSet::new());
        assert_eq!(node.tables.fdb.len(), 21, "what was learned rightly is still there");
        assert_eq!(node.tables.neighbours.len(), 20);
    }
}
