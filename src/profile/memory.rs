//! How much packet memory a plan needs, before anything is allocated.
//!
//! `overlane check` prints it and the switch sizes its pools by it. Every worker owns one
//! area of chunks and registers it with its socket of every port, so the kernel's share
//! grows with chunks x ports (`xdp_umem` and `xsk_buff_pool`: net/xdp/xdp_umem.c,
//! net/xdp/xsk_buff_pool.c). Invariant: a quarter of the chunks is never in a fill ring.

use super::plan::{Place, Plan};

/// Fill target of the underlay's queue, in chunks.
const UNDERLAY_FILL: u32 = 2048;
/// Its least fill.
pub const UNDERLAY_LEAST_FILL: u32 = 64;
/// Fill target of an access port's queue, in chunks.
const ACCESS_FILL: u32 = 64;
/// Its least fill.
pub const ACCESS_LEAST_FILL: u32 = 16;
/// With `frames = "auto"`, chunks that all access ports of a worker share before each one's
/// target is lowered: 128 ports at the full target.
const ACCESS_FILL_SHARED: u32 = 8192;
/// With `frames = "auto"`, the least number of chunks.
const AUTO_FRAMES: u32 = 8192;
/// The least that `frames` may say.
pub const LEAST_FRAMES: u32 = 256;

/// What the kernel keeps for each chunk of each registration, bytes (about).
const KERNEL_BYTES_PER_CHUNK: u64 = 128;
/// `struct xdp_desc`, bytes (include/uapi/linux/if_xdp.h).
const DESCRIPTOR_BYTES: u64 = 16;
/// An address in a fill or completion ring, bytes.
const ADDRESS_BYTES: u64 = 8;

/// Memory of a plan, with one queue per port and worker and every ring at its largest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Chunks that each worker owns.
    pub per_worker_chunks: u32,
    /// Bytes of a chunk.
    pub chunk_bytes: u32,
    /// Packet memory of all workers, bytes.
    pub packet_bytes: u64,
    /// The kernel's share for each port over all workers (chunk records and rings), bytes:
    /// the underlay by its interface, then the access ports by their endpoints' names.
    pub ports: Vec<(String, u64)>,
    /// Packet memory and all ports, bytes.
    pub total_bytes: u64,
    /// Fill target of an underlay queue, chunks.
    pub underlay_fill: u32,
    /// Fill target of an access port's queue, chunks.
    pub access_fill: u32,
}

impl Plan {
    /// Chunks that each worker owns: `frames`, or twice the sum of the fill targets rounded
    /// up to a power of two, at least 8192. (What the kernel keeps for them is rounded up so
    /// anyway: a number between costs as much.)
    pub fn chunks_per_worker(&self) -> u32 {
        self.tuning.frames.unwrap_or_else(|| {
            let access = self.access_fill().saturating_mul(self.access_ports());
            let targets = self.underlay_fill().saturating_add(access);
            let doubled = targets.saturating_mul(2);
            doubled.checked_next_power_of_two().unwrap_or(doubled).max(AUTO_FRAMES)
        })
    }

    /// Chunks to keep in the fill ring of each underlay queue: 2048; less if the ring or
    /// three quarters of `frames` are less, but 64 at least.
    pub fn underlay_fill(&self) -> u32 {
        let most = UNDERLAY_FILL.min(self.tuning.ring.fill);
        let Some(frames) = self.tuning.frames else {
            return most;
        };
        let access = self.access_fill().saturating_mul(self.access_ports());
        most.min(fillable(frames).saturating_sub(access)).max(UNDERLAY_LEAST_FILL)
    }

    /// Chunks to keep in the fill ring of each access port's queue: 64; 32 or 16 when ports
    /// are many for the chunks that they share.
    pub fn access_fill(&self) -> u32 {
        let shared = self.tuning.frames.map_or(ACCESS_FILL_SHARED, |frames| fillable(frames) / 2);
        let each = shared / self.access_ports().max(1);
        if each >= ACCESS_FILL {
            ACCESS_FILL
        } else if each >= ACCESS_FILL / 2 {
            ACCESS_FILL / 2
        } else {
            ACCESS_LEAST_FILL
        }
    }

    /// Local containers and devices: each is a port of the switch.
    pub fn access_ports(&self) -> u32 {
        u32::try_from(self.access_port_names().count()).unwrap_or(u32::MAX)
    }

    /// What this plan costs.
    pub fn memory(&self) -> Memory {
        let workers = self.tuning.workers.len() as u64;
        let chunks = self.chunks_per_worker();
        let ring = &self.tuning.ring;
        let rings = (u64::from(ring.rx) + u64::from(ring.tx)) * DESCRIPTOR_BYTES
            + (u64::from(ring.fill) + u64::from(ring.completion)) * ADDRESS_BYTES;
        let port_bytes = workers * (u64::from(chunks) * KERNEL_BYTES_PER_CHUNK + rings);
        let packet_bytes = workers * u64::from(chunks) * u64::from(self.tuning.frame_size);
        let ports: Vec<(String, u64)> = [self.underlay.interface.as_str()]
            .into_iter()
            .chain(self.access_port_names())
            .map(|name| (name.to_owned(), port_bytes))
            .collect();
        Memory {
            per_worker_chunks: chunks,
            chunk_bytes: self.tuning.frame_size,
            packet_bytes,
            total_bytes: packet_bytes + ports.len() as u64 * port_bytes,
            ports,
            underlay_fill: self.underlay_fill(),
            access_fill: self.access_fill(),
        }
    }

    /// Chunks of each worker that are kept for the least fill of every port.
    pub fn least_fill(&self) -> u32 {
        let access = ACCESS_LEAST_FILL.saturating_mul(self.access_ports());
        UNDERLAY_LEAST_FILL.saturating_add(access)
    }

    /// The fewest `frames` whose fillable part holds the least fill of every port.
    pub(super) fn least_frames(&self) -> u32 {
        let least = u64::from(self.least_fill());
        u32::try_from((least * 4).div_ceil(3)).unwrap_or(u32::MAX).max(LEAST_FRAMES)
    }

    fn access_port_names(&self) -> impl Iterator<Item = &str> {
        self.networks
            .iter()
            .flat_map(|network| &network.endpoints)
            .filter(|endpoint| matches!(endpoint.place, Place::Netns { .. } | Place::Device { .. }))
            .map(|endpoint| endpoint.name.as_str())
    }
}

/// Three quarters of the chunks; the rest is never in a fill ring.
fn fillable(frames: u32) -> u32 {
    frames - frames.div_ceil(4)
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, path::Path};

    use super::*;
    use crate::profile::{Error, parse};

    /// A plan of `ports` devices, with the line `tuning`.
    fn with_devices(ports: u32, tuning: &str) -> Result<Plan, Error> {
        let mut text = format!(
            "[tuning]\nworkers = [0, 1]\n{tuning}\n[node]\nname = \"n\"\n[underlay]\ninterface = \"u0\"\n"
        );
        text += "[network.n]\nvni = 1\nsubnet = \"10.0.0.0/8\"\n";
        for port in 1..=ports {
            let address = Ipv4Addr::from_bits(0x0a00_0000 + port);
            text += &format!(
                "[[network.n.endpoint]]\nname = \"e{port}\"\ndevice = \"d{port}\"\naddress = \"{address}\"\n"
            );
        }
        parse(Path::new("node.toml"), &text)
    }

    #[test]
    fn fill_targets_and_chunks() {
        // ports, tuning, chunks per worker, underlay fill, access fill
        let cases = [
            (0, "", 8192, 2048, 64),
            (1, "", 8192, 2048, 64),
            (32, "", 8192, 2048, 64),
            (33, "", 16384, 2048, 64),
            (128, "", 32768, 2048, 64),
            (129, "", 16384, 2048, 32),
            (512, "", 32768, 2048, 16),
            (1000, "", 65536, 2048, 16),
            (1, "ring = { fill = 1024 }", 8192, 1024, 64),
            (1, "frames = 256", 256, 128, 64),
            (4, "frames = 256", 256, 128, 16),
            (8, "frames = 256", 256, 64, 16),
            (8, "frames = 100000", 100000, 2048, 64),
        ];
        for (ports, tuning, chunks, underlay, access) in cases {
            let plan = with_devices(ports, tuning).unwrap();
            let found = (plan.chunks_per_worker(), plan.underlay_fill(), plan.access_fill());
            assert_eq!(found, (chunks, underlay, access), "{ports} ports, {tuning:?}");
            let filled = plan.underlay_fill() + ports * plan.access_fill();
            assert!(filled * 4 <= chunks * 3, "a quarter is never in a fill ring");
        }
    }

    #[test]
    fn the_least_fill_must_fit() {
        let said = with_devices(20, "frames = 500").unwrap_err().to_string();
        let expected = "node.toml:3: tuning.frames: 500 chunks are too few for the underlay and 20 access \
                    ports (a least fill of 64 and 16 each, in three quarters of them); use at least \
                    512, or \"auto\"";
        assert_eq!(said, expected);
        assert!(with_devices(20, "frames = 511").is_err());
        assert!(with_devices(20, "frames = 512").is_ok());
    }

    #[test]
    fn memory_adds_up() {
        let memory = with_devices(2, "ring = { rx = 64, tx = 128, fill = 256, completion = 512 }")
            .unwrap()
            .memory();
        assert_eq!((memory.per_worker_chunks, memory.chunk_bytes), (8192, 2048));
        assert_eq!(memory.packet_bytes, 2 * 8192 * 2048);
        let port = 2 * (8192 * 128 + (64 + 128) * 16 + (256 + 512) * 8);
        let ports = ["u0", "e1", "e2"].map(|name| (name.to_owned(), port));
        assert_eq!(memory.ports, ports);
        assert_eq!(memory.total_bytes, memory.packet_bytes + 3 * port);
        assert_eq!((memory.underlay_fill, memory.access_fill), (256, 64));
    }
}
