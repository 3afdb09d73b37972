//! Ids derived from names: the same on every node, in every run and in every version.
//!
//! Used for a network or endpoint whose `id` is not given. The derivation is fixed for good:
//! FNV-1a (64 bits, offset basis and prime of its authors) over the parts, each followed by
//! a zero byte, which no name contains; its result seeds splitmix64 (Steele, Lea and Flood,
//! 2014), whose outputs give the characters. Ids only name things: nothing secret is in them.

use std::path::Path;

use crate::wire::Mac;

/// A network's id: 25 characters of 0-9 and a-z.
pub fn network_id(name: &str) -> String {
    let mut state = fnv1a(&["network", name]);
    (0..25)
        .map(|_| {
            char::from(
                b"0123456789abcdefghijklmnopqrstuvwxyz"[(splitmix64(&mut state) % 36) as usize],
            )
        })
        .collect()
}

/// An endpoint's id: 64 hexadecimal characters. `node` is the node it lives on: this one's
/// name or a peer's, so that both derive the same id.
pub fn endpoint_id(network: &str, node: &str, name: &str) -> String {
    let mut state = fnv1a(&["endpoint", network, node, name]);
    (0..4).map(|_| format!("{:016x}", splitmix64(&mut state))).collect()
}

/// How much of a container's id is in the name of its device here: with `ovl` before it, it
/// fits the 15 bytes of an interface's name.
pub const ID_IN_DEVICE: usize = 10;

/// The name of a container's veth end here: `ovl` and the first characters of the endpoint's id,
/// so that a restart finds what a killed instance has left.
pub fn host_device(endpoint_id: &str) -> String {
    format!("ovl{}", endpoint_id.chars().take(ID_IN_DEVICE).collect::<String>())
}

/// The MAC of the veth ends that a node makes here, locally administered: a restart knows by it
/// what a killed instance has left. The lock on the node's state file is for the same two.
pub fn host_mac(node: &str, state: &Path) -> Mac {
    let hash = fnv1a(&["host", node, &state.to_string_lossy()]).to_be_bytes();
    Mac([0x02, b'o', b'v', hash[5], hash[6], hash[7]])
}

fn fnv1a(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nodes_host_mac_is_its_own() {
        let mac = |node, state| host_mac(node, Path::new(state));
        let (ours, others) = (mac("node1", "/a"), [mac("node2", "/a"), mac("node1", "/b")]);
        assert_eq!(ours, mac("node1", "/a"));
        assert!(!others.contains(&ours) && others[0] != others[1]);
        // Locally administered, and no group's.
        assert_eq!(ours.0[0] & 3, 2);
    }

    /// First outputs of the reference splitmix64 for seed 1234567.
    #[test]
    fn splitmix64_is_the_published_one() {
        let mut state = 1_234_567;
        assert_eq!(splitmix64(&mut state), 6_457_827_717_110_365_317);
        assert_eq!(splitmix64(&mut state), 3_203_168_211_198_807_973);
    }

    /// FNV-1a of "a\0" by hand: the published FNV-1a of "a", then one step with byte 0.
    #[test]
    fn fnv1a_is_the_published_one() {
        assert_eq!(fnv1a(&["a"]), 0xaf63_dc4c_8601_ec8c_u64.wrapping_mul(0x0000_0100_0000_01b3));
    }

    #[test]
    // Literals from a second implementation of the derivation above.
    fn ids_never_change() {
        assert_eq!(network_id("mynet"), "kqniw3mbstp5lh6npvqks409q");
        assert_eq!(
            endpoint_id("mynet", "node1", "app.1"),
            "e7c4ae537a4ac230c09f8d282f42dfcd9ef248c3e4e0d7d42c4c3b0601b388b2"
        );
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(endpoint_id("a", "bc", "d"), endpoint_id("ab", "c", "d"));
    }
}
