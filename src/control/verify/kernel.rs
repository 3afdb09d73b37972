//! The kernel's side of this node: the ports' devices and programs, the underlay, next hops.

use std::collections::{BTreeSet, HashMap};

use anyhow::Result;

use crate::{
    control::{
        Control,
        netlink::Link,
        ports::{PortRecord, Role},
        verify::findings::{Findings, Mend},
    },
    tables::UNDERLAY,
    wire::Vni,
};

/// The links of this namespace, by index.
pub type Links = HashMap<u32, Link>;

impl Control {
    /// Kinds `port` and `device`: each port has its device, up, with our program.
    pub(super) fn look_at_ports(&self, links: &Links, found: &mut Findings) {
        for port in self.standing_ports() {
            found.verified.ports += 1;
            let attached = port.is_attached().then(|| links.get(&port.index)).flatten();
            match attached {
                Some(link) => self.look_at_device(port, link, found),
                None => found.add("port", Some(Mend::Return(port.ix)), || {
                    let why = if port.trouble.is_empty() { "gone" } else { &port.trouble };
                    [port_words(port), format!("device {}", port.device), why.to_owned()]
                }),
            }
        }
    }

    fn look_at_device(&self, port: &PortRecord, link: &Link, found: &mut Findings) {
        let mut differs = |mend, wanted: String, there: String| {
            found.add("device", mend, || [port_words(port), wanted, there]);
        };
        let is_ours = self.made.contains(&port.device);
        if link.name != port.device {
            differs(None, format!("device {}", port.device), format!("renamed to {}", link.name));
        }
        if link.xdp_program != port.program_id() {
            let words = |id: Option<u32>| match id {
                Some(id) => format!("XDP program {id}"),
                None => "no XDP program".into(),
            };
            let mend = Some(Mend::Attach(port.ix));
            differs(mend, words(port.program_id()), words(link.xdp_program));
        }
        if !link.up {
            // Whoever made another device has switched it off, too.
            let (mend, hint) = match is_ours {
                true => (Some(Mend::Furnish(port.ix)), String::new()),
                false => (None, format!(" (`ip link set {} up`)", link.name)),
            };
            differs(mend, format!("{} up", port.device), format!("down{hint}"));
        } else if !link.running && !is_ours {
            let there = "no carrier: its cable or its far end is out";
            differs(None, format!("{} with a carrier", port.device), there.into());
        }
        if let Some(mtu) = self.mtu_of(port).filter(|mtu| !is_ours && *mtu > link.mtu) {
            let there = format!("{} (`ip link set {} mtu {mtu}`)", link.mtu, link.name);
            differs(None, format!("{} mtu {mtu} or more", port.device), there);
        }
        if let Some(mtu) = self.mtu_of_made(port).filter(|mtu| *mtu != link.mtu) {
            let mend = Some(Mend::Furnish(port.ix));
            differs(mend, format!("{} mtu {mtu}", port.device), link.mtu.to_string());
        }
    }

    /// The MTU of a device that was made here.
    fn mtu_of_made(&self, port: &PortRecord) -> Option<u32> {
        self.mtu_of(port).filter(|_| self.made.contains(&port.device))
    }

    /// The MTU of an access port's network.
    fn mtu_of(&self, port: &PortRecord) -> Option<u32> {
        let Role::Access(bridge) = port.role else { return None };
        Some(u32::from(self.truth.network(bridge)?.mtu))
    }

    /// Kinds `underlay` and `vni`.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub(super) fn look_at_underlay(&mut self, links: &Links, found: &mut Findings) -> Result<()> {
        let name = self.plan.underlay.interface.clone();
        if let Some(trouble) = self.netlink.own_address_trouble(self.underlay.address)? {
            let wanted = format!("address {}", self.underlay.address);
            found.add("underlay", None, || [name.clone(), wanted, format!("it {trouble}")]);
        }
        let family = self.plan.underlay.family;
        let link = links.get(&self.ports[usize::from(UNDERLAY.0)].index);
        if let Some((link, widest)) = link.zip(self.truth.widest()) {
            let least = u32::from(widest.mtu) + family.outer_len() as u32;
            let mtu = link.mtu_of(family);
            if mtu < least {
                let wanted = format!("mtu {least} or more, for network {}", widest.network);
                found.add("underlay", None, || [name, wanted, mtu.to_string()]);
            }
        }
        self.look_at_vnis(found)
    }

    fn look_at_vnis(&mut self, found: &mut Findings) -> Result<()> {
        let Some(program) = self.ports[usize::from(UNDERLAY.0)].underlay_program() else {
            return Ok(());
        };
        let there = program.vnis()?;
        let wanted: BTreeSet<u32> = self.vnis().iter().map(|vni| vni.number()).collect();
        for (vni, is_wanted) in differences(&wanted, &there) {
            let words = |taken| if taken { "taken" } else { "left to the kernel" }.to_owned();
            found.add("vni", Some(Mend::Vnis), || {
                [vni.to_string(), words(is_wanted), words(!is_wanted)]
            });
        }
        Ok(())
    }

    /// Those of all networks.
    pub(super) fn vnis(&self) -> BTreeSet<Vni> {
        self.truth.networks().map(|(_, network)| network.plan.vni).collect()
    }

    /// Kind `peer`: every next hop is known.
    pub(super) fn look_at_next_hops(&self, found: &mut Findings) {
        for (vtep, hop) in self.hops.each().filter(|(_, hop)| hop.mac.is_none()) {
            found.add("peer", None, || {
                let reason = hop.reason.clone().unwrap_or_else(|| "none".into());
                [self.peer_words(vtep), "a next hop".into(), reason]
            });
        }
    }
}

/// What is in one of two sets only, in order, and whether it is in the first.
fn differences(a: &BTreeSet<u32>, b: &BTreeSet<u32>) -> Vec<(u32, bool)> {
    a.symmetric_difference(b).map(|one| (*one, a.contains(one))).collect()
}

/// A port, in the differences.
pub fn port_words(port: &PortRecord) -> String {
    format!("port {}", port.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vnis_differ_both_ways() {
        let (wanted, there) = ([1, 2, 3].into(), [2, 3, 4].into());
        assert_eq!(differences(&wanted, &there), [(1, true), (4, false)]);
        assert_eq!(differences(&wanted, &wanted), []);
    }
}
