//! Real TCP transfers and UDP echoes between namespaces; what arrives is compared byte by byte.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use super::namespace::Namespace;

/// How long a transfer may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Sends `bytes` of pseudo-random content over TCP; panics unless the same content arrives.
#[track_caller]
pub fn tcp(from: &Namespace, to: &Namespace, to_address: Ipv4Addr, bytes: usize) {
    let listener = to.inside(|| TcpListener::bind((to_address, 0))).expect("listen");
    let port = listener.local_addr().expect("bound").port();
    let receiver = thread::spawn(move || receive(&listener));
    let sent = from.inside(|| send((to_address, port).into(), bytes));
    let received = receiver.join().expect("the receiving thread");
    let sent = sent.unwrap_or_else(|error| {
        panic!("TCP to {to_address}: sending failed: {error}; receiver: {received:?}")
    });
    let received =
        received.unwrap_or_else(|error| panic!("TCP to {to_address}: receiving failed: {error}"));
    assert_eq!(sent, received, "TCP to {to_address}: other content came out");
    assert_eq!(received.bytes, bytes, "TCP to {to_address}: other length");
}

/// Length and order-dependent hash of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Digest {
    bytes: usize,
    hash: u64,
}

impl Digest {
    fn new() -> Digest {
        Digest { bytes: 0, hash: 0xcbf2_9ce4_8422_2325 }
    }

    /// FNV-1a.
    fn add(&mut self, block: &[u8]) {
        self.bytes += block.len();
        for &byte in block {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

fn send(to: SocketAddr, bytes: usize) -> io::Result<Digest> {
    let start = Instant::now();
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(10))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    let mut digest = Digest::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = [0; 16 * 1024];
    while digest.bytes < bytes {
        let part = &mut block[..(bytes - digest.bytes).min(16 * 1024)];
        fill_randomly(part, &mut state);
        stream.write_all(part)?;
        digest.add(part);
        if start.elapsed() > LIMIT {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("only {} bytes in {LIMIT:?}", digest.bytes),
            ));
        }
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    // The receiver closes when it has everything, so the data has really left.
    stream.set_read_timeout(Some(LIMIT))?;
    let _ = stream.read(&mut [0])?;
    Ok(digest)
}

/// xorshift64: content without repetition, so that a swapped segment is seen.
fn fill_randomly(block: &mut [u8], state: &mut u64) {
    for chunk in block.chunks_mut(8) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
}

fn receive(listener: &TcpListener) -> io::Result<Digest> {
    let mut stream = accept(listener, Duration::from_secs(15))?;
    stream.set_read_timeout(Some(Duration::from_secs(15)))?;
    let mut digest = Digest::new();
    let mut block = [0; 16 * 1024];
    loop {
        let bytes = stream.read(&mut block)?;
        if bytes == 0 {
            return Ok(digest);
        }
        digest.add(&block[..bytes]);
    }
}

fn accept(listener: &TcpListener, limit: Duration) -> io::Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let start = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && start.elapsed() < limit => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Sends `count` different messages of `size` bytes to an echo and wants each back unchanged.
#[track_caller]
pub fn udp_echo(from: &Namespace, to: &Namespace, to_address: Ipv4Addr, count: u8, size: usize) {
    let echo = to.inside(|| UdpSocket::bind((to_address, 0))).expect("bind the echo");
    let port = echo.local_addr().expect("bound").port();
    let (done, is_done) = mpsc::channel::<()>();
    let echoing = thread::spawn(move || echo_until(&echo, &is_done));
    let client = from.inside(|| UdpSocket::bind("0.0.0.0:0")).expect("bind the client");
    client.set_read_timeout(Some(Duration::from_secs(2))).expect("a time-out");
    client.connect((to_address, port)).expect("connect");
    for number in 0..count {
        let message: Vec<u8> = (0..size).map(|index| (index % 251) as u8 ^ number).collect();
        client.send(&message).expect("send");
        let mut answer = vec![0; size + 1];
        let length = client
            .recv(&mut answer)
            .unwrap_or_else(|error| panic!("UDP echo {number} of {to_address}: {error}"));
        assert!(
            answer[..length] == message,
            "UDP echo {number} of {to_address}: other content came back"
        );
    }
    drop(done);
    echoing.join().expect("the echoing thread");
}

/// Sends every message back until the other end of `is_done` is dropped.
pub fn echo_until(socket: &UdpSocket, is_done: &mpsc::Receiver<()>) -> u64 {
    socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a time-out");
    let mut buffer = [0; 2048];
    let mut echoed = 0;
    while !matches!(is_done.try_recv(), Err(mpsc::TryRecvError::Disconnected)) {
        if let Ok((length, sender)) = socket.recv_from(&mut buffer) {
            echoed += u64::from(socket.send_to(&buffer[..length], sender).is_ok());
        }
    }
    echoed
}
