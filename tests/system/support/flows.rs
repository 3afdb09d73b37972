//! Many UDP flows at once, told apart by their source ports: echoed, or numbered so that their
//! order shows; and a steady stream that is counted.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use rustix::net::sockopt::set_socket_recv_buffer_size_force;

use super::{namespace::Namespace, transfer::echo_until};

/// What a stream's receiver may have waiting.
const RECEIVE_BYTES: usize = 4 << 20;
/// Messages that a stream's sender sends at once, at most, after a pause.
const MOST_BEHIND: u32 = 16;

/// Sends one message per flow and round to an echo, each round after the answers of the last;
/// panics unless every message came back. Each flow has a source port of its own.
#[track_caller]
pub fn echo_flows(
    from: &Namespace,
    to: &Namespace,
    to_address: Ipv4Addr,
    flows: usize,
    rounds: usize,
) {
    let echo = to.inside(|| UdpSocket::bind((to_address, 0))).expect("bind the echo");
    let port = echo.local_addr().expect("bound").port();
    let (done, is_done) = mpsc::channel::<()>();
    let echoing = thread::spawn(move || echo_until(&echo, &is_done));
    let clients = from.inside(|| clients(to_address, port, flows));
    let mut lost = 0;
    for round in 0..rounds {
        for (flow, client) in clients.iter().enumerate() {
            client.send(&message(flow, round)).expect("send");
        }
        lost += clients
            .iter()
            .enumerate()
            .filter(|(flow, client)| !is_answered(client, &message(*flow, round)))
            .count();
    }
    drop(done);
    echoing.join().expect("the echoing thread");
    assert_eq!(
        lost, 0,
        "of {flows} flows x {rounds} messages to {to_address}, so many did not come back"
    );
}

fn clients(to: Ipv4Addr, port: u16, flows: usize) -> Vec<UdpSocket> {
    let client = |_| {
        let client = UdpSocket::bind("0.0.0.0:0").expect("bind a client");
        client.connect((to, port)).expect("connect");
        client.set_read_timeout(Some(Duration::from_secs(1))).expect("a time-out");
        client
    };
    (0..flows).map(client).collect()
}

fn message(flow: usize, round: usize) -> [u8; 64] {
    let mut message = [flow as u8; 64];
    message[..8].copy_from_slice(&round.to_be_bytes());
    message
}

fn is_answered(client: &UdpSocket, wanted: &[u8]) -> bool {
    let mut answer = [0; 128];
    client.recv(&mut answer).is_ok_and(|length| &answer[..length] == wanted)
}

/// A UDP stream out of a namespace at a steady rate, whether anybody listens or not; it ends
/// with the value.
pub struct Sender {
    stop: mpsc::Sender<()>,
    thread: thread::JoinHandle<u64>,
}

impl Sender {
    /// Starts it.
    #[track_caller]
    pub fn start(from: &Namespace, to: SocketAddrV4, per_second: u32) -> Sender {
        Sender::with_end(from, to, per_second, None)
    }

    /// Starts it; `ended` is dropped after the last message.
    #[track_caller]
    fn with_end(
        from: &Namespace,
        to: SocketAddrV4,
        per_second: u32,
        ended: Option<mpsc::Sender<()>>,
    ) -> Sender {
        // Not connected: nobody tells it that nobody listens.
        let socket = from.inside(|| UdpSocket::bind("0.0.0.0:0")).expect("bind the sender");
        let (stop, is_stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let sent = send_steadily(&socket, to, per_second, &is_stopped);
            drop(ended);
            sent
        });
        Sender { stop, thread }
    }

    /// Ends it: how many were sent.
    pub fn finish(self) -> u64 {
        drop(self.stop);
        self.thread.join().expect("the sender")
    }
}

/// A UDP stream between two namespaces, counted at its far end.
pub struct Stream {
    sender: Sender,
    receiver: thread::JoinHandle<()>,
    received: Arc<AtomicU64>,
}

impl Stream {
    /// Starts it. The receiver counts until 500 ms after the last message.
    #[track_caller]
    pub fn start(
        from: &Namespace,
        to: &Namespace,
        to_address: Ipv4Addr,
        per_second: u32,
    ) -> Stream {
        let receiving = to.inside(|| UdpSocket::bind((to_address, 0))).expect("bind the receiver");
        // A pause of the machine must not overflow it.
        let _ = set_socket_recv_buffer_size_force(&receiving, RECEIVE_BYTES);
        let port = receiving.local_addr().expect("bound").port();
        let (sent_all, is_over) = mpsc::channel();
        let to = SocketAddrV4::new(to_address, port);
        let sender = Sender::with_end(from, to, per_second, Some(sent_all));
        let received = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&received);
        let receiver = thread::spawn(move || count(&receiving, &is_over, &counter));
        Stream { sender, receiver, received }
    }

    /// How many have arrived so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Ends it: (sent, received).
    pub fn finish(self) -> (u64, u64) {
        let sent = self.sender.finish();
        self.receiver.join().expect("the receiver");
        (sent, self.received.load(Ordering::Relaxed))
    }
}

/// What a pause of the machine held up is not made up for: that would be a burst.
fn send_steadily(
    socket: &UdpSocket,
    to: SocketAddrV4,
    per_second: u32,
    is_stopped: &mpsc::Receiver<()>,
) -> u64 {
    let gap = Duration::from_secs(1) / per_second;
    let (mut sent, mut due) = (0_u64, Instant::now());
    while !matches!(is_stopped.try_recv(), Err(mpsc::TryRecvError::Disconnected)) {
        sent += u64::from(socket.send_to(&sent.to_be_bytes(), to).is_ok());
        let now = Instant::now();
        due = (due + gap).max(now.checked_sub(gap * MOST_BEHIND).unwrap_or(now));
        thread::sleep(due.saturating_duration_since(now));
    }
    sent
}

fn count(socket: &UdpSocket, is_over: &mpsc::Receiver<()>, received: &AtomicU64) {
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a time-out");
    loop {
        let is_over = matches!(is_over.try_recv(), Err(mpsc::TryRecvError::Disconnected));
        match socket.recv(&mut [0; 64]) {
            Ok(_) => {
                received.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) if is_over => return,
            Err(_) => {}
        }
    }
}

/// Many numbered UDP flows in one direction, sent in turn.
pub struct Numbered {
    receiver: thread::JoinHandle<BTreeMap<u16, Vec<u64>>>,
    flows: usize,
    messages: u64,
}

impl Numbered {
    /// Starts `flows` flows of `messages` messages each; a round of one message per flow goes out
    /// every 5 ms. The receiver listens until 500 ms after the last one.
    #[track_caller]
    pub fn start(
        from: &Namespace,
        to: &Namespace,
        to_address: Ipv4Addr,
        flows: usize,
        messages: u64,
    ) -> Numbered {
        let receiving = to.inside(|| UdpSocket::bind((to_address, 0))).expect("bind the receiver");
        let port = receiving.local_addr().expect("bound").port();
        let clients = from.inside(|| clients(to_address, port, flows));
        let (sent_all, is_over) = mpsc::channel::<()>();
        thread::spawn(move || {
            for number in 0..messages {
                for client in &clients {
                    client.send(&number.to_be_bytes()).expect("send");
                }
                thread::sleep(Duration::from_millis(5));
            }
            drop(sent_all);
        });
        let receiver = thread::spawn(move || numbers_by_flow(&receiving, &is_over));
        Numbered { receiver, flows, messages }
    }

    /// Waits for the end; panics when a flow's messages came out of order or twice, when a flow is
    /// missing, or when more than one in ten messages is.
    #[track_caller]
    pub fn assert_in_order(self) {
        let by_flow = self.receiver.join().expect("the receiver");
        assert_eq!(by_flow.len(), self.flows, "flows that arrived");
        for (source_port, numbers) in &by_flow {
            let overtaken = numbers.windows(2).find(|pair| pair[0] >= pair[1]);
            assert_eq!(overtaken, None, "out of order in the flow from port {source_port}");
        }
        let received: usize = by_flow.values().map(Vec::len).sum();
        let sent = self.flows * usize::try_from(self.messages).expect("a small number");
        assert!(received * 10 >= sent * 9, "only {received} of {sent} messages arrived");
    }
}

fn numbers_by_flow(socket: &UdpSocket, is_over: &mpsc::Receiver<()>) -> BTreeMap<u16, Vec<u64>> {
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a time-out");
    let mut by_flow = BTreeMap::<u16, Vec<u64>>::new();
    loop {
        let is_over = matches!(is_over.try_recv(), Err(mpsc::TryRecvError::Disconnected));
        let mut number = [0; 8];
        match socket.recv_from(&mut number) {
            Ok((8, sender)) => {
                by_flow.entry(sender.port()).or_default().push(u64::from_be_bytes(number));
            }
            Ok(other) => panic!("a message that nobody sent: {other:?}"),
            Err(_) if is_over => return by_flow,
            Err(_) => {}
        }
    }
}
