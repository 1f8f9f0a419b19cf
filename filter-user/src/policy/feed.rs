//! Files of prefixes: one a line, `#` begins a comment.

use crate::text::{Diagnostic, Severity};

use super::cidr::{Cidr, CidrError};
use super::prefixes::Prefixes;

/// Bad lines of one file that are told one by one.
const LISTED: usize = 20;

/// Adds the prefixes of a file to `into`, and tells what is wrong with the other lines.
///
/// `file` is the index of the file among the policy's texts, `shown` its name in messages.
pub(super) fn read(
    bytes: &[u8],
    shown: &str,
    file: u32,
    into: &mut Prefixes,
    mut tell: impl FnMut(Diagnostic),
) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut bad = 0;
    let mut first_unlisted = None;
    let mut line = 0u32;
    for raw in bytes.split(|byte| *byte == b'\n') {
        line = line.saturating_add(1);
        let text = raw.iter().position(|byte| *byte == b'#').map_or(raw, |at| &raw[..at]);
        let start = text.iter().position(|byte| !byte.is_ascii_whitespace());
        let text = text.trim_ascii();
        if text.is_empty() {
            continue;
        }
        match Cidr::parse(text) {
            Ok(cidr) => into.add(cidr, file, line),
            Err(error) => {
                bad += 1;
                let about = || about_line(error, text, raw, start.unwrap_or(0), shown, line);
                if bad <= LISTED {
                    tell(about());
                } else if first_unlisted.is_none() {
                    first_unlisted = Some(about());
                }
            }
        }
    }
    if let Some(first) = first_unlisted {
        let more = bad - LISTED;
        tell(Diagnostic {
            message: format!("and {more} more bad line{}", if more == 1 { "" } else { "s" }),
            hint: "is this a list of addresses and prefixes, one a line?".to_owned(),
            ..first
        });
    }
}

fn about_line(
    error: CidrError,
    text: &[u8],
    raw: &[u8],
    start: usize,
    shown: &str,
    line: u32,
) -> Diagnostic {
    let problem = error.explain(&String::from_utf8_lossy(text));
    let column = String::from_utf8_lossy(&raw[..start]).chars().count() + 1;
    let excerpt = String::from_utf8_lossy(raw).chars().take(400).collect();
    Diagnostic {
        severity: Severity::Error,
        file: shown.into(),
        line,
        column: u32::try_from(column).unwrap_or(u32::MAX),
        message: problem.message,
        hint: problem.hint,
        excerpt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(bytes: &[u8]) -> (Prefixes, Vec<Diagnostic>) {
        let (mut prefixes, mut told) = (Prefixes::default(), Vec::new());
        read(bytes, "feed", 3, &mut prefixes, |diagnostic| told.push(diagnostic));
        (prefixes, told)
    }

    #[test]
    fn lines_comments_and_line_ends() {
        let rows: &[(&[u8], &[u32])] = &[
            (b"", &[]),
            (b"192.0.2.1", &[1]),
            (b"192.0.2.1\n192.0.2.2\n", &[1, 2]),
            (b"# one\n\n  192.0.2.0/24 # two\r\n192.0.2.2\r\n", &[3, 4]),
            (b"\xef\xbb\xbf192.0.2.1\n", &[1]),
            (b"2001:db8::/32#x\n\t192.0.2.1\n", &[2, 1]),
        ];
        for (bytes, lines) in rows {
            let (set, told) = run(bytes);
            assert_eq!(told, [], "{bytes:?}");
            let v4 = set.v4.iter().map(|m| m.line);
            let found: Vec<u32> = v4.chain(set.v6.iter().map(|m| m.line)).collect();
            assert_eq!(found, *lines, "{bytes:?}");
            assert!(set.v4.iter().all(|m| m.file == 3));
        }
    }

    #[test]
    fn every_bad_line_is_told_with_its_place() {
        let (set, told) = run(b"192.0.2.1\n  192.0.2.1/24 # no\nhost\n\xff\xfe\n192.0.2.9\n");
        let places: Vec<_> = told.iter().map(|d| (d.line, d.column)).collect();
        assert_eq!(places, [(2, 3), (3, 1), (4, 1)]);
        assert!(told[0].hint.contains("192.0.2.0/24"), "{}", told[0].hint);
        assert_eq!(set.len(), 2);
    }

    #[test]
    fn a_file_of_nonsense_is_not_told_line_by_line() {
        let (_, told) = run("nonsense\n".repeat(1000).as_bytes());
        assert_eq!(told.len(), LISTED + 1);
        assert_eq!(told[LISTED].message, "and 980 more bad lines");
        assert_eq!(told[LISTED].line, 21);
    }
}
