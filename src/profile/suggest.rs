//! "Did you mean": the known word that is nearest to a misspelt one.
//!
//! Used by `document` for unknown keys and by `check` for unknown values.

/// What to say after an unknown word: its nearest neighbour, or all that is known.
pub(super) fn hint(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if known.is_empty() => "nothing may stand here".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// The known word within a third of its letters (at least one) of `word`.
fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|&candidate| (distance(word, candidate), candidate))
        .filter(|&(steps, candidate)| steps <= (candidate.chars().count() / 3).max(1))
        .min_by_key(|&(steps, _)| steps)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance: letters to insert, delete or change.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &other) in to.iter().enumerate() {
            let change = diagonal + usize::from(letter != other);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("vnj", "vni"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn a_near_word_is_suggested_and_a_far_one_is_not() {
        assert_eq!(hint("adress", &["name", "address"]), "did you mean \"address\"?");
        assert_eq!(hint("ttl", &["vni", "mtu"]), "known here: vni, mtu");
        assert_eq!(hint("x", &[]), "nothing may stand here");
    }
}
