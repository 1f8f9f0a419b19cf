//! Sources that are never judged, everywhere or on some ports and interfaces only.

use filter_common::reason::Reason;
use filter_user::kernel::orders::Order;

use super::{CLIENT, CLIENT6, STRANGER, STRANGER6};
use crate::frame::{ACK, Frame, icmp, syn, tcp, udp};
use crate::script::{
    LOOPBACK, OTHER_INTERFACE, Script, Step, Until, Verdict, ban, dropped, order, pass, row,
    row_on, rows, script,
};

/// What is trusted, then an API for nobody among them.
fn policy(narrowed: &str) -> String {
    format!(
        r#"
[trusted]
cidrs = ["192.0.2.76/30", "2001:db8:bad::/64"]
{narrowed}
[unclaimed]
action = "drop"
[groups.partners]
cidrs = ["198.51.100.0/24", "2001:db8:1::/48"]
[[api]]
name = "web"
listen = ["tcp/8080", "tcp/22"]
allow = ["partners"]
limit = {{ packets = "1/h" }}
"#
    )
}

pub(crate) fn scripts() -> Vec<Script> {
    vec![
        script("trusted everywhere", &policy(""), everywhere()),
        script("trusted on a port", &policy("ports = [\"tcp/22\", \"udp/161\"]"), ports()),
        script("trusted on an interface", &policy("interfaces = [\"weirt0\"]"), interfaces()),
        script(
            "trusted on a port of an interface",
            &policy("ports = [\"tcp/22\"]\ninterfaces = [\"weirt0\", \"weirt1\"]"),
            ports_of_interfaces(),
        ),
        script(
            "trusted on either of two interfaces",
            &policy("interfaces = [\"weirt0\", \"lo\"]"),
            vec![
                row("on the one", &syn(STRANGER, 81), pass(Reason::Trusted, "")),
                row_on(
                    OTHER_INTERFACE,
                    "on the other",
                    &syn(STRANGER, 81),
                    pass(Reason::Trusted, ""),
                ),
            ],
        ),
    ]
}

const NOT_ALLOWED: Verdict = dropped(Reason::NotAllowed, "web");
const REFUSED: Verdict = dropped(Reason::UnclaimedRefused, "");
const TRUSTED: Verdict = pass(Reason::Trusted, "");
const TRUSTED_AT_WEB: Verdict = pass(Reason::Trusted, "web");

fn everywhere() -> Vec<Step> {
    let mut steps = Vec::new();
    for source in [STRANGER, STRANGER6, "192.0.2.76", "192.0.2.79", "2001:db8:bad::"] {
        steps.extend([
            row("at the API", &syn(source, 8080), TRUSTED_AT_WEB),
            row("where no API is", &syn(source, 81), TRUSTED),
            row("UDP", &udp(source, 9), TRUSTED),
            row("ACK", &tcp(source, 8080, ACK), TRUSTED_AT_WEB),
        ]);
        steps.extend(rows(3, "beyond the limit", &syn(source, 8080), TRUSTED_AT_WEB));
    }
    for source in ["192.0.2.75", "192.0.2.80", "2001:db8:bad:1::", "2001:db8:bac:ffff::1"] {
        steps.push(row("beside the trusted", &syn(source, 8080), NOT_ALLOWED));
        steps.push(row("beside the trusted, no API", &syn(source, 81), REFUSED));
    }
    steps.extend([
        row("echo", &icmp(STRANGER, 8, 0), TRUSTED),
        row("later fragment", &tcp(STRANGER, 8080, 0).piece(9, true), TRUSTED),
        row(
            "malformed all the same",
            &syn(STRANGER, 8080).with(|f| f.words = Some(3)),
            dropped(Reason::BadIp, ""),
        ),
        ban(STRANGER),
        ban("2001:db8:bad::/48"),
        row("banned", &syn(STRANGER, 81), TRUSTED),
        row("in a banned network", &syn(STRANGER6, 81), TRUSTED),
        order("web", Order::Shutdown, Until::Never),
        row("shut down", &syn(STRANGER, 8080), TRUSTED_AT_WEB),
        row("shut down for others", &syn(CLIENT, 8080), dropped(Reason::Shutdown, "web")),
    ]);
    steps
}

fn ports() -> Vec<Step> {
    vec![
        row("on the port", &syn(STRANGER, 22), TRUSTED_AT_WEB),
        row("on the port, IPv6", &syn(STRANGER6, 22), TRUSTED_AT_WEB),
        row("on a port without an API", &udp(STRANGER, 161), TRUSTED),
        row("on the port of the other protocol", &udp(STRANGER, 22), REFUSED),
        row("on the other port of the protocol", &syn(STRANGER, 161), REFUSED),
        row("beside the port", &syn(STRANGER, 23), REFUSED),
        row("at the API", &syn(STRANGER, 8080), NOT_ALLOWED),
        row("others on the port", &syn("192.0.2.80", 22), NOT_ALLOWED),
        row("others on the port without an API", &udp("192.0.2.80", 161), REFUSED),
        row("a partner on the port", &syn(CLIENT, 22), pass(Reason::Allowed, "web")),
        ban(STRANGER),
        row("banned, on the port", &syn(STRANGER, 22), TRUSTED_AT_WEB),
        row("banned, elsewhere", &syn(STRANGER, 81), dropped(Reason::Banned, "")),
    ]
}

fn interfaces() -> Vec<Step> {
    let both = |what: &str, frame: &Frame, there, here| {
        [
            row_on(OTHER_INTERFACE, format!("{what}, on it"), frame, there),
            row_on(LOOPBACK, format!("{what}, not on it"), frame, here),
        ]
    };
    [
        both("the API", &syn(STRANGER, 8080), TRUSTED_AT_WEB, NOT_ALLOWED),
        both("no API", &syn(STRANGER, 81), TRUSTED, REFUSED),
        both("IPv6", &syn(STRANGER6, 81), TRUSTED, REFUSED),
        both("others", &syn("192.0.2.80", 81), REFUSED, REFUSED),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn ports_of_interfaces() -> Vec<Step> {
    vec![
        row_on(OTHER_INTERFACE, "both hold", &syn(STRANGER, 22), TRUSTED_AT_WEB),
        row_on("weirt1", "both hold on another interface", &syn(STRANGER, 22), TRUSTED_AT_WEB),
        row_on(OTHER_INTERFACE, "another port", &syn(STRANGER, 81), REFUSED),
        row("another interface", &syn(STRANGER, 22), NOT_ALLOWED),
        row("neither", &syn(STRANGER6, 81), REFUSED),
        row("a partner", &syn(CLIENT6, 22), pass(Reason::Allowed, "web")),
    ]
}
