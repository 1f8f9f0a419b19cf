//! A problem of a policy, as it crosses the socket.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text;

/// How bad a problem of a policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The policy is refused.
    Error,
    /// The policy is accepted, but is likely not what was meant.
    Warning,
}

/// One problem of a policy. `Display` prints it as `weir check` does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub file: String,
    /// Line, from 1; 0 when the problem is the file as a whole.
    pub line: u32,
    /// Column in characters, from 1; 0 when the problem is the file as a whole.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// The line it is about, so that the client need not be able to read the file.
    #[serde(default)]
    pub excerpt: String,
}

impl From<text::Diagnostic> for Diagnostic {
    fn from(found: text::Diagnostic) -> Self {
        let text::Diagnostic { severity, file, line, column, message, hint, excerpt } = found;
        let severity = match severity {
            text::Severity::Error => Severity::Error,
            text::Severity::Warning => Severity::Warning,
        };
        Self { severity, file: file.to_string(), line, column, message, hint, excerpt }
    }
}

impl From<Diagnostic> for text::Diagnostic {
    fn from(told: Diagnostic) -> Self {
        let Diagnostic { severity, file, line, column, message, hint, excerpt } = told;
        let severity = match severity {
            Severity::Error => text::Severity::Error,
            Severity::Warning => text::Severity::Warning,
        };
        Self { severity, file: file.into(), line, column, message, hint, excerpt }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::Diagnostic::from(self.clone()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crosses_the_socket_and_prints_as_before() {
        let found = text::Diagnostic {
            severity: text::Severity::Warning,
            file: "p.toml".into(),
            line: 2,
            column: 3,
            message: "m".into(),
            hint: "h".into(),
            excerpt: "a b".into(),
        };
        let told = serde_json::to_string(&Diagnostic::from(found.clone())).expect("JSON");
        let heard: Diagnostic = serde_json::from_str(&told).expect("a diagnostic");
        assert_eq!(heard.to_string(), found.to_string());
        assert_eq!(text::Diagnostic::from(heard), found);
    }
}
