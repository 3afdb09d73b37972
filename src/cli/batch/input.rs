//! Lines of a file or a pipe, and whether one can be had without waiting.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::AsFd,
    path::Path,
};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Bytes read at once.
const BLOCK: usize = 64 * 1024;
/// Bytes of a line; a longer one is no command.
const LINE_MAX: usize = 32 * 1024;

/// Where the lines come from, and what is read but not taken yet.
pub(super) struct Input {
    /// As errors name it.
    pub name: String,
    source: File,
    buffer: Vec<u8>,
    /// Where the next line starts in `buffer`.
    start: usize,
    has_ended: bool,
    /// Lines taken.
    number: usize,
    /// What comes up to the next newline is the rest of a line that was too long.
    is_skipping: bool,
}

/// A line without its newline, or why it is none.
pub(super) type Line<'l> = Result<&'l str, String>;

impl Input {
    /// `-` is standard input.
    ///
    /// # Errors
    /// No such file, or it is forbidden.
    pub(super) fn open(path: &Path) -> anyhow::Result<Input> {
        let name = path.display().to_string();
        let source = if name == "-" {
            File::from(io::stdin().as_fd().try_clone_to_owned().context("standard input")?)
        } else {
            File::open(path).with_context(|| format!("batch {name}: cannot read it"))?
        };
        Ok(Input::new(name, source))
    }

    pub(super) fn new(name: String, source: File) -> Input {
        Input {
            name,
            source,
            buffer: Vec::new(),
            start: 0,
            has_ended: false,
            number: 0,
            is_skipping: false,
        }
    }

    /// The next line that is there already, and its number from 1.
    pub(super) fn line(&mut self) -> Option<(usize, Line<'_>)> {
        if self.is_skipping && !self.skip() {
            return None;
        }
        let rest = &self.buffer[self.start..];
        let newline = rest.iter().position(|byte| *byte == b'\n');
        let (line, taken) = match newline {
            Some(at) => (&rest[..at], at + 1),
            None if self.has_ended && !rest.is_empty() => (rest, rest.len()),
            None if rest.len() <= LINE_MAX => return None,
            None => (rest, rest.len()),
        };
        self.start += taken;
        self.number += 1;
        if line.len() > LINE_MAX {
            self.is_skipping = newline.is_none();
            return Some((self.number, Err(format!("the line is longer than {LINE_MAX} bytes"))));
        }
        let line = std::str::from_utf8(line).map_err(|error| format!("not text: {error}"));
        Some((self.number, line))
    }

    /// Passes over the rest of a line: whether its end was there.
    fn skip(&mut self) -> bool {
        let rest = &self.buffer[self.start..];
        let newline = rest.iter().position(|byte| *byte == b'\n');
        self.start += newline.map_or(rest.len(), |at| at + 1);
        self.is_skipping = newline.is_none();
        newline.is_some()
    }

    /// Whether [`Input::fill`] would not wait.
    pub(super) fn is_ready(&self) -> bool {
        let mut fds = [PollFd::new(&self.source, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        // A source that cannot be polled is read at once.
        poll(&mut fds, Some(&now)).map_or(true, |ready| ready > 0)
    }

    /// Reads on, waiting if need be; false at the end.
    ///
    /// # Errors
    /// The source cannot be read.
    pub(super) fn fill(&mut self) -> anyhow::Result<bool> {
        if self.has_ended {
            return Ok(false);
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        let old = self.buffer.len();
        self.buffer.resize(old + BLOCK, 0);
        let read = loop {
            match self.source.read(&mut self.buffer[old..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.with_context(|| format!("batch {}: cannot read", self.name))?,
            }
        };
        self.buffer.truncate(old + read);
        self.has_ended = read == 0;
        // What is left at the end is a last line without its newline.
        Ok(!self.has_ended || !self.buffer.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    fn lines(text: &[u8]) -> Vec<String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file.rewind().unwrap();
        let mut input = Input::new("x".into(), file);
        let mut found = Vec::new();
        loop {
            match input.line() {
                Some((number, Ok(line))) => found.push(format!("{number} {line}")),
                Some((number, Err(why))) => found.push(format!("{number}: {why}")),
                None => {
                    if !input.fill().unwrap() {
                        return found;
                    }
                }
            }
        }
    }

    #[test]
    fn lines_are_numbered_and_the_last_may_lack_its_newline() {
        assert_eq!(lines(b"a\n\nb c"), ["1 a", "2 ", "3 b c"]);
        assert_eq!(lines(b"a\n"), ["1 a"]);
        assert_eq!(lines(b""), [""; 0]);
    }

    #[test]
    fn lines_across_blocks_are_whole() {
        let long: Vec<String> = (0..20_000).map(|n| format!("line number {n}")).collect();
        let found = lines((long.join("\n") + "\n").as_bytes());
        assert_eq!(found.len(), long.len());
        assert!(
            found.iter().zip(&long).enumerate().all(|(n, (f, l))| *f == format!("{} {l}", n + 1))
        );
    }

    #[test]
    fn what_is_no_text_or_too_long_is_refused_by_its_number() {
        let found = lines(b"a\n\xff\nb\n");
        assert!(found[1].starts_with("2: not text"), "{found:?}");
        assert_eq!(found[2], "3 b");
        assert_eq!(lines(&[b'a'; LINE_MAX]).len(), 1);
        for (long, end) in [(1, ""), (1, "\nb\nc"), (3 * BLOCK, ""), (3 * BLOCK, "\nb\nc")] {
            let mut text = vec![b'a'; LINE_MAX + long];
            text.extend(end.bytes());
            let found = lines(&text);
            assert!(found[0].starts_with("1: the line is longer"), "{found:?}");
            let rest: Vec<_> = end.split_terminator('\n').skip(1).collect();
            let numbered: Vec<_> =
                (2..).zip(&rest).map(|(n, line)| format!("{n} {line}")).collect();
            assert_eq!(found[1..], numbered);
        }
    }

    #[test]
    fn an_empty_pipe_is_not_ready_and_a_written_or_closed_one_is() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut input = Input::new("-".into(), File::from(std::os::fd::OwnedFd::from(reader)));
        assert!(!input.is_ready());
        writer.write_all(b"one\ntw").unwrap();
        assert!(input.is_ready() && input.fill().unwrap());
        assert_eq!(input.line(), Some((1, Ok("one"))));
        assert_eq!(input.line(), None);
        assert!(!input.is_ready());
        drop(writer);
        assert!(input.is_ready() && input.fill().unwrap());
        assert_eq!(input.line(), Some((2, Ok("tw"))));
        assert!(!input.fill().unwrap());
    }
}
