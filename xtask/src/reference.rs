//! `cargo xtask reference`: docs/policy-reference.md, from the parser of the policy language. What it says is
//! in `filter-user/src/policy/reference`; a test there fails while the file is another.

use std::process::ExitCode;

use anyhow::Result;

use crate::process;

/// Writes it.
pub(crate) fn run() -> Result<ExitCode> {
    let mut command = process::cargo();
    command.args(["run", "--quiet", "--package", "filter-user", "--example", "reference", "--"]);
    process::run(command.arg(crate::root().join("docs/policy-reference.md")))?;
    Ok(ExitCode::SUCCESS)
}
