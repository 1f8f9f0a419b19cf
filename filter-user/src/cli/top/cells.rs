//! Numbers in the cells of a table. Pure.

use super::grid::Cell;
use super::history::Quantile;
use super::model::Model;
use crate::cli::human::{bytes, count, percent};
use crate::cli::style::Tone;

/// A number a second: with decimals when it is small.
pub(super) fn rate(value: f64) -> String {
    match value {
        _ if value <= 0.0 => "0".to_owned(),
        _ if value < 0.05 => "<0.1".to_owned(),
        _ if value < 9.95 => format!("{value:.1}"),
        _ => count(value.round() as u64),
    }
}

pub(super) fn rate_cell(value: Option<f64>, tone: Tone, model: &Model) -> Cell {
    match value {
        Some(value) if value <= 0.0 => Cell::number(value, "0", Tone::Quiet),
        Some(value) => Cell::number(value, rate(value), tone),
        None => unknown(model),
    }
}

pub(super) fn count_cell(value: u64, tone: Tone) -> Cell {
    Cell::number(value as f64, count(value), if value == 0 { Tone::Quiet } else { tone })
}

/// Nothing is known.
pub(super) fn unknown(model: &Model) -> Cell {
    Cell::number(-1.0, model.look.glyphs().none, Tone::Quiet)
}

/// Bytes a second.
pub(super) fn byte_rate(value: Option<f64>, model: &Model) -> Cell {
    match value {
        Some(value) => {
            let tone = if value < 0.5 { Tone::Quiet } else { Tone::Plain };
            Cell::number(value, bytes(value.round() as u64), tone)
        }
        None => unknown(model),
    }
}

pub(super) fn quantile_cell(quantile: Quantile, model: &Model) -> Cell {
    match quantile {
        Quantile::Unknown => unknown(model),
        Quantile::At(seconds) => Cell::number(seconds, seconds_text(seconds), Tone::Plain),
        Quantile::Beyond(seconds) => {
            Cell::number(seconds * 2.0, format!(">{}", seconds_text(seconds)), Tone::Bad)
        }
    }
}

/// Seconds with two or three digits.
fn seconds_text(seconds: f64) -> String {
    let milli = seconds * 1e3;
    match milli {
        _ if milli < 0.995 => format!("{:.0}us", (milli * 1e3).max(1.0)),
        _ if milli < 9.95 => format!("{milli:.1}ms"),
        _ if milli < 999.5 => format!("{milli:.0}ms"),
        _ if seconds < 9.95 => format!("{seconds:.1}s"),
        _ => format!("{seconds:.0}s"),
    }
}

pub(super) fn share_cell(part: u64, of: u64, tone: Tone, model: &Model) -> Cell {
    if of == 0 {
        return unknown(model);
    }
    let share = part as f64 / of as f64;
    let tone = if part == 0 { Tone::Quiet } else { tone };
    Cell::number(share, percent(share).replace(' ', ""), tone)
}
/// A number without more digits than matter.
pub(super) fn short(value: f64) -> String {
    if value.abs() >= 1_000.0 || value.fract() == 0.0 {
        return format!("{value:.0}");
    }
    format!("{value:.3}").trim_end_matches('0').trim_end_matches('.').to_owned()
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (value, text) in [
            (0.0, "0"),
            (0.01, "<0.1"),
            (0.26, "0.3"),
            (9.94, "9.9"),
            (9.96, "10"),
            (1_234.4, "1234"),
            (123_456.0, "123k"),
        ] {
            assert_eq!(rate(value), text, "{value}");
        }
        for (value, text) in [
            (0.000_000_4, "1us"),
            (0.000_5, "500us"),
            (0.000_999, "1.0ms"),
            (0.012_3, "12ms"),
            (0.999_6, "1.0s"),
            (12.3, "12s"),
        ] {
            assert_eq!(seconds_text(value), text, "{value}");
        }
        for (value, text) in [
            (1.0, "1"),
            (0.5, "0.5"),
            (0.560_873_6, "0.561"),
            (19.999_9, "20"),
            (0.000_1, "0"),
            (1_234.567, "1235"),
            (-2.25, "-2.25"),
        ] {
            assert_eq!(short(value), text, "{value}");
        }
    }
}
