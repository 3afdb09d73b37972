//! A line on the terminal while a run is under way.

use std::{
    collections::VecDeque,
    io::{self, IsTerminal, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::Ordering::Relaxed,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::units::{plain, pps};
use crate::pktgen::trial::Watch;

/// From one look to the next.
const TICK: Duration = Duration::from_millis(100);
/// Rates are those of the last second.
const LOOKS: usize = 11;

/// What is drawn on stderr now.
static DRAWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Writes to stderr, above the line that a [`Progress`] draws there, if one does.
#[derive(Clone, Copy, Debug)]
pub struct AboveProgress;

impl Write for AboveProgress {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let write = || io::stderr().write_all(bytes).map(|()| bytes.len());
        match drawn {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Draws on stderr, if that is a terminal, what a [`Watch`] says, until it is dropped; then it
/// leaves nothing there.
#[derive(Debug)]
pub struct Progress {
    /// Dropped to end the thread.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// `what` stands at the line's start. `expected`: how long it takes, for a bar; without it
    /// there is a spinner.
    pub fn start(watch: Arc<Watch>, what: &str, expected: Option<Duration>) -> Progress {
        if !std::io::stderr().is_terminal() {
            return Progress { end: None, thread: None };
        }
        let bar = bar(ProgressDrawTarget::stderr(), what, expected);
        *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        Progress::start_on(bar, watch)
    }

    fn start_on(bar: ProgressBar, watch: Arc<Watch>) -> Progress {
        let (end, ended) = mpsc::channel();
        let run = move || {
            let start = Instant::now();
            let mut rates = Rates::default();
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                bar.set_message(rates.look(start.elapsed(), &watch));
                // A bar that waits at its end is not full: it has yet to end.
                let most = bar.length().map_or(u64::MAX, |length| length.saturating_sub(1));
                bar.set_position((start.elapsed().as_millis() as u64).min(most));
                bar.tick();
            }
            // Nobody draws it again from now on.
            DRAWN.lock().unwrap_or_else(PoisonError::into_inner).take();
            bar.finish_and_clear();
        };
        // A run goes on without its line if there cannot be a thread for it.
        let thread = thread::Builder::new().name("progress".into()).spawn(run).ok();
        Progress { end: Some(end), thread }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // It panicked: it has told so itself, and the run does not depend on it.
            let _ = thread.join();
        }
    }
}

fn bar(target: ProgressDrawTarget, what: &str, expected: Option<Duration>) -> ProgressBar {
    let length = expected.map(|time| (time.as_millis() as u64).max(1));
    let template = match length {
        Some(_) => "{prefix} {bar:30} {percent:>3} %  {msg}",
        None => "{prefix} {spinner} {elapsed}  {msg}",
    };
    let style = ProgressStyle::with_template(template)
        .map(|style| style.progress_chars("━━─"))
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::with_draw_target(length, target).with_style(style).with_prefix(plain(what))
}

/// What was counted in the last second.
#[derive(Default)]
struct Rates {
    /// When, sent, received.
    looks: VecDeque<(Duration, u64, u64)>,
}

impl Rates {
    /// The line's text, `now` after the start.
    fn look(&mut self, now: Duration, watch: &Watch) -> String {
        let (sent, received) = (watch.sent.load(Relaxed), watch.received.load(Relaxed));
        // Counters that went back are those of the next trial.
        if self.looks.back().is_some_and(|(_, s, r)| sent < *s || received < *r) {
            self.looks.clear();
        }
        self.looks.push_back((now, sent, received));
        if self.looks.len() > LOOKS {
            self.looks.pop_front();
        }
        let first = self.looks.front().copied().unwrap_or_default();
        let passed = now.saturating_sub(first.0).as_secs_f64();
        let rate = |count: u64| if passed > 0.0 { pps(count as f64 / passed) } else { pps(0.0) };
        let trial = watch.trials.load(Relaxed) + 1;
        let (sent_rate, received_rate) = (rate(sent - first.1), rate(received - first.2));
        format!("trial {trial}  sent {sent} ({sent_rate})  received {received} ({received_rate})")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Condvar;

    use indicatif::TermLike;

    use super::*;

    /// A terminal that keeps what was drawn.
    #[derive(Clone, Debug, Default)]
    struct Screen(Arc<(Mutex<String>, Condvar)>);

    impl Screen {
        fn put(&self, text: &str) -> io::Result<()> {
            self.0.0.lock().unwrap().push_str(text);
            self.0.1.notify_all();
            Ok(())
        }

        fn wait_for(&self, text: &str) {
            let held = self.0.0.lock().unwrap();
            let limit = Duration::from_secs(30);
            let waited = self.0.1.wait_timeout_while(held, limit, |seen| !seen.contains(text));
            let (seen, result) = waited.unwrap();
            assert!(!result.timed_out(), "no {text:?} in {seen:?}");
        }
    }

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            200
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.put(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.put(text)
        }
        fn clear_line(&self) -> io::Result<()> {
            self.put("[cleared]")
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn rates_are_of_the_last_second_and_start_anew_with_a_trial() {
        let watch = Watch::default();
        let mut rates = Rates::default();
        let mut look = |tenths: u64, sent: u64, received: u64| {
            watch.sent.store(sent, Relaxed);
            watch.received.store(received, Relaxed);
            rates.look(Duration::from_millis(100 * tenths), &watch)
        };
        assert_eq!(look(0, 0, 0), "trial 1  sent 0 (0 pps)  received 0 (0 pps)");
        let mut text = String::new();
        for tenths in 1..=30u64 {
            // Twice as fast from the second second on.
            let sent = 1000 * tenths + 1000 * tenths.saturating_sub(10);
            text = look(tenths, sent, sent / 2);
        }
        assert_eq!(text, "trial 1  sent 50000 (20.00 kpps)  received 25000 (10.00 kpps)");
        watch.trials.store(1, Relaxed);
        assert_eq!(look(31, 10, 0), "trial 2  sent 10 (0 pps)  received 0 (0 pps)");
    }

    #[test]
    fn a_bar_and_a_spinner_are_drawn_and_cleared() {
        for expected in [Some(Duration::from_secs(3600)), Some(Duration::ZERO), None] {
            let watch = Arc::new(Watch::default());
            watch.sent.store(12_345, Relaxed);
            let screen = Screen::default();
            let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
            let progress = Progress::start_on(bar(target, "search", expected), watch);
            screen.wait_for("sent 12345");
            screen.wait_for("search");
            drop(progress);
            let seen = screen.0.0.lock().unwrap();
            let after = seen.rsplit("sent 12345").next().unwrap();
            assert!(after.contains("[cleared]"), "{seen:?}");
        }
    }

    #[test]
    fn it_ends_at_once_even_if_nothing_was_drawn() {
        drop(Progress::start(Arc::default(), "rate", None));
        let hidden = ProgressDrawTarget::hidden();
        let bar = bar(hidden, "rate", Some(Duration::from_secs(9)));
        drop(Progress::start_on(bar, Arc::default()));
    }
}
