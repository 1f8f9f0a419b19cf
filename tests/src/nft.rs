//! An independent count: nftables on what an interface receives, after XDP.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::lab::{Host, INTERFACE};

/// nft is quick; longer means that something is broken.
const LIMIT: Duration = Duration::from_secs(20);
/// Bytes of an Ethernet header, which nftables leaves out there.
const ETHERNET: u64 = 14;

/// Packets, and their bytes from the Ethernet header on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Begins to count what the host receives and this matches, for example `tcp sport 8080`.
pub fn count(host: &Host, what: &str) -> Result<()> {
    let table = format!(
        "add table netdev weirlab; add chain netdev weirlab c {{ type filter hook ingress device \
         {INTERFACE} priority 0; }}; add rule netdev weirlab c {what} counter"
    );
    host.netns.run("nft", &[&table], LIMIT)?.success().map(drop)
}

/// What was counted since.
pub fn counted(host: &Host) -> Result<Count> {
    let text = host.netns.run("nft", &["--json", "list", "table", "netdev", "weirlab"], LIMIT)?;
    let text = text.success()?;
    let listed: Value = serde_json::from_str(&text).context("unexpected output of nft")?;
    let entries = listed["nftables"].as_array().map_or(&[][..], Vec::as_slice);
    let counter = entries
        .iter()
        .filter_map(|entry| entry["rule"]["expr"].as_array())
        .flatten()
        .find_map(|expression| expression.get("counter"))
        .with_context(|| format!("no counter in {text}"))?;
    let number = |name: &str| counter[name].as_u64().context("a counter without numbers");
    let packets = number("packets")?;
    Ok(Count { packets, bytes: number("bytes")? + ETHERNET * packets })
}
