//! Writes the Grafana dashboards to a directory: `cargo xtask dashboards`.

use std::path::Path;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let directory = std::env::args_os().nth(1).context("to which directory?")?;
    for (name, text) in filter_user::export::dashboards::files() {
        let path = Path::new(&directory).join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}
