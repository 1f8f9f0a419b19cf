//! What can go wrong between userspace and kernel, each with what to do about it.

use std::fmt;
use std::path::PathBuf;

/// An error with the thing it is about.
#[derive(Debug)]
pub struct Error {
    /// What failed, naming the map, path, program or interface.
    pub what: String,
    /// What the kernel or the library said.
    pub cause: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// The result of a kernel operation.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of our own making.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), cause: None, hint: None }
    }

    /// Adds the cause: the whole chain of it, since aya's outermost errors say little.
    #[must_use]
    pub fn because(mut self, cause: impl std::error::Error) -> Self {
        let mut text = cause.to_string();
        let mut next = cause.source();
        while let Some(error) = next {
            let more = error.to_string();
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            next = error.source();
        }
        self.cause = Some(text);
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A failed operation on a file of the BPF file system.
    pub(crate) fn path(
        doing: &str,
        path: impl Into<PathBuf>,
        cause: impl std::error::Error,
    ) -> Self {
        Self::new(format!("cannot {doing} {}", path.into().display())).because(cause)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(cause) = &self.cause {
            write!(f, ": {cause}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
