//! Why the kernel refused a request: its error number and, where it gives one, its own words.
//!
//! `socket` makes them; callers find them again in an `anyhow` chain with [`Refusal::errno_of`].

use std::{fmt, io};

use netlink_packet_core::{NLM_F_ACK_TLVS, NLM_F_CAPPED, NlasIterator};

/// `NLMSGERR_ATTR_MSG`: the text of an extended acknowledgement (include/uapi/linux/netlink.h).
const MESSAGE_TEXT: u16 = 1;
/// `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;

/// The kernel's "no" to one netlink request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error number, positive, as in errno(3).
    pub errno: i32,
    /// The extended acknowledgement's text, if the kernel sent one.
    pub detail: Option<String>,
}

impl Refusal {
    /// The error number of the refusal inside `error`, if one is.
    pub fn errno_of(error: &anyhow::Error) -> Option<i32> {
        error.downcast_ref::<Refusal>().map(|refusal| refusal.errno)
    }

    /// From an `NLMSG_ERROR`: `flags` of its header, and what follows the error code.
    pub(super) fn from_error(errno: i32, flags: u16, after_code: &[u8]) -> Refusal {
        let detail = if flags & NLM_F_ACK_TLVS == 0 {
            None
        } else {
            attributes_after_request(flags, after_code).and_then(text)
        };
        Refusal { errno, detail }
    }

    /// From the `NLMSG_DONE` of a dump that failed: what follows the error code.
    pub(super) fn from_done(errno: i32, flags: u16, after_code: &[u8]) -> Refusal {
        let detail = if flags & NLM_F_ACK_TLVS == 0 { None } else { text(after_code) };
        Refusal { errno, detail }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let long = io::Error::from_raw_os_error(self.errno).to_string();
        let words = long.split(" (os error").next().unwrap_or(&long);
        write!(out, "{words} ({})", errno_name(self.errno))?;
        if let Some(detail) = &self.detail {
            write!(out, ": {detail}")?;
        }
        if self.errno == libc::EPERM {
            write!(out, "; run as root or grant the capability CAP_NET_ADMIN")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

/// The refused request comes first: its header only when capped, else all of it, padded to 4.
fn attributes_after_request(flags: u16, after_code: &[u8]) -> Option<&[u8]> {
    let request_bytes = if flags & NLM_F_CAPPED != 0 {
        HEADER_BYTES
    } else {
        let length = after_code.first_chunk::<4>()?;
        (u32::from_ne_bytes(*length) as usize).next_multiple_of(4)
    };
    after_code.get(request_bytes..)
}

fn text(attributes: &[u8]) -> Option<String> {
    let message = NlasIterator::new(attributes)
        .filter_map(Result::ok)
        .find(|attribute| attribute.kind() == MESSAGE_TEXT)?;
    let text = String::from_utf8_lossy(message.value());
    Some(text.trim_end_matches('\0').to_owned())
}

/// The symbol of errno(3) for the numbers that rtnetlink gives.
fn errno_name(errno: i32) -> String {
    let name = match errno {
        libc::EPERM => "EPERM",
        libc::ENOENT => "ENOENT",
        libc::ESRCH => "ESRCH",
        libc::EINTR => "EINTR",
        libc::EAGAIN => "EAGAIN",
        libc::ENOMEM => "ENOMEM",
        libc::EACCES => "EACCES",
        libc::EBUSY => "EBUSY",
        libc::EEXIST => "EEXIST",
        libc::ENODEV => "ENODEV",
        libc::EINVAL => "EINVAL",
        libc::ENFILE => "ENFILE",
        libc::ERANGE => "ERANGE",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        libc::EAFNOSUPPORT => "EAFNOSUPPORT",
        libc::EADDRINUSE => "EADDRINUSE",
        libc::EADDRNOTAVAIL => "EADDRNOTAVAIL",
        libc::ENETDOWN => "ENETDOWN",
        libc::ENETUNREACH => "ENETUNREACH",
        libc::ENOBUFS => "ENOBUFS",
        libc::EHOSTUNREACH => "EHOSTUNREACH",
        libc::EMSGSIZE => "EMSGSIZE",
        other => return format!("errno {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One `NLMSGERR_ATTR_MSG` with the text "no", its zero byte, and a pad byte.
    const TEXT_NO: [u8; 8] = [7, 0, 1, 0, b'n', b'o', 0, 0];

    #[test]
    fn text_follows_the_request_header_when_capped() {
        let mut after_code = vec![0u8; HEADER_BYTES];
        after_code[0] = 200; // The request was longer than what is returned of it.
        after_code.extend(TEXT_NO);
        let refusal = Refusal::from_error(libc::EEXIST, NLM_F_ACK_TLVS | NLM_F_CAPPED, &after_code);
        assert_eq!(refusal.detail.as_deref(), Some("no"));
        assert_eq!(refusal.to_string(), "File exists (EEXIST): no");
    }

    #[test]
    fn text_follows_the_whole_request_when_not_capped() {
        let mut after_code = vec![0u8; 24];
        after_code[0] = 22; // Padded to 24.
        after_code.extend(TEXT_NO);
        let refusal = Refusal::from_error(libc::EINVAL, NLM_F_ACK_TLVS, &after_code);
        assert_eq!(refusal.detail.as_deref(), Some("no"));
    }

    #[test]
    fn cut_short_payloads_give_no_text() {
        for length in 0..HEADER_BYTES {
            let refusal = Refusal::from_error(libc::EPERM, NLM_F_ACK_TLVS, &vec![0xff; length]);
            assert_eq!(refusal.detail, None);
        }
    }

    #[test]
    fn errno_is_found_under_context() {
        let error =
            anyhow::Error::new(Refusal { errno: libc::ENODEV, detail: None }).context("asking");
        assert_eq!(Refusal::errno_of(&error), Some(libc::ENODEV));
        assert_eq!(Refusal::errno_of(&anyhow::anyhow!("other")), None);
    }
}
