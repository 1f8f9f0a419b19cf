//! `cargo xtask bench`: what a packet costs, measured here and printed; with `--write`, put into
//! docs/performance.md in place of what was there.

use std::path::Path;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::process;
use crate::setup::{self, Purpose};

/// Where the numbers go.
const PAGE: &str = "docs/performance.md";
/// The lines around them.
const BEGIN: &str = "<!-- packet-path: written by `cargo xtask bench --write` -->";
const END: &str = "<!-- packet-path: end -->";

/// Options of `bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Put the numbers into docs/performance.md
    #[arg(long)]
    write: bool,
}

/// Builds the measuring program optimised, and runs it.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if !process::privileges()?.root {
        bail!("measuring loads programs into the kernel: run `cargo xtask bench` as root");
    }
    setup::ensure(Purpose::Build)?;
    let mut command = process::cargo();
    command.args(["run", "--release", "--locked", "--package", "filter-user"]);
    command.args(["--example", "packet-path"]);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", process::line(&command)))?;
    let numbers = String::from_utf8_lossy(&output.stdout);
    print!("{numbers}");
    if !output.status.success() {
        bail!("`{}` ended with {}", process::line(&command), output.status);
    }
    if options.write {
        let path = crate::root().join(PAGE);
        write(&path, &numbers).with_context(|| format!("cannot write {PAGE}"))?;
        println!("\n{PAGE} has these numbers now");
    }
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, numbers: &str) -> Result<()> {
    let page = std::fs::read_to_string(path)?;
    let page = replace(&page, numbers)
        .with_context(|| format!("the page has no line `{BEGIN}`, or no `{END}` after it"))?;
    Ok(std::fs::write(path, page)?)
}

/// The page with other numbers.
fn replace(page: &str, numbers: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{}\n{END}{after}", numbers.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_replace_those_before() {
        let page = format!("# Title\n{BEGIN}\nold\n{END}\nmore\n");
        let new = replace(&page, "\nnew\nnumbers\n\n").expect("both marks");
        assert_eq!(new, format!("# Title\n{BEGIN}\nnew\nnumbers\n{END}\nmore\n"));
        assert_eq!(replace(&new, "new\nnumbers"), Some(new), "the same again changes nothing");
        for page in ["", BEGIN, END, &format!("{END}\n{BEGIN}")] {
            assert_eq!(replace(page, "new"), None, "{page}");
        }
    }
}
