//! Three namespaces in a row: `g0 – w0 [wire] w1 – s0`, addresses at both ends.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use overlane::pktgen::{
    device::Side,
    rig::{Rig, RigPlan, RxBackend, TxBackend},
    traffic::TrafficOptions,
};

use crate::{
    netns::Namespace,
    wire::{Fault, Wire},
};

/// Address of the generator's end and of the sink's.
pub const NEAR: &str = "198.18.0.1";
pub const FAR: &str = "198.18.0.2";

/// The wires; gone when dropped.
pub struct Scene {
    pub generator: Namespace,
    pub wire: Namespace,
    pub sink: Namespace,
    folder: tempfile::TempDir,
}

impl Scene {
    pub fn new() -> Result<Scene> {
        let scene = Scene {
            generator: Namespace::new("gen")?,
            wire: Namespace::new("wire")?,
            sink: Namespace::new("sink")?,
            folder: tempfile::tempdir()?,
        };
        for (end, far, middle) in [(&scene.generator, "g0", "w0"), (&scene.sink, "s0", "w1")] {
            scene
                .wire
                .ip(&format!("link add {middle} type veth peer name {far} netns {}", end.name()))?;
            for (namespace, device) in [(end, far), (&scene.wire, middle)] {
                namespace.ip(&format!("link set {device} addrgenmode none"))?;
                namespace.ip(&format!("link set {device} up"))?;
            }
        }
        scene.generator.ip(&format!("addr add {NEAR}/24 dev g0"))?;
        scene.sink.ip(&format!("addr add {FAR}/24 dev s0"))?;
        Ok(scene)
    }

    /// Counts from w0 to w1.
    pub fn wire(&self) -> Result<Wire> {
        let out = self.index(&self.wire, "w1")?;
        self.wire.inside(|| Wire::attach(self.folder.path(), "w0", out, Fault::None, 1000))
    }

    pub fn index(&self, namespace: &Namespace, device: &str) -> Result<u32> {
        let row = row(namespace, device)?;
        Ok(u32::try_from(row["ifindex"].as_u64().context("no ifindex")?)?)
    }

    /// Frames that the sink's device has received, by its own counter.
    pub fn arrived(&self) -> Result<u64> {
        row(&self.sink, "s0")?["stats64"]["rx"]["packets"].as_u64().context("no counter")
    }

    /// A rig from g0 to s0.
    pub fn rig(&self, tx: TxBackend, rx: RxBackend, cores: [usize; 2]) -> Result<Rig> {
        let side = |namespace: &Namespace, device: &str| Side {
            netns: Some(PathBuf::from("/run/netns").join(namespace.name())),
            device: device.to_owned(),
        };
        let plan = RigPlan {
            tx: side(&self.generator, "g0"),
            rx: Some(side(&self.sink, "s0")),
            tx_backend: tx,
            rx_backend: rx,
            cores: vec![cores[0]],
            rx_cores: vec![cores[1]],
            traffic: TrafficOptions::default(),
            ..RigPlan::default()
        };
        Rig::open(&plan, Arc::default())
    }
}

fn row(namespace: &Namespace, device: &str) -> Result<serde_json::Value> {
    let text = namespace.ip(&format!("-j -s link show {device}"))?;
    let mut rows: Vec<serde_json::Value> = serde_json::from_str(&text)?;
    rows.pop().with_context(|| format!("no {device}"))
}
