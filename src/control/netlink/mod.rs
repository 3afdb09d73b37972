//! The kernel's own network state, read and changed over rtnetlink (rtnetlink(7)).
//!
//! The control thread and the start-up code call it; no worker does. Everything is synchronous:
//! one [`Netlink`] socket speaks for the network namespace of the thread that opened it, and one
//! [`Events`] socket tells what changes there. Errors say what was asked, of what, the kernel's
//! reason (a [`Refusal`] with its error number), and what to do.

mod address;
mod container_end;
mod events;
mod link;
pub mod namespace;
mod neighbour;
mod refusal;
mod route;
mod row;
mod row_dump;
mod row_events;
mod socket;
mod stand_in;
mod veth;
mod vxlan;

pub use address::{InterfaceAddress, Unfit};
pub use container_end::{EndFault, faults_in, mend_in};
pub use events::{Change, Events, watch};
pub use link::Link;
pub use neighbour::Neighbour;
pub use refusal::Refusal;
pub use route::Route;
pub use row::{Row, Told};
pub use row_events::{RowEvents, Took, watch_rows};
pub use socket::Netlink;
pub use stand_in::{OWN_PROTOCOL, StandIn};
pub use veth::EndpointVeth;
pub use vxlan::VxlanDevice;
