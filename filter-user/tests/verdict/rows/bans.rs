//! Bans: single addresses, networks, on the host or on one API, by an operator or a detector.

use filter_common::reason::Reason;

use super::{CLIENT, CLIENT6, STRANGER};
use crate::frame::{ACK, icmp, syn, tcp, udp};
use crate::script::{
    Script, Step, Until, Verdict, ban, ban_with, dropped, pass, row, script, unban, would_drop,
};

const POLICY: &str = r#"
[[api]]
name = "web"
listen = ["tcp/8080", "udp/8080"]
allow = "any"
[[api]]
name = "watched"
listen = ["tcp/9090"]
allow = "any"
mode = "monitor"
"#;

const WEB: Verdict = pass(Reason::Allowed, "web");
const WATCHED: Verdict = pass(Reason::Allowed, "watched");
const UNCLAIMED: Verdict = pass(Reason::Unclaimed, "");
const BANNED: Verdict = dropped(Reason::Banned, "");
const BANNED_AT_WEB: Verdict = dropped(Reason::Banned, "web");
const BANNED_AT_WATCHED: Verdict = dropped(Reason::Banned, "watched");
const WOULD_BAN: Verdict = would_drop(Reason::Banned, "watched");

pub(crate) fn scripts() -> Vec<Script> {
    vec![
        script("an address", POLICY, address()),
        script("IPv6", POLICY, sixes()),
        script("networks", POLICY, networks()),
        script("eight lengths", POLICY, lengths()),
        script("time", POLICY, time()),
        script("one API", POLICY, one_api()),
        script("by a detector", POLICY, automatic()),
        script("by a detector and by an operator", POLICY, mixed()),
    ]
}

fn address() -> Vec<Step> {
    vec![
        row("before", &syn(CLIENT, 8080), WEB),
        ban(CLIENT),
        row("SYN", &syn(CLIENT, 8080), BANNED_AT_WEB),
        row("ACK", &tcp(CLIENT, 8080, ACK), BANNED_AT_WEB),
        row("UDP", &udp(CLIENT, 8080), BANNED_AT_WEB),
        row("the other API, monitor or not", &syn(CLIENT, 9090), BANNED_AT_WATCHED),
        row("no API", &syn(CLIENT, 81), BANNED),
        row("echo", &icmp(CLIENT, 8, 0), BANNED),
        row("path-MTU discovery", &icmp(CLIENT, 3, 4), pass(Reason::Essential, "")),
        row("the address before", &syn("198.51.100.6", 8080), WEB),
        row("the address after", &syn("198.51.100.8", 8080), WEB),
        row("the address as destination", &syn(STRANGER, 81).to(CLIENT), UNCLAIMED),
        row("the address inside IPv6", &syn("::198.51.100.7", 8080), WEB),
        ban("198.51.100.8"),
        unban(CLIENT),
        row("after", &syn(CLIENT, 8080), WEB),
        row("the other one's stays", &syn("198.51.100.8", 8080), BANNED_AT_WEB),
    ]
}

fn sixes() -> Vec<Step> {
    vec![
        ban("2001:db8:1::7"),
        row("/128", &syn(CLIENT6, 8080), BANNED_AT_WEB),
        row("beside /128", &syn("2001:db8:1::8", 8080), WEB),
        row(
            "neighbour discovery",
            &icmp(CLIENT6, 135, 0).with(|f| f.hop_limit = 255),
            pass(Reason::Essential, ""),
        ),
        row("echo", &icmp(CLIENT6, 128, 0), BANNED),
        unban("2001:db8:1::7"),
        ban("2001:db8:1::/64"),
        row("/64", &syn(CLIENT6, 8080), BANNED_AT_WEB),
        row("first of /64", &syn("2001:db8:1::", 8080), BANNED_AT_WEB),
        row("last of /64", &syn("2001:db8:1:0:ffff:ffff:ffff:ffff", 8080), BANNED_AT_WEB),
        row("before /64", &syn("2001:db8:0:ffff:ffff:ffff:ffff:ffff", 8080), WEB),
        row("after /64", &syn("2001:db8:1:1::", 8080), WEB),
        ban("2001:db8:1:1::"),
        row("the first address alone is not its /64", &syn("2001:db8:1:1::1", 8080), WEB),
        row("the first address alone", &syn("2001:db8:1:1::", 8080), BANNED_AT_WEB),
    ]
}

fn networks() -> Vec<Step> {
    let mut steps = Vec::new();
    for (network, inside, outside) in [
        ("198.51.100.0/24", ["198.51.100.0", "198.51.100.255"], ["198.51.99.255", "198.51.101.0"]),
        ("10.20.16.0/20", ["10.20.16.0", "10.20.31.255"], ["10.20.15.255", "10.20.32.0"]),
        ("128.0.0.0/1", ["128.0.0.0", "255.255.255.255"], ["127.255.255.255", "0.0.0.0"]),
        ("10.0.0.2/31", ["10.0.0.2", "10.0.0.3"], ["10.0.0.1", "10.0.0.4"]),
        (
            "2001:db8:1::/48",
            ["2001:db8:1::", "2001:db8:1:ffff:ffff:ffff:ffff:ffff"],
            ["2001:db8:0:ffff:ffff:ffff:ffff:ffff", "2001:db8:2::"],
        ),
        (
            "2001:db8:1::40/122",
            ["2001:db8:1::40", "2001:db8:1::7f"],
            ["2001:db8:1::3f", "2001:db8:1::80"],
        ),
        ("::/3", ["1fff::1", "::1"], ["2000::", "ffff::1"]),
    ] {
        steps.push(ban(network));
        for source in inside {
            steps.push(row(format!("{source} in {network}"), &syn(source, 8080), BANNED_AT_WEB));
        }
        for source in outside {
            steps.push(row(format!("{source} beside {network}"), &syn(source, 8080), WEB));
        }
        steps.push(unban(network));
        for source in inside {
            steps.push(row(format!("{source}, {network} lifted"), &syn(source, 8080), WEB));
        }
    }
    steps
}

fn lengths() -> Vec<Step> {
    let v4 = [
        "10.8.0.0/13",
        "10.16.0.0/14",
        "10.32.0.0/15",
        "10.48.0.0/16",
        "10.64.0.0/17",
        "10.80.0.0/18",
        "10.96.0.0/19",
        "10.112.0.0/20",
    ];
    let v6 = [
        "2001:db8:10::/44",
        "2001:db8:20::/45",
        "2001:db8:30::/46",
        "2001:db8:40::/47",
        "2001:db8:50::/48",
        "2001:db8:60::/49",
        "2001:db8:70::/50",
        "2001:db8:80::/51",
    ];
    let mut steps: Vec<_> = v4.into_iter().chain(v6).map(ban).collect();
    for network in v4.into_iter().chain(v6) {
        let (source, _) = network.split_once('/').expect("a length");
        steps.push(row(network, &syn(source, 8080), BANNED_AT_WEB));
    }
    steps.push(row("none of them", &syn("10.128.0.0", 8080), WEB));
    steps.push(row("none of them, IPv6", &syn("2001:db8:90::", 8080), WEB));
    steps
}

fn time() -> Vec<Step> {
    let mut steps = Vec::new();
    for (network, source) in [
        (CLIENT, CLIENT),
        ("198.51.100.0/24", CLIENT),
        (CLIENT6, CLIENT6),
        ("2001:db8:1::/64", CLIENT6),
        ("2001:db8:1::/48", CLIENT6),
    ] {
        let until = |until| ban_with(network, "", until, false);
        steps.extend([
            until(Until::InAnHour),
            row(format!("{network} for an hour"), &syn(source, 8080), BANNED_AT_WEB),
            until(Until::AMinuteAgo),
            row(format!("{network} expired"), &syn(source, 8080), WEB),
            until(Until::Never),
            row(format!("{network} for good"), &syn(source, 8080), BANNED_AT_WEB),
            unban(network),
        ]);
    }
    steps.extend([
        ban_with(CLIENT, "", Until::AMinuteAgo, false),
        ban("198.51.100.0/24"),
        row("address expired, network not", &syn(CLIENT, 8080), BANNED_AT_WEB),
    ]);
    steps
}

fn one_api() -> Vec<Step> {
    vec![
        ban_with(CLIENT, "web", Until::Never, false),
        row("there", &syn(CLIENT, 8080), BANNED_AT_WEB),
        row("at the other API", &syn(CLIENT, 9090), WATCHED),
        row("at no API", &syn(CLIENT, 81), UNCLAIMED),
        row("echo", &icmp(CLIENT, 8, 0), UNCLAIMED),
        ban_with("2001:db8:1::/48", "watched", Until::Never, false),
        row("network, there", &syn(CLIENT6, 9090), BANNED_AT_WATCHED),
        row("network, at the other API", &syn(CLIENT6, 8080), WEB),
        ban(CLIENT),
        row("on the host as well", &syn(CLIENT, 81), BANNED),
        row("on the host as well, at the other API", &syn(CLIENT, 9090), BANNED_AT_WATCHED),
        ban_with("203.0.113.0/24", "", Until::AMinuteAgo, false),
        ban_with("203.0.113.0/24", "web", Until::Never, false),
        row("host's expired, API's not", &syn("203.0.113.9", 8080), BANNED_AT_WEB),
    ]
}

fn automatic() -> Vec<Step> {
    let mut steps = Vec::new();
    for (network, source) in [
        (CLIENT, CLIENT),
        ("198.51.100.0/24", CLIENT),
        (CLIENT6, CLIENT6),
        ("2001:db8:1::/64", CLIENT6),
    ] {
        steps.extend([
            ban_with(network, "", Until::InAnHour, true),
            row(format!("{network} where it enforces"), &syn(source, 8080), BANNED_AT_WEB),
            row(format!("{network} where it monitors"), &syn(source, 9090), WOULD_BAN),
            row(format!("{network} where no API is"), &syn(source, 81), BANNED),
            unban(network),
        ]);
    }
    steps
}

/// What an operator orders is enforced in every mode, whatever a detector found as well.
fn mixed() -> Vec<Step> {
    let mut steps = Vec::new();
    for (by_detector, by_operator, api, source) in [
        (CLIENT, "198.51.100.0/24", "", CLIENT),
        ("198.51.100.0/24", CLIENT, "", CLIENT),
        ("198.51.100.0/24", "198.51.0.0/16", "", CLIENT),
        (CLIENT, CLIENT, "watched", CLIENT),
        (CLIENT, "198.51.100.0/24", "watched", CLIENT),
        (CLIENT6, "2001:db8:1::/64", "", CLIENT6),
        ("2001:db8:1::/64", CLIENT6, "", CLIENT6),
        (CLIENT6, "2001:db8::/32", "", CLIENT6),
        ("2001:db8:1::/64", "2001:db8:1::/64", "watched", CLIENT6),
    ] {
        steps.extend([
            ban_with(by_detector, "", Until::Never, true),
            row(format!("{by_detector} by a detector"), &syn(source, 9090), WOULD_BAN),
            ban_with(by_operator, api, Until::Never, false),
            row(
                format!("{by_detector} by a detector, {by_operator} by an operator"),
                &syn(source, 9090),
                BANNED_AT_WATCHED,
            ),
            ban_with(by_operator, api, Until::AMinuteAgo, false),
            row(
                format!("{by_detector} by a detector, {by_operator} expired"),
                &syn(source, 9090),
                WOULD_BAN,
            ),
            ban_with(by_detector, "", Until::AMinuteAgo, true),
            row("both expired", &syn(source, 9090), WATCHED),
        ]);
    }
    steps
}
