//! The lock-free parts of the tables under a model checker: the very files of `src/tables/raw`,
//! compiled over loom's atomics, on tables of a few slots. Each model runs all interleavings of
//! a writer and a reader (with few preemptions) and all values that the memory model lets a
//! load see, and says what a reader must never see.
//!
//! Only the SIMD compare and the huge pages are left out: the scalar twin and a checked box
//! stand in for them. There is no test harness, since that would run those files' own tests
//! too, outside of any model.

/// What the model checker sees.
mod atomic {
    pub use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
}

#[path = "loom/memory.rs"]
mod memory;
#[path = "loom/scan.rs"]
mod scan;

#[allow(dead_code, unused_imports)]
#[path = "../src/tables/raw/change.rs"]
mod change;
#[allow(dead_code, unused_imports)]
#[path = "../src/tables/raw/epochs.rs"]
mod epochs;
#[allow(dead_code, unused_imports)]
#[path = "../src/tables/raw/publish.rs"]
mod publish;
#[allow(dead_code, unused_imports)]
#[path = "../src/tables/raw/table.rs"]
mod table;
#[allow(dead_code, unused_imports)]
#[path = "../src/tables/raw/writer.rs"]
mod writer;

#[path = "loom/growth.rs"]
mod growth;
#[path = "loom/models.rs"]
mod models;
#[path = "loom/node.rs"]
mod node;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let trial = |(name, model): (&str, fn())| {
        Trial::test(name, move || {
            model();
            Ok(())
        })
    };
    let trials = models::ALL.iter().chain(growth::ALL).copied().map(trial).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
