//! `[tuning]`: cores, rings, packet memory.

use std::collections::{BTreeMap, HashMap};

use toml::Spanned;

use super::{problems::Problems, words};
use crate::profile::{
    cores,
    error::Position,
    memory::LEAST_FRAMES,
    plan::{CorePositions, HugePages, Idle, Mode, RingSizes, Tuning},
    raw,
};

/// The most chunks per worker: 32 GiB at 2048 bytes.
const MOST_FRAMES: i64 = 1 << 24;
/// The highest core number that is plausible (the kernel's own limit is 8192).
const MOST_CORE: i64 = 8191;

/// The table, and where it names cores.
pub(super) fn check(problems: &mut Problems, raw: &raw::Tuning) -> (Option<Tuning>, CorePositions) {
    let workers = workers(problems, raw);
    let control = problems.number(&raw.control, "a core number", 0..=MOST_CORE, 0);
    let control_position = match &raw.control {
        Some(core) => problems.position(core),
        None => nowhere("tuning.control"),
    };
    let (cores, worker_positions) = workers.unzip();
    let positions =
        CorePositions { workers: worker_positions.unwrap_or_default(), control: control_position };
    (settings(problems, raw, cores, control), positions)
}

fn settings(
    problems: &mut Problems,
    raw: &raw::Tuning,
    workers: Option<Vec<usize>>,
    control: Option<usize>,
) -> Option<Tuning> {
    let mode = mode(problems, &raw.mode);
    let burst = problems.number(&raw.burst, "a burst", 1..=64, 64);
    let frames = frames(problems, &raw.frames);
    let frame_size = frame_size(problems, &raw.frame_size);
    let ring = ring(problems, &raw.ring);
    let idle = problems.choice(&raw.idle, &Idle::WORDS, Idle::Spin);
    let hugepages = problems.choice(&raw.hugepages, &HugePages::WORDS, HugePages::Auto);
    let interface_mode = interface_mode(problems, &raw.interface);
    Some(Tuning {
        workers: workers?,
        control: control?,
        mode: mode?,
        burst: burst?,
        frames: frames?,
        frame_size: frame_size?,
        ring: ring?,
        idle: idle?,
        hugepages: hugepages?,
        busy_poll: raw.busy_poll.as_ref().is_some_and(|value| *value.get_ref()),
        interface_mode: interface_mode?,
    })
}

/// The cores and the place of each.
fn workers(problems: &mut Problems, raw: &raw::Tuning) -> Option<(Vec<usize>, Vec<Position>)> {
    let Some(list) = &raw.workers else {
        let core = cores::default_worker(&cores::online());
        return Some((vec![core], vec![nowhere("tuning.workers")]));
    };
    if list.get_ref().is_empty() {
        return problems.at(list, "is empty; name at least one core, like [1]");
    }
    let mut seen = HashMap::new();
    let mut cores = Vec::new();
    for item in list.get_ref() {
        let core = problems.number(&Some(item.clone()), "a core number", 0..=MOST_CORE, 0);
        if let Some(core) = core {
            problems.once(&mut seen, core, item, "name each core once");
        }
        cores.push(core.map(|core| (core, problems.position(item))));
    }
    let cores: Option<Vec<_>> = cores.into_iter().collect();
    cores.map(|cores| cores.into_iter().unzip())
}

fn nowhere(key: &str) -> Position {
    Position { key: key.to_owned(), line: None, column: None }
}

fn mode(problems: &mut Problems, value: &raw::Text) -> Option<Mode> {
    problems.choice(value, &Mode::WORDS, Mode::Auto)
}

/// `None`: wrong; `Some(None)`: automatic.
fn frames(problems: &mut Problems, value: &Option<Spanned<raw::Frames>>) -> Option<Option<u32>> {
    let Some(value) = value else {
        return Some(None);
    };
    match &value.get_ref().0 {
        raw::NumberOrText::Text(word) if word == "auto" => Some(None),
        raw::NumberOrText::Text(word) => {
            problems.at(value, format!("\"{word}\" is unknown; use \"auto\" or a number of chunks"))
        }
        raw::NumberOrText::Number(number) => {
            let number = Some(Spanned::new(value.span(), *number));
            let range = i64::from(LEAST_FRAMES)..=MOST_FRAMES;
            problems.number(&number, "a number of chunks", range, 0).map(Some)
        }
    }
}

fn frame_size(problems: &mut Problems, value: &raw::Number) -> Option<u32> {
    let Some(value) = value else {
        return Some(2048);
    };
    match value.get_ref() {
        2048 => Some(2048),
        4096 => Some(4096),
        other => problems.at(value, format!("{other} is not a chunk size; use 2048 or 4096")),
    }
}

fn ring(problems: &mut Problems, raw: &raw::Ring) -> Option<RingSizes> {
    let mut size = |value: &raw::Number, default: u32| {
        let Some(value) = value else {
            return Some(default);
        };
        let size = u32::try_from(*value.get_ref()).ok();
        size.filter(|size| size.is_power_of_two() && (64..=32768).contains(size)).or_else(|| {
            problems.at(
                value,
                format!(
                    "{} is not a ring size; use a power of two from 64 to 32768",
                    value.get_ref()
                ),
            )
        })
    };
    let (rx, tx) = (size(&raw.rx, 2048), size(&raw.tx, 2048));
    let (fill, completion) = (size(&raw.fill, 4096), size(&raw.completion, 4096));
    Some(RingSizes { rx: rx?, tx: tx?, fill: fill?, completion: completion? })
}

fn interface_mode(
    problems: &mut Problems,
    raw: &raw::Named<raw::Interface>,
) -> Option<BTreeMap<String, Mode>> {
    let modes: Vec<Option<(String, Mode)>> = raw
        .iter()
        .map(|(name, table)| {
            let named = problems.judge(name, words::interface(name.get_ref())).cloned();
            problems.required(&table.mode, name.span(), "mode", "mode = \"copy\"")?;
            let mode = mode(problems, &table.mode);
            named.zip(mode)
        })
        .collect();
    modes.into_iter().collect()
}
