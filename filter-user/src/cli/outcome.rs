//! How a verb ends, and what it prints. The exit codes are here and nowhere else.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use serde::Serialize;

use super::style::Style;
use crate::control::api::{ApiError, ErrorBody, Severity};

/// How a verb ended that did what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, or the answer is yes.
    Done,
    /// The answer is no: an invalid policy, a dropped packet, a check that failed.
    No,
}

/// What a verb returns.
pub(super) type Verdict = Result<Outcome, Failure>;

/// Why a verb did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// The daemon's answer, or the client's about the daemon.
    Api(ApiError),
    /// Something on this side: I/O, kernel, an argument.
    Local(anyhow::Error),
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Local(error)
    }
}

impl Failure {
    /// The error as JSON carries it.
    fn body(&self) -> ErrorBody {
        match self {
            Self::Api(error) => ErrorBody { error: error.clone() },
            Self::Local(error) => ErrorBody { error: ApiError::internal(format!("{error:#}")) },
        }
    }

    fn is_no(&self) -> bool {
        matches!(self, Self::Api(error) if error.code.is_no())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = match self {
            Self::Api(error) => error,
            Self::Local(error) => return write!(f, "weir: {error:#}"),
        };
        for diagnostic in &error.diagnostics {
            writeln!(f, "{diagnostic}")?;
        }
        write!(f, "weir: {}", error.message)?;
        if !error.diagnostics.is_empty() {
            let bad = |d: &&_| matches!(**d, Severity::Error);
            let severities: Vec<Severity> = error.diagnostics.iter().map(|d| d.severity).collect();
            let errors = severities.iter().filter(bad).count();
            write!(f, " (errors: {errors}, warnings: {})", severities.len() - errors)?;
        }
        if !error.hint.is_empty() {
            write!(f, "\nhint: {}", error.hint)?;
        }
        Ok(())
    }
}

/// Prints a failure where it belongs and turns the end into an exit code.
pub(super) fn exit(verdict: Verdict, json: bool) -> ExitCode {
    match verdict {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::No) => ExitCode::from(1),
        Err(failure) => {
            let written = if json {
                print_json(&failure.body())
            } else {
                writeln!(io::stderr(), "{failure}").map_err(|error| Failure::Local(error.into()))
            };
            // When even that cannot be written, the code still says it.
            let code = if failure.is_no() && written.is_ok() { 1 } else { 2 };
            ExitCode::from(code)
        }
    }
}

/// How a verb is to print.
#[derive(Clone, Copy, Debug)]
pub(super) struct Printer {
    /// JSON instead of text.
    pub(super) json: bool,
}

impl Printer {
    /// Prints the value: as JSON, or as people read it.
    pub(super) fn print<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(Style) -> String,
    ) -> Result<(), Failure> {
        if self.json {
            return print_json(value);
        }
        let style = Style::of_stdout();
        write_out(&style.shown(text(style)))
    }
}

fn print_json<T: Serialize>(value: &T) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?;
    text.push('\n');
    write_out(&text)
}

/// Writes to standard output. A reader that has seen enough (`weir … | head`) is no failure.
pub(super) fn write_out(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Local(anyhow::Error::new(error).context("cannot write the output")))
        }
        _ => Ok(()),
    }
}
