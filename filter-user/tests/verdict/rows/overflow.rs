//! A limiter with room for eight sources, and a ninth.

use filter_common::reason::Reason;

use super::STRANGER6;
use crate::frame::{syn, udp};
use crate::script::{Script, Step, dropped, pass, row, rows, script, would_drop};

pub(crate) fn scripts() -> Vec<Script> {
    let mut scripts = vec![
        script("overflow into one budget", &policy(""), aggregate()),
        script("overflow passes", &policy("overflow = \"pass\""), passes()),
        script("overflow is dropped", &policy("overflow = \"drop\""), drops()),
        script("overflow, watched", &policy("overflow = \"drop\"\nmode = \"monitor\""), watched()),
    ];
    for script in &mut scripts {
        script.sources = 8;
    }
    scripts
}

fn policy(more: &str) -> String {
    format!(
        r#"
[[api]]
name = "web"
listen = ["tcp/8080", "udp/8080"]
allow = "any"
limit = {{ packets = "3/h", burst = "50m" }}
{more}
[[api]]
name = "unlimited"
listen = ["tcp/8081"]
allow = "any"
"#
    )
}

const FULL: [&str; 8] = [
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.3",
    "10.0.0.4",
    "10.0.0.5",
    "10.0.0.6",
    "2001:db8::1",
    "2001:db8:1::1",
];

/// Eight sources take the whole table.
fn fill() -> Vec<Step> {
    let taken = pass(Reason::Allowed, "web");
    FULL.into_iter()
        .map(|source| row(format!("{source} comes"), &syn(source, 8080), taken))
        .collect()
}

/// The eight keep what they have: two more packets each.
fn keep(over: crate::script::Verdict) -> Vec<Step> {
    let mut steps = Vec::new();
    for source in FULL {
        steps.extend(rows(2, source, &udp(source, 8080), pass(Reason::Allowed, "web")));
        steps.push(row(format!("{source} is over"), &syn(source, 8080), over));
    }
    steps
}

fn aggregate() -> Vec<Step> {
    let overflow = dropped(Reason::LimitOverflow, "web");
    let web = pass(Reason::Allowed, "web");
    let mut steps = fill();
    steps.extend(rows(2, "the ninth", &syn("10.0.0.9", 8080), web));
    steps.extend(rows(1, "the tenth shares with it", &syn(STRANGER6, 8080), web));
    steps.push(row("their budget is spent", &syn("10.0.0.9", 8080), overflow));
    steps.push(row("for everybody else", &syn("10.0.0.11", 8080), overflow));
    steps.push(row(
        "where there is no limit",
        &syn("10.0.0.9", 8081),
        pass(Reason::Allowed, "unlimited"),
    ));
    steps.extend(keep(dropped(Reason::LimitPackets, "web")));
    steps
}

fn passes() -> Vec<Step> {
    let mut steps = fill();
    steps.extend(rows(9, "the ninth", &syn("10.0.0.9", 8080), pass(Reason::Allowed, "web")));
    steps.extend(keep(dropped(Reason::LimitPackets, "web")));
    steps
}

fn drops() -> Vec<Step> {
    let mut steps = fill();
    steps.extend(rows(
        2,
        "the ninth",
        &syn("10.0.0.9", 8080),
        dropped(Reason::LimitOverflow, "web"),
    ));
    steps.extend(keep(dropped(Reason::LimitPackets, "web")));
    steps
}

fn watched() -> Vec<Step> {
    let mut steps = fill();
    steps.extend(rows(
        2,
        "the ninth",
        &syn("10.0.0.9", 8080),
        would_drop(Reason::LimitOverflow, "web"),
    ));
    steps.extend(keep(would_drop(Reason::LimitPackets, "web")));
    steps
}
