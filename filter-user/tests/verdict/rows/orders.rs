//! Orders about an API: shut down, locked down, held to a tighter limit, in another mode.

use std::time::Duration;

use filter_common::gcra::Rate;
use filter_common::reason::Reason;
use filter_user::kernel::orders::{Kind, Order};

use super::{CLIENT, CLIENT6, STRANGER, STRANGER6};
use crate::frame::{ACK, icmp, syn, tcp, udp};
use crate::script::{
    Script, Step, Until, Verdict, ban, ban_with, dropped, lift, lockdown, order, pass, row, rows,
    script, would_drop,
};

const POLICY: &str = r#"
[groups.partners]
cidrs = ["198.51.100.0/24", "2001:db8:1::/48"]
[groups.staff]
cidrs = ["198.51.100.0/30", "203.0.113.0/24"]
[groups.nobody]
cidrs = []
[groups.cdn]
cidrs = ["100.64.0.0/10"]
[[api]]
name = "web"
listen = ["tcp/8080", "udp/8080"]
allow = "any"
deny = ["nobody"]
[[api]]
name = "watched"
listen = ["tcp/9090"]
allow = ["partners", "staff"]
mode = "monitor"
[[api]]
name = "shop"
listen = ["tcp/7070"]
allow = ["partners", "cdn"]
proxies = ["cdn"]
"#;

const WEB: Verdict = pass(Reason::Allowed, "web");
const WATCHED: Verdict = pass(Reason::Allowed, "watched");
const SHOP: Verdict = pass(Reason::Allowed, "shop");

pub(crate) fn scripts() -> Vec<Script> {
    vec![
        script("shut down", POLICY, shutdown()),
        script("locked down", POLICY, locked_down()),
        script("another mode", POLICY, mode()),
        script("a tighter limit", POLICY, tighter()),
        script("what is only counted", POLICY, only_counted()),
    ]
}

fn shutdown() -> Vec<Step> {
    let down = dropped(Reason::Shutdown, "web");
    vec![
        row("before", &syn(CLIENT, 8080), WEB),
        order("web", Order::Shutdown, Until::Never),
        row("SYN", &syn(CLIENT, 8080), down),
        row("ACK", &tcp(CLIENT6, 8080, ACK), down),
        row("UDP", &udp(CLIENT, 8080), down),
        row("the other API", &syn(CLIENT, 7070), SHOP),
        row("no API", &syn(CLIENT, 81), pass(Reason::Unclaimed, "")),
        row("echo", &icmp(CLIENT, 8, 0), pass(Reason::Unclaimed, "")),
        row("later fragment", &tcp(CLIENT, 8080, 0).piece(9, true), pass(Reason::Fragment, "")),
        ban(STRANGER),
        row("banned is said first", &syn(STRANGER, 8080), dropped(Reason::Banned, "web")),
        lift("web", Kind::Shutdown),
        row("lifted", &syn(CLIENT, 8080), WEB),
        order("web", Order::Shutdown, Until::InAnHour),
        row("for an hour", &syn(CLIENT, 8080), down),
        order("web", Order::Shutdown, Until::AMinuteAgo),
        row("expired", &syn(CLIENT, 8080), WEB),
        order("watched", Order::Shutdown, Until::Never),
        row("in monitor mode too", &syn(CLIENT, 9090), dropped(Reason::Shutdown, "watched")),
    ]
}

fn locked_down() -> Vec<Step> {
    let locked = dropped(Reason::Lockdown, "web");
    vec![
        lockdown("web", "partners", false, Until::Never),
        row("in the group", &syn(CLIENT, 8080), WEB),
        row("in the group, IPv6", &syn(CLIENT6, 8080), WEB),
        row("in two groups", &syn("198.51.100.3", 8080), WEB),
        row("in another group", &syn("203.0.113.9", 8080), locked),
        row("in no group", &syn(STRANGER, 8080), locked),
        row("in no group, IPv6", &syn(STRANGER6, 8080), locked),
        row("in no group, UDP", &udp(STRANGER, 8080), locked),
        row("at another API", &syn(STRANGER, 7070), dropped(Reason::NotAllowed, "shop")),
        lockdown("web", "nobody", false, Until::Never),
        row("to an empty group", &syn(CLIENT, 8080), locked),
        lockdown("web", "staff", false, Until::InAnHour),
        row("to another group", &syn(CLIENT, 8080), locked),
        row("to another group, inside", &syn("203.0.113.9", 8080), WEB),
        order("web", Order::Shutdown, Until::Never),
        row("and shut down", &syn("203.0.113.9", 8080), dropped(Reason::Shutdown, "web")),
        lift("web", Kind::Shutdown),
        lift("web", Kind::Lockdown),
        row("lifted", &syn(STRANGER, 8080), WEB),
        lockdown("web", "staff", false, Until::AMinuteAgo),
        row("expired", &syn(STRANGER, 8080), WEB),
        // Being in the group does not let in whom the rule refuses.
        lockdown("shop", "staff", false, Until::Never),
        row(
            "in the group but not allowed",
            &syn("203.0.113.9", 7070),
            dropped(Reason::NotAllowed, "shop"),
        ),
        lockdown("web", "partners", true, Until::Never),
        row("by a detector, enforced", &syn(STRANGER, 8080), locked),
        lockdown("watched", "partners", true, Until::Never),
        row(
            "by a detector, monitored",
            &syn("203.0.113.9", 9090),
            would_drop(Reason::Lockdown, "watched"),
        ),
        row("by a detector, in the group", &syn(CLIENT, 9090), WATCHED),
        lockdown("watched", "partners", false, Until::Never),
        row(
            "by an operator, monitored",
            &syn("203.0.113.9", 9090),
            dropped(Reason::Lockdown, "watched"),
        ),
    ]
}

fn mode() -> Vec<Step> {
    vec![
        row("enforced", &syn(STRANGER, 7070), dropped(Reason::NotAllowed, "shop")),
        order("shop", Order::Monitor(true), Until::Never),
        row("monitored by order", &syn(STRANGER, 7070), would_drop(Reason::NotAllowed, "shop")),
        row("others", &syn(CLIENT, 7070), SHOP),
        lift("shop", Kind::Monitor),
        row("and back", &syn(STRANGER, 7070), dropped(Reason::NotAllowed, "shop")),
        order("shop", Order::Monitor(true), Until::AMinuteAgo),
        row("expired", &syn(STRANGER, 7070), dropped(Reason::NotAllowed, "shop")),
        row("monitored", &syn(STRANGER6, 9090), would_drop(Reason::NotAllowed, "watched")),
        order("watched", Order::Monitor(false), Until::InAnHour),
        row("enforced by order", &syn(STRANGER6, 9090), dropped(Reason::NotAllowed, "watched")),
        lift("watched", Kind::Monitor),
        row(
            "and back to watching",
            &syn(STRANGER6, 9090),
            would_drop(Reason::NotAllowed, "watched"),
        ),
    ]
}

/// A ban by a detector, a rule and a detector's lockdown, all only counted, and an operator's order.
fn only_counted() -> Vec<Step> {
    let [down, locked] = [Reason::Shutdown, Reason::Lockdown].map(|why| dropped(why, "watched"));
    vec![
        ban_with(CLIENT, "", Until::Never, true),
        row("banned", &syn(CLIENT, 9090), would_drop(Reason::Banned, "watched")),
        row("not allowed", &syn(STRANGER, 9090), would_drop(Reason::NotAllowed, "watched")),
        order("watched", Order::Shutdown, Until::Never),
        row("banned and shut down", &syn(CLIENT, 9090), down),
        row("not allowed and shut down", &syn(STRANGER, 9090), down),
        lift("watched", Kind::Shutdown),
        lockdown("watched", "staff", true, Until::Never),
        row(
            "banned, a detector's lockdown",
            &syn(CLIENT, 9090),
            would_drop(Reason::Banned, "watched"),
        ),
        lockdown("watched", "staff", false, Until::Never),
        row("banned and locked down", &syn(CLIENT, 9090), locked),
        lift("watched", Kind::Lockdown),
        order("watched", rate(), Until::Never),
        row("banned, within", &syn(CLIENT, 9090), would_drop(Reason::Banned, "watched")),
        row("banned, within", &syn(CLIENT, 9090), would_drop(Reason::Banned, "watched")),
        row("banned, within", &syn(CLIENT, 9090), would_drop(Reason::Banned, "watched")),
        row("banned, over", &syn(CLIENT, 9090), dropped(Reason::LimitPackets, "watched")),
        lockdown("watched", "staff", true, Until::Never),
        row("locked down, within", &syn(STRANGER6, 9090), would_drop(Reason::Lockdown, "watched")),
    ]
}

/// 20 minutes a packet, and room for three of them.
fn rate() -> Order {
    tighter_by(false)
}

fn tighter_by(automatic: bool) -> Order {
    let seconds = |s| Duration::from_secs(s).as_nanos() as u64;
    let rate = Rate::new(3, seconds(3_600), seconds(50 * 60), 1).expect("a rate that can be");
    Order::Limit { rate, automatic }
}

fn tighter() -> Vec<Step> {
    let mut steps = rows(10, "without", &syn(CLIENT, 7070), SHOP);
    steps.push(order("shop", rate(), Until::Never));
    let over = dropped(Reason::LimitPackets, "shop");
    for source in [CLIENT, "198.51.100.8", CLIENT6] {
        steps.extend(rows(3, "within", &syn(source, 7070), SHOP));
        steps.extend(rows(3, "over", &tcp(source, 7070, ACK), over));
    }
    steps.push(row("the same /64", &syn("2001:db8:1::8", 7070), over));
    steps.push(row("another /64", &syn("2001:db8:1:1::8", 7070), SHOP));
    steps.push(row(
        "who is refused anyway",
        &syn(STRANGER, 7070),
        dropped(Reason::NotAllowed, "shop"),
    ));
    // A proxy speaks for many clients.
    steps.extend(rows(5, "a proxy", &syn("100.64.0.9", 7070), SHOP));
    steps.push(row("at another API", &syn(CLIENT, 8080), WEB));
    steps.push(lift("shop", Kind::Limit));
    steps.extend(rows(5, "lifted", &syn(CLIENT, 7070), SHOP));
    steps.push(order("shop", rate(), Until::AMinuteAgo));
    steps.extend(rows(5, "expired", &syn("198.51.100.9", 7070), SHOP));
    steps.push(order("watched", rate(), Until::InAnHour));
    steps.extend(rows(3, "monitored, within", &syn(CLIENT, 9090), WATCHED));
    let over = dropped(Reason::LimitPackets, "watched");
    steps.extend(rows(3, "monitored, over", &syn(CLIENT, 9090), over));
    // A drop that is only counted is no way around it either.
    let stranger = would_drop(Reason::NotAllowed, "watched");
    steps.extend(rows(3, "monitored and not allowed, within", &syn(STRANGER6, 9090), stranger));
    steps.extend(rows(3, "monitored and not allowed, over", &syn(STRANGER6, 9090), over));
    steps.push(order("watched", tighter_by(true), Until::InAnHour));
    steps.extend(rows(
        3,
        "by a detector, monitored, over",
        &syn(CLIENT, 9090),
        would_drop(Reason::LimitPackets, "watched"),
    ));
    steps.push(row("by a detector, not allowed", &syn(STRANGER6, 9090), stranger));
    steps
}
