//! Which API a packet is for, and whether its source may reach it.

use filter_common::reason::Reason;

use super::{CLIENT, CLIENT6, STRANGER, STRANGER6};
use crate::frame::{ACK, SERVER, SERVER6, syn, tcp, udp};
use crate::script::{Script, Step, Verdict, dropped, pass, row, script, would_drop};

const GROUPS: &str = r#"
[groups.partners]
cidrs = ["198.51.100.0/24", "2001:db8:1::/48"]
[groups.listed]
cidrs = ["198.51.100.64/26", "192.0.2.0/24", "2001:db8:1:bad::/64", "2001:db8:bad::77"]
[groups.friends]
cidrs = ["10.0.0.0/8", "10.1.2.3", "fd00::/8"]
[groups.nobody]
cidrs = []
"#;

pub(crate) fn scripts() -> Vec<Script> {
    vec![
        script("allow and deny", &format!("{GROUPS}{RULES}"), rules()),
        script("listens with an address", LISTENS, listens()),
        script("many ports", &many(), ports()),
    ]
}

const RULES: &str = r#"
[[api]]
name = "partners-only"
listen = ["tcp/1001"]
allow = ["partners"]
[[api]]
name = "without-listed"
listen = ["tcp/1002"]
allow = ["partners", "friends"]
deny = ["listed"]
[[api]]
name = "all-but-listed"
listen = ["tcp/1003"]
allow = "any"
deny = ["listed"]
[[api]]
name = "for-nobody"
listen = ["tcp/1004"]
allow = ["nobody"]
[[api]]
name = "watched"
listen = ["tcp/1005"]
allow = ["partners"]
deny = ["listed"]
mode = "monitor"
[[api]]
name = "open"
listen = ["tcp/1006"]
allow = "any"
"#;

fn rules() -> Vec<Step> {
    let not_allowed = Reason::NotAllowed;
    let denied = Reason::Denied;
    // Sources with what they are to: partners-only, without-listed, all-but-listed.
    let rows: [(&str, [Option<Reason>; 3]); 14] = [
        (CLIENT, [None, None, None]),
        (CLIENT6, [None, None, None]),
        ("198.51.100.63", [None, None, None]),
        ("198.51.100.64", [None, Some(denied), Some(denied)]),
        ("198.51.100.127", [None, Some(denied), Some(denied)]),
        ("198.51.100.128", [None, None, None]),
        ("198.51.101.0", [Some(not_allowed), Some(not_allowed), None]),
        (STRANGER, [Some(not_allowed), Some(denied), Some(denied)]),
        (STRANGER6, [Some(not_allowed), Some(denied), Some(denied)]),
        ("2001:db8:bad::78", [Some(not_allowed), Some(not_allowed), None]),
        ("2001:db8:1:bad::", [None, Some(denied), Some(denied)]),
        ("10.1.2.3", [Some(not_allowed), None, None]),
        ("10.1.2.4", [Some(not_allowed), None, None]),
        ("fdff::1", [Some(not_allowed), None, None]),
    ];
    let mut steps = Vec::new();
    for (source, expected) in rows {
        let apis = ["partners-only", "without-listed", "all-but-listed"];
        for ((api, port), reason) in apis.into_iter().zip(1001..).zip(expected) {
            let expected = reason.map_or(pass(Reason::Allowed, api), |reason| dropped(reason, api));
            steps.push(row(format!("{source} at {api}"), &syn(source, port), expected));
        }
        steps.push(row(
            format!("{source} at an API for nobody"),
            &syn(source, 1004),
            dropped(not_allowed, "for-nobody"),
        ));
        let watched = if expected[2] == Some(denied) {
            would_drop(denied, "watched")
        } else if expected[0].is_some() {
            would_drop(not_allowed, "watched")
        } else {
            pass(Reason::Allowed, "watched")
        };
        steps.push(row(format!("{source} at a watched API"), &tcp(source, 1005, ACK), watched));
        steps.push(row(
            format!("{source} at an open API"),
            &syn(source, 1006),
            pass(Reason::Allowed, "open"),
        ));
        steps.push(row(
            format!("{source} beside the APIs"),
            &syn(source, 1007),
            pass(Reason::Unclaimed, ""),
        ));
    }
    steps
}

const LISTENS: &str = r#"
[[api]]
name = "everywhere"
listen = ["tcp/8080", "tcp/8081", "udp/8080"]
allow = "any"
[[api]]
name = "one"
listen = ["203.0.113.5:tcp/8080", "[2001:db8:5::5]:tcp/8080"]
allow = "any"
[[api]]
name = "two"
listen = ["203.0.113.6:tcp/8080", "203.0.113.6:tcp/9000", "[2001:db8:5::6]:tcp/8080"]
allow = "any"
[[api]]
name = "five"
listen = ["203.0.113.5:udp/9000"]
allow = "any"
"#;

fn listens() -> Vec<Step> {
    let at = |api: &'static str| -> Verdict {
        pass(if api.is_empty() { Reason::Unclaimed } else { Reason::Allowed }, api)
    };
    [
        (SERVER, 8080, "one"),
        ("203.0.113.6", 8080, "two"),
        ("203.0.113.7", 8080, "everywhere"),
        ("203.0.113.4", 8080, "everywhere"),
        (SERVER, 8081, "everywhere"),
        ("203.0.113.6", 9000, "two"),
        (SERVER, 9000, ""),
        ("203.0.113.7", 9000, ""),
    ]
    .into_iter()
    .map(|(to, port, api)| row(format!("{to} port {port}"), &syn(CLIENT, port).to(to), at(api)))
    .chain(
        [
            (SERVER6, 8080, "one"),
            ("2001:db8:5::6", 8080, "two"),
            ("2001:db8:5::7", 8080, "everywhere"),
            ("2001:db8:6::5", 8080, "everywhere"),
            (SERVER6, 9000, ""),
            // The mapped form is not the address.
            ("::ffff:203.0.113.6", 8081, "everywhere"),
        ]
        .into_iter()
        .map(|(to, port, api)| {
            row(format!("{to} port {port}"), &syn(CLIENT6, port).to(to), at(api))
        }),
    )
    .chain([
        row("UDP has chains of its own", &udp(CLIENT, 8080), at("everywhere")),
        row("UDP with an address", &udp(CLIENT, 9000), at("five")),
        row("UDP with another address", &udp(CLIENT, 9000).to("203.0.113.6"), at("")),
    ])
    .collect()
}

/// 500 APIs' worth of ports in three, and one port with 64 addresses.
fn many() -> String {
    let list = |items: &mut dyn Iterator<Item = String>| {
        items.map(|item| format!("{item:?}")).collect::<Vec<_>>().join(", ")
    };
    let odd = list(&mut (1..1000).step_by(2).map(|port| format!("tcp/{port}")));
    let even = list(&mut (2..1000).step_by(2).map(|port| format!("tcp/{port}")));
    let far = list(&mut (0..64).map(|n| format!("10.9.8.{n}:tcp/7000")));
    format!(
        r#"
[[api]]
name = "odd"
listen = [{odd}]
allow = "any"
[[api]]
name = "even"
listen = [{even}, "tcp/65535", "udp/1", "udp/65535"]
allow = "any"
[[api]]
name = "far"
listen = [{far}]
allow = "any"
"#
    )
}

fn ports() -> Vec<Step> {
    let mut steps = Vec::new();
    for port in 1..1000 {
        let api = if port % 2 == 1 { "odd" } else { "even" };
        // A few beside the borders of words are enough for the rest.
        if !(20..=990).contains(&port) || port % 64 < 2 {
            steps.push(row(format!("port {port}"), &syn(CLIENT, port), pass(Reason::Allowed, api)));
        }
    }
    let unclaimed = pass(Reason::Unclaimed, "");
    steps.extend([
        row("port 0", &syn(CLIENT, 0), unclaimed),
        row("port 1000", &syn(CLIENT, 1000), unclaimed),
        row("port 65534", &syn(CLIENT, 65534), unclaimed),
        row("port 65535", &syn(CLIENT, 65535), pass(Reason::Allowed, "even")),
        row("UDP port 0", &udp(CLIENT6, 0), unclaimed),
        row("UDP port 1", &udp(CLIENT6, 1), pass(Reason::Allowed, "even")),
        row("UDP port 2", &udp(CLIENT6, 2), unclaimed),
        row("UDP port 65535", &udp(CLIENT6, 65535), pass(Reason::Allowed, "even")),
        row(
            "first of many addresses",
            &syn(CLIENT, 7000).to("10.9.8.0"),
            pass(Reason::Allowed, "far"),
        ),
        row(
            "last of many addresses",
            &syn(CLIENT, 7000).to("10.9.8.63"),
            pass(Reason::Allowed, "far"),
        ),
        row("none of many addresses", &syn(CLIENT, 7000).to("10.9.8.64"), unclaimed),
        row("none of many addresses, IPv6", &syn(CLIENT6, 7000), unclaimed),
    ]);
    steps
}
