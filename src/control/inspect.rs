//! What `docker network inspect` prints of a network, keys in its order; all of its subnets are
//! in one object.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::{
    control::truth::{EndpointRecord, Network},
    profile::{EndpointPlan, NetworkPlan, Place},
};

/// The subnets of the network named `wanted`; if there is none, of the one with that id.
pub fn subnets<'a>(all: &[&'a Network], wanted: &str) -> Vec<&'a Network> {
    let named = |name: &str| all.iter().copied().filter(|n| n.plan.name == name).collect();
    let subnets: Vec<_> = named(wanted);
    let by_id = || all.iter().find(|network| network.plan.id == wanted);
    match subnets.is_empty().then(by_id).flatten() {
        Some(network) => named(&network.plan.name),
        None => subnets,
    }
}

/// The object, but for its last key, `Peers`; `None` if there are no subnets.
pub fn network(all: &[&Network], created: SystemTime) -> Option<Value> {
    let network = &all.first()?.plan;
    let subnets: Vec<_> = all.iter().map(|network| &network.plan).collect();
    let vnis: Vec<_> = subnets.iter().map(|subnet| subnet.vni.to_string()).collect();
    Some(json!({
        "Name": network.name,
        "Id": network.id,
        "Created": humantime::format_rfc3339_nanos(created).to_string(),
        "Scope": "swarm",
        "Driver": "overlay",
        "EnableIPv6": subnets.iter().any(|subnet| subnet.subnet6.is_some()),
        "IPAM": {"Driver": "default", "Options": null, "Config": pools(&subnets)},
        "Internal": false,
        "Attachable": false,
        "Ingress": false,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": false,
        "Containers": containers(all),
        "Options": {"com.docker.network.driver.overlay.vxlanid_list": vnis.join(",")},
        "Labels": {},
    }))
}

/// Those of IPv4 before those of IPv6.
fn pools(subnets: &[&NetworkPlan]) -> Vec<Value> {
    let pool = |subnet: String, gateway: Option<Value>| {
        let mut pool = json!({"Subnet": subnet});
        if let Some(gateway) = gateway {
            pool["Gateway"] = gateway;
        }
        pool
    };
    let ipv4 = subnets.iter().map(|plan| {
        let gateway = plan.gateway.map(|gateway| json!(gateway));
        pool(plan.subnet.to_string(), gateway)
    });
    let ipv6 = subnets.iter().filter_map(|plan| {
        let gateway = plan.gateway6.map(|gateway| json!(gateway));
        Some(pool(subnet6(plan)?, gateway))
    });
    ipv4.chain(ipv6).collect()
}

/// This node's endpoints, by id; a load balancer by its name, as the original has it.
fn containers(networks: &[&Network]) -> Value {
    let mut containers = Map::new();
    for network in networks {
        let subnet = &network.plan;
        for EndpointRecord { plan: endpoint, .. } in network.endpoints.values() {
            let (key, name) = match endpoint.place {
                Place::Peer { .. } => continue,
                Place::LoadBalancer => (&endpoint.name, format!("{}-endpoint", subnet.name)),
                Place::Netns { .. } | Place::Device { .. } => (&endpoint.id, endpoint.name.clone()),
            };
            containers.insert(key.clone(), container(subnet, endpoint, &name));
        }
    }
    Value::Object(containers)
}

fn container(subnet: &NetworkPlan, endpoint: &EndpointPlan, name: &str) -> Value {
    json!({
        "Name": name,
        "EndpointID": endpoint.id,
        "MacAddress": endpoint.mac.to_string(),
        "IPv4Address": address(subnet, endpoint).unwrap_or_default(),
        "IPv6Address": address6(subnet, endpoint).unwrap_or_default(),
    })
}

/// A subnet's IPv6 side, `fd00:1::/64`.
pub fn subnet6(subnet: &NetworkPlan) -> Option<String> {
    subnet.subnet6.map(|subnet6| subnet6.to_string())
}

/// An endpoint's address with its subnet's prefix length, `10.0.1.3/24`.
pub fn address(subnet: &NetworkPlan, endpoint: &EndpointPlan) -> Option<String> {
    Some(format!("{}/{}", endpoint.address?, subnet.subnet.prefix))
}

/// The same for IPv6: `fd00:1::3/64`.
pub fn address6(subnet: &NetworkPlan, endpoint: &EndpointPlan) -> Option<String> {
    Some(format!("{}/{}", endpoint.address6?, subnet.subnet6?.prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        control::{claims::EndpointNumber, truth::Origin},
        profile::{Flood, Subnet, Subnet6},
        wire::{Mac, Vni, template::OuterRules},
    };

    fn endpoint(name: &str, address: &str, place: Place) -> EndpointPlan {
        let address = address.parse().unwrap();
        EndpointPlan {
            name: name.into(),
            id: format!("id-of-{name}"),
            mac: Mac::from_ipv4(address),
            address: Some(address),
            address6: None,
            isolated: false,
            storm_pps: 0,
            place,
        }
    }

    /// Subnet 10.0.`number`.0/24 and, with `ipv6`, fd00:`number`::/64.
    fn subnet(number: u8, ipv6: bool, endpoints: Vec<EndpointPlan>) -> Network {
        let parse6 = |text: &str| text.replace('N', &number.to_string()).parse().unwrap();
        let plan = NetworkPlan {
            name: "mynet".into(),
            id: "the-id".into(),
            vni: Vni::new(4096 + u32::from(number)).unwrap(),
            subnet: Subnet { network: [10, 0, number, 0].into(), prefix: 24 },
            gateway: Some([10, 0, number, 1].into()),
            subnet6: ipv6.then(|| Subnet6 { network: parse6("fd00:N::"), prefix: 64 }),
            gateway6: ipv6.then(|| parse6("fd00:N::1")),
            mtu: None,
            flood: Flood::None,
            learning: false,
            age_s: 300,
            learn_limit: 1,
            outer: OuterRules::default(),
            strict: false,
            accepts_unknown_vteps: false,
            follow: None,
            endpoints: Vec::new(),
        };
        let mut network = Network::new(plan, Origin::File, 1450);
        for (number, plan) in endpoints.into_iter().enumerate() {
            let record = EndpointRecord { plan, by: Origin::File, port: None };
            network.add(EndpointNumber(number as u32), record);
        }
        network
    }

    #[test]
    fn all_subnets_are_one_object_with_the_keys_in_dockers_order() {
        let app1 = EndpointPlan {
            address6: Some("fd00:1::3".parse().unwrap()),
            ..endpoint("app.1", "10.0.1.3", Place::Device { device: "tap0".into() })
        };
        let app2 = endpoint("app.2", "10.0.2.3", Place::Device { device: "tap1".into() });
        let lb = endpoint("lb-mynet", "10.0.2.9", Place::LoadBalancer);
        let away = endpoint("app.3", "10.0.2.4", Place::Peer { peer: "node2".into() });
        let first = subnet(1, true, vec![app1]);
        let second = subnet(2, false, vec![app2, lb, away]);
        let object = network(&[&first, &second], SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(
            object.to_string(),
            "{\"Name\":\"mynet\",\"Id\":\"the-id\",\"Created\":\"1970-01-01T00:00:00.000000000Z\",\
             \"Scope\":\"swarm\",\"Driver\":\"overlay\",\"EnableIPv6\":true,\
             \"IPAM\":{\"Driver\":\"default\",\"Options\":null,\"Config\":[\
             {\"Subnet\":\"10.0.1.0/24\",\"Gateway\":\"10.0.1.1\"},\
             {\"Subnet\":\"10.0.2.0/24\",\"Gateway\":\"10.0.2.1\"},\
             {\"Subnet\":\"fd00:1::/64\",\"Gateway\":\"fd00:1::1\"}]},\
             \"Internal\":false,\"Attachable\":false,\"Ingress\":false,\
             \"ConfigFrom\":{\"Network\":\"\"},\"ConfigOnly\":false,\"Containers\":{\
             \"id-of-app.1\":{\"Name\":\"app.1\",\"EndpointID\":\"id-of-app.1\",\
             \"MacAddress\":\"02:42:0a:00:01:03\",\"IPv4Address\":\"10.0.1.3/24\",\
             \"IPv6Address\":\"fd00:1::3/64\"},\
             \"id-of-app.2\":{\"Name\":\"app.2\",\"EndpointID\":\"id-of-app.2\",\
             \"MacAddress\":\"02:42:0a:00:02:03\",\"IPv4Address\":\"10.0.2.3/24\",\
             \"IPv6Address\":\"\"},\
             \"lb-mynet\":{\"Name\":\"mynet-endpoint\",\"EndpointID\":\"id-of-lb-mynet\",\
             \"MacAddress\":\"02:42:0a:00:02:09\",\"IPv4Address\":\"10.0.2.9/24\",\
             \"IPv6Address\":\"\"}},\
             \"Options\":{\"com.docker.network.driver.overlay.vxlanid_list\":\"4097,4098\"},\
             \"Labels\":{}}"
        );
    }

    #[test]
    fn a_name_goes_before_an_id() {
        let named = |name: &str, id: &str, number| {
            let mut network = subnet(number, false, vec![]);
            (network.plan.name, network.plan.id) = (name.into(), id.into());
            network
        };
        let all = [named("a", "b", 1), named("a", "b", 2), named("b", "c", 3), named("d", "c", 4)];
        let all: Vec<_> = all.iter().collect();
        let vnis = |wanted| -> Vec<u32> {
            subnets(&all, wanted).iter().map(|network| network.plan.vni.number()).collect()
        };
        assert_eq!(vnis("a"), [4097, 4098]);
        assert_eq!(vnis("b"), [4099], "not the one whose id it is, too");
        assert_eq!(vnis("c"), [4099], "one network");
        assert!(vnis("e").is_empty());
    }

    #[test]
    fn what_a_network_lacks_is_left_out_or_empty() {
        let mut plain = subnet(1, false, vec![]);
        plain.plan.gateway = None;
        let object = network(&[&plain], SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(object["EnableIPv6"], json!(false));
        assert_eq!(object["IPAM"]["Config"], json!([{"Subnet": "10.0.1.0/24"}]));
        assert_eq!(object["Containers"], json!({}));
        assert_eq!(network(&[], SystemTime::UNIX_EPOCH), None);
    }
}
