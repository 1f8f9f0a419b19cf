//! A problem found in a text, and how it is printed.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The text is refused.
    Error,
    /// The text is accepted, but is likely not what was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One problem: where it is, what it is and what to do about it.
///
/// `Display` prints it as compilers do: position, message, the line with a caret, the hint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file as the user named it.
    pub file: Arc<str>,
    /// Line, from 1; 0 when the problem is the file as a whole.
    pub line: u32,
    /// Column in characters, from 1; 0 when the problem is the file as a whole.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// The line it is about, for printing; left out of the JSON form.
    #[serde(skip)]
    pub excerpt: String,
}

impl Diagnostic {
    /// An error about a file as a whole: missing, unreadable, not text.
    pub fn about_file(file: &str, message: String, hint: String) -> Self {
        Self {
            severity: Severity::Error,
            file: file.into(),
            line: 0,
            column: 0,
            message,
            hint,
            excerpt: String::new(),
        }
    }

    /// Whether it makes the text unusable.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Characters of a source line that are shown around the caret.
const SHOWN: usize = 100;

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, file, line, column, message, hint, excerpt } = self;
        if *line == 0 {
            writeln!(f, "{file}: {severity}: {message}")?;
        } else {
            writeln!(f, "{file}:{line}:{column}: {severity}: {message}")?;
            let at = (*column as usize).saturating_sub(1);
            let skip = at.saturating_sub(SHOWN * 3 / 4);
            // A tab would move the caret away and an escape sequence would reach the terminal.
            let printable = |c: char| if c.is_control() { ' ' } else { c };
            let shown: String = excerpt.chars().skip(skip).take(SHOWN).map(printable).collect();
            let gutter = line.to_string();
            writeln!(f, "{gutter} | {}", shown.trim_end())?;
            writeln!(f, "{:1$} | {2:3$}^", "", gutter.len(), "", at - skip)?;
        }
        write!(f, "hint: {hint}")
    }
}

/// Puts diagnostics in the order of files (the main one first) and positions.
pub fn sort(diagnostics: &mut [Diagnostic], main: &str) {
    diagnostics.sort_by(|a, b| {
        let key = |d: &Diagnostic| (&*d.file != main, Arc::clone(&d.file), d.line, d.column);
        key(a).cmp(&key(b)).then(a.severity.cmp(&b.severity))
    });
}

/// All of them one after another, each ending in a newline, with a closing line that counts them.
pub fn render(diagnostics: &[Diagnostic]) -> String {
    use fmt::Write as _;
    let mut text = String::new();
    for diagnostic in diagnostics {
        let _infallible = writeln!(text, "{diagnostic}");
    }
    let errors = diagnostics.iter().filter(|d| d.is_error()).count();
    let count = |n: usize, noun: &str| format!("{n} {noun}{}", if n == 1 { "" } else { "s" });
    if !diagnostics.is_empty() {
        let warnings = diagnostics.len() - errors;
        let _infallible =
            writeln!(text, "{}, {}", count(errors, "error"), count(warnings, "warning"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(column: u32, excerpt: &str) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            file: "policy.toml".into(),
            line: 12,
            column,
            message: "unknown key `alow`".to_owned(),
            hint: "did you mean `allow`?".to_owned(),
            excerpt: excerpt.to_owned(),
        }
    }

    #[test]
    fn prints_like_a_compiler() {
        let text = example(3, "\tbalow = []").to_string();
        assert_eq!(
            text,
            "policy.toml:12:3: error: unknown key `alow`\n12 |  balow = []\n   |   ^\n\
             hint: did you mean `allow`?"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let line = format!("{}X{}", "a".repeat(1000), "b".repeat(1000));
        let text = example(1001, &line).to_string();
        let lines: Vec<&str> = text.lines().collect();
        let caret = lines[2].find('^').expect("a caret");
        assert_eq!(lines[1].as_bytes()[caret], b'X');
        assert!(lines[1].len() < 120);
    }

    #[test]
    fn json_has_the_documented_fields() {
        let json = serde_json::to_value(example(3, "x")).expect("serializes");
        let expected = serde_json::json!({"severity": "error", "file": "policy.toml", "line": 12,
            "column": 3, "message": "unknown key `alow`", "hint": "did you mean `allow`?"});
        assert_eq!(json, expected);
    }

    #[test]
    fn sorted_by_file_and_position_with_the_main_file_first() {
        let at = |file: &str, line| Diagnostic { file: file.into(), line, ..example(1, "") };
        let mut list = vec![at("a", 9), at("p", 3), at("a", 1), at("p", 2)];
        sort(&mut list, "p");
        let order: Vec<_> = list.iter().map(|d| (d.file.to_string(), d.line)).collect();
        let expected = [("p", 2), ("p", 3), ("a", 1), ("a", 9)].map(|(f, l)| (f.to_owned(), l));
        assert_eq!(order, expected);
        assert!(render(&list).ends_with("4 errors, 0 warnings\n"));
        assert_eq!(render(&[]), "");
    }
}
