//! Who listens to the news (`monitor`), and telling them. Owned by the control thread.

use super::{
    protocol::News,
    server::{Subscriber, event_line},
};

/// The clients that listen.
#[derive(Debug, Default)]
pub struct Monitors(Vec<Subscriber>);

impl Monitors {
    /// One more listens, from now on.
    pub fn add(&mut self, subscriber: Subscriber) {
        self.0.push(subscriber);
    }

    /// Whether anyone listens; forgets those who have gone. To be asked before news are put
    /// together, and now and then for the row writers' logs to be switched off.
    pub fn any(&mut self) -> bool {
        self.0.retain(|subscriber| !subscriber.is_gone());
        !self.0.is_empty()
    }

    /// Tells everyone; never blocks.
    pub fn tell(&mut self, news: News) {
        if self.0.is_empty() {
            return;
        }
        let line = event_line(news);
        self.0.retain(|subscriber| subscriber.tell(&line));
    }
}
