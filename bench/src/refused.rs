//! Number 3: what a refused packet costs on its way through a gate, above a program that drops
//! without looking. Live frames through veth, one processor.

use std::path::Path;

use anyhow::{Context as _, Result};
use aya::maps::lpm_trie::{Key, LpmTrie};
use weir_tests::lab::Lab;
use weir_tests::weir::Weir;

use crate::forge::{Forge, Plan};
use crate::frames::PORT;
use crate::peers;
use crate::prefixes::{Prefixes, STRANGERS};
use crate::report::{Report, number, tell};
use crate::wire::{self, Lane};

/// Prefixes in the list.
const PREFIXES: usize = 500_000;
/// Packets of a burst to a program, and to what comes after the network stack began.
const FAST: u32 = 100_000;
const SLOW: u32 = 30_000;

/// Everything is refused: what is listed, and what is not.
fn policy() -> String {
    format!(
        r#"
[groups.partners]
cidrs = ["198.51.100.0/24"]
[groups.listed]
files = ["listed.txt"]
[[api]]
name = "measured"
listen = ["udp/{PORT}"]
allow = ["partners"]
deny = ["listed"]
"#
    )
}

/// Measures it.
pub(crate) fn measure(object: &Path, report: &mut Report) -> Result<()> {
    let names =
        ["floor", "weir", "xdpfilter", "lpm", "nft1", "nft", "nftlimit", "hashlimit", "ipset"];
    let hosts: Vec<_> = names.iter().zip(1..).map(|(name, n)| (*name, n)).collect();
    let lab = Lab::new(&hosts)?;
    let host = |name| lab.host(name);
    let list = Prefixes::new(PREFIXES, 0);

    tell(&format!("weir and its rivals load {PREFIXES} prefixes; nftables takes some seconds"));
    std::fs::write(lab.directory().join("listed.txt"), list.text())?;
    let file = lab.directory().join("policy.toml");
    std::fs::write(&file, policy())?;
    let _weir = Weir::start(&lab, host("weir")?, &["--policy", &file.to_string_lossy()])?;
    let _filter = peers::XdpFilter::load(host("xdpfilter")?, &STRANGERS[..1])?;
    let stranger = STRANGERS[0];
    peers::nftables(&lab, host("nft1")?, "", &format!("ip saddr {{ {stranger} }} counter drop"))?;
    let rules = "ip saddr @listed counter drop\ncounter drop";
    peers::nftables(&lab, host("nft")?, &peers::nft_set(&list), rules)?;
    let set = "set senders { type ipv4_addr; flags dynamic; size 262144; timeout 10s; }";
    let rule = "update @senders { ip saddr limit rate over 100/second } counter drop";
    peers::nftables(&lab, host("nftlimit")?, set, rule)?;
    peers::hashlimit(host("hashlimit")?)?;
    peers::ipset(&lab, host("ipset")?, &list)?;
    let cells = u32::try_from(PREFIXES).context("a number of prefixes")?;
    let mut rivals = Forge::with(object, |loader| {
        loader.map_max_entries("PREFIXES", cells);
    })?;
    let mut trie: LpmTrie<_, [u8; 4], u32> = LpmTrie::try_from(rivals.map("PREFIXES")?)?;
    for (network, length) in &list.v4 {
        trie.insert(&Key::new(u32::from(*length), network.octets()), 1, 0)?;
    }
    rivals.gate("bench_drop", host("floor")?)?;
    rivals.gate("bench_lpm", host("lpm")?)?;

    let mut fixed = Forge::new(object)?;
    let fixed = &*fixed.xdp("bench_send")?;
    let mut senders = Vec::new();
    for (name, _) in &hosts {
        senders.push(Forge::sender(object, Plan::default(), host(name)?)?);
    }
    let mut lanes = Vec::new();
    for ((name, _), sender) in hosts.iter().zip(&mut senders) {
        let packets = if lanes.len() < 8 { FAST } else { SLOW };
        lanes.push(Lane::new("fixed", host(name)?, fixed, packets));
        let random = &*sender.xdp("bench_send_random")?;
        lanes.push(Lane::new("random", host(name)?, random, packets));
    }
    // A list of one address and a limit say nothing about random sources; xdp-filter lets them in.
    lanes.retain(|lane| {
        lane.name == "fixed"
            || !["xdpfilter", "nft1", "nftlimit", "hashlimit"].contains(&lane.host.name())
    });
    wire::measure(&lab, &mut lanes)?;
    tell_all(report, &lanes);
    Ok(())
}

fn tell_all(report: &mut Report, lanes: &[Lane<'_>]) {
    let ns = |host: &str, kind: &str| {
        let lane = lanes.iter().find(|lane| lane.host.name() == host && lane.name == kind);
        lane.map_or(f64::NAN, |lane| lane.ns)
    };
    let above = |host: &str, kind: &str| ns(host, kind) - ns("floor", kind);
    let weir = |kind: &str| above("weir", kind);
    report.at_most(
        "fixed source ÷ xdp-filter's single address",
        0.4,
        weir("fixed") / above("xdpfilter", "fixed"),
    );
    report.at_most(
        "random sources ÷ nftables' set of 500,000",
        1.0 / 15.0,
        weir("random") / above("nft", "random"),
    );
    report.at_most(
        "random sources ÷ kernel LPM trie of 500,000",
        1.0 / 3.0,
        weir("random") / above("lpm", "random"),
    );
    let names = [
        ("weir", "weir, 500,000 prefixes"),
        ("xdpfilter", "xdp-filter, one address"),
        ("lpm", "kernel LPM trie, 500,000 prefixes"),
        ("nft1", "nftables netdev ingress, set of one"),
        ("nft", "nftables netdev ingress, set of 500,000"),
        ("nftlimit", "nftables netdev ingress, dynamic set with a limit"),
        ("hashlimit", "iptables hashlimit"),
        ("ipset", "iptables with an ipset of 500,000"),
    ];
    let cell = |value: f64| if value.is_nan() { "–".to_owned() } else { number(value) };
    let rows: Vec<_> = names
        .iter()
        .map(|(host, name)| {
            let [fixed, random] = ["fixed", "random"].map(|kind| cell(above(host, kind)));
            vec![(*name).to_owned(), fixed, random]
        })
        .collect();
    report.line(&format!(
        "Nanoseconds a packet above an empty program that drops ({} ns from a fixed source, {} ns from \
         random ones).",
        number(ns("floor", "fixed")),
        number(ns("floor", "random"))
    ));
    report.table(&["refused packet", "fixed source", "random sources"], &rows);
}
