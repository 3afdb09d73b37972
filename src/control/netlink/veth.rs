//! A container's way into the overlay: a veth pair, one end here for an AF_XDP socket, the other
//! in the container's network namespace, addressed and up.
//!
//! The switch calls it for every endpoint with a `netns`. All or nothing: after an error there is
//! no pair.

use std::{
    fs,
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr},
    os::fd::AsRawFd,
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{
        AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute,
        LinkInfo, LinkMessage,
    },
};

use super::{Netlink, Refusal, link::check_interface_name, namespace};
use crate::{
    af_xdp::offload,
    wire::{Mac, ipv6},
};

/// What an endpoint's veth pair shall be.
#[derive(Clone, Debug)]
pub struct EndpointVeth {
    /// The name of the end here, at most 15 bytes.
    pub host_name: String,
    /// The container's network namespace.
    pub netns: PathBuf,
    /// The name of the end in there, at most 15 bytes.
    pub container_name: String,
    /// Receive queues and transmit queues, each, of both ends.
    pub queues: u32,
    /// The MAC of the end here.
    pub host_mac: Mac,
    /// The MAC of the container's end.
    pub mac: Mac,
    /// The container's address.
    pub address: Ipv4Addr,
    /// Its prefix length.
    pub prefix: u8,
    /// The container's IPv6 address and prefix length, if it has one.
    pub address6: Option<(Ipv6Addr, u8)>,
    /// The MTU of both ends.
    pub mtu: u32,
    /// The gateway of a default route in there, if one is wanted.
    pub default_via: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub default_via6: Option<Ipv6Addr>,
}

impl Netlink {
    /// Makes the pair and returns the index of the end here. Both ends are up, the end here
    /// without IPv6 (the host must not talk on it), the container's end without transmit
    /// offloads (an AF_XDP socket sees frames as they are handed over: a checksum or a split left
    /// to "the hardware" would never be done).
    ///
    /// The calling thread must be in the namespace that this socket was opened in.
    pub fn create_endpoint(&mut self, spec: &EndpointVeth) -> Result<u32> {
        self.create_checked(spec).with_context(|| {
            let netns = spec.netns.display();
            format!("making interface `{}` in {netns}", spec.container_name)
        })
    }

    fn create_checked(&mut self, spec: &EndpointVeth) -> Result<u32> {
        check(spec)?;
        self.refuse_taken_host_name(&spec.host_name)?;
        namespace::inside(&spec.netns, || refuse_taken_name(spec))?;
        self.create_pair(spec)?;
        let finished = self.finish(spec);
        if finished.is_err() {
            // Nothing else answers to this name: the kernel made it with NLM_F_EXCL just now.
            if let Err(error) = self.delete_link_by_name(&spec.host_name) {
                tracing::warn!("{error:#}; delete it with `ip link del {}`", spec.host_name);
            }
        }
        finished
    }

    /// The container's end comes into being in there, under its name: nothing here sees it.
    fn create_pair(&mut self, spec: &EndpointVeth) -> Result<()> {
        let netns = namespace::open(&spec.netns)?;
        let mut inner = end(&spec.container_name, spec);
        inner.attributes.push(LinkAttribute::Address(spec.mac.0.to_vec()));
        inner.attributes.push(LinkAttribute::NetNsFd(netns.as_raw_fd()));
        let mut outer = end(&spec.host_name, spec);
        outer.attributes.push(LinkAttribute::Address(spec.host_mac.0.to_vec()));
        outer.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(inner))),
        ]));
        let request = RouteNetlinkMessage::NewLink(outer);
        self.request(request, NLM_F_CREATE | NLM_F_EXCL)
            .with_context(|| format!("creating the veth pair of `{}`", spec.host_name))?;
        Ok(())
    }

    /// Runs here: a killed instance may have left this name behind.
    fn refuse_taken_host_name(&mut self, name: &str) -> Result<()> {
        if let Some(link) = self.link_by_name(name)? {
            let kind = link.kind.as_deref().unwrap_or("hardware");
            bail!("there is an interface `{name}` here already ({kind}): `ip link del {name}`");
        }
        Ok(())
    }

    fn finish(&mut self, spec: &EndpointVeth) -> Result<u32> {
        let name = &spec.host_name;
        let link = self.link_by_name(name)?;
        let index = link.with_context(|| format!("interface `{name}` vanished"))?.index;
        self.silence_ipv6(name, index)?;
        namespace::inside(&spec.netns, || furnish(spec))?;
        self.set_up(index, true)?;
        Ok(index)
    }

    /// No link-local address, then no IPv6 at all: the kernel would otherwise send router
    /// solicitations and multicast reports into the overlay.
    pub(super) fn silence_ipv6(&mut self, name: &str, index: u32) -> Result<()> {
        let mut change = LinkMessage::default();
        change.header.index = index;
        change.attributes.push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![
            AfSpecInet6::AddrGenMode(In6AddrGenMode::None),
        ])]));
        if let Err(error) = self.change_link(change) {
            let without_ipv6 = [libc::EAFNOSUPPORT, libc::EOPNOTSUPP];
            if !Refusal::errno_of(&error).is_some_and(|errno| without_ipv6.contains(&errno)) {
                return Err(error.context(format!("switching IPv6 off on `{name}`")));
            }
        }
        let switch = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
        match fs::write(&switch, "1") {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // A container often has /proc/sys read-only; no address is what matters most.
            Err(error) => tracing::debug!("writing {switch}: {error}"),
        }
        Ok(())
    }
}

fn check(spec: &EndpointVeth) -> Result<()> {
    check_interface_name(&spec.host_name)?;
    check_interface_name(&spec.container_name)?;
    if spec.queues == 0 {
        bail!("a veth pair needs at least one queue");
    }
    if spec.mac.is_group() || spec.mac == Mac::default() {
        bail!("{} cannot be an interface's MAC: it is zero or a group address", spec.mac);
    }
    if spec.prefix > 32 {
        bail!("{}/{}: a prefix length is at most 32", spec.address, spec.prefix);
    }
    let Some((address, prefix)) = spec.address6 else { return Ok(()) };
    if prefix > 128 {
        bail!("{address}/{prefix}: a prefix length is at most 128");
    }
    if spec.mtu < ipv6::LEAST_MTU {
        bail!(
            "the address {address} needs an mtu of at least {}, and the network's is {}: raise it (and the underlay's), or leave address6 out",
            ipv6::LEAST_MTU,
            spec.mtu
        );
    }
    Ok(())
}

/// What both ends have in common.
fn end(name: &str, spec: &EndpointVeth) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::NumTxQueues(spec.queues),
        LinkAttribute::NumRxQueues(spec.queues),
        LinkAttribute::Mtu(spec.mtu),
    ];
    message
}

/// Runs in the container's namespace.
fn refuse_taken_name(spec: &EndpointVeth) -> Result<()> {
    let name = &spec.container_name;
    if Netlink::open()?.link_by_name(name)?.is_some() {
        bail!(
            "the namespace has an interface `{name}` already; set another `interface` for this \
             endpoint, or delete that one"
        );
    }
    Ok(())
}

/// Runs in the container's namespace: everything about the end in there.
fn furnish(spec: &EndpointVeth) -> Result<()> {
    let name = &spec.container_name;
    offload::turn_off_transmit_offloads(name)
        .with_context(|| format!("switching transmit offloads off on `{name}`"))?;
    let mut netlink = Netlink::open()?;
    let link = netlink.link_by_name(name)?;
    let index = link.with_context(|| format!("interface `{name}` vanished"))?.index;
    netlink.add_ipv4_address(index, spec.address, spec.prefix)?;
    if let Some((address, prefix)) = spec.address6 {
        // The profile has looked for duplicates, and the switch answers for every address that
        // it knows: the kernel's own check could only delay the container.
        let added = netlink.add_ipv6_address(index, address, prefix);
        added
            .map_err(|error| if is_off(&error) { error.context(switch_on(name)) } else { error })?;
    }
    if let Some(loopback) = netlink.link_by_name("lo")? {
        netlink.set_up(loopback.index, true)?;
    }
    netlink.set_up(index, true)?;
    if let Some(gateway) = spec.default_via {
        netlink.add_default_route(index, gateway.into())?;
    }
    if let Some(gateway) = spec.default_via6 {
        netlink.add_default_route(index, gateway.into())?;
    }
    Ok(())
}

/// Of the interface, or of the whole kernel (net/ipv6/addrconf.c: addrconf_add_dev).
fn is_off(refused: &anyhow::Error) -> bool {
    let off = [libc::EACCES, libc::EOPNOTSUPP, libc::EAFNOSUPPORT];
    Refusal::errno_of(refused).is_some_and(|errno| off.contains(&errno))
}

fn switch_on(name: &str) -> String {
    format!(
        "IPv6 is disabled in the container: sysctl net.ipv6.conf.{name}.disable_ipv6 must be 0 (a \
         new interface takes it from net.ipv6.conf.default.disable_ipv6), or leave address6 out"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app1() -> EndpointVeth {
        let address = Ipv4Addr::new(10, 0, 1, 3);
        EndpointVeth {
            host_name: "ovl-app1".to_owned(),
            netns: PathBuf::from("/run/netns/ovl-no-such"),
            container_name: "eth0".to_owned(),
            queues: 2,
            host_mac: Mac([2, 0, 0, 0, 0, 1]),
            mac: Mac::from_ipv4(address),
            address,
            prefix: 24,
            address6: None,
            mtu: 1450,
            default_via: None,
            default_via6: None,
        }
    }

    #[test]
    fn what_cannot_work_is_refused_before_the_kernel_is_asked() {
        assert!(check(&app1()).is_ok());
        let long = EndpointVeth { host_name: "a-name-of-16-byte".to_owned(), ..app1() };
        assert!(check(&long).unwrap_err().to_string().contains("use 1 to 15"));
        assert!(check(&EndpointVeth { queues: 0, ..app1() }).is_err());
        assert!(check(&EndpointVeth { mac: Mac::BROADCAST, ..app1() }).is_err());
        assert!(check(&EndpointVeth { mac: Mac::default(), ..app1() }).is_err());
        assert!(check(&EndpointVeth { prefix: 33, ..app1() }).is_err());
        let address6 = |prefix| Some(("fd00:1::3".parse().unwrap(), prefix));
        assert!(check(&EndpointVeth { address6: address6(64), ..app1() }).is_ok());
        assert!(check(&EndpointVeth { address6: address6(129), ..app1() }).is_err());
        let small = EndpointVeth { address6: address6(64), mtu: 1279, ..app1() };
        assert!(check(&small).unwrap_err().to_string().contains("at least 1280"));
        assert!(check(&EndpointVeth { address6: None, ..small }).is_ok());
    }

    #[test]
    fn a_missing_namespace_is_named() {
        let error = Netlink::open().unwrap().create_endpoint(&app1()).unwrap_err();
        let chain = format!("{error:#}");
        assert!(chain.contains("`ip netns add ovl-no-such`"), "{chain}");
    }
}
