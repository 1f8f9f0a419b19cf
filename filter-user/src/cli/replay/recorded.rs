//! Reading a recording: JSON Lines that a daemon wrote (`weir run --record`).

use std::io::{self, BufRead, Read, Write};

use super::findings::Findings;
use super::print::Printer;
use crate::recording::Line;

/// Bytes of a line; a longer one is skipped.
const LONGEST: u64 = 1 << 20;

/// What there was in a recording.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Content {
    /// Lines that were understood.
    pub(super) lines: u64,
    /// Lines that were not: torn, of a later version, or no recording at all.
    pub(super) skipped: u64,
    /// The first and the last time, ns since 1970.
    pub(super) first: Option<u64>,
    pub(super) last: u64,
}

/// Reads all of it, and prints what is found.
///
/// # Errors
/// When it cannot be read, or the output not be written (the second).
pub(super) fn read<W: Write>(
    mut source: impl BufRead,
    findings: &mut Findings,
    printer: &mut Printer<W>,
) -> Result<io::Result<Content>, io::Error> {
    let mut read = Content::default();
    let mut text = Vec::new();
    loop {
        text.clear();
        let length = source.by_ref().take(LONGEST).read_until(b'\n', &mut text)?;
        if length == 0 {
            break;
        }
        if !text.ends_with(b"\n") && length as u64 == LONGEST {
            read.skipped += 1;
            skip(&mut source)?;
            continue;
        }
        let Ok(line) = serde_json::from_slice::<Line<'_>>(&text) else {
            read.skipped += u64::from(!text.trim_ascii().is_empty());
            continue;
        };
        read.lines += 1;
        let time = line.time();
        read.first = Some(read.first.map_or(time, |first| first.min(time)));
        read.last = read.last.max(time);
        findings.line(&line);
        for (finding, field) in findings.take() {
            if let Err(error) = printer.finding(&finding, field) {
                return Ok(Err(error));
            }
        }
    }
    findings.finish();
    for (finding, field) in findings.take() {
        if let Err(error) = printer.finding(&finding, field) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(read))
}

/// The rest of a line.
fn skip(source: &mut impl BufRead) -> io::Result<()> {
    loop {
        let held = source.fill_buf()?;
        if held.is_empty() {
            return Ok(());
        }
        let end = held.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(held.len(), |at| at + 1);
        source.consume(used);
        if end.is_some() {
            return Ok(());
        }
    }
}
