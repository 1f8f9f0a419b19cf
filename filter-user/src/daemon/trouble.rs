//! Errors of the parts as answers of the control socket.

use crate::control::api::{ApiError, Diagnostic};
use crate::kernel;
use crate::text::{self, Problem};

/// A failure of the kernel half.
pub(super) fn kernel(error: kernel::Error) -> ApiError {
    let hint = error.hint.clone().unwrap_or_default();
    let message = kernel::Error { hint: None, ..error }.to_string();
    ApiError::internal(message).hint(hint)
}

/// A value of a request that cannot be.
pub(super) fn invalid(problem: Problem) -> ApiError {
    ApiError::invalid(problem.message).hint(problem.hint)
}

/// A policy with errors.
pub(super) fn policy(diagnostics: Vec<text::Diagnostic>) -> ApiError {
    ApiError::refused("the policy is not valid, nothing was changed")
        .diagnostics(diagnostics.into_iter().map(Diagnostic::from).collect())
}
