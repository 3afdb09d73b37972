//! Whether a device has the queues that the workers need. Called when a port is attached.

use anyhow::{Result, bail};

use crate::{af_xdp::offload, control::netlink::Link};

/// The size of the underlay program's socket map; the access program's has room for as many ports
/// with so many queues as anyone has.
const MOST_QUEUES: u32 = 256;

/// How many receive queues are to be served. Every worker polls and sends on a queue of its own.
///
/// # Errors
/// Too few, or too many, and the command that changes it.
pub fn enough(link: &Link, workers: u32) -> Result<u32> {
    let (rx, tx, combined) = match offload::channels(&link.name) {
        Ok(channels) => (channels.rx, channels.tx, channels.combined),
        // A driver without channels has what it was made with.
        Err(_) => (link.rx_queues, link.tx_queues, false),
    };
    if rx < workers || tx < workers {
        let set = if combined {
            format!("ethtool -L {} combined {workers}", link.name)
        } else {
            format!("ethtool -L {0} rx {workers} tx {workers}", link.name)
        };
        bail!(
            "interface {} has {rx} receive and {tx} transmit queues, and {workers} workers need \
             one of each: `{set}`, or fewer cores in tuning.workers",
            link.name
        );
    }
    if rx > MOST_QUEUES {
        bail!(
            "interface {} has {rx} receive queues, more than the {MOST_QUEUES} that are served: \
             `ethtool -L {} combined {MOST_QUEUES}`",
            link.name,
            link.name
        );
    }
    Ok(rx)
}
