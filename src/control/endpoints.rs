//! Local endpoints: the veth pair that a container's needs, and its switch port.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result, bail};

use crate::{
    af_xdp::owner,
    control::netlink::{EndpointVeth, Link, Netlink, namespace},
    profile::{self, EndpointPlan, NetworkPlan, Place},
    wire::Mac,
};

/// The name of a container's veth end here.
pub fn host_device(endpoint: &EndpointPlan) -> String {
    profile::host_device(&endpoint.id)
}

/// The device of a local endpoint's port.
pub fn device(endpoint: &EndpointPlan) -> Option<String> {
    match &endpoint.place {
        Place::Netns { .. } => Some(host_device(endpoint)),
        Place::Device { device } => Some(device.clone()),
        Place::Peer { .. } | Place::LoadBalancer => None,
    }
}

/// Removes the veth pairs that an instance of this node left when it was killed, whatever endpoints
/// they were for. They have `host_mac`, and no XDP program any more.
///
/// # Errors
/// The kernel does not list or delete them.
pub fn remove_leftovers(netlink: &mut Netlink, host_mac: Mac) -> Result<()> {
    let links = netlink.links().context("looking for left-over devices")?;
    let is_ours = |link: &&Link| {
        link.mac == host_mac && link.kind.as_deref() == Some("veth") && link.xdp_program.is_none()
    };
    let left: BTreeSet<_> = links.iter().filter(is_ours).map(|link| link.name.clone()).collect();
    netlink.delete_links_by_name(&left)?;
    for name in left {
        tracing::warn!("removed {name}, left over by an instance that was killed");
    }
    Ok(())
}

/// Makes a container's veth pair, its end here with `host_mac`; a left-over of the same name goes
/// first. False, and nothing is done, for an endpoint whose device is not ours to make.
///
/// # Errors
/// What could not be made, where, and what to do; also when a running instance has the device.
pub fn make_device(
    netlink: &mut Netlink,
    network: &NetworkPlan,
    endpoint: &EndpointPlan,
    host_mac: Mac,
    queues: u32,
    mtu: u16,
) -> Result<bool> {
    let Some(spec) = veth(network, endpoint, host_mac, queues, mtu)? else { return Ok(false) };
    let what = || format!("endpoint {} of network {}", endpoint.name, network.name);
    remove_leftover(netlink, &spec.host_name).with_context(what)?;
    netlink.create_endpoint(&spec).with_context(what)?;
    Ok(true)
}

/// What a container's veth pair shall be; `None` for an endpoint whose device is not ours to make.
///
/// # Errors
/// It has no address.
pub fn veth(
    network: &NetworkPlan,
    endpoint: &EndpointPlan,
    host_mac: Mac,
    queues: u32,
    mtu: u16,
) -> Result<Option<EndpointVeth>> {
    let Place::Netns { netns, interface, default_route } = &endpoint.place else {
        return Ok(None);
    };
    let address = endpoint.address.context("an endpoint in a namespace needs an address")?;
    Ok(Some(EndpointVeth {
        host_name: host_device(endpoint),
        netns: netns.clone(),
        container_name: interface.clone(),
        queues,
        host_mac,
        mac: endpoint.mac,
        address,
        prefix: network.subnet.prefix,
        address6: endpoint.address6.zip(network.subnet6.map(|subnet| subnet.prefix)),
        mtu: u32::from(mtu),
        default_via: network.gateway.filter(|_| *default_route),
        default_via6: endpoint.address6.and(network.gateway6).filter(|_| *default_route),
    }))
}

/// What a killed instance leaves has no XDP program any more; a device with one is in use.
fn remove_leftover(netlink: &mut Netlink, name: &str) -> Result<()> {
    let Some(link) = netlink.link_by_name(name)? else { return Ok(()) };
    if let Some(program) = link.xdp_program {
        let owner = owner::program_owner(program)
            .map_or_else(|| format!("XDP program {program}"), |owner| owner.to_string());
        bail!("its device {name} is in use by {owner}; stop it first");
    }
    netlink.delete_link(link.index)?;
    tracing::warn!("removed a left-over {name}, which nobody used any more");
    Ok(())
}

/// That an endpoint's namespace or device is there, found out before anything is changed.
///
/// # Errors
/// It is not, with what to do.
pub fn check_place(place: &Place) -> Result<()> {
    match place {
        Place::Netns { netns, .. } => namespace::open(netns).map(|_| ()),
        Place::Device { device } if !is_there(device) => {
            bail!("interface {device} does not exist (`ip link`)")
        }
        _ => Ok(()),
    }
}

/// Whether this network namespace has an interface of this name.
fn is_there(name: &str) -> bool {
    use rustix::net::{AddressFamily, SocketType, netdevice::name_to_index, socket};
    let found = socket(AddressFamily::INET, SocketType::DGRAM, None)
        .and_then(|socket| name_to_index(socket, name));
    // Whatever else is wrong is told when the device is taken.
    found != Err(rustix::io::Errno::NODEV)
}

/// Whether an endpoint's device could be there again: its namespace exists.
pub fn can_return(netlink: &mut Netlink, endpoint: &EndpointPlan) -> bool {
    match &endpoint.place {
        Place::Netns { netns, .. } => Path::new(netns).exists(),
        Place::Device { device } => netlink.link_by_name(device).is_ok_and(|link| link.is_some()),
        Place::Peer { .. } | Place::LoadBalancer => false,
    }
}
