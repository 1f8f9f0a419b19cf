//! Number 1: what the verdict costs, everything in the caches, and what each stage adds.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use filter_user::kernel::trial::Program;
use filter_user::policy::Policy;

use crate::frames::{PORT, udp};
use weir_tests::lab::Lab;

use crate::peers::XdpFilter;
use crate::prefixes::{Feed, Prefixes, STRANGERS};
use crate::report::{Report, tell};
use crate::table::{DROP, PASS, Table};
use crate::trial::{Pins, load, policy, told};

/// Prefixes of each family.
const PREFIXES: usize = 1_000_000;

/// One API, its one group a feed, one limit that no packet reaches.
pub(crate) fn text() -> String {
    format!(
        r#"
[groups.listed]
files = ["listed"]
[[api]]
name = "measured"
listen = ["udp/{PORT}"]
allow = ["listed"]
limit = {{ packets = "1000000000/s" }}
"#
    )
}

/// Measures it.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    tell("one packet against 1,000,000 prefixes of each family, beside xdp-filter");
    let prefixes = Prefixes::new(PREFIXES, PREFIXES);
    let members = prefixes.members().context("a million without a /24 and a /48")?;
    let [v4, v6] = members.map(udp);
    let [refused, refused6] = STRANGERS.map(udp);
    // Members of the group, so that a ban is all that is in their way.
    let bans = members.map(beside);
    let [banned, banned6] = bans.map(udp);

    let empty = [Program::empty(false).map_err(told)?, Program::empty(true).map_err(told)?];
    let lab = Lab::new(&[("peer", 1)])?;
    let filter = XdpFilter::load(lab.host("peer")?, &STRANGERS)?;
    let peer = filter.program()?;
    let pins = Pins::new();
    let mut state = pins.state()?;
    let (_observing, observing) = load(&mut state, &Policy::observe())?;
    let (_judging, judging) = load(&mut state, &policy(&text(), &Feed(prefixes.text()))?)?;

    let mut table = Table::new(&empty[0], &v4)?;
    table.add("empty program, passes", &empty[0], &v4, PASS);
    table.add("empty program, drops", &empty[1], &v4, DROP);
    table.add("weir, no policy, no sensor, IPv4", &observing, &v4, PASS);
    table.add("weir, no policy, no sensor, IPv6", &observing, &v6, PASS);
    table.add("weir, IPv4 allowed: 1,000,000 prefixes, a packet limit", &judging, &v4, PASS);
    table.add("weir, IPv4 refused: in none of them", &judging, &refused, DROP);
    table.add("weir, IPv6 allowed: 1,000,000 prefixes, a packet limit", &judging, &v6, PASS);
    table.add("weir, IPv6 refused: in none of them", &judging, &refused6, DROP);
    table.add("xdp-filter, IPv4 allowed: one address refused", &peer, &v4, PASS);
    table.add("xdp-filter, IPv4 refused: that address", &peer, &refused, DROP);
    table.add("xdp-filter, IPv6 allowed: one address refused", &peer, &v6, PASS);
    table.add("xdp-filter, IPv6 refused: that address", &peer, &refused6, DROP);
    table.measure()?;

    // From here on there are bans, and every packet is held against them.
    for address in bans {
        let length = if address.is_ipv4() { 32 } else { 128 };
        state.bans.add(address, length, None, None, false).map_err(told)?;
    }
    table.add("weir, IPv4 allowed, while others are banned", &judging, &v4, PASS);
    table.add("weir, IPv4 banned", &judging, &banned, DROP);
    table.add("weir, IPv6 allowed, while others are banned", &judging, &v6, PASS);
    table.add("weir, IPv6 banned", &judging, &banned6, DROP);
    table.measure()?;

    let (v4, v6) = (table.ns("weir, IPv4 allowed:"), table.ns("weir, IPv6 allowed:"));
    let peer = table.ns("xdp-filter, IPv4 allowed");
    report.at_most("allowed IPv4 packet ÷ xdp-filter's single match", 0.6, v4 / peer);
    report.at_most("allowed IPv4 packet ÷ empty program", 1.6, v4 / table.ns("empty program, p"));
    report.at_most("allowed IPv6 packet ÷ IPv4", 1.5, v6 / v4);
    table.report(report);
    Ok(())
}

/// The next address of the same network.
fn beside(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4((u32::from(v4) ^ 1).into()),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) ^ 1 << 64).into()),
    }
}
