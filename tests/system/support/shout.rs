//! Numbered UDP datagrams that nobody answers, told apart by a word in them; who heard how many
//! is read from captures at other places, so from the kernel's side of them.

use std::{
    net::{Ipv4Addr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use etherparse::{SlicedPacket, TransportSlice};

use super::{capture::Capture, containers::Container, link::End, outer::OuterPacket};

/// Everybody in the subnet of the containers.
pub const BROADCAST: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 255);
/// A group that nobody has joined.
pub const MULTICAST: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
/// UDP port of all of them.
const PORT: u16 = 5151;

/// Sends `count` datagrams "WORD NUMBER" from a container, numbered from 0.
#[track_caller]
pub fn shout(from: &Container, to: Ipv4Addr, word: &str, count: usize) {
    let socket = socket(from);
    for number in 0..count {
        socket.send_to(format!("{word} {number}").as_bytes(), (to, PORT)).expect("send");
    }
}

/// The same at `per_second` of them; whoever falls behind catches up. Returns how long it took.
#[track_caller]
pub fn shout_at(
    from: &Container,
    to: Ipv4Addr,
    word: &str,
    count: usize,
    per_second: u32,
) -> Duration {
    let (socket, start) = (socket(from), Instant::now());
    let gap = Duration::from_secs(1) / per_second;
    for number in 0..count {
        let due = start + gap * u32::try_from(number).expect("a short test");
        thread::sleep(due.saturating_duration_since(Instant::now()));
        socket.send_to(format!("{word} {number}").as_bytes(), (to, PORT)).expect("send");
    }
    start.elapsed()
}

fn socket(from: &Container) -> UdpSocket {
    // Bound to the address, so that a multicast leaves by its device without a route.
    let socket = from.namespace.inside(|| UdpSocket::bind((from.address, 0))).expect("bind");
    socket.set_broadcast(true).expect("may broadcast");
    socket
}

/// Listens for what is shouted, at a device of the overlay: a container's, a VXLAN device.
#[track_caller]
pub fn listen(at: End<'_>) -> Capture {
    Capture::start(at, &format!("udp dst port {PORT}"))
}

/// What was heard of `word`, its numbers in order of arrival.
#[track_caller]
pub fn heard(capture: Capture, word: &str) -> Vec<usize> {
    numbers(&texts(capture), word)
}

/// Everything that was heard.
#[track_caller]
pub fn texts(capture: Capture) -> Vec<String> {
    capture.stop().iter().filter_map(|frame| text(frame)).collect()
}

/// The numbers said with `word`.
pub fn numbers(texts: &[String], word: &str) -> Vec<usize> {
    let number = |text: &String| text.strip_prefix(word)?.strip_prefix(' ')?.parse().ok();
    texts.iter().filter_map(number).collect()
}

/// Panics unless 0 to `count` - 1 were heard once each.
#[track_caller]
pub fn assert_each_once(heard: &[usize], count: usize, at: &str) {
    let mut heard = heard.to_vec();
    heard.sort_unstable();
    assert_eq!(heard, (0..count).collect::<Vec<_>>(), "heard at {at}, each once");
}

/// What a VXLAN packet carries of it.
pub fn inner_text(packet: &OuterPacket) -> Option<String> {
    text(&packet.inner)
}

fn text(frame: &[u8]) -> Option<String> {
    match SlicedPacket::from_ethernet(frame).ok()?.transport? {
        TransportSlice::Udp(udp) if udp.destination_port() == PORT => {
            String::from_utf8(udp.payload().to_vec()).ok()
        }
        _ => None,
    }
}
