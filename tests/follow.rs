//! Following a kernel VXLAN device, and announcing into its bridge, against the real kernel, in
//! network namespaces made for each test. What is there is written and shown by `bridge` and `ip`.
//!
//! Needs root and iproute2; without root each test says that it was skipped.

#[path = "system/support/command.rs"]
#[allow(dead_code, reason = "shared with the system tests")]
mod command;
#[path = "system/support/frr.rs"]
#[allow(dead_code, reason = "shared with the system tests")]
mod frr;
#[path = "system/support/namespace.rs"]
#[allow(dead_code, reason = "shared with the system tests")]
mod namespace;

#[path = "follow/announce.rs"]
mod announce;
#[path = "follow/burst.rs"]
mod burst;
#[path = "follow/evpn.rs"]
mod evpn;
#[path = "follow/rows.rs"]
mod rows;
#[path = "follow/scene.rs"]
mod scene;
