//! Device settings that the ethtool ioctl reaches on every kernel: transmit offloads, queue
//! counts, the driver's name (include/uapi/linux/ethtool.h, net/ethtool/ioctl.c).
//!
//! The control side calls it at start and for every new endpoint. Each call concerns an interface
//! by name in the calling thread's network namespace.
#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETHTOOL_SFEATURES: u32 = 0x3b;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
/// The string set that names the bits of the feature words.
const ETH_SS_FEATURES: u32 = 4;
/// `ETH_GSTRING_LEN`, in 32-bit words.
const NAME_WORDS: usize = 32 / 4;

/// Queues that a device uses now (`ethtool -l DEV`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Receive queues, those of combined channels included.
    pub rx: u32,
    /// Transmit queues, those of combined channels included.
    pub tx: u32,
    /// Whether the driver counts in combined channels: `ethtool -L DEV combined N` sets them,
    /// else `ethtool -L DEV rx N tx N`.
    pub combined: bool,
}

/// Makes the stack finish every packet before the device gets it: checksum filled in, cut to the
/// MTU, VLAN tag in place. The same as `ethtool -K` with `off` for each `tx-` feature of these
/// kinds that the device lets be changed. Fails if one is still on afterwards.
pub fn turn_off_transmit_offloads(interface: &str) -> io::Result<()> {
    let device = Device::open(interface)?;
    let names = device.feature_names()?;
    let leaves_work = |bit: &usize| names.get(*bit).is_some_and(|name| leaves_work_undone(name));
    let blocks = device.features(names.len())?;
    let changeable = |bit: &usize| is_set(*bit, &blocks, |block| block.available);
    let bits: Vec<usize> = (0..names.len()).filter(leaves_work).filter(changeable).collect();
    device.switch_off(&bits, blocks.len())?;

    let blocks = device.features(names.len())?;
    let active = |bit: &usize| is_set(*bit, &blocks, |block| block.active);
    if let Some(bit) = (0..names.len()).filter(leaves_work).find(active) {
        let text = format!("{interface} keeps its feature {} on", names[bit]);
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    Ok(())
}

/// The features that [`turn_off_transmit_offloads`] turns off and that are on, by name.
pub fn transmit_offloads(interface: &str) -> io::Result<Vec<String>> {
    let device = Device::open(interface)?;
    let names = device.feature_names()?;
    let blocks = device.features(names.len())?;
    let is_on = |bit: usize| is_set(bit, &blocks, |block| block.active);
    let numbered = names.into_iter().enumerate();
    let left = numbered.filter(|(bit, name)| leaves_work_undone(name) && is_on(*bit));
    Ok(left.map(|(_, name)| name).collect())
}

/// The queues in use. `Unsupported` from drivers that do not tell.
pub fn channels(interface: &str) -> io::Result<Channels> {
    // struct ethtool_channels: the command, then rx, tx, other and combined, the largest and then
    // the present numbers.
    let mut words = [0u32; 9];
    words[0] = ETHTOOL_GCHANNELS;
    // SAFETY: the command writes the nine words of struct ethtool_channels.
    unsafe { Device::open(interface)?.call(&mut words)? };
    let [_, _, _, _, max_combined, rx, tx, _, combined] = words;
    Ok(Channels { rx: rx + combined, tx: tx + combined, combined: max_combined > 0 })
}

/// The driver's name, such as `veth` or `mlx5_core`.
pub fn driver(interface: &str) -> io::Result<String> {
    // struct ethtool_drvinfo: the command, five names of 32 bytes, 12 bytes, five numbers.
    let mut words = [0u32; 1 + 5 * NAME_WORDS + 3 + 5];
    words[0] = ETHTOOL_GDRVINFO;
    // SAFETY: the command writes the 196 bytes of struct ethtool_drvinfo.
    unsafe { Device::open(interface)?.call(&mut words)? };
    Ok(name_in(&words[1..1 + NAME_WORDS]))
}

/// Checksums, segmentation and VLAN tags; not scatter-gather, which only says where bytes lie.
fn leaves_work_undone(feature: &str) -> bool {
    feature.starts_with("tx-")
        && (feature.contains("checksum")
            || feature.contains("segmentation")
            || feature == "tx-gso-list"
            || feature.ends_with("-hw-insert"))
}

/// `struct ethtool_get_features_block`: 32 features.
struct FeatureBlock {
    /// Features that may be switched.
    available: u32,
    /// Features that are on.
    active: u32,
}

fn is_set(bit: usize, blocks: &[FeatureBlock], word: impl Fn(&FeatureBlock) -> u32) -> bool {
    blocks.get(bit / 32).is_some_and(|block| word(block) >> (bit % 32) & 1 == 1)
}

/// Bytes up to the first zero.
fn name_in(words: &[u32]) -> String {
    let bytes: Vec<u8> =
        words.iter().flat_map(|word| word.to_ne_bytes()).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An interface's name and a socket of its namespace.
struct Device {
    socket: OwnedFd,
    name: [libc::c_char; libc::IFNAMSIZ],
}

impl Device {
    fn open(interface: &str) -> io::Result<Device> {
        let bytes = interface.as_bytes();
        if bytes.is_empty() || bytes.len() >= libc::IFNAMSIZ || bytes.contains(&0) {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        let mut name = [0; libc::IFNAMSIZ];
        for (to, from) in name.iter_mut().zip(bytes) {
            *to = *from as libc::c_char;
        }
        let socket =
            socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        Ok(Device { socket, name })
    }

    /// The names of the kernel's features; a feature's place is its bit.
    fn feature_names(&self) -> io::Result<Vec<String>> {
        // struct ethtool_sset_info: the command, a pad, a mask of two words, one count.
        let mask = 1u64 << ETH_SS_FEATURES;
        let [low, high] = split(mask);
        let mut info = [ETHTOOL_GSSET_INFO, 0, low, high, 0];
        // SAFETY: the command writes the mask, and one count for the one bit in it.
        unsafe { self.call(&mut info)? };
        let count = info[4];

        // struct ethtool_gstrings: the command, the set, the count, the strings.
        let mut strings = vec![0; 3 + count as usize * NAME_WORDS];
        strings[..3].copy_from_slice(&[ETHTOOL_GSTRINGS, ETH_SS_FEATURES, count]);
        // SAFETY: the command writes every string of the set. Their number is a constant of the
        // running kernel (NETDEV_FEATURE_COUNT), which it has just told.
        unsafe { self.call(&mut strings)? };
        Ok(strings[3..].chunks_exact(NAME_WORDS).map(name_in).collect())
    }

    /// The state of `count` features.
    fn features(&self, count: usize) -> io::Result<Vec<FeatureBlock>> {
        // struct ethtool_gfeatures: the command, the number of blocks, then four words a block:
        // available, requested, active, never changed.
        let blocks = count.div_ceil(32);
        let mut words = vec![0; 2 + 4 * blocks];
        words[0] = ETHTOOL_GFEATURES;
        words[1] = blocks as u32;
        // SAFETY: the command writes at most as many blocks as the second word says.
        unsafe { self.call(&mut words)? };
        let block = |four: &[u32]| FeatureBlock { available: four[0], active: four[2] };
        Ok(words[2..].chunks_exact(4).map(block).collect())
    }

    fn switch_off(&self, bits: &[usize], blocks: usize) -> io::Result<()> {
        // struct ethtool_sfeatures: the command, the number of blocks, then two words a block:
        // which bits are meant, and what they shall be.
        let mut words = vec![0; 2 + 2 * blocks];
        words[0] = ETHTOOL_SFEATURES;
        words[1] = blocks as u32;
        for bit in bits {
            words[2 + 2 * (bit / 32)] |= 1 << (bit % 32);
        }
        // SAFETY: the command reads as many blocks as the second word says, and writes none.
        unsafe { self.call(&mut words) }
    }

    /// One ethtool command.
    ///
    /// # Safety
    /// `words` must be at least as long as everything that the kernel reads and writes for the
    /// command in its first word.
    unsafe fn call(&self, words: &mut [u32]) -> io::Result<()> {
        let mut request = libc::ifreq {
            ifr_name: self.name,
            ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: words.as_mut_ptr().cast() },
        };
        // SAFETY: the request is a whole `struct ifreq` whose name ends in a zero byte; its data
        // is long enough for the command, as our caller promises, and borrowed for us alone.
        let outcome = unsafe {
            libc::ioctl(
                self.socket.as_raw_fd(),
                libc::SIOCETHTOOL,
                std::ptr::from_mut(&mut request),
            )
        };
        if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// The two words of a 64-bit number as they lie in memory.
fn split(number: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = number.to_ne_bytes();
    [u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_that_leave_work_undone() {
        for feature in [
            "tx-checksum-ip-generic",
            "tx-checksum-sctp",
            "tx-generic-segmentation",
            "tx-tcp6-segmentation",
            "tx-udp-segmentation",
            "tx-gso-list",
            "tx-vlan-hw-insert",
            "tx-vlan-stag-hw-insert",
        ] {
            assert!(leaves_work_undone(feature), "{feature}");
        }
        for feature in ["tx-scatter-gather", "tx-nocache-copy", "rx-checksum", "rx-gro", ""] {
            assert!(!leaves_work_undone(feature), "{feature}");
        }
    }

    #[test]
    fn bits_are_counted_over_blocks() {
        let block = |active| FeatureBlock { available: 0, active };
        let blocks = [block(1 << 31), block(1)];
        let on: Vec<usize> =
            (0..70).filter(|bit| is_set(*bit, &blocks, |block| block.active)).collect();
        assert_eq!(on, [31, 32]);
    }

    #[test]
    fn the_kernel_names_its_features() {
        let names = Device::open("lo").unwrap().feature_names().unwrap();
        assert!(names.iter().any(|name| name == "tx-generic-segmentation"), "{names:?}");
    }

    #[test]
    fn names_that_no_interface_can_have_are_no_device() {
        for name in ["", "a-name-of-16-byte", "no\0pe", "ovl-no-such"] {
            let error = channels(name).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENODEV), "{name:?}");
        }
    }
}
