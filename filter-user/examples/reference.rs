//! Writes the reference of the policy language to a file: `cargo xtask reference`.

use std::path::Path;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let path = std::env::args_os().nth(1).context("to which file?")?;
    let path = Path::new(&path);
    std::fs::write(path, filter_user::policy::reference::page())
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}
