//! What only a restart can change: who the node is, its socket, its underlay and its tuning.
//!
//! Called by [`Difference::between`](super::Difference::between). Each value is compared as the
//! file would write it, which is also how a message shows it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::profile::{
    document::as_key,
    plan::{HugePages, Idle, Mode, Plan, RingSizes, Tuning, UnderlayPlan},
};

/// Why a plan cannot be taken over by a running switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedsRestart {
    /// Each key with its old and new value: `tuning.workers: [1] -> [1, 2]`. Not empty.
    pub changes: Vec<String>,
}

impl fmt::Display for NeedsRestart {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes = self.changes.join("; ");
        write!(out, "needs a restart: {changes}; take that back, or restart overlane to apply it")
    }
}

impl std::error::Error for NeedsRestart {}

/// # Errors
/// `new` has another value somewhere than `old` where only a restart can change it.
pub(super) fn check(old: &Plan, new: &Plan) -> Result<(), NeedsRestart> {
    let (old, new) = (fixed(old), fixed(new));
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let shown = |value: Option<&String>| value.map_or("not set", String::as_str).to_owned();
    let changes: Vec<String> = keys
        .into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| format!("{key}: {} -> {}", shown(old.get(key)), shown(new.get(key))))
        .collect();
    if changes.is_empty() { Ok(()) } else { Err(NeedsRestart { changes }) }
}

/// Every such key that is set, and its value as the file would write it.
fn fixed(plan: &Plan) -> BTreeMap<String, String> {
    let UnderlayPlan { interface, family, address, port } = &plan.underlay;
    let values = [
        ("node.name", Some(format!("{:?}", plan.node))),
        ("control.socket", Some(format!("{:?}", plan.socket))),
        ("control.group", plan.group.as_ref().map(|group| format!("{group:?}"))),
        ("control.state", Some(format!("{:?}", plan.state))),
        ("underlay.interface", Some(format!("{interface:?}"))),
        ("underlay.address", address.map(|address| format!("\"{address}\""))),
        ("underlay.port", Some(port.to_string())),
        ("the underlay's IP version", Some(family.to_string())),
    ];
    values.into_iter().chain(tuning(&plan.tuning)).filter_map(set).chain(modes(plan)).collect()
}

fn set((key, value): (&str, Option<String>)) -> Option<(String, String)> {
    value.map(|value| (key.to_owned(), value))
}

/// `[tuning]` but for its tables of interfaces.
fn tuning(tuning: &Tuning) -> impl Iterator<Item = (&'static str, Option<String>)> {
    let Tuning {
        workers,
        control,
        mode,
        burst,
        frames,
        frame_size,
        ring,
        idle,
        hugepages,
        busy_poll,
        interface_mode: _,
    } = tuning;
    let RingSizes { rx, tx, fill, completion } = ring;
    let values = [
        ("tuning.workers", format!("{workers:?}")),
        ("tuning.control", control.to_string()),
        ("tuning.mode", word(&Mode::WORDS, mode)),
        ("tuning.burst", burst.to_string()),
        ("tuning.frames", frames.map_or("\"auto\"".to_owned(), |frames| frames.to_string())),
        ("tuning.frame_size", frame_size.to_string()),
        ("tuning.ring.rx", rx.to_string()),
        ("tuning.ring.tx", tx.to_string()),
        ("tuning.ring.fill", fill.to_string()),
        ("tuning.ring.completion", completion.to_string()),
        ("tuning.idle", word(&Idle::WORDS, idle)),
        ("tuning.hugepages", word(&HugePages::WORDS, hugepages)),
        ("tuning.busy_poll", busy_poll.to_string()),
    ];
    values.into_iter().map(|(key, value)| (key, Some(value)))
}

/// `[tuning.interface.NAME] mode` of each.
fn modes(plan: &Plan) -> impl Iterator<Item = (String, String)> {
    plan.tuning.interface_mode.iter().map(|(name, mode)| {
        (format!("tuning.interface.{}.mode", as_key(name)), word(&Mode::WORDS, mode))
    })
}

fn word<T: PartialEq>(words: &[(&str, T)], value: &T) -> String {
    let word = words.iter().find(|(_, meaning)| meaning == value).map_or("", |(word, _)| word);
    format!("{word:?}")
}
