//! The stream of news over real sockets.

use crate::control::{
    monitor::Monitors,
    protocol::{Event, News, PeerNews},
    server::feed::WAITING_LINES_MAX,
};

use super::*;

const MONITOR: &str = r#"{"version":1,"command":"monitor"}"#;
const MONITORING: &str = r#"{"version":1,"result":null}"#;

struct Scene {
    directory: tempfile::TempDir,
    serving: Serving,
    asked: Receiver<Asked>,
}

impl Scene {
    fn new() -> Scene {
        Scene::with_idle(IDLE)
    }

    fn with_idle(idle: Duration) -> Scene {
        let directory = tempfile::tempdir().unwrap();
        let mut listener = bind(&socket_in(&directory), None).unwrap();
        listener.idle = idle;
        let (serving, asked) = asked(listener);
        Scene { directory, serving, asked }
    }

    fn client(&self) -> Client {
        Client::connect(&socket_in(&self.directory))
    }

    /// A client that listens, and its other end.
    fn listening(&self) -> (Client, Subscriber) {
        let mut client = self.client();
        writeln!(client.0.get_mut(), "{MONITOR}").unwrap();
        let Asked { command, reply, subscriber } = self.asked.recv_timeout(SOON).unwrap();
        assert_eq!(command, Command::Monitor);
        reply.send(Ok(Answer::Ready(Value::Null)));
        assert_eq!(client.read(), MONITORING);
        (client, subscriber.unwrap())
    }
}

fn news(number: u64) -> News {
    News::PeerUp(PeerNews {
        name: number.to_string(),
        address: "172.19.188.123".into(),
        lladdr: None,
        reason: None,
    })
}

fn read_news(client: &mut Client) -> Option<News> {
    let line = client.read();
    if line.is_empty() {
        return None;
    }
    let Event { time, news } = serde_json::from_str(&line).unwrap();
    assert_eq!(time.len(), "2026-01-01T00:00:00.000000Z".len(), "{time}");
    assert!(humantime::parse_rfc3339(&time).is_ok(), "{time}");
    Some(news)
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < SOON, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn everyone_hears_everything_in_order_after_the_answer() {
    let scene = Scene::new();
    let (mut first, one) = scene.listening();
    let mut monitors = Monitors::default();
    assert!(!monitors.any());
    monitors.tell(news(0));
    monitors.add(one);
    assert!(monitors.any());
    monitors.tell(news(1));
    // The second one hears what comes before its answer, too, but after it.
    let mut second = scene.client();
    writeln!(second.0.get_mut(), "{STATS}\n{MONITOR}").unwrap();
    let stats = scene.asked.recv_timeout(SOON).unwrap();
    let Asked { reply, subscriber, .. } = scene.asked.recv_timeout(SOON).unwrap();
    monitors.add(subscriber.unwrap());
    (2..500).for_each(|number| monitors.tell(news(number)));
    reply.send(Ok(Answer::Ready(Value::Null)));
    stats.reply.send(Ok(Answer::Ready(json!(42))));
    assert_eq!((second.read().as_str(), second.read().as_str()), (STATS_ANSWER, MONITORING));
    for number in 1..500 {
        assert_eq!(read_news(&mut first), Some(news(number)));
        assert!(number == 1 || read_news(&mut second) == Some(news(number)));
    }
    drop(second);
    monitors.tell(news(500));
    assert_eq!(read_news(&mut first), Some(news(500)));
}

/// Whatever is missing is counted, where it is missing.
#[test]
fn a_slow_client_is_told_how_much_it_lost() {
    const ALL: u64 = 3 * WAITING_LINES_MAX as u64;
    let scene = Scene::new();
    let (mut client, subscriber) = scene.listening();
    for number in 0..ALL {
        assert!(subscriber.tell(&event_line(news(number))));
    }
    let (mut next, mut losses) = (0, 0);
    while next < ALL {
        match read_news(&mut client).expect("the stream goes on") {
            News::Lost { events } => {
                assert!(events > 0);
                (next, losses) = (next + events, losses + 1);
            }
            event => {
                assert_eq!(event, news(next), "an event is missing that was not counted");
                next += 1;
            }
        }
    }
    assert_eq!(next, ALL);
    assert!(losses > 0, "nothing was lost: the client was not slow");
    // There is room again.
    for number in ALL..ALL + 10 {
        assert!(subscriber.tell(&event_line(news(number))));
        assert_eq!(read_news(&mut client), Some(news(number)));
    }
}

#[test]
fn a_client_that_closes_is_noticed_without_news() {
    let scene = Scene::new();
    let (client, subscriber) = scene.listening();
    assert!(!subscriber.is_gone());
    drop(client);
    wait_until("the client that went is still there", || subscriber.is_gone());
    assert!(!subscriber.tell(&event_line(news(1))));
    let mut monitors = Monitors::default();
    monitors.add(subscriber);
    assert!(!monitors.any());
}

#[test]
fn a_client_that_asks_no_more_still_listens_for_longer_than_others_may_idle() {
    let scene = Scene::with_idle(Duration::from_millis(20));
    let (mut silent, one) = scene.listening();
    let (mut half_closed, other) = scene.listening();
    half_closed.0.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    thread::sleep(Duration::from_millis(200));
    for (subscriber, client) in [(one, &mut silent), (other, &mut half_closed)] {
        assert!(subscriber.tell(&event_line(news(7))));
        assert_eq!(read_news(client), Some(news(7)));
    }
}

#[test]
fn a_client_that_takes_nothing_is_closed() {
    let scene = Scene::with_idle(Duration::from_millis(20));
    let (_client, subscriber) = scene.listening();
    let line = event_line(news(7));
    // Far more than a socket holds.
    for _ in 0..50_000 {
        subscriber.tell(&line);
    }
    wait_until("it is still there", || subscriber.is_gone());
}

#[test]
fn a_stop_ends_the_stream_and_so_does_the_last_word() {
    let scene = Scene::new();
    let (mut stopped, kept) = scene.listening();
    let (mut ended, dropped) = scene.listening();
    for number in 0..100 {
        assert!(dropped.tell(&event_line(news(number))));
    }
    drop(dropped);
    for number in 0..100 {
        assert_eq!(read_news(&mut ended), Some(news(number)), "what waits is still told");
    }
    assert_eq!(read_news(&mut ended), None);
    drop(scene.serving);
    assert_eq!(read_news(&mut stopped), None);
    wait_until("nobody said that it stopped", || kept.is_gone());
}

#[test]
fn a_refusal_ends_the_connection() {
    let scene = Scene::new();
    let mut client = scene.client();
    writeln!(client.0.get_mut(), "{MONITOR}\n{STATS}").unwrap();
    let Asked { reply, subscriber, .. } = scene.asked.recv_timeout(SOON).unwrap();
    reply.send(Err("no".into()));
    assert_eq!(client.read(), r#"{"version":1,"error":"no"}"#);
    assert_eq!(client.read(), "");
    wait_until("nobody noticed", || subscriber.as_ref().unwrap().is_gone());
    assert!(scene.asked.try_recv().is_err(), "what came after it is not read");
}
