//! What the cases are made of: namespaces, links, the switch under test, its peers, traffic by
//! independent means, and captures.
//!
//! Everything here panics with a message that says what was run and what came back: a case that
//! cannot be set up has failed. Everything that is made is removed on drop.

pub mod capture;
pub mod changes;
pub mod command;
pub mod containers;
pub mod counters;
pub mod craft;
pub mod dual_stack;
pub mod events;
pub mod flows;
pub mod followed_device;
pub mod frr;
pub mod ipv6;
pub mod kernel_peer;
pub mod learning_scene;
pub mod link;
pub mod load;
pub mod meter;
pub mod monitor;
pub mod namespace;
pub mod outer;
pub mod overlane;
pub mod ovs_peer;
pub mod packet_socket;
pub mod ping;
pub mod profile;
pub mod raw_ip;
pub mod requirements;
pub mod restart;
pub mod scenario;
pub mod shout;
pub mod stats;
pub mod too_big;
pub mod transfer;
pub mod tshark;
pub mod tunnelled;
pub mod underlay;
pub mod untouched;
pub mod vlan_link;
pub mod write_load;
