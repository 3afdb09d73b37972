//! iputils ping, parsed.

use std::net::IpAddr;

use super::namespace::Namespace;

/// What ping says at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinged {
    pub sent: u32,
    pub received: u32,
    /// Replies beyond the first one to a request.
    pub duplicates: u32,
    /// The TTLs of the replies, each once.
    pub ttls: Vec<u8>,
}

impl Pinged {
    /// Panics unless each request had exactly one reply.
    #[track_caller]
    pub fn assert_no_loss(&self) {
        assert!(
            self.sent > 0 && self.received == self.sent && self.duplicates == 0,
            "ping lost replies or got extra ones: {self:?}"
        );
    }
}

/// `count` requests of `size` bytes (plus 28 of headers, 48 with IPv6) to `to`, 50 ms apart, never fragmented.
#[track_caller]
pub fn ping(from: &Namespace, to: impl Into<IpAddr>, count: u32, size: u32) -> Pinged {
    ping_every(from, to, count, size, "0.05")
}

/// The same, `interval_s` apart.
#[track_caller]
pub fn ping_every(
    from: &Namespace,
    to: impl Into<IpAddr>,
    count: u32,
    size: u32,
    interval_s: &str,
) -> Pinged {
    let (to, count, size) = (to.into().to_string(), count.to_string(), size.to_string());
    let words =
        ["ping", "-n", "-M", "do", "-W", "2", "-i", interval_s, "-c", &count, "-s", &size, &to];
    let output = from.exec(&words);
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text).unwrap_or_else(|| {
        panic!("`{}` printed:\n{text}{}", words.join(" "), String::from_utf8_lossy(&output.stderr))
    })
}

/// Waits until `to` answers, for tables that are still being filled; panics after 5 s.
#[track_caller]
pub fn wait_until_reachable(from: &Namespace, to: impl Into<IpAddr>) {
    let to = to.into();
    let answered = (0..50).any(|_| ping_every(from, to, 1, 56, "0.1").received == 1);
    assert!(answered, "{to} never answered a ping from {from:?}");
}

fn parse(text: &str) -> Option<Pinged> {
    let summary = text.lines().find(|line| line.contains("packets transmitted"))?;
    let number_before = |what: &str| {
        let part = summary.split(", ").find(|part| part.contains(what))?;
        part.trim_start_matches('+').split(' ').next()?.parse::<u32>().ok()
    };
    let ttl = |line: &str| line.split("ttl=").nth(1)?.split(' ').next()?.parse().ok();
    let mut ttls: Vec<u8> = text.lines().filter_map(ttl).collect();
    ttls.sort_unstable();
    ttls.dedup();
    Some(Pinged {
        sent: number_before("transmitted")?,
        received: number_before("received")?,
        duplicates: number_before("duplicates").unwrap_or(0),
        ttls,
    })
}
