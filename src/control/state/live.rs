//! What lives: the keys with their newest values, in the order in which they were last put.
//!
//! The journal has it in memory, so that the whole file can be written anew at any time. Values
//! are held as the text that stands in the file, which is a fraction of a parsed one's size.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use anyhow::Context;
use serde_json::{Value, value::RawValue};

struct Row {
    key: Arc<str>,
    value: Box<RawValue>,
}

/// Keys and values in order. Invariant: `places` and `rows` have the same keys.
#[derive(Default)]
pub(super) struct Live {
    /// By place; a later place was put later.
    rows: BTreeMap<u64, Row>,
    places: HashMap<Arc<str>, u64>,
    next_place: u64,
}

impl Live {
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The key is the last in order from now on.
    pub fn put(&mut self, key: &str, value: Box<RawValue>) {
        let key = match self.places.get_key_value(key) {
            Some((key, place)) => {
                self.rows.remove(place);
                Arc::clone(key)
            }
            None => Arc::from(key),
        };
        self.places.insert(Arc::clone(&key), self.next_place);
        self.rows.insert(self.next_place, Row { key, value });
        self.next_place += 1;
    }

    /// Whether it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        let place = self.places.remove(key);
        place.is_some_and(|place| self.rows.remove(&place).is_some())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.rows.values().map(|row| (&*row.key, &*row.value))
    }

    /// All of it, parsed.
    ///
    /// # Errors
    /// A value is no JSON that this program reads (it is nested too deeply, for example).
    pub fn parsed(&self) -> anyhow::Result<Vec<(String, Value)>> {
        self.iter()
            .map(|(key, value)| {
                let value = serde_json::from_str(value.get())
                    .with_context(|| format!("the value of {key:?} cannot be read"))?;
                Ok((key.to_owned(), value))
            })
            .collect()
    }
}
