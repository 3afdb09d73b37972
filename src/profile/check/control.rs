//! `[control]`: the socket, who may use it, and where what came by command is kept.

use std::path::{Path, PathBuf};

use super::problems::Problems;
use crate::profile::raw::{self, NumberOrText};

/// The longest path that a Unix socket address holds (`sun_path` less its zero, unix(7)).
const SOCKET_PATH_BYTES: usize = 107;
/// The highest group number; chown(2) takes the one above it as "leave it as it is".
const MOST_GROUP: u32 = u32::MAX - 1;

/// The table, with its defaults.
pub(super) struct Control {
    /// The socket's path.
    pub socket: PathBuf,
    /// The name or number of the group that may use it too.
    pub group: Option<String>,
    /// The directory that keeps what came by command.
    pub state: PathBuf,
}

/// What `[control]` says, if it is there.
pub(super) fn check(problems: &mut Problems, raw: Option<&raw::Control>) -> Option<Control> {
    let socket = socket(problems, raw);
    let group = group(problems, raw);
    let state = state(problems, raw);
    Some(Control { socket: socket?, group: group?, state: state? })
}

fn socket(problems: &mut Problems, raw: Option<&raw::Control>) -> Option<PathBuf> {
    let Some(socket) = raw.and_then(|table| table.socket.as_ref()) else {
        return Some(PathBuf::from("/run/overlane/overlane.sock"));
    };
    let bytes = socket.get_ref().len();
    if (1..=SOCKET_PATH_BYTES).contains(&bytes) {
        return Some(PathBuf::from(socket.get_ref()));
    }
    problems.at(
        socket,
        format!(
            "a path of {bytes} bytes cannot be a Unix socket; use 1 to {SOCKET_PATH_BYTES} bytes"
        ),
    )
}

/// `Some(None)`: there is none. Whether the group exists is the machine's affair.
fn group(problems: &mut Problems, raw: Option<&raw::Control>) -> Option<Option<String>> {
    let Some(value) = raw.and_then(|table| table.group.as_ref()) else {
        return Some(None);
    };
    let written = match &value.get_ref().0 {
        NumberOrText::Text(text) => text.clone(),
        NumberOrText::Number(number) => number.to_string(),
    };
    let digits = !written.is_empty() && written.bytes().all(|byte| byte.is_ascii_digit());
    let refused = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ':' | ',' | '/');
    let fits = match digits {
        true => written.parse().is_ok_and(|number: u32| number <= MOST_GROUP),
        // getent(1) takes what starts with a dash for an option, and so do chgrp(1) and groupadd(8).
        false => !written.is_empty() && !written.starts_with('-') && !written.contains(refused),
    };
    if fits {
        return Some(Some(written));
    }
    problems.at(
        value,
        format!(
            "{written:?} is not a group; use the name of one, or its number from 0 to {MOST_GROUP}"
        ),
    )
}

fn state(problems: &mut Problems, raw: Option<&raw::Control>) -> Option<PathBuf> {
    let Some(state) = raw.and_then(|table| table.state.as_ref()) else {
        return Some(PathBuf::from("/var/lib/overlane"));
    };
    let text = state.get_ref();
    if Path::new(text).is_absolute() && !text.contains('\0') {
        return Some(PathBuf::from(text));
    }
    let message = format!("{text:?} is not an absolute path; write one like /var/lib/overlane");
    problems.at(state, message)
}
