//! The underlay at start: its interface, which of its addresses is this node's VTEP, and whether
//! the networks' MTUs fit through it.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};

use crate::{
    af_xdp::HEADROOM,
    control::netlink::{InterfaceAddress, Link, Netlink, Unfit},
    profile::{NetworkPlan, Plan},
    wire::{Family, ethernet, ipv6},
};

/// How long an address may take to check for duplicates (RFC 4862, section 5.4: a second and a
/// random delay of up to one more).
const DUPLICATES_WITHIN: Duration = Duration::from_secs(3);
/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The underlay's interface, which must be there and up.
///
/// # Errors
/// It is not, with what to do.
pub fn interface(netlink: &mut Netlink, plan: &Plan) -> Result<Link> {
    let name = &plan.underlay.interface;
    let link = netlink.link_by_name(name)?.with_context(|| {
        format!("underlay interface {name} does not exist; `ip link` lists those that do")
    })?;
    if !link.up {
        bail!("underlay interface {name} is down: `ip link set {name} up`");
    }
    Ok(link)
}

/// This node's VTEP: `underlay.address`, or the one address of the interface that may be it. One
/// that still checks for duplicates is waited for.
///
/// # Errors
/// The interface lacks it, or has several and none is named, or it cannot be a VTEP.
pub fn vtep(netlink: &mut Netlink, plan: &Plan, link: &Link) -> Result<IpAddr> {
    let start = Instant::now();
    loop {
        let all = netlink.addresses(link.index)?;
        let chosen = match plan.underlay.address {
            Some(wanted) => named(&all, wanted, &link.name)?,
            None => only(&all, plan.underlay.family, &link.name)?,
        };
        if chosen.unfit != Some(Unfit::Tentative) {
            return Ok(chosen.address);
        }
        if start.elapsed() > DUPLICATES_WITHIN {
            return Err(refusal(chosen, Unfit::Tentative, &link.name));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn refusal(row: &InterfaceAddress, unfit: Unfit, name: &str) -> anyhow::Error {
    anyhow!("underlay interface {name}: its address {} {}", row.address, unfit.reason())
}

/// The address that the profile names. That it is deprecated or temporary is then its author's
/// business.
fn named<'a>(
    all: &'a [InterfaceAddress],
    wanted: IpAddr,
    name: &str,
) -> Result<&'a InterfaceAddress> {
    let Some(row) = all.iter().find(|row| row.address == wanted) else {
        let has: Vec<_> = all.iter().map(|row| row.address.to_string()).collect();
        let has = if has.is_empty() { "none".into() } else { has.join(", ") };
        bail!(
            "underlay interface {name} does not have the address {wanted} (it has {has}): \
             `ip address add {wanted}/PREFIX dev {name}`, or change underlay.address"
        )
    };
    match row.unfit {
        Some(unfit @ (Unfit::LinkLocal | Unfit::Duplicate)) => Err(refusal(row, unfit, name)),
        _ => Ok(row),
    }
}

/// The address when the profile names none. Over IPv4 the kernel's first, which is its primary
/// one. Over IPv6 the order is of no use, as the newest comes first: so the only permanent one
/// (not given by a router or DHCP), else the only one.
fn only<'a>(
    all: &'a [InterfaceAddress],
    family: Family,
    name: &str,
) -> Result<&'a InterfaceAddress> {
    let of_family = || all.iter().filter(|row| Family::of(row.address) == family);
    let may_be = |row: &&InterfaceAddress| matches!(row.unfit, None | Some(Unfit::Tentative));
    let fit: Vec<_> = of_family().filter(may_be).collect();
    let permanent: Vec<_> = fit.iter().copied().filter(|row| row.permanent).collect();
    match (family, &fit[..], &permanent[..]) {
        (Family::V4, [first, ..], _) => Ok(first),
        (Family::V6, _, [one]) | (Family::V6, [one], _) => Ok(one),
        (_, [], _) => {
            let why = |row: &InterfaceAddress| {
                row.unfit.map_or_else(String::new, |unfit| {
                    format!("; {} {}", row.address, unfit.reason())
                })
            };
            let why: String = of_family().map(why).collect();
            bail!(
                "underlay interface {name} has no {family} address that can be a VTEP: `ip address \
                 add ADDRESS/PREFIX dev {name}`{why}"
            )
        }
        _ => {
            let has: Vec<_> = fit.iter().map(|row| row.address.to_string()).collect();
            bail!(
                "underlay interface {name} has several {family} addresses that can be this node's \
                 VTEP ({}): set underlay.address to one of them",
                has.join(", ")
            )
        }
    }
}

/// Every MTU fits the one below it; the result is the default of a network's, in bytes.
///
/// # Errors
/// Which one does not fit, and what to do.
pub fn check_mtus<'n>(
    plan: &Plan,
    networks: impl IntoIterator<Item = &'n NetworkPlan>,
    link: &Link,
) -> Result<u16> {
    let carried = plan.tuning.frame_size - (HEADROOM + ethernet::LEN) as u32;
    if link.mtu > carried {
        bail!(
            "underlay interface {} has mtu {}, and a chunk of {} bytes carries at most {carried}: \
             `ip link set {} mtu {carried}`, or a larger tuning.frame_size (4096 carries {})",
            link.name,
            link.mtu,
            plan.tuning.frame_size,
            link.name,
            4096 - HEADROOM - ethernet::LEN,
        );
    }
    let family = plan.underlay.family;
    let outer = family.outer_len() as u32;
    let most = link.mtu_of(family).saturating_sub(outer);
    for network in networks {
        check_mtu(network, most).with_context(|| {
            let mtu = link.mtu_of(family);
            let whose = if mtu < link.mtu {
                format!("net.ipv6.conf.{}.mtu is {mtu}", link.name)
            } else {
                format!("the underlay {} has mtu {mtu}", link.name)
            };
            format!("{whose}, of which VXLAN over {family} takes {outer}")
        })?;
    }
    Ok(most.min(u32::from(u16::MAX)) as u16)
}

/// `most`: what the underlay leaves.
fn check_mtu(network: &NetworkPlan, most: u32) -> Result<()> {
    let name = &network.name;
    match network.mtu.map(u32::from) {
        Some(mtu) if mtu > most => {
            bail!("network {name}: mtu {mtu} cannot fit; the largest that fits is {most}")
        }
        None if most < ipv6::LEAST_MTU && network.subnet6.is_some() => bail!(
            "network {name}: its mtu would be {most}, and IPv6 needs at least {}: raise the \
             underlay's, or leave subnet6 out",
            ipv6::LEAST_MTU
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn row(address: &str, permanent: bool, unfit: Option<Unfit>) -> InterfaceAddress {
        InterfaceAddress { address: address.parse().unwrap(), prefix: 64, permanent, unfit }
    }

    fn chosen(all: &[InterfaceAddress], family: Family) -> String {
        match only(all, family, "eth0") {
            Ok(row) => row.address.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn without_a_name_the_only_permanent_address_is_the_vtep_else_the_only_one() {
        let by_hand = row("fd00::1", true, None);
        let by_router = row("2001:db8::5054:ff:fe00:1", false, None);
        let temporary = row("2001:db8::77", false, Some(Unfit::Temporary));
        let link_local = row("fe80::1", true, Some(Unfit::LinkLocal));
        let checking = row("fd00::2", true, Some(Unfit::Tentative));
        let v6 = |all: &[&InterfaceAddress]| {
            let all: Vec<_> = all.iter().map(|row| (*row).clone()).collect();
            chosen(&all, Family::V6)
        };
        assert_eq!(v6(&[&by_router, &by_hand, &temporary, &link_local]), "fd00::1");
        assert_eq!(v6(&[&temporary, &by_router, &link_local]), "2001:db8::5054:ff:fe00:1");
        assert_eq!(v6(&[&checking, &by_router]), "fd00::2", "it is waited for");
        let said = v6(&[&checking, &by_hand, &by_router]);
        assert!(said.contains("(fd00::2, fd00::1, 2001:db8::5054:ff:fe00:1)"), "{said}");
        assert!(said.ends_with("set underlay.address to one of them"), "{said}");
        let other = row("2001:db8:1::5", false, None);
        assert!(v6(&[&by_router, &other]).contains("several IPv6 addresses"));
        let said = v6(&[&temporary, &link_local]);
        assert!(said.contains("`ip address add ADDRESS/PREFIX dev eth0`; 2001:db8::77 is temp"));
        assert!(said.ends_with("; fe80::1 is link-local"), "{said}");
    }

    #[test]
    fn of_ipv4_it_is_the_first() {
        let all = [
            row("10.0.0.1", false, None),
            row("10.0.0.2", true, None),
            row("fe80::1", true, Some(Unfit::LinkLocal)),
        ];
        assert_eq!(chosen(&all, Family::V4), "10.0.0.1");
        let said = chosen(&all[2..], Family::V4);
        // What is wrong with addresses of IPv6 says nothing about IPv4.
        assert!(said.ends_with("`ip address add ADDRESS/PREFIX dev eth0`"), "{said}");
    }

    #[test]
    fn a_named_address_is_refused_only_if_it_cannot_work() {
        let of = |unfit| [row("fd00::1", false, unfit)];
        let named = |all: &[InterfaceAddress], wanted: &str| {
            named(all, wanted.parse().unwrap(), "eth0").map(|row| row.unfit)
        };
        for unfit in [None, Some(Unfit::Deprecated), Some(Unfit::Temporary), Some(Unfit::Tentative)]
        {
            assert_eq!(named(&of(unfit), "fd00::1").unwrap(), unfit);
        }
        for unfit in [Unfit::LinkLocal, Unfit::Duplicate] {
            let said = named(&of(Some(unfit)), "fd00::1").unwrap_err().to_string();
            assert!(said.contains("its address fd00::1 is "), "{said}");
        }
        let said = named(&of(None), "fd00::2").unwrap_err().to_string();
        assert!(said.contains("(it has fd00::1)"), "{said}");
    }

    fn most(mtu: u32, ipv6_mtu: Option<u32>, peer: &str, network: &str) -> Result<u16, String> {
        let text = format!(
            "[node]\nname = \"a\"\n[underlay]\ninterface = \"eth0\"\n[[peer]]\nname = \"b\"\n\
             address = \"{peer}\"\n[network.n]\nvni = 1\nsubnet = \"10.0.0.0/24\"\n{network}\n"
        );
        let plan = crate::profile::parse(Path::new("node.toml"), &text).unwrap();
        let link = Link { name: "eth0".into(), mtu, ipv6_mtu, ..Link::default() };
        check_mtus(&plan, &plan.networks, &link).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn the_default_mtu_is_what_the_underlay_leaves() {
        assert_eq!(most(1500, None, "10.9.0.1", ""), Ok(1450));
        assert_eq!(most(1500, Some(1300), "10.9.0.1", ""), Ok(1450));
        assert_eq!(most(1500, Some(1500), "fd00::1", ""), Ok(1430));
        assert_eq!(most(1500, Some(1400), "fd00::1", "mtu = 1330"), Ok(1330));
        let said = most(1500, Some(1400), "fd00::1", "mtu = 1331").unwrap_err();
        assert!(said.contains("net.ipv6.conf.eth0.mtu is 1400"), "{said}");
        assert!(said.contains("the largest that fits is 1330"), "{said}");
        let said = most(9000, None, "10.9.0.1", "").unwrap_err();
        assert!(said.contains("`ip link set eth0 mtu 1778`"), "{said}");
    }

    #[test]
    fn a_default_mtu_too_small_for_ipv6_is_refused_as_a_written_one_is() {
        let subnet6 = "subnet6 = \"fd00:1::/64\"";
        assert_eq!(most(1330, None, "10.9.0.1", subnet6), Ok(1280));
        assert_eq!(most(1329, None, "10.9.0.1", ""), Ok(1279));
        let said = most(1329, None, "10.9.0.1", subnet6).unwrap_err();
        assert!(said.contains("network n: its mtu would be 1279"), "{said}");
        assert!(said.contains("the underlay eth0 has mtu 1329"), "{said}");
        assert_eq!(most(1350, Some(1350), "fd00::1", subnet6), Ok(1280));
        assert!(most(1349, Some(1349), "fd00::1", subnet6).is_err());
    }
}
