//! Which cores there are, and whether a plan uses only those.
//!
//! [`online`] is the profile's only look at the machine: `load` needs it, and nothing else.

use super::{Error, Plan, Problem};

/// The default for `workers`: core 1, which leaves core 0 to the control thread and the
/// kernel, unless core 0 is all there is.
pub(super) fn default_worker(existing: &[usize]) -> usize {
    usize::from(existing.contains(&1))
}

/// The cores that are online (`/sys/devices/system/cpu/online`, cpu-list format of
/// Documentation/admin-guide/cputopology.rst); without /sys, as many as std knows of.
pub(super) fn online() -> Vec<usize> {
    let listed = std::fs::read_to_string("/sys/devices/system/cpu/online").ok();
    listed.and_then(|list| cpu_list(&list)).unwrap_or_else(|| {
        (0..std::thread::available_parallelism().map_or(1, usize::from)).collect()
    })
}

/// `0-3,6` as numbers; `None` if it is not such a list.
fn cpu_list(list: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cores.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(cores)
}

impl Plan {
    /// Whether every core of `[tuning]` is among `existing`.
    ///
    /// # Errors
    /// Names each one that is not, its line, and those that exist.
    pub fn check_cores(&self, existing: &[usize]) -> Result<(), Error> {
        let at = &self.core_positions;
        let workers = self.tuning.workers.iter().zip(&at.workers);
        let problems: Vec<Problem> = workers
            .chain([(&self.tuning.control, &at.control)])
            .filter(|(core, _)| !existing.contains(core))
            .map(|(core, position)| Problem {
                position: position.clone(),
                message: format!(
                    "core {core} does not exist here; use one of {}",
                    listed(existing)
                ),
            })
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(Error::new(&self.path, problems)) }
    }
}

/// `0, 1, 5`, in runs: `0-63, 70`.
fn listed(cores: &[usize]) -> String {
    let runs = cores.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [.., last] if run.len() > 2 => format!("{}-{last}", run[0]),
        _ => run.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
    });
    runs.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists() {
        assert_eq!(cpu_list("0-1\n"), Some(vec![0, 1]));
        assert_eq!(cpu_list("0\n"), Some(vec![0]));
        assert_eq!(cpu_list("0-2,4,6-7"), Some(vec![0, 1, 2, 4, 6, 7]));
        assert_eq!(cpu_list(""), None);
        assert_eq!(cpu_list("a-b"), None);
    }

    #[test]
    fn this_machine_has_a_core() {
        assert!(!online().is_empty());
    }

    #[test]
    fn the_default_worker_leaves_core_0_alone_if_it_can() {
        assert_eq!(default_worker(&[0]), 0);
        assert_eq!(default_worker(&[0, 1]), 1);
        assert_eq!(default_worker(&[0, 2, 3]), 0);
    }

    #[test]
    fn runs_of_cores_are_shortened() {
        assert_eq!(listed(&[0, 1]), "0, 1");
        assert_eq!(listed(&[0, 1, 2, 3, 5]), "0-3, 5");
    }
}
