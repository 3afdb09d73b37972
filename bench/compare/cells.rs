//! What is measured: cells of direction, frame size, flows and MACs, and the names they have on
//! the command line, in files and in tables.

use std::fmt;

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use serde::{Serialize, Serializer};

/// The most destinations of a cell.
pub const MOST_MACS: u32 = 100_000;
/// The most flows of a cell: UDP source ports from 1024 up.
pub const MOST_FLOWS: u32 = 60_000;
/// (bytes, of twelve frames so many): the generator's `imix`, its largest frame cut to what an MTU of
/// 1450 allows. What arrives is held against its mean.
const IMIX: [(u16, u32); 3] = [(64, 7), (570, 4), (1464, 1)];

/// Which way frames go through the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Plain frames enter at the access port and leave in VXLAN
    Encap,
    /// VXLAN packets enter at the underlay and leave plain
    Decap,
}

impl Direction {
    /// Both.
    pub const ALL: [Direction; 2] = [Direction::Encap, Direction::Decap];

    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Direction::Encap => "encap",
            Direction::Decap => "decap",
        }
    }
}

/// Bytes of the plain (inner) frame, without FCS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// All alike.
    Bytes(u16),
    /// [`IMIX`].
    Imix,
}

impl Size {
    /// Mean bytes of a frame.
    pub fn mean(self) -> f64 {
        match self {
            Size::Bytes(bytes) => f64::from(bytes),
            Size::Imix => {
                let bytes: u32 = IMIX.iter().map(|(size, times)| u32::from(*size) * times).sum();
                let frames: u32 = IMIX.iter().map(|(_, times)| times).sum();
                f64::from(bytes) / f64::from(frames)
            }
        }
    }

    /// The sizes in turn, one for each frame of a period.
    pub fn pattern(self) -> Vec<u16> {
        match self {
            Size::Bytes(bytes) => vec![bytes],
            // Spread, not in blocks: every twelfth is large, every third middling.
            Size::Imix => {
                vec![64, 570, 64, 64, 570, 64, 1464, 570, 64, 64, 570, 64]
            }
        }
    }

    fn parse(word: &str) -> Option<Size> {
        match word {
            "imix" => Some(Size::Imix),
            _ => word.parse().ok().map(Size::Bytes),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Size::Bytes(bytes) => write!(out, "{bytes}"),
            Size::Imix => write!(out, "imix"),
        }
    }
}

/// What is done with a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Rate received at overload.
    Mrr,
    /// Search for NDR and PDR, then latency at parts of the PDR.
    Pdr,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Mrr => "mrr",
            Kind::Pdr => "pdr",
        }
    }
}

/// One cell. As text: `mrr:encap:64:10000flows:1000macs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// What is done.
    pub kind: Kind,
    /// Which way.
    pub direction: Direction,
    /// Frames.
    pub size: Size,
    /// UDP flows.
    pub flows: u32,
    /// Destination MACs.
    pub macs: u32,
}

impl Cell {
    /// By what tables are sorted: small frames before large ones.
    pub fn order(&self) -> (Kind, Direction, u64, u32, u32) {
        (self.kind, self.direction, self.size.mean().round() as u64, self.flows, self.macs)
    }

    /// Direction and size: what the ceiling tells apart.
    pub fn shape(&self) -> (Direction, Size) {
        (self.direction, self.size)
    }

    /// Reads a full name, as it is displayed; the words may lack the plural's `s`.
    pub fn parse(name: &str) -> Result<Cell> {
        let words: Vec<&str> = name.split(':').collect();
        let [kind, direction, size, flows, macs] = words.as_slice() else {
            bail!(
                "`{name}` is not KIND:DIRECTION:SIZE:FLOWS:MACS, as in mrr:encap:64:64flows:1mac"
            );
        };
        let kind = match *kind {
            "mrr" => Kind::Mrr,
            "pdr" => Kind::Pdr,
            other => bail!("cell `{name}`: `{other}` is neither mrr nor pdr"),
        };
        let Ok(direction) = Direction::from_str(direction, false) else {
            bail!("cell `{name}`: `{direction}` is neither encap nor decap");
        };
        let Some(size) = Size::parse(size) else {
            bail!("cell `{name}`: `{size}` is neither a number of bytes nor imix");
        };
        let number = |word: &str, unit: &str| {
            word.trim_end_matches('s').strip_suffix(unit).and_then(|number| number.parse().ok())
        };
        let (Some(flows), Some(macs)) = (number(flows, "flow"), number(macs, "mac")) else {
            bail!("cell `{name}`: flows and MACs are written as 64flows and 1000macs");
        };
        let cell = Cell { kind, direction, size, flows, macs };
        if let Size::Bytes(bytes) = size {
            ensure!((64..=1464).contains(&bytes), "cell `{name}`: sizes are 64 to 1464 bytes");
        }
        ensure!((1..=MOST_FLOWS).contains(&flows), "cell `{name}`: 1 to {MOST_FLOWS} flows");
        ensure!((1..=MOST_MACS).contains(&macs), "cell `{name}`: 1 to {MOST_MACS} MACs");
        Ok(cell)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, direction) = (self.kind.name(), self.direction.name());
        let plural = |number: u32| if number == 1 { "" } else { "s" };
        write!(
            out,
            "{kind}:{direction}:{}:{}flow{}:{}mac{}",
            self.size,
            self.flows,
            plural(self.flows),
            self.macs,
            plural(self.macs)
        )
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// All cells of a run, and whether containers talk across the switch as well.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// In the order in which they are measured: by MACs, then by direction.
    pub cells: Vec<Cell>,
    /// iperf3 between a container and the far end.
    pub tcp: bool,
    /// ping between them.
    pub ping: bool,
}

impl Selection {
    /// What is measured when nothing is left out.
    pub fn standard(quick: bool) -> Selection {
        let mut cells = Vec::new();
        let macs: &[u32] = if quick { &[1000] } else { &[1000, 100_000] };
        let flows: &[u32] = if quick { &[10_000] } else { &[1, 10_000] };
        for &macs in macs {
            for direction in Direction::ALL {
                for size in [Size::Bytes(64), Size::Imix, Size::Bytes(1450)] {
                    for &flows in flows {
                        cells.push(Cell { kind: Kind::Mrr, direction, size, flows, macs });
                    }
                }
            }
        }
        let direction = Direction::Encap;
        for size in [Size::Bytes(64), Size::Imix] {
            if !(quick && size == Size::Imix) {
                cells.push(Cell { kind: Kind::Pdr, direction, size, flows: 10_000, macs: 1000 });
            }
        }
        Selection { cells, tcp: true, ping: true }
    }

    /// Keeps what one of the patterns names. A pattern is words of a cell's name with `:` between
    /// them (`encap:64`, `pdr`, `tcp`); one of all five words is a cell of its own.
    pub fn choose(&self, patterns: &[String]) -> Result<Selection> {
        let mut chosen = Selection::default();
        for pattern in patterns {
            let words: Vec<&str> = pattern.split(':').collect();
            let before = (chosen.cells.len(), chosen.tcp, chosen.ping);
            match words.as_slice() {
                ["tcp"] => chosen.tcp = true,
                ["ping"] => chosen.ping = true,
                all if all.len() == 5 => chosen.add(Cell::parse(pattern)?),
                some => {
                    for cell in &self.cells {
                        let name = cell.to_string();
                        let parts: Vec<&str> = name.split(':').collect();
                        if some.iter().all(|word| parts.contains(word)) {
                            chosen.add(*cell);
                        }
                    }
                }
            }
            ensure!(
                before != (chosen.cells.len(), chosen.tcp, chosen.ping),
                "--cells {pattern}: no such cell, or named twice (`--list` shows all)"
            );
        }
        Ok(chosen)
    }

    /// Keeps one direction's cells. Containers talk in both.
    pub fn only(&mut self, direction: Direction) {
        self.cells.retain(|cell| cell.direction == direction);
    }

    fn add(&mut self, cell: Cell) {
        if !self.cells.contains(&cell) {
            self.cells.push(cell);
        }
    }

    /// The different numbers of MACs, in order: an instance of a switch is started for each.
    pub fn mac_counts(&self) -> Vec<u32> {
        let mut counts: Vec<u32> = self.cells.iter().map(|cell| cell.macs).collect();
        counts.sort_unstable();
        counts.dedup();
        counts
    }

    /// Cells of one number of MACs; those of one direction follow each other.
    pub fn with_macs(&self, macs: u32) -> Vec<Cell> {
        let mut cells: Vec<Cell> =
            self.cells.iter().copied().filter(|cell| cell.macs == macs).collect();
        cells.sort_by_key(|cell| (cell.direction, cell.kind));
        cells
    }
}
