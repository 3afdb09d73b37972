//! Which XDP program a port has attached. `verify` holds it against what the kernel says.

use super::{PortRecord, Program};

impl PortRecord {
    /// The id of the program that was attached; `None` while there is none.
    pub fn program_id(&self) -> Option<u32> {
        self.program.as_ref().map(|program| match program {
            Program::Underlay(program) => program.program_id(),
            Program::Access(attached) => attached.program_id(),
        })
    }
}
