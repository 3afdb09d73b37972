//! A `batch` request that grows command by command: its line is written as they come, so that
//! its length is known.

use crate::control::{
    protocol::{Command, VERSION},
    server::REQUEST_BYTES_MAX,
};

/// Commands in a request. The switch answers one when all of it is done and on disk, so few large
/// ones are faster; but it looks after nothing else meanwhile.
const COMMANDS_MAX: usize = 4000;
/// What ends the request line.
const END: &[u8] = b"]}\n";

/// Commands and the lines that they stand in.
pub(super) struct Chunk {
    force: bool,
    json: Vec<u8>,
    lines: Vec<usize>,
}

impl Chunk {
    pub(super) fn new(force: bool) -> Chunk {
        let mut chunk = Chunk { force, json: Vec::new(), lines: Vec::new() };
        chunk.begin();
        chunk
    }

    fn begin(&mut self) {
        self.json.clear();
        let start = format!(
            "{{\"version\":{VERSION},\"command\":\"batch\",\"force\":{},\"commands\":[",
            self.force
        );
        self.json.extend(start.as_bytes());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.lines.len() == COMMANDS_MAX
    }

    /// Adds a command, or gives it back as false when the request would be too long with it. The
    /// first one fits always: a line of input is shorter than a request.
    pub(super) fn push(&mut self, line: usize, command: &Command) -> anyhow::Result<bool> {
        let before = self.json.len();
        if !self.lines.is_empty() {
            self.json.push(b',');
        }
        serde_json::to_writer(&mut self.json, command)?;
        if self.json.len() + END.len() > REQUEST_BYTES_MAX && !self.lines.is_empty() {
            self.json.truncate(before);
            return Ok(false);
        }
        self.lines.push(line);
        Ok(true)
    }

    /// The request, and the lines that its commands stand in; empty again after it.
    pub(super) fn take(&mut self) -> (Vec<u8>, Vec<usize>) {
        let mut json = std::mem::take(&mut self.json);
        json.extend(END);
        self.begin();
        (json, std::mem::take(&mut self.lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::Request;

    fn del(name: &str) -> Command {
        Command::PeerDel { name: name.into() }
    }

    fn request(json: &[u8]) -> Command {
        assert!(json.ends_with(b"\n"));
        let request: Request = serde_json::from_slice(json).unwrap();
        assert_eq!(request.version, VERSION);
        request.command
    }

    #[test]
    fn what_is_written_is_a_batch_request() {
        for force in [false, true] {
            let mut chunk = Chunk::new(force);
            for names in [&["a"][..], &["b", "c"]] {
                for (line, name) in names.iter().enumerate() {
                    assert!(chunk.push(line * 7, &del(name)).unwrap());
                }
                let (json, lines) = chunk.take();
                let commands = names.iter().map(|name| del(name)).collect();
                assert_eq!(request(&json), Command::Batch { commands, force });
                assert_eq!(lines, [0, 7][..names.len()]);
                assert!(chunk.is_empty());
            }
        }
    }

    #[test]
    fn no_request_is_longer_than_the_server_takes() {
        let mut chunk = Chunk::new(false);
        let large = del(&"x".repeat(1000));
        let mut pushed = 0;
        while !chunk.is_full() && chunk.push(pushed, &large).unwrap() {
            pushed += 1;
        }
        let (json, lines) = chunk.take();
        assert!(json.len() <= REQUEST_BYTES_MAX);
        assert_eq!(lines.len(), pushed);
        let Command::Batch { commands, .. } = request(&json) else { panic!() };
        assert_eq!(commands, vec![large; pushed]);
    }
}
