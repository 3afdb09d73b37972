//! What `monitor` is told of rows: the tables' own logs, in the words of the rows.
//!
//! Names are those of the moment, so this is called before an object that rows name goes.

use crate::{
    control::{
        Control,
        ports::PortRecord,
        protocol::{News, PeerNews, PortNews},
        wording,
    },
    tables::{FdbChange, FdbChangeKind, NeighbourChange, Owner, VtepIx},
    wire::Mac,
};

impl Control {
    /// Logs changes of rows while somebody listens.
    pub(super) fn log_row_changes(&mut self) {
        let on = self.monitors.any();
        self.tables.fdb.log_changes(on);
        self.tables.neighbours.log_changes(on);
    }

    /// Tells those who listen what has changed in the tables since the last call.
    pub(super) fn tell_row_changes(&mut self) {
        if !self.monitors.any() {
            return self.log_row_changes();
        }
        for change in self.tables.fdb.take_changes() {
            if let Some(news) = self.row_news(&change) {
                self.monitors.tell(news);
            }
        }
        for change in self.tables.neighbours.take_changes() {
            if let Some(news) = self.neighbour_news(&change) {
                self.monitors.tell(news);
            }
        }
    }

    fn row_news(&self, change: &FdbChange) -> Option<News> {
        self.truth.network(change.key.bridge())?;
        let row = self.fdb_row(change.key, &change.after.or(change.before)?);
        Some(match change.kind() {
            FdbChangeKind::Added => News::FdbAdd(row),
            FdbChangeKind::Replaced => News::FdbReplace(row),
            FdbChangeKind::Deleted => News::FdbDel(row),
            FdbChangeKind::Learned => News::FdbLearn(row),
            FdbChangeKind::Moved => News::FdbMove(row),
            FdbChangeKind::Aged => News::FdbAge(row),
        })
    }

    /// Only of those that `neigh show` has.
    fn neighbour_news(&self, change: &NeighbourChange) -> Option<News> {
        let NeighbourChange { bridge, address, before, after } = change;
        self.truth.network(*bridge)?;
        let shown =
            |row: &Option<crate::tables::Neighbour>| row.filter(|row| row.owner == Owner::Endpoint);
        let row = |row| wording::neigh_row(self, *bridge, *address, &row);
        Some(match (shown(before), shown(after)) {
            (None, Some(after)) => News::NeighAdd(row(after)),
            (Some(_), Some(after)) => News::NeighReplace(row(after)),
            (Some(before), None) => News::NeighDel(row(before)),
            (None, None) => return None,
        })
    }

    /// Tells of a next hop that is known now, or is not any more.
    pub(super) fn tell_peer(&mut self, vtep: VtepIx, before: Option<Mac>) {
        let Some(hop) = self.hops.hop(vtep) else { return };
        let news = PeerNews {
            name: hop.peer.clone(),
            address: hop.address.to_string(),
            lladdr: hop.mac.map(|mac| mac.to_string()),
            reason: hop.reason.clone().filter(|_| hop.mac.is_none()),
        };
        match (before, hop.mac) {
            (before, Some(mac)) if before != Some(mac) => self.monitors.tell(News::PeerUp(news)),
            (Some(_), None) => self.monitors.tell(News::PeerDown(news)),
            _ => {}
        }
    }
}

/// A port, for the news.
pub fn port_news(port: &PortRecord) -> PortNews {
    PortNews { name: port.name.clone(), device: port.device.clone() }
}
