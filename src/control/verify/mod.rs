//! `overlane verify`: what is wanted against what the workers see and the kernel has, and
//! `--repair`, which puts right what can be.
//!
//! Called for a client, by the control thread; a look at a container is a visit to its namespace,
//! so that hundreds of them take a second or so. Invariant: a look changes nothing but what the
//! control thread would have changed in its next turn anyway; what `--repair` says it has put
//! right was looked at again.

mod claims;
mod containers;
mod findings;
mod kernel;
mod mend;
mod tables;
mod words;

use anyhow::Result;

use crate::control::{Control, protocol::Verified, verify::findings::Findings};

impl Control {
    /// Looks at everything; with `repair` puts right what can be, and looks again.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub(super) fn verify(&mut self, repair: bool) -> Result<Verified> {
        let first = self.look(Findings::default())?;
        if !repair || first.is_clean() {
            return Ok(first.verified);
        }
        tracing::info!("verify: {} differ; repairing", first.verified.differing);
        self.mend(&first.mends);
        let second = self.look(first.watch())?;
        Ok(first.after_repair(second))
    }

    fn look(&mut self, mut found: Findings) -> Result<Findings> {
        // What was put off or is about to be looked up is not wrong, only late.
        self.bring_up_to_date();
        self.look_up_hops();
        self.look_at_tables(&mut found);
        self.look_at_claims(&mut found);
        self.look_at_unrestored(&mut found);
        let links = self.netlink.links()?.into_iter().map(|link| (link.index, link)).collect();
        self.look_at_ports(&links, &mut found);
        self.look_at_containers(&links, &mut found);
        self.look_at_underlay(&links, &mut found)?;
        self.look_at_next_hops(&mut found);
        for differing in self.followed_differences() {
            found.add_said(differing);
        }
        Ok(found)
    }
}
