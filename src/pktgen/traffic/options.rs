//! What may be said about traffic, on the command line or in a file, and what it means.

use std::{net::Ipv4Addr, path::PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Deserialize;

use super::{
    Device, Frames, PickRule, Recipe, Replay, Sizes, Vnis,
    file::{self, counted, written},
    picks::{MOST_FLOWS, MOST_MACS, Macs, Mixture},
    recipe::{Ends, Outer},
};
use crate::wire::{Mac, template::OUTER_LEN, vxlan};

/// Where help lists the options.
const HEADING: &str = "Traffic";
/// Flows unless told otherwise: enough to spread over queues.
const FLOWS: u16 = 64;
/// Runs repeat unless told otherwise.
const SEED: u64 = 1;
/// The benchmarking network's two halves (RFC 2544, appendix C.2.2).
const SRC_IP: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const DST_IP: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 1);

/// Which frames are sent. `None` everywhere is plain 64-byte frames to the receive device.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrafficOptions {
    /// Read these options from a TOML file, table [traffic], `_` for `-`; the command line wins
    #[arg(long, help_heading = HEADING, value_name = "FILE")]
    #[serde(skip)]
    pub traffic: Option<PathBuf>,
    /// Bytes without FCS, before encapsulation: 64; 64,512 in turn; 64x7,570x4 weighted; imix
    /// [default: 64]
    #[arg(long, help_heading = HEADING, value_name = "SIZES")]
    #[serde(deserialize_with = "written")]
    pub size: Option<Sizes>,
    /// Flows, by UDP source port, in turn: 1 to 60000 [default: 64]
    #[arg(
        long, help_heading = HEADING, value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_FLOWS))
    )]
    #[serde(deserialize_with = "counted::<{ MOST_FLOWS as i64 }, _, _>")]
    pub flows: Option<u16>,
    /// First destination MAC [default: the receive device's]
    #[arg(long, help_heading = HEADING, value_name = "MAC")]
    #[serde(deserialize_with = "written")]
    pub dst_mac: Option<Mac>,
    /// How many destination MACs, counted up from the first [default: 1]
    #[arg(
        long, help_heading = HEADING, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_MACS))
    )]
    #[serde(deserialize_with = "counted::<{ MOST_MACS as i64 }, _, _>")]
    pub dst_macs: Option<u32>,
    /// Order of destination MACs: uniform, sequential, zipf, zipf:EXPONENT [default: uniform]
    #[arg(long, help_heading = HEADING, value_name = "RULE")]
    #[serde(deserialize_with = "written")]
    pub dst_pick: Option<PickRule>,
    /// First source MAC [default: the sending device's]
    #[arg(long, help_heading = HEADING, value_name = "MAC")]
    #[serde(deserialize_with = "written")]
    pub src_mac: Option<Mac>,
    /// How many source MACs, counted up from the first [default: 1]
    #[arg(
        long, help_heading = HEADING, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_MACS))
    )]
    #[serde(deserialize_with = "counted::<{ MOST_MACS as i64 }, _, _>")]
    pub src_macs: Option<u32>,
    /// Order of source MACs, as --dst-pick [default: uniform]
    #[arg(long, help_heading = HEADING, value_name = "RULE")]
    #[serde(deserialize_with = "written")]
    pub src_pick: Option<PickRule>,
    /// Source IPv4 address [default: 198.18.0.1]
    #[arg(long, help_heading = HEADING, value_name = "ADDRESS")]
    pub src_ip: Option<Ipv4Addr>,
    /// Destination IPv4 address [default: 198.19.0.1]
    #[arg(long, help_heading = HEADING, value_name = "ADDRESS")]
    pub dst_ip: Option<Ipv4Addr>,
    /// Send VXLAN packets of these networks, in turn: 4097, 4097-4100, 4097,5000
    #[arg(long, help_heading = HEADING, value_name = "VNIS")]
    #[serde(deserialize_with = "written")]
    pub vni: Option<Vnis>,
    /// Outer source IPv4 address; needed with --vni
    #[arg(long, help_heading = HEADING, value_name = "ADDRESS")]
    pub outer_src: Option<Ipv4Addr>,
    /// Outer destination IPv4 address; needed with --vni
    #[arg(long, help_heading = HEADING, value_name = "ADDRESS")]
    pub outer_dst: Option<Ipv4Addr>,
    /// Outer destination MAC [default: the receive device's]
    #[arg(long, help_heading = HEADING, value_name = "MAC")]
    #[serde(deserialize_with = "written")]
    pub outer_dst_mac: Option<Mac>,
    /// Outer source MAC [default: the sending device's]
    #[arg(long, help_heading = HEADING, value_name = "MAC")]
    #[serde(deserialize_with = "written")]
    pub outer_src_mac: Option<Mac>,
    /// Outer UDP destination port [default: 4789]
    #[arg(
        long, help_heading = HEADING, value_name = "PORT",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    #[serde(deserialize_with = "counted::<65_535, _, _>")]
    pub outer_port: Option<u16>,
    /// Send a capture's frames in a loop instead (pcap or pcapng; its timing is not used). They
    /// bear no stamp, so everything that arrives is counted and dropped, ARP and the like too
    #[arg(long, help_heading = HEADING, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// Seed of random order: the same seed, the same frames [default: 1]
    #[arg(long, help_heading = HEADING, value_name = "N")]
    pub seed: Option<u64>,
}

impl TrafficOptions {
    /// These options and, where they are silent, those of the file that `--traffic` names.
    ///
    /// # Errors
    /// The file cannot be read or is wrong (with its line); the options contradict each other.
    pub fn complete(self) -> Result<TrafficOptions> {
        let options = match &self.traffic {
            Some(path) => {
                let file = file::read(path)?;
                self.or(file)
            }
            None => self,
        };
        options.check()?;
        Ok(options)
    }

    /// The same traffic in frames of one size.
    pub fn with_size(&self, bytes: u16) -> TrafficOptions {
        TrafficOptions { size: Some(Sizes::one(bytes)), ..self.clone() }
    }

    fn or(self, file: TrafficOptions) -> TrafficOptions {
        TrafficOptions {
            traffic: None,
            size: self.size.or(file.size),
            flows: self.flows.or(file.flows),
            dst_mac: self.dst_mac.or(file.dst_mac),
            dst_macs: self.dst_macs.or(file.dst_macs),
            dst_pick: self.dst_pick.or(file.dst_pick),
            src_mac: self.src_mac.or(file.src_mac),
            src_macs: self.src_macs.or(file.src_macs),
            src_pick: self.src_pick.or(file.src_pick),
            src_ip: self.src_ip.or(file.src_ip),
            dst_ip: self.dst_ip.or(file.dst_ip),
            vni: self.vni.or(file.vni),
            outer_src: self.outer_src.or(file.outer_src),
            outer_dst: self.outer_dst.or(file.outer_dst),
            outer_dst_mac: self.outer_dst_mac.or(file.outer_dst_mac),
            outer_src_mac: self.outer_src_mac.or(file.outer_src_mac),
            outer_port: self.outer_port.or(file.outer_port),
            replay: self.replay.or(file.replay),
            seed: self.seed.or(file.seed),
        }
    }

    /// Refuses options that have no effect together.
    fn check(&self) -> Result<()> {
        let outer = [
            ("outer-src", self.outer_src.is_some()),
            ("outer-dst", self.outer_dst.is_some()),
            ("outer-dst-mac", self.outer_dst_mac.is_some()),
            ("outer-src-mac", self.outer_src_mac.is_some()),
            ("outer-port", self.outer_port.is_some()),
        ];
        let inner = [
            ("size", self.size.is_some()),
            ("flows", self.flows.is_some()),
            ("dst-mac", self.dst_mac.is_some()),
            ("dst-macs", self.dst_macs.is_some()),
            ("dst-pick", self.dst_pick.is_some()),
            ("src-mac", self.src_mac.is_some()),
            ("src-macs", self.src_macs.is_some()),
            ("src-pick", self.src_pick.is_some()),
            ("src-ip", self.src_ip.is_some()),
            ("dst-ip", self.dst_ip.is_some()),
            ("vni", self.vni.is_some()),
            ("seed", self.seed.is_some()),
        ];
        let given = |options: &[(&'static str, bool)]| {
            options.iter().find(|(_, given)| *given).map(|(name, _)| *name)
        };
        if self.replay.is_some()
            && let Some(name) = given(&inner).or(given(&outer))
        {
            bail!(
                "--{name}: --replay sends frames as they were captured: leave one of the two out"
            );
        }
        if self.vni.is_none()
            && let Some(name) = given(&outer)
        {
            bail!("--{name}: it is for VXLAN packets: give --vni too, or leave it out");
        }
        Ok(())
    }

    /// The frames that a sending device is to send.
    ///
    /// # Errors
    /// A size or a captured frame does not fit the device, an address is missing, options
    /// contradict each other, or the capture cannot be read.
    pub fn frames(&self, device: &Device) -> Result<Frames> {
        self.check()?;
        if let Some(path) = &self.replay {
            return Replay::read(path, device.largest_frame).map(Frames::Replayed);
        }
        let outer = self.vni.is_some().then(|| self.outer(device)).transpose()?;
        let around = if outer.is_some() { OUTER_LEN as u16 } else { 0 };
        let sizes = self.size.clone().unwrap_or_default();
        let sizes = sizes.within(device.largest_frame.saturating_sub(around))?;
        let mixture = Mixture {
            destinations: macs("dst-macs", self.dst_macs, self.dst_pick)?,
            sources: macs("src-macs", self.src_macs, self.src_pick)?,
            vnis: self.vni.as_ref().map_or(&[], Vnis::numbers),
            flows: self.flows.unwrap_or(FLOWS),
            sizes: &sizes.round(),
            seed: self.seed.unwrap_or(SEED),
        };
        ensure!(
            (1..=MOST_FLOWS).contains(&mixture.flows),
            "--flows: {} is not from 1 to {MOST_FLOWS}",
            mixture.flows
        );
        let description = self.description(&sizes, &mixture);
        let ends = self.ends(device)?;
        Ok(Frames::Made(Recipe::new(&ends, outer.as_ref(), mixture.picks()?, description)))
    }

    /// The frames' own addresses.
    fn ends(&self, device: &Device) -> Result<Ends> {
        let src_mac = self.src_mac.unwrap_or(device.mac);
        ensure!(
            !src_mac.is_group(),
            "--src-mac: {src_mac} is a group address, which no frame may come from"
        );
        Ok(Ends {
            dst_mac: self.dst_mac.or(device.peer_mac).context(
                "--dst-mac: no receive device is known whose MAC could be taken: give the \
                 destination MAC",
            )?,
            src_mac,
            src_ip: self.src_ip.unwrap_or(SRC_IP),
            dst_ip: self.dst_ip.unwrap_or(DST_IP),
        })
    }

    /// The outer headers, if frames are encapsulated.
    fn outer(&self, device: &Device) -> Result<Outer> {
        Ok(Outer {
            ends: Ends {
                dst_mac: self.outer_dst_mac.or(device.peer_mac).context(
                    "--outer-dst-mac: no receive device is known whose MAC could be taken: give \
                     the MAC of the VTEP or of the next hop to it",
                )?,
                src_mac: self.outer_src_mac.unwrap_or(device.mac),
                src_ip: self.outer_src.context("--vni: give --outer-src too, the sending VTEP")?,
                dst_ip: self.outer_dst.context("--vni: give --outer-dst too, the VTEP sent to")?,
            },
            port: self.outer_port.unwrap_or(vxlan::PORT),
        })
    }

    /// `64 bytes, 64 flows, 1000 destination MACs (uniform), plain`.
    fn description(&self, sizes: &Sizes, mixture: &Mixture<'_>) -> String {
        let side = |name: &str, macs: Macs| match macs.count {
            1 => format!("1 {name} MAC"),
            count => format!("{count} {name} MACs ({})", macs.rule),
        };
        let flows = if mixture.flows == 1 { "flow" } else { "flows" };
        let mut parts = vec![
            sizes.to_string(),
            format!("{} {flows}", mixture.flows),
            side("destination", mixture.destinations),
        ];
        if mixture.sources.count > 1 {
            parts.push(side("source", mixture.sources));
        }
        parts.push(match &self.vni {
            Some(vnis) => format!("VXLAN, {vnis}"),
            None => "plain".to_owned(),
        });
        parts.join(", ")
    }
}

/// One side's MACs.
fn macs(option: &str, count: Option<u32>, rule: Option<PickRule>) -> Result<Macs> {
    let count = count.unwrap_or(1);
    ensure!((1..=MOST_MACS).contains(&count), "--{option}: {count} is not from 1 to {MOST_MACS}");
    Ok(Macs { count, rule: rule.unwrap_or_default() })
}

#[cfg(test)]
mod tests;
