//! What write commands, `reload` and `verify` print.

use std::fmt::Write;

use super::Failure;
use crate::control::protocol::{Differing, Flushed, Reloaded, Verified};

/// `fdb flush`.
pub(super) fn flushed(&Flushed { removed }: &Flushed) -> String {
    format!("{} removed\n", number(removed, "row"))
}

/// `reload`.
pub(super) fn reloaded(result: &Reloaded) -> String {
    counts(result) + "\n"
}

/// `networks 1 added, 2 removed; peers 1 changed`, what did not happen left out.
pub(super) fn counts(result: &Reloaded) -> String {
    let kinds = [
        ("networks", [result.networks_added, result.networks_removed, result.networks_changed]),
        ("endpoints", [result.endpoints_added, result.endpoints_removed, result.endpoints_changed]),
        ("peers", [result.peers_added, result.peers_removed, result.peers_changed]),
    ];
    let mut text = String::new();
    for (kind, numbers) in kinds {
        let done = numbers.iter().zip(["added", "removed", "changed"]).filter(|(n, _)| **n > 0);
        let done: Vec<String> = done.map(|(number, what)| format!("{number} {what}")).collect();
        if !done.is_empty() {
            let gap = if text.is_empty() { "" } else { "; " };
            let _ = write!(text, "{gap}{kind} {}", done.join(", "));
        }
    }
    if text.is_empty() { "nothing changed".into() } else { text }
}

/// `verify`: a line for each thing that differs, and a last one with the sums.
pub(super) fn verified(result: &Verified) -> String {
    let mut text = String::new();
    for Differing { kind, what, wanted, found, repaired } in &result.differences {
        let done = match repaired {
            None => "",
            Some(true) => " (repaired)",
            Some(false) => " (not repaired)",
        };
        // `what` of a port or peer begins with that word.
        let kind = if what.split(' ').next() == Some(kind) { "" } else { &format!("{kind} ") };
        let _ = writeln!(text, "{kind}{what}: wanted {wanted}, found {found}{done}");
    }
    let left_out = result.differing.saturating_sub(result.differences.len());
    if left_out > 0 {
        let _ = writeln!(text, "... and {left_out} more");
    }
    let verdict = match result.differing {
        0 => "all as wanted".to_owned(),
        1 => "1 thing differs".to_owned(),
        many => format!("{many} things differ"),
    };
    let _ = writeln!(
        text,
        "{}, {}, {}, {}: {verdict}",
        number(result.fdb, "forwarding row"),
        number(result.neighbours, "neighbour row"),
        number(result.ports, "port"),
        number(result.peers, "peer"),
    );
    text
}

/// The exit of `verify`: whatever differs and is not repaired is a failure.
pub(super) fn verdict(result: &Verified, repair: bool, text: String) -> Result<String, Failure> {
    let repaired = result.differences.iter().filter(|one| one.repaired == Some(true)).count();
    let left = result.differing.saturating_sub(repaired);
    if left == 0 {
        return Ok(text);
    }
    if repair && result.differing > result.differences.len() {
        let error = anyhow::anyhow!(
            "verify: {} things differed, too many to list: use `overlane verify` again to see what is left",
            result.differing
        );
        return Err(Failure::AfterResult(text, error));
    }
    let hint = match repair {
        true => "what is not repaired is yours to mend, or overlane's log says why",
        false => "`overlane verify --repair` puts right what it can",
    };
    let are = if left == 1 { "thing is" } else { "things are" };
    let error = anyhow::anyhow!("verify: {left} {are} not as wanted: {hint}");
    Err(Failure::AfterResult(text, error))
}

fn number(count: usize, of: &str) -> String {
    if count == 1 { format!("1 {of}") } else { format!("{count} {of}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_name_what_happened() {
        assert_eq!(counts(&Reloaded::default()), "nothing changed");
        let result = Reloaded {
            networks_added: 1,
            networks_changed: 2,
            peers_removed: 3,
            ..Reloaded::default()
        };
        assert_eq!(counts(&result), "networks 1 added, 2 changed; peers 3 removed");
    }

    #[test]
    fn rows_are_counted_in_english() {
        assert_eq!(flushed(&Flushed { removed: 0 }), "0 rows removed\n");
        assert_eq!(flushed(&Flushed { removed: 1 }), "1 row removed\n");
    }

    fn differing(repaired: Option<bool>) -> Differing {
        Differing {
            kind: "fdb".into(),
            what: "02:42:0a:00:01:03 network mynet".into(),
            wanted: "dev app.1".into(),
            found: "nothing".into(),
            repaired,
        }
    }

    #[test]
    fn what_differs_is_listed_and_what_is_left_is_a_failure() {
        let mut result =
            Verified { fdb: 1, neighbours: 2, ports: 1, peers: 0, ..Verified::default() };
        let sums = "1 forwarding row, 2 neighbour rows, 1 port, 0 peers";
        assert_eq!(verified(&result), format!("{sums}: all as wanted\n"));
        assert!(verdict(&result, false, String::new()).is_ok());

        (result.differences, result.differing) = (vec![differing(None)], 3);
        assert_eq!(
            verified(&result),
            format!(
                "fdb 02:42:0a:00:01:03 network mynet: wanted dev app.1, found nothing\n\
                 ... and 2 more\n{sums}: 3 things differ\n"
            )
        );
        let Err(Failure::AfterResult(_, error)) = verdict(&result, false, String::new()) else {
            panic!("a difference is a failure");
        };
        assert!(error.to_string().starts_with("verify: 3 things are not as wanted"), "{error}");

        let both = [Some(true), Some(false)].map(differing);
        (result.differences, result.differing) = (both.into(), 2);
        assert!(verified(&result).contains("found nothing (repaired)\n"));
        assert!(verified(&result).contains("found nothing (not repaired)\n"));
        assert!(verdict(&result, true, String::new()).is_err());
        (result.differences, result.differing) = (vec![differing(Some(true))], 1);
        assert!(verdict(&result, true, String::new()).is_ok());
    }
}
