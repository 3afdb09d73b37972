//! The tables that workers read while the control thread writes them: against a model, one
//! operation at a time (`model`, `changes`, `small`), and under threads (`torture`, `settle`). `keys` has what
//! they share.
//! `tests/loom.rs` proves the orderings on small tables; `scripts/sanitize` runs all of this
//! under sanitizers.

#[path = "tables/changes.rs"]
mod changes;
#[path = "tables/keys.rs"]
mod keys;
#[path = "tables/model.rs"]
mod model;
#[path = "tables/neighbours.rs"]
mod neighbours;
#[path = "tables/settle.rs"]
mod settle;
#[path = "tables/small.rs"]
mod small;
#[path = "tables/torture.rs"]
mod torture;
