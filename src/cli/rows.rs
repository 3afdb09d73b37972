//! Rows of `fdb show`, `neigh show` and `monitor` in the words of `bridge fdb` and `ip neigh`
//! (iproute2, bridge/fdb.c and ip/ipneigh.c).

use std::fmt::Write;

use crate::control::protocol::{FdbRow, NeighRow};

/// `MAC dev DEV [dst IP vni N] [FLAG...] [master NETWORK] [STATE]`, a line each.
pub(super) fn fdb(rows: &Vec<FdbRow>) -> String {
    let mut text = String::new();
    for row in rows {
        fdb_row(&mut text, row);
        text.push('\n');
    }
    text
}

/// One row, without the end of its line.
pub(super) fn fdb_row(text: &mut String, row: &FdbRow) {
    let _ = write!(text, "{} dev {}", row.mac, row.ifname);
    if let Some(dst) = &row.dst {
        let _ = write!(text, " dst {dst} vni {}", row.vni);
    }
    for flag in &row.flags {
        let _ = write!(text, " {flag}");
    }
    if let Some(master) = &row.master {
        let _ = write!(text, " master {master}");
    }
    if !row.state.is_empty() {
        let _ = write!(text, " {}", row.state);
    }
}

/// `IP dev DEV lladdr MAC STATE`, a line each.
pub(super) fn neighbours(rows: &Vec<NeighRow>) -> String {
    let mut text = String::new();
    for row in rows {
        neighbour_row(&mut text, row);
        text.push('\n');
    }
    text
}

/// One row, without the end of its line.
pub(super) fn neighbour_row(text: &mut String, row: &NeighRow) {
    let state = row.state.join(" ");
    let _ = write!(text, "{} dev {} lladdr {} {state}", row.dst, row.dev, row.lladdr);
}
