//! Limits of packets, bytes and connections, of each source, of groups and of an API as a whole.
//!
//! The rates are so slow, and the bursts so cut, that a test of a minute sees the burst and nothing
//! of the rate: `burst` minutes hold whole packets and a part of one more.

use filter_common::reason::Reason;

use super::{CLIENT, CLIENT6, STRANGER};
use crate::frame::{ACK, Frame, SYN, syn, tcp, udp};
use crate::script::{Script, Step, Verdict, dropped, pass, row, rows, script, would_drop};

pub(crate) fn scripts() -> Vec<Script> {
    vec![
        script("packets", PACKETS, packets()),
        script("bytes", BYTES, bytes()),
        script("connections", CONNECTIONS, connections()),
        script("all three", ALL, all()),
        script("who is one source", SOURCES, sources()),
        script("groups", GROUPS, groups()),
        script("the whole API", TOTAL, total()),
        script("proxies", PROXIES, proxies()),
        script("a short burst by the exact clock", SHORT, short()),
    ]
}

/// So many packets pass, and the next ones do not.
fn burst(count: usize, what: &str, frame: &Frame, api: &'static str, then: Reason) -> Vec<Step> {
    let mut steps = rows(count, what, frame, pass(Reason::Allowed, api));
    steps.extend(rows(3, &format!("{what}, over"), frame, dropped(then, api)));
    steps
}

const PACKETS: &str = r#"
[[api]]
name = "web"
listen = ["tcp/8080", "udp/8080"]
allow = "any"
limit = { packets = "5/h", burst = "58m" }
[[api]]
name = "other"
listen = ["tcp/8081"]
allow = "any"
limit = { packets = "5/h", burst = "58m" }
[[api]]
name = "watched"
listen = ["tcp/9090"]
allow = "any"
mode = "monitor"
limit = { packets = "5/h", burst = "58m" }
[[api]]
name = "unlimited"
listen = ["tcp/7070"]
allow = "any"
"#;

fn packets() -> Vec<Step> {
    let over = Reason::LimitPackets;
    let mut steps = burst(5, "SYN", &syn(CLIENT, 8080), "web", over);
    steps.push(row("UDP is of the same API", &udp(CLIENT, 8080), dropped(over, "web")));
    steps.push(row("a first fragment", &syn(CLIENT, 8080).piece(0, true), dropped(over, "web")));
    steps.push(row(
        "a later fragment",
        &tcp(CLIENT, 8080, 0).piece(9, true),
        pass(Reason::Fragment, ""),
    ));
    steps.push(row("where no API is", &syn(CLIENT, 81), pass(Reason::Unclaimed, "")));
    steps.extend(burst(5, "the next source", &tcp("198.51.100.8", 8080, ACK), "web", over));
    steps.extend(burst(5, "IPv6", &udp(CLIENT6, 8080), "web", over));
    steps.extend(burst(5, "at another API", &syn(CLIENT, 8081), "other", over));
    steps.extend(rows(5, "watched", &syn(CLIENT, 9090), pass(Reason::Allowed, "watched")));
    steps.extend(rows(3, "watched, over", &syn(CLIENT, 9090), would_drop(over, "watched")));
    steps.extend(rows(20, "no limit", &syn(CLIENT, 7070), pass(Reason::Allowed, "unlimited")));
    steps
}

const BYTES: &str = r#"
[[api]]
name = "web"
listen = ["tcp/8080"]
allow = "any"
limit = { bytes = "6000B/h", burst = "59.5m" }
"#;

/// A frame of so many bytes in all.
fn sized(source: &str, port: u16, bytes: usize) -> Frame {
    let bare = tcp(source, port, ACK);
    let payload = bytes - bare.bytes().len();
    bare.carrying(&vec![7; payload])
}

fn bytes() -> Vec<Step> {
    let over = Reason::LimitBytes;
    let mut steps = burst(6, "1000 bytes of 5950", &sized(CLIENT, 8080, 1000), "web", over);
    steps.push(row("and the smallest", &syn(CLIENT, 8080), dropped(over, "web")));
    steps.extend(burst(60, "100 bytes", &sized("10.0.0.1", 8080, 100), "web", over));
    steps.extend(burst(6, "1000 bytes, IPv6", &sized(CLIENT6, 8080, 1000), "web", over));
    // A packet larger than the burst is let through once the debt is paid, not shut out.
    steps.extend(burst(1, "9000 bytes", &sized("10.0.0.2", 8080, 9000), "web", over));
    // What counts is the wire: padding too.
    let padded = sized("10.0.0.3", 8080, 100).with(|f| f.padding = 900);
    steps.extend(burst(6, "900 bytes of padding", &padded, "web", over));
    steps
}

const CONNECTIONS: &str = r#"
[[api]]
name = "web"
listen = ["tcp/8080", "udp/8080"]
allow = "any"
limit = { connections = "3/h", burst = "50m" }
"#;

fn connections() -> Vec<Step> {
    let over = Reason::LimitConnections;
    let web = pass(Reason::Allowed, "web");
    let mut steps = rows(10, "data is no connection", &tcp(CLIENT, 8080, ACK), web);
    steps.extend(rows(10, "UDP is no connection", &udp(CLIENT, 8080), web));
    steps.extend(rows(10, "an answer is no connection", &tcp(CLIENT, 8080, SYN | ACK), web));
    steps.extend(burst(3, "SYN", &syn(CLIENT, 8080), "web", over));
    steps.push(row(
        "from another port",
        &syn(CLIENT, 8080).with(|f| f.source_port = 40_001),
        dropped(over, "web"),
    ));
    steps.extend(rows(5, "data goes on", &tcp(CLIENT, 8080, ACK), web));
    steps.extend(burst(3, "SYN, IPv6", &syn(CLIENT6, 8080), "web", over));
    steps
}

const ALL: &str = r#"
[[api]]
name = "web"
listen = ["tcp/8080"]
allow = "any"
limit = { packets = "10/h", bytes = "6000B/h", connections = "2/h", burst = "59.5m" }
"#;

fn all() -> Vec<Step> {
    let web = pass(Reason::Allowed, "web");
    let mut steps = burst(2, "SYN", &syn(CLIENT, 8080), "web", Reason::LimitConnections);
    // What one limit refuses is not charged to the others: eight packets are left.
    steps.extend(burst(8, "data", &tcp(CLIENT, 8080, ACK), "web", Reason::LimitPackets));
    steps.push(row(
        "SYN: the first limit is named",
        &syn(CLIENT, 8080),
        dropped(Reason::LimitPackets, "web"),
    ));
    steps.extend(rows(2, "long", &sized("10.0.0.1", 8080, 3000), web));
    steps.push(row(
        "bytes are spent",
        &tcp("10.0.0.1", 8080, ACK),
        dropped(Reason::LimitBytes, "web"),
    ));
    steps
}

const SOURCES: &str = r#"
[[api]]
name = "networks"
listen = ["tcp/8080"]
allow = "any"
source = { v4 = 24, v6 = 48 }
limit = { packets = "4/h", burst = "50m" }
[[api]]
name = "hosts"
listen = ["tcp/8081"]
allow = "any"
source = { v4 = 32, v6 = 128 }
limit = { packets = "4/h", burst = "50m" }
"#;

fn sources() -> Vec<Step> {
    let over = Reason::LimitPackets;
    let mut steps = burst(4, "/24", &syn("10.1.2.3", 8080), "networks", over);
    steps.push(row("the same /24", &syn("10.1.2.255", 8080), dropped(over, "networks")));
    steps.extend(burst(4, "the next /24", &syn("10.1.3.0", 8080), "networks", over));
    steps.extend(burst(4, "/48", &syn("2001:db8:1::1", 8080), "networks", over));
    steps.push(row(
        "the same /48",
        &syn("2001:db8:1:ffff:ffff:ffff:ffff:ffff", 8080),
        dropped(over, "networks"),
    ));
    steps.extend(burst(4, "the next /48", &syn("2001:db8:2::", 8080), "networks", over));
    steps.extend(burst(4, "/32", &syn("10.1.2.3", 8081), "hosts", over));
    steps.extend(burst(4, "its neighbour", &syn("10.1.2.4", 8081), "hosts", over));
    steps.extend(burst(4, "/128", &syn("2001:db8:1::1", 8081), "hosts", over));
    steps.extend(burst(4, "its neighbour, IPv6", &syn("2001:db8:1::2", 8081), "hosts", over));
    steps
}

const GROUPS: &str = r#"
[groups.partners]
cidrs = ["198.51.100.0/24", "2001:db8:1::/48"]
[groups.staff]
cidrs = ["198.51.100.0/28", "10.0.0.0/8"]
[groups.team]
cidrs = ["172.16.0.0/12", "2001:db8:2::/48"]
[[api]]
name = "web"
listen = ["tcp/8080"]
allow = ["partners", "staff", "team"]
limit = { packets = "2/h", burst = "50m" }
limit_for.staff = { packets = "6/h", burst = "59m" }
limit_for.partners = { packets = "4/h", burst = "50m" }
limit_for.team = { packets = "5/h", burst = "58m", per = "group" }
[[api]]
name = "shop"
listen = ["tcp/8081"]
allow = "any"
limit = { packets = "2/h", burst = "50m" }
limit_for.team = { connections = "3/h", burst = "50m", per = "group" }
"#;

fn groups() -> Vec<Step> {
    let over = Reason::LimitPackets;
    let mut steps = burst(4, "a partner", &syn(CLIENT, 8080), "web", over);
    steps.extend(burst(4, "another partner", &syn("198.51.100.99", 8080), "web", over));
    steps.extend(burst(4, "a partner, IPv6", &syn(CLIENT6, 8080), "web", over));
    steps.extend(burst(4, "a partner of the staff", &syn("198.51.100.3", 8080), "web", over));
    steps.extend(burst(6, "staff", &syn("10.0.0.1", 8080), "web", over));
    let (web, shop) = (pass(Reason::Allowed, "web"), pass(Reason::Allowed, "shop"));
    let dropped_at_web: Verdict = dropped(over, "web");
    steps.extend(rows(2, "one of the team", &syn("172.16.0.1", 8080), web));
    steps.extend(rows(2, "another of the team", &syn("172.16.0.2", 8080), web));
    steps.extend(rows(1, "a third one, IPv6", &syn("2001:db8:2::1", 8080), web));
    for member in ["172.16.0.1", "172.16.0.9", "2001:db8:2::1", "2001:db8:2:9::1"] {
        steps.push(row(format!("{member}: the team is over"), &syn(member, 8080), dropped_at_web));
    }
    steps.push(row("no group", &syn(STRANGER, 8080), dropped(Reason::NotAllowed, "web")));
    // The same group elsewhere, with other limits and none of packets.
    steps.extend(rows(9, "team's data", &tcp("172.16.0.1", 8081, ACK), shop));
    steps.extend(rows(2, "team's connections", &syn("172.16.0.1", 8081), shop));
    steps.extend(rows(1, "team's connections, of another", &syn("172.16.0.3", 8081), shop));
    steps.push(row(
        "the team is over",
        &syn("172.16.0.4", 8081),
        dropped(Reason::LimitConnections, "shop"),
    ));
    steps.extend(burst(2, "no group, any allowed", &syn(STRANGER, 8081), "shop", over));
    steps
}

const TOTAL: &str = r#"
[[api]]
name = "packets"
listen = ["tcp/8080"]
allow = "any"
limit = { packets = "3/h", burst = "50m" }
limit_total = { packets = "5/h", burst = "58m" }
[[api]]
name = "bytes"
listen = ["tcp/8081"]
allow = "any"
limit_total = { bytes = "6000B/h", burst = "59m" }
[[api]]
name = "connections"
listen = ["tcp/8082"]
allow = "any"
limit_total = { connections = "3/h", burst = "50m" }
[[api]]
name = "watched"
listen = ["tcp/8083"]
allow = "any"
mode = "monitor"
limit_total = { packets = "3/h", burst = "50m" }
"#;

fn total() -> Vec<Step> {
    let packets = pass(Reason::Allowed, "packets");
    let mut steps = burst(3, "one source", &syn("10.0.0.1", 8080), "packets", Reason::LimitPackets);
    // What the first was refused is not charged to the whole: two are left.
    steps.extend(rows(1, "another source", &syn("10.0.0.2", 8080), packets));
    steps.extend(rows(1, "a third one, IPv6", &syn(CLIENT6, 8080), packets));
    for source in ["10.0.0.2", "10.0.0.3", "2001:db8:9::1"] {
        steps.push(row(
            format!("{source}: all over"),
            &syn(source, 8080),
            dropped(Reason::TotalPackets, "packets"),
        ));
    }
    let bytes = pass(Reason::Allowed, "bytes");
    for source in ["10.0.0.1", "10.0.0.2", CLIENT6] {
        steps.extend(rows(2, "1000 bytes", &sized(source, 8081, 1000), bytes));
    }
    steps.push(row("bytes over", &syn("10.0.0.4", 8081), dropped(Reason::TotalBytes, "bytes")));
    for source in ["10.0.0.1", "10.0.0.2", CLIENT6] {
        steps.push(row("a connection", &syn(source, 8082), pass(Reason::Allowed, "connections")));
    }
    steps.push(row(
        "connections over",
        &syn("10.0.0.4", 8082),
        dropped(Reason::TotalConnections, "connections"),
    ));
    steps.push(row(
        "data goes on",
        &tcp("10.0.0.4", 8082, ACK),
        pass(Reason::Allowed, "connections"),
    ));
    steps.extend(rows(3, "watched", &syn(CLIENT, 8083), pass(Reason::Allowed, "watched")));
    steps.push(row(
        "watched, over",
        &syn(STRANGER, 8083),
        would_drop(Reason::TotalPackets, "watched"),
    ));
    steps
}

const PROXIES: &str = r#"
[groups.cdn]
cidrs = ["198.51.100.0/24"]
[groups.edge]
cidrs = ["10.0.0.0/8"]
[[api]]
name = "web"
listen = ["tcp/8080"]
allow = "any"
proxies = ["cdn", "edge"]
limit = { packets = "2/h", burst = "50m" }
limit_for.edge = { packets = "5/h", burst = "58m", per = "group" }
limit_total = { packets = "60/h", burst = "59.5m" }
"#;

fn proxies() -> Vec<Step> {
    let over = Reason::LimitPackets;
    let web = pass(Reason::Allowed, "web");
    let mut steps = rows(20, "a proxy", &syn(CLIENT, 8080), web);
    steps.extend(burst(2, "no proxy", &syn(STRANGER, 8080), "web", over));
    steps.extend(rows(3, "proxies that share a limit", &syn("10.0.0.1", 8080), web));
    steps.extend(burst(
        2,
        "proxies that share a limit, another",
        &syn("10.0.0.2", 8080),
        "web",
        over,
    ));
    // The API as a whole holds proxies too: 60 less 27.
    steps.extend(burst(33, "proxies altogether", &syn(CLIENT, 8080), "web", Reason::TotalPackets));
    steps
}

const SHORT: &str = r#"
[[api]]
name = "web"
listen = ["tcp/8080"]
allow = "any"
limit = { packets = "250/s", burst = "4ms" }
[[api]]
name = "slow"
listen = ["tcp/8081"]
allow = "any"
limit = { packets = "4/h", burst = "50m" }
"#;

/// One burst shorter than two ticks makes every limit use the exact clock.
fn short() -> Vec<Step> {
    let mut steps =
        burst(4, "a long one beside it", &syn(CLIENT, 8081), "slow", Reason::LimitPackets);
    steps.push(row("the first packet", &syn(CLIENT, 8080), pass(Reason::Allowed, "web")));
    steps
}
