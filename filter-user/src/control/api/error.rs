//! The answer when it is not the one that was hoped for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Diagnostic;

/// What sort of refusal or failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The answer is no: an invalid policy, a guard.
    Refused,
    /// This caller may not speak to the daemon.
    Forbidden,
    /// What the request names is not there.
    NotFound,
    /// The request itself makes no sense.
    Invalid,
    /// The daemon cannot do it at present.
    Unavailable,
    /// Something failed below: I/O, kernel.
    Internal,
}

impl Code {
    /// Whether the question was understood and the answer is no: exit code 1. The others are 2.
    pub const fn is_no(self) -> bool {
        matches!(self, Self::Refused | Self::NotFound)
    }

    /// The status of the HTTP response that carries it.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Refused => 409,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Invalid => 400,
            Self::Unavailable => 503,
            Self::Internal => 500,
        }
    }
}

/// The body of every HTTP response that is not a success, and what `--json` prints then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Why.
    pub error: ApiError,
}

/// Why a request was not done, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// What sort.
    pub code: Code,
    /// What went wrong, naming the file, interface, map or address.
    pub message: String,
    /// What to do; empty when there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// The problems of a policy, when that is why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
}

impl ApiError {
    /// An error of this sort, without a hint.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: String::new(), diagnostics: Vec::new() }
    }

    /// See [`Code::Refused`].
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Code::Refused, message)
    }

    /// See [`Code::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// See [`Code::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::Invalid, message)
    }

    /// See [`Code::Unavailable`].
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, message)
    }

    /// See [`Code::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::Internal, message)
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The same with the problems of a policy.
    #[must_use]
    pub fn diagnostics(mut self, diagnostics: Vec<Diagnostic>) -> Self {
        self.diagnostics = diagnostics;
        self
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}
