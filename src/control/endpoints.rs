//! Local endpoints: the veth pair that a container's needs, and its switch port.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{
    af_xdp::owner,
    control::netlink::{EndpointVeth, Netlink},
    profile::{self, EndpointPlan, NetworkPlan, Place},
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

/// Makes a container's veth pair; a left-over of the same name goes first. False, and nothing
/// is done, for an endpoint whose device is not ours to make.
///
/// # Errors
/// What could not be made, where, and what to do; also when a running instance has the device.
pub fn make_device(
    netlink: &mut Netlink,
    network: &NetworkPlan,
    endpoint: &EndpointPlan,
    queues: u32,
    mtu: u16,
) -> Result<bool> {
    let Place::Netns { netns, interface, default_route } = &endpoint.place else {
        return Ok(false);
    };
    let address = endpoint.address.context("an endpoint in a namespace needs an address")?;
    let spec = EndpointVeth {
        host_name: host_device(endpoint),
        netns: netns.clone(),
        container_name: interface.clone(),
        queues,
        mac: endpoint.mac,
        address,
        prefix: network.subnet.prefix,
        address6: endpoint.address6.zip(network.subnet6.map(|subnet| subnet.prefix)),
        mtu: u32::from(mtu),
        default_via: network.gateway.filter(|_| *default_route),
        default_via6: endpoint.address6.and(network.gateway6).filter(|_| *default_route),
    };
    let what = || format!("endpoint {} of network {}", endpoint.name, network.name);
    remove_leftover(netlink, &spec.host_name).with_context(what)?;
    netlink.create_endpoint(&spec).with_context(what)?;
    Ok(true)
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
    tracing::warn!("removed {name}, left over by an instance that was killed");
    Ok(())
}

/// Whether an endpoint's device could be there again: its namespace exists.
pub fn can_return(netlink: &mut Netlink, endpoint: &EndpointPlan) -> bool {
    match &endpoint.place {
        Place::Netns { netns, .. } => Path::new(netns).exists(),
        Place::Device { device } => netlink.link_by_name(device).is_ok_and(|link| link.is_some()),
        Place::Peer { .. } | Place::LoadBalancer => false,
    }
}
