//! Colour, where it helps and is wanted.

use std::fmt::Display;
use std::io::IsTerminal;

/// What a piece of text says, which decides how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Nothing special.
    Plain,
    /// Stands out.
    Strong,
    /// Stands back.
    Quiet,
    /// All is well.
    Good,
    /// Look at it.
    Warn,
    /// Something is wrong.
    Bad,
}

/// Whether and how to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// Escape sequences may be used.
    pub(super) colour: bool,
    /// Columns there are; `None`: as many as needed, because this is no terminal.
    pub(super) width: Option<usize>,
    /// Our own signs may be more than ASCII.
    pub(super) unicode: bool,
}

/// Signs of ours beyond ASCII, and what stands for each, as wide, where the locale has none of them.
const SIGNS: [(char, char); 8] = [
    ('…', '~'),
    ('→', '>'),
    ('–', '-'),
    ('—', '-'),
    ('×', 'x'),
    ('±', '~'),
    ('·', '-'),
    ('└', '`'),
];

/// Whether the locale is one of UTF-8, which POSIX makes of `LC_ALL`, `LC_CTYPE` and `LANG` (XBD 8.2):
/// the first of them that is set and not empty.
pub(super) fn utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

impl Style {
    /// No colour, any width.
    pub(super) const PLAIN: Self = Self { colour: false, width: None, unicode: true };

    /// For standard output as it is: colour on a terminal unless `NO_COLOR` is set
    /// (<https://no-color.org>) or the terminal is dumb.
    pub(super) fn of_stdout() -> Self {
        let stdout = std::io::stdout();
        if !stdout.is_terminal() {
            return Self::PLAIN;
        }
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            colour: !set("NO_COLOR") && !dumb,
            width: Some(terminal_width()),
            unicode: utf8(|name| std::env::var(name).ok()),
        }
    }

    /// The text as the terminal can show it. What others have named stays as it is.
    pub(super) fn shown(self, mut text: String) -> String {
        if !self.unicode {
            for (sign, instead) in SIGNS {
                text = text.replace(sign, instead.encode_utf8(&mut [0; 4]));
            }
        }
        text
    }

    /// The text in its tone.
    pub(super) fn paint(self, tone: Tone, text: impl Display) -> String {
        let code = match tone {
            Tone::Plain => "",
            Tone::Strong => "1",
            Tone::Quiet => "2",
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "1;31",
        };
        if self.colour && !code.is_empty() {
            return format!("\x1b[{code}m{text}\x1b[0m");
        }
        text.to_string()
    }
}

/// Columns of the terminal at standard output; 80 when it does not say.
fn terminal_width() -> usize {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: `size` is valid through the call, which fills it in or fails.
    let result = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) };
    if result == 0 && size.ws_col >= 20 { usize::from(size.ws_col) } else { 80 }
}

/// The text without characters that would move the cursor or colour the terminal. Names and
/// reasons come from elsewhere.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_only_where_wanted() {
        let coloured = Style { colour: true, width: Some(80), unicode: true };
        let rows = [
            (coloured, Tone::Bad, "\x1b[1;31mx\x1b[0m"),
            (coloured, Tone::Plain, "x"),
            (Style::PLAIN, Tone::Bad, "x"),
        ];
        for (style, tone, expected) in rows {
            assert_eq!(style.paint(tone, "x"), expected);
        }
        assert_eq!(clean("a\x1b[2Jb\nc"), "a [2Jb c");
    }

    #[test]
    fn signs_are_as_wide_where_the_locale_has_none_of_them() {
        let ascii = Style { unicode: false, ..Style::PLAIN };
        let (before, after) = ("père 1…2 → a–b ×2 · └ c", "père 1~2 > a-b x2 - ` c");
        assert_eq!(ascii.shown(before.to_owned()), after);
        assert_eq!(Style::PLAIN.shown(before.to_owned()), before);
    }
}
