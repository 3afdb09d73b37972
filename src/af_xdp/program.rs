//! The XDP programs: loaded from the objects that `build.rs` made, configured, and attached by
//! bpf_link, so that they go when this process goes.

mod access;

use std::{collections::BTreeSet, net::IpAddr, os::fd::AsRawFd};

use anyhow::{Context, Result, anyhow};
use aya::{
    Ebpf, EbpfLoader, include_bytes_aligned,
    maps::{HashMap, MapData, MapError, PerCpuArray, XskMap},
    programs::{ProgramError, Xdp, XdpMode, links::FdLink},
};

pub use access::AccessProgram;

use super::Socket;
use crate::{profile::Mode, wire::Vni};

static UNDERLAY: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/underlay.bpf.o"));

/// Why the underlay's program passed a packet to the kernel, in the order of `enum left` in
/// `underlay.bpf.c`.
pub const LEFT_REASONS: [&str; 8] = [
    "not_ip",
    "ip_options",
    "fragment",
    "not_udp",
    "other_address",
    "other_port",
    "too_short",
    "other_vni",
];

/// Where in the kernel a program was attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// In the driver.
    Native,
    /// Behind the driver, on skbs.
    Skb,
}

/// An attached program; detached on drop.
pub struct Attached {
    hook: Hook,
    program: u32,
    // First: it ends before its sockets' entries are another port's.
    _link: FdLink,
    sockets: Sockets,
}

/// Where a program finds its sockets.
enum Sockets {
    /// In a map of its own.
    Own { xsks: XskMap<MapData>, _ebpf: Box<Ebpf> },
    /// In the one of all access ports.
    Shared(access::Place),
}

impl Attached {
    /// Where it was attached.
    pub fn hook(&self) -> Hook {
        self.hook
    }

    /// The program's id, as `ip link` shows it of the interface.
    pub fn program_id(&self) -> u32 {
        self.program
    }

    /// Sends the frames of `queue` to `socket` from now on. The kernel removes the entry when
    /// the socket is closed.
    ///
    /// # Errors
    /// When the queue's number is past those that the program serves.
    pub fn connect(&mut self, queue: u32, socket: &Socket) -> Result<()> {
        let connected = match &mut self.sockets {
            Sockets::Own { xsks, .. } => Ok(xsks.set(queue, socket.as_raw_fd(), 0)?),
            Sockets::Shared(place) => place.set(queue, socket),
        };
        connected.with_context(|| format!("cannot connect queue {queue} to its socket"))
    }
}

/// The program of the underlay port.
pub struct UnderlayProgram {
    attached: Attached,
    vnis: HashMap<MapData, u32, u8>,
    installed: BTreeSet<Vni>,
    left: PerCpuArray<MapData, u64>,
}

impl UnderlayProgram {
    /// Loads it for a VTEP address, IPv4 or IPv6, and a UDP port, and attaches it. It passes
    /// everything to the kernel until it is given VNIs and sockets.
    ///
    /// # Errors
    /// When the kernel refuses the program, or the interface has one already (EBUSY; found
    /// again by [`is_busy`]).
    pub fn attach(
        interface_index: u32,
        mode: Mode,
        address: IpAddr,
        port: u16,
    ) -> Result<UnderlayProgram> {
        let mut ebpf = load_underlay(address, port)?;
        let vnis = ebpf.take_map("vnis").context("the program has no map `vnis`")?;
        let left =
            ebpf.take_map("left_to_kernel").context("the program has no map `left_to_kernel`")?;
        Ok(UnderlayProgram {
            vnis: HashMap::try_from(vnis)?,
            installed: BTreeSet::new(),
            left: PerCpuArray::try_from(left)?,
            attached: attach(ebpf, "overlane_underlay", interface_index, mode)?,
        })
    }

    /// The attached program.
    pub fn attached(&mut self) -> &mut Attached {
        &mut self.attached
    }

    /// Its id, as `ip link` shows it of the interface.
    pub fn program_id(&self) -> u32 {
        self.attached.program
    }

    /// Takes packets of exactly these VNIs from now on.
    ///
    /// # Errors
    /// When the map is full (65536).
    pub fn take_vnis(&mut self, vnis: &BTreeSet<Vni>) -> Result<()> {
        let comes: Vec<_> = vnis.difference(&self.installed).copied().collect();
        for vni in comes {
            self.vnis
                .insert(vni.number(), 1, 0)
                .with_context(|| format!("cannot take VNI {vni}"))?;
            self.installed.insert(vni);
        }
        let goes: Vec<_> = self.installed.difference(vnis).copied().collect();
        for vni in goes {
            match self.vnis.remove(&vni.number()) {
                // Somebody else has taken it out, which is as well.
                Err(error) if is_not_there(&error) => {}
                removed => removed.with_context(|| format!("cannot leave VNI {vni}"))?,
            }
            self.installed.remove(&vni);
        }
        Ok(())
    }

    /// The VNIs that the kernel's map has.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn vnis(&self) -> Result<BTreeSet<u32>> {
        self.vnis.keys().collect::<Result<_, _>>().context("cannot read the program's VNIs")
    }

    /// [`UnderlayProgram::take_vnis`], whatever somebody else has done to the map.
    ///
    /// # Errors
    /// When the map cannot be read or is full.
    pub fn put_vnis_right(&mut self, vnis: &BTreeSet<Vni>) -> Result<()> {
        for number in self.vnis()? {
            if !Vni::new(number).is_some_and(|vni| vnis.contains(&vni)) {
                self.vnis.remove(&number).with_context(|| format!("cannot leave VNI {number}"))?;
            }
        }
        self.installed.clear();
        self.take_vnis(vnis)
    }

    /// Packets passed to the kernel, by [`LEFT_REASONS`].
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn left_to_kernel(&self) -> Result<[u64; LEFT_REASONS.len()]> {
        let mut counts = [0; LEFT_REASONS.len()];
        for (index, count) in counts.iter_mut().enumerate() {
            *count = self.left.get(&(index as u32), 0)?.iter().sum();
        }
        Ok(counts)
    }
}

fn load_underlay(address: IpAddr, port: u16) -> Result<Ebpf> {
    // Address and port as they stand in a packet.
    let (vtep_address, vxlan_port) = (in_packet(address), port.to_be());
    EbpfLoader::new()
        .override_global("vtep_is_ipv6", &u32::from(address.is_ipv6()), true)
        .override_global("vtep_address", &vtep_address, true)
        .override_global("vxlan_port", &vxlan_port, true)
        .load(UNDERLAY)
        .context(LOAD_HINT)
}

/// The words of an address as the program compares them; IPv4 has one.
fn in_packet(address: IpAddr) -> [u32; 4] {
    let mut bytes = [0; 16];
    match address {
        IpAddr::V4(address) => bytes[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => bytes = address.octets(),
    }
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_ne_bytes(*bytes);
    }
    words
}

const LOAD_HINT: &str = "cannot load an XDP program (CAP_BPF and CAP_NET_ADMIN are needed)";

/// Whether an error means that the interface has an XDP program already: EBUSY, or EEXIST when
/// it has one at the other hook.
pub fn is_busy(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::raw_os_error)
            .is_some_and(|errno| errno == libc::EBUSY || errno == libc::EEXIST)
    })
}

/// Loads the program `name` of `ebpf`, which must have a map `xsks`, and attaches it by bpf_link.
///
/// # Errors
/// When the kernel refuses the program, or the interface has one already (found again by
/// [`is_busy`]).
pub(crate) fn attach(
    mut ebpf: Ebpf,
    name: &str,
    interface_index: u32,
    mode: Mode,
) -> Result<Attached> {
    let xsks = ebpf.take_map("xsks").context("the program has no map `xsks`")?;
    let program = ebpf.program_mut(name).with_context(|| format!("no program `{name}`"))?;
    let program: &mut Xdp = program.try_into()?;
    program.load().context(LOAD_HINT)?;
    let (link, hook) = link_to(program, interface_index, mode)?;
    let id = program.info().context("cannot ask for the program's id")?.id();
    let sockets = Sockets::Own { xsks: XskMap::try_from(xsks)?, _ebpf: Box::new(ebpf) };
    Ok(Attached { hook, program: id, _link: link, sockets })
}

/// Attaches a loaded program by bpf_link, where `mode` wants it.
fn link_to(program: &mut Xdp, interface_index: u32, mode: Mode) -> Result<(FdLink, Hook)> {
    Ok(match mode {
        Mode::Skb => (link(program, interface_index, XdpMode::Skb)?, Hook::Skb),
        Mode::Copy | Mode::ZeroCopy => {
            (link(program, interface_index, XdpMode::Driver)?, Hook::Native)
        }
        Mode::Auto => match link(program, interface_index, XdpMode::Driver) {
            Ok(link) => (link, Hook::Native),
            Err(error) if is_busy(&error) => return Err(error),
            Err(native) => match link(program, interface_index, XdpMode::Skb) {
                Ok(link) => {
                    tracing::warn!(
                        "native XDP is refused here ({native:#}); using the skb hook, which is slower"
                    );
                    (link, Hook::Skb)
                }
                Err(_) => return Err(native),
            },
        },
    })
}

fn link(program: &mut Xdp, interface_index: u32, mode: XdpMode) -> Result<FdLink> {
    let id = program.attach_to_if_index(interface_index, mode).map_err(readable)?;
    let link = program.take_link(id)?;
    // Without bpf_link the program would outlive a killed process.
    FdLink::try_from(link)
        .map_err(|_| anyhow!("this kernel has no bpf_link for XDP; 5.9 or later is needed"))
}

/// aya's error for a refused system call says which call; what counts is why.
fn readable(error: ProgramError) -> anyhow::Error {
    match error {
        // drivers/net/veth.c: veth_xdp_set
        ProgramError::SyscallError(call) if call.io_error.raw_os_error() == Some(libc::ENOSPC) => {
            anyhow!(
                "the other end of this veth has more transmit queues than this end has receive \
                 queues; make both ends with equal `numrxqueues` and `numtxqueues`"
            )
        }
        ProgramError::SyscallError(call) => anyhow::Error::new(call.io_error)
            .context(format!("cannot attach an XDP program ({})", call.call)),
        other => anyhow::Error::new(other).context("cannot attach an XDP program"),
    }
}

fn is_not_there(error: &MapError) -> bool {
    matches!(error, MapError::SyscallError(call) if call.io_error.raw_os_error() == Some(libc::ENOENT))
}

#[cfg(test)]
mod tests;
