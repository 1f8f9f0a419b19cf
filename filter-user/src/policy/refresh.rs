//! Whether the new contents of a feed are to be believed.
//!
//! A feed is somebody else's list, fetched by a program that nobody watches. A download that failed
//! leaves nothing, half of it or an error page, and a policy that follows it refuses customers, or
//! admits those it was to keep out. Reading files, and what is done about doubtful ones, is the
//! daemon's.

use crate::text::{Diagnostic, Problem};

use super::feed;
use super::prefixes::Prefixes;

/// What to think of a feed that was read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fresh {
    /// It says what it said.
    Same,
    /// It says something else, in so many prefixes.
    Changed {
        /// Before.
        before: usize,
        /// Now.
        after: usize,
    },
    /// It cannot be what was meant; why, in a sentence's end.
    Doubtful(String),
}

/// Holds what was read of a feed, `shown` in messages, against its last good content. A feed that is
/// empty now, or lost more than `max_shrink` (0 to 1) of its prefixes, is doubtful.
pub fn look(before: &[u8], after: Result<&[u8], &Problem>, shown: &str, max_shrink: f64) -> Fresh {
    let after = match after {
        Ok(after) if after == before => return Fresh::Same,
        Ok(after) => after,
        Err(problem) => return Fresh::Doubtful(problem.message.clone()),
    };
    // What is in force was read before.
    let before = count(before, shown).unwrap_or(0);
    match count(after, shown) {
        Err(first) => Fresh::Doubtful(format!("line {}: {}", first.line, first.message)),
        Ok(after) => match doubt(before, after, max_shrink) {
            Some(why) => Fresh::Doubtful(why),
            None => Fresh::Changed { before, after },
        },
    }
}

/// Why a feed that had `before` prefixes and has `after` cannot be what was meant.
pub fn doubt(before: usize, after: usize, max_shrink: f64) -> Option<String> {
    if after == 0 && before > 0 {
        return Some(format!("it is empty, and had {before} prefixes"));
    }
    let lost = before.saturating_sub(after) as f64 / before.max(1) as f64;
    (lost > max_shrink).then(|| {
        format!(
            "it shrank from {before} to {after} prefixes, by {:.0} %: more than {:.0} %, which \
             [feeds] max_shrink allows",
            lost * 100.0,
            max_shrink * 100.0
        )
    })
}

/// Prefixes of a feed, or what is wrong with it first.
fn count(bytes: &[u8], shown: &str) -> Result<usize, Diagnostic> {
    let (mut prefixes, mut first) = (Prefixes::default(), None);
    feed::read(bytes, shown, 0, &mut prefixes, |diagnostic| {
        first.get_or_insert(diagnostic);
    });
    first.map_or_else(|| Ok(prefixes.len()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_believed() {
        let lines = |count: usize| -> Vec<u8> {
            (0..count).flat_map(|n| format!("192.0.2.{n}\n").into_bytes()).collect()
        };
        let changed = |before, after| Some((before, after));
        // before, after, share that may go, changed or what makes it doubtful
        type Row = (Vec<u8>, Vec<u8>, f64, Option<(usize, usize)>, &'static str);
        let rows: [Row; 12] = [
            (lines(4), lines(5), 0.5, changed(4, 5), ""),
            (lines(4), lines(2), 0.5, changed(4, 2), ""),
            (lines(4), lines(1), 0.5, None, "from 4 to 1 prefixes, by 75 %: more than 50 %"),
            (lines(4), lines(1), 1.0, changed(4, 1), ""),
            (lines(4), lines(3), 0.0, None, "more than 0 %"),
            (lines(4), b"".to_vec(), 0.5, None, "it is empty, and had 4 prefixes"),
            (lines(4), b"# nothing today\n".to_vec(), 1.0, None, "it is empty"),
            (lines(4), b"192.0.2.1\n<html>\n".to_vec(), 1.0, None, "line 2: "),
            (b"".to_vec(), b"\n".to_vec(), 0.0, changed(0, 0), ""),
            (b"".to_vec(), lines(3), 0.0, changed(0, 3), ""),
            // Comments count for nothing, other prefixes in the place of some are a change.
            (lines(2), [lines(2), b"# a word\n".to_vec()].concat(), 0.0, changed(2, 2), ""),
            (lines(1), b"198.51.100.0/24\n".to_vec(), 0.0, changed(1, 1), ""),
        ];
        for (before, after, max_shrink, expected, why) in rows {
            let shown = String::from_utf8_lossy(&after).into_owned();
            match (look(&before, Ok(&after), "feed", max_shrink), expected) {
                (Fresh::Changed { before, after }, Some(counts)) => {
                    assert_eq!((before, after), counts, "{shown}");
                }
                (Fresh::Doubtful(told), None) => assert!(told.contains(why), "{shown}: {told}"),
                (other, _) => panic!("{shown}: {other:?}"),
            }
        }
        assert_eq!(look(b"x", Ok(b"x"), "feed", 0.5), Fresh::Same, "whatever it is");
        let problem = Problem::new("cannot read feed: no such file", "put it there");
        let told = look(b"192.0.2.1", Err(&problem), "feed", 1.0);
        assert_eq!(told, Fresh::Doubtful(problem.message));
    }
}
