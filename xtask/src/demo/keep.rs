//! `--keep` and `--remove`: a demo that stays up to be played with.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use weir_tests::lab::Lab;
use weir_tests::{sweep, weir};

use super::scene::{Family, HOSTS, ORDERS, Scene};

/// What everything begins with that a demo that is kept makes. There is one at a time.
const PREFIX: &str = "weir-demo-";

/// The laboratory of a demo that is kept.
pub(super) fn lab() -> Result<Lab> {
    ensure!(
        sweep::leftovers(PREFIX)?.is_empty(),
        "a demo is up already: remove it with `cargo xtask demo --remove`"
    );
    Lab::named(PREFIX, &HOSTS)
}

/// Removes it.
pub(super) fn remove() -> Result<ExitCode> {
    if sweep::leftovers(PREFIX)?.is_empty() {
        println!("no demo is up");
        return Ok(ExitCode::SUCCESS);
    }
    sweep::remove_all(PREFIX)?;
    let left = sweep::leftovers(PREFIX)?;
    ensure!(left.is_empty(), "left behind: {}", left.join(", "));
    println!("removed: namespaces, processes, pins and files of the demo");
    Ok(ExitCode::SUCCESS)
}

/// Says how to play with it.
pub(super) fn explain(scene: &Scene<'_>) -> Result<()> {
    let binary = weir::binary()?;
    let binary = std::fs::canonicalize(&binary)
        .with_context(|| format!("cannot find {}", binary.display()))?;
    let enter = |host: &str| format!("nsenter --net=/run/netns/{PREFIX}{host}");
    let socket = scene.weir.socket();
    println!("\nThe demo stays up. To play with it, as root:\n");
    println!(
        "  weir() {{ {} {} \"$@\" --socket {}; }}",
        enter("server"),
        binary.display(),
        socket.display()
    );
    for line in [
        "weir status".to_owned(),
        format!(
            "weir explain {} {} --proto tcp --dport {}",
            scene.stranger.v4(),
            scene.server.v4(),
            ORDERS.1
        ),
        format!("weir ban add {} --ttl 30s", scene.client.v4()),
        "weir ban list".to_owned(),
        "weir events".to_owned(),
        format!("weir apply {}", scene.lab.directory().join("policy.toml").display()),
        format!("{} curl -m 3 {}", enter("client"), scene.url(Family::V4, ORDERS.1, "/")),
        format!("{} curl -m 3 '{}'", enter("client"), scene.url(Family::V6, ORDERS.1, "/")),
        format!("{} curl -m 3 {}", enter("stranger"), scene.url(Family::V4, ORDERS.1, "/")),
        format!("{} curl http://{}/metrics", enter("server"), weir::METRICS),
    ] {
        println!("  {line}");
    }
    println!("\nand remove it with `cargo xtask demo --remove`.");
    Ok(())
}
