//! What came by command before a restart comes back, in the order in which it came.
//!
//! Called at start, after the file is in effect, and when a reload has changed it. What cannot
//! come back (its network is gone, the file has its name now) is told in the log, stays in the
//! state file, and is shown by `overlane verify`: it is the operator's to settle, not ours to lose.

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use crate::control::{Control, apply::Care, protocol::Command, state::Change};

/// Something kept that is not in effect.
#[derive(Clone, Debug)]
pub struct Unrestored {
    /// Its name in the state file.
    pub name: String,
    /// Why.
    pub why: String,
    /// The network that its command names, if it names one.
    network: Option<String>,
    /// Its command.
    value: Value,
}

impl Control {
    pub(super) fn restore(&mut self, saved: Vec<(String, Value)>) {
        let count = saved.len();
        self.bring_back_saved(saved);
        // It is in the file already, as it was read.
        self.unsaved.clear();
        if count > 0 {
            let back = count - self.unrestored.len();
            tracing::info!("changes by command that are back: {back}, from {}", self.kept_in());
        }
    }

    /// The file has changed: what could not come back may do so now.
    pub(super) fn restore_more(&mut self) {
        let kept = std::mem::take(&mut self.unrestored);
        if kept.is_empty() {
            return;
        }
        let count = kept.len();
        self.bring_back_saved(kept.into_iter().map(|kept| (kept.name, kept.value)).collect());
        let back = count - self.unrestored.len();
        if back > 0 {
            tracing::info!("changes by command that are back: {back}");
        }
    }

    fn bring_back_saved(&mut self, saved: Vec<(String, Value)>) {
        self.care = Care::Patient;
        for (name, value) in saved {
            let network = value.get("network").and_then(Value::as_str).map(str::to_owned);
            let command = serde_json::from_value::<Command>(value.clone());
            let outcome = command.map_err(anyhow::Error::from).and_then(|command| {
                let done = self.perform(&command)?;
                ensure!(done["changed"] != false, "the file has it too, the same");
                Ok(())
            });
            if let Err(error) = outcome {
                let why = format!("{error:#}");
                tracing::warn!("{} keeps {name}, which cannot come back: {why}", self.kept_in());
                self.unrestored.push(Unrestored { name, why, network, value });
            }
        }
        self.care = Care::Whole;
    }

    /// Gives up what is kept and could not come back, by the parts of its name in the state file:
    /// whether there was such. `network` is the one that must be named by its command, if any.
    ///
    /// # Errors
    /// It is kept of several networks.
    pub(super) fn give_up(
        &mut self,
        network: Option<&str>,
        is_meant: impl Fn(&[&str]) -> bool,
    ) -> Result<bool> {
        let goes = |kept: &Unrestored| {
            network.is_none_or(|network| kept.network.as_deref() == Some(network))
                && is_meant(&kept.name.split('/').collect::<Vec<_>>())
        };
        let meant: Vec<_> = self.unrestored.iter().filter(|kept| goes(kept)).collect();
        let place = |kept: &Unrestored| kept.name.split('/').nth(1).map(str::to_owned);
        if meant.iter().any(|kept| place(kept) != place(meant[0])) {
            let names: Vec<_> = meant.iter().map(|kept| kept.name.as_str()).collect();
            bail!(
                "several are kept that could not come back ({}): say which by `network NAME` or \
                 `vni N`",
                names.join(", ")
            );
        }
        self.unsaved.extend(meant.iter().map(|kept| Change::Remove(kept.name.clone())));
        let before = self.unrestored.len();
        self.unrestored.retain(|kept| !goes(kept));
        Ok(self.unrestored.len() < before)
    }

    fn kept_in(&self) -> String {
        self.state.path().display().to_string()
    }
}
