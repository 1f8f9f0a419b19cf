//! The nearest known word to a misspelt one.

/// The candidate that is fewest edits away from `word`, when so few that a slip of the fingers is
/// likely: one edit for short words, up to a third of longer ones.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`, ignoring
/// case.
fn distance(a: &str, b: &str) -> usize {
    let fold = |text: &str| text.chars().map(|c| c.to_ascii_lowercase()).collect::<Vec<_>>();
    let (a, b) = (fold(a), fold(b));
    if a.len().abs_diff(b.len()) > 4 {
        return usize::MAX;
    }
    // Three rows of the usual table: a swap looks back two.
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["allow", "deny", "listen", "limit", "limit_total"];
        let rows = [
            ("alow", Some("allow")),
            ("lsiten", Some("listen")),
            ("Deny", Some("deny")),
            ("limits", Some("limit")),
            ("limit_totl", Some("limit_total")),
            ("banana", None),
            ("", None),
            ("x", None),
        ];
        for (word, expected) in rows {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }

    #[test]
    fn edits_are_counted() {
        let rows = [("", "", 0), ("abc", "abc", 0), ("abc", "acb", 1), ("abc", "b", 2)];
        for (a, b, edits) in rows {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }
}
