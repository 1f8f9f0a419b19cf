//! What the terminal can show: colours or none, line drawing or plain ASCII.

use ratatui::style::{Color, Modifier, Style};

use crate::cli::style::{Tone, utf8};

/// Characters that the view is drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Glyphs {
    /// A line across.
    pub(super) across: &'static str,
    /// A line down.
    pub(super) down: &'static str,
    /// Corners: above left, above right, below left, below right.
    pub(super) corners: [&'static str; 4],
    /// From nothing to all.
    pub(super) levels: [char; 8],
    /// Between parts of a line.
    pub(super) dot: &'static str,
    /// Where a text was cut.
    pub(super) cut: char,
    /// Sorted from small to large, and from large to small.
    pub(super) sorted: [char; 2],
    /// Nothing is known.
    pub(super) none: &'static str,
}

const UNICODE: Glyphs = Glyphs {
    across: "─",
    down: "│",
    corners: ["┌", "┐", "└", "┘"],
    levels: ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
    dot: "·",
    cut: '…',
    sorted: ['▲', '▼'],
    none: "–",
};

const ASCII: Glyphs = Glyphs {
    across: "-",
    down: "|",
    corners: ["+", "+", "+", "+"],
    levels: ['_', '.', ':', '-', '=', '+', '*', '#'],
    dot: "-",
    cut: '~',
    sorted: ['^', 'v'],
    none: "-",
};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Colours may be used; bold, dim and reverse always.
    pub(super) colour: bool,
    /// The terminal shows more than ASCII.
    pub(super) unicode: bool,
}

impl Look {
    /// As the environment says: `NO_COLOR` (<https://no-color.org>) and the locale.
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        Self { colour: set("NO_COLOR").is_none(), unicode: utf8(&variable) }
    }

    pub(super) fn glyphs(self) -> &'static Glyphs {
        if self.unicode { &UNICODE } else { &ASCII }
    }

    /// How a tone looks.
    pub(super) fn style(self, tone: Tone) -> Style {
        let plain = Style::new();
        let coloured = |colour| if self.colour { plain.fg(colour) } else { plain };
        match tone {
            Tone::Plain => plain,
            Tone::Strong => plain.add_modifier(Modifier::BOLD),
            Tone::Quiet => plain.add_modifier(Modifier::DIM),
            Tone::Good => coloured(Color::Green),
            Tone::Warn if self.colour => plain.fg(Color::Yellow),
            Tone::Warn => plain.add_modifier(Modifier::BOLD),
            Tone::Bad => coloured(Color::Red).add_modifier(Modifier::BOLD),
        }
    }

    /// Headings, and the page one is on.
    pub(super) fn accent(self) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if self.colour { style.fg(Color::Cyan) } else { style }
    }

    /// Something that must not be overlooked.
    pub(super) fn alarm(self) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED);
        if self.colour { style.fg(Color::Red) } else { style }
    }

    /// A text that can be put on the screen: no control characters, and none that the terminal lacks.
    pub(super) fn clean(self, text: &str) -> String {
        let shown = |c: char| match c {
            _ if c.is_control() => ' ',
            _ if c.is_ascii() || self.unicode => c,
            '–' | '—' => '-',
            '…' => '~',
            '→' => '>',
            _ => '?',
        };
        text.chars().map(shown).collect()
    }

    /// Values as columns of one character, the last of them at the right; the largest fills its.
    pub(super) fn spark(self, values: &[f64], width: usize) -> String {
        let levels = self.glyphs().levels;
        let shown = &values[values.len().saturating_sub(width)..];
        let most = shown.iter().copied().fold(0.0, f64::max);
        let mut text = " ".repeat(width - shown.len());
        text.extend(shown.iter().map(|value| match value {
            _ if *value <= 0.0 || most <= 0.0 => ' ',
            _ => levels[((value / most * 8.0).ceil() as usize).clamp(1, 8) - 1],
        }));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_environment() {
        type Set = &'static [(&'static str, &'static str)];
        let rows: [(Set, bool, bool); 7] = [
            (&[], true, false),
            (&[("LANG", "C")], true, false),
            (&[("LANG", "en_GB.UTF-8")], true, true),
            (&[("LANG", "C.utf8"), ("NO_COLOR", "1")], false, true),
            (&[("LANG", "C.UTF-8"), ("NO_COLOR", "")], true, true),
            (&[("LC_ALL", "POSIX"), ("LANG", "C.UTF-8")], true, false),
            (&[("LC_ALL", ""), ("LC_CTYPE", "C.UTF-8"), ("LANG", "C")], true, true),
        ];
        for (set, colour, unicode) in rows {
            let variable = |name: &str| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(Look::of(variable), Look { colour, unicode }, "{set:?}");
        }
    }

    #[test]
    fn texts_and_sparks() {
        let [plain, rich] = [false, true].map(|unicode| Look { colour: false, unicode });
        assert_eq!(rich.clean("a\x1b[2Jö→"), "a [2Jö→");
        assert_eq!(plain.clean("a\nö→…"), "a ?>~");
        assert_eq!(rich.spark(&[0.0, 1.0, 4.0, 8.0], 6), "   ▁▄█");
        assert_eq!(plain.spark(&[8.0, 0.0, 1.0, 4.0, 8.0], 4), " _-#");
        assert_eq!(rich.spark(&[], 3), "   ");
    }

    #[test]
    fn no_colour_where_none_is_wanted() {
        let look = Look { colour: false, unicode: true };
        for tone in [Tone::Plain, Tone::Strong, Tone::Quiet, Tone::Good, Tone::Warn, Tone::Bad] {
            assert_eq!(look.style(tone).fg, None, "{tone:?}");
        }
        assert_eq!((look.accent().fg, look.alarm().fg), (None, None));
    }
}
