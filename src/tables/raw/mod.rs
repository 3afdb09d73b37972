//! The lock-free parts of the tables, and the only ones with `unsafe`: grace periods, a pointer
//! that is swapped under readers, and a hash table with one writer and wait-free readers.
//!
//! Everything here is safe to use; `docs/tables.md` draws the layout and argues the orderings.
//! The files take atomics, memory and compares from their neighbours by `super::`, so that
//! `tests/loom.rs` can compile the same files over loom's atomics.
#![allow(unsafe_code)]

mod change;
mod epochs;
mod memory;
mod publish;
mod scan;
mod table;
mod writer;

/// What the model checker replaces.
mod atomic {
    pub use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
}

pub use epochs::{Epochs, Guard, Reader};
pub use publish::{Published, Publisher};
pub use scan::Compare;
#[cfg(test)]
pub use table::{DEAD, EMPTY};
pub use table::{Place, Table, View};
pub use writer::Writer;

/// A value of 32 bits.
pub type Word32 = atomic::AtomicU32;
/// A value of 64 bits.
pub type Word64 = atomic::AtomicU64;
