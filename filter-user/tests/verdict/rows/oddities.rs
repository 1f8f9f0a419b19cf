//! Packets that are odd whatever they are for: every kind under every setting, and what no setting
//! changes.

use filter_common::oddity::{Oddity, Treatment};
use filter_common::reason::Reason;

use super::{CLIENT, CLIENT6, CLOSED, OPEN, STRANGER, STRANGER6};
use crate::frame::{
    ACK, Body, FIN, Frame, PSH, RST, SYN, URG, authentication, fragment, icmp, options, other,
    routing, syn, tcp, udp,
};
use crate::script::{
    LOOPBACK, OTHER_INTERFACE, Script, Step, Verdict, ban, dropped, own, pass, row_on, script,
    would_drop,
};

/// Addresses of the host, and one that shares the bit of the last in the bitmap.
const OWN: &str = "203.0.113.5";
const OWN6: &str = "2001:db8:5::5";
const NEAR_OWN: &str = "203.0.65.5";

pub(crate) fn scripts() -> Vec<Script> {
    let mut scripts = Vec::new();
    for &kind in Oddity::ALL {
        let key = kind.key();
        let written =
            ["pass", "monitor", "drop"].map(|word| format!("[packets]\n{key} = \"{word}\"\n"));
        let treatments = [Treatment::Pass, Treatment::Monitor, Treatment::Drop];
        for (text, treatment) in written.into_iter().zip(treatments) {
            scripts.push(script(key, &(text + CLOSED), treated(kind, treatment)));
        }
        scripts.push(script(key, CLOSED, treated(kind, kind.default_treatment())));
    }
    scripts.push(script("trusted sources", TRUSTED, trusted()));
    scripts.push(script("several at once", SEVERAL, several()));
    scripts.push(script("TCP flags", OPEN, flags()));
    scripts.push(script("IPv4 options", OPEN, ipv4_options()));
    scripts.push(script("routing headers", OPEN, routing_headers()));
    scripts.push(script("own addresses change", OPEN, own_addresses()));
    scripts
}

/// What the packets of a kind are, and the interface they come in by.
fn samples(kind: Oddity) -> (&'static str, Vec<Frame>) {
    let both = |of: fn(Frame) -> Frame| [CLIENT, CLIENT6].map(|from| of(syn(from, 8080))).to_vec();
    let from = |sources: &[&str]| sources.iter().map(|source| syn(source, 8080)).collect();
    match kind {
        Oddity::VlanTags => {
            let mut frames = both(|frame| frame.tagged(&[0x8100]));
            frames.extend(both(|frame| frame.tagged(&[0x88a8, 0x8100])));
            (LOOPBACK, frames)
        }
        Oddity::VlanDepth => (LOOPBACK, both(|frame| frame.tagged(&[0x8100; 3]))),
        Oddity::Ipv4Options => {
            let with = |bytes: &[u8]| syn(CLIENT, 8080).with(|f| f.options = bytes.to_vec());
            // No operation, the end, a router alert, a timestamp.
            let lists: [&[u8]; 4] = [&[1; 4], &[0; 4], &[148, 4, 0, 0], &[68, 8, 5, 0, 0, 0, 0, 0]];
            (LOOPBACK, lists.iter().map(|bytes| with(bytes)).collect())
        }
        Oddity::SourceRoutes => {
            let mut frames = Vec::new();
            for kind in [131, 137] {
                for before in [0, 1, 37] {
                    // With the pointer behind the end there is no hop left: still a source route.
                    let mut options = vec![1; before];
                    options.extend([kind, 3, 4]);
                    options.resize(options.len().next_multiple_of(4), 0);
                    frames.push(syn(CLIENT, 8080).with(|f| f.options = options));
                }
            }
            frames.push(syn(CLIENT6, 8080).extended(&[routing(0, 1)]));
            frames.push(syn(CLIENT6, 8080).extended(&[options(0, 0), routing(0, 9)]));
            (LOOPBACK, frames)
        }
        Oddity::Ipv6Extensions => {
            let lists = [
                vec![options(0, 0)],
                vec![options(60, 2)],
                vec![routing(4, 1)],
                vec![authentication(1)],
                vec![options(0, 0), fragment(0, false), options(60, 0)],
            ];
            (LOOPBACK, lists.iter().map(|list| syn(CLIENT6, 8080).extended(list)).collect())
        }
        Oddity::ExtensionDepth => {
            (LOOPBACK, vec![syn(CLIENT6, 8080).extended(&vec![options(60, 0); 9])])
        }
        Oddity::FirstFragments => {
            let long = |from| syn(from, 8080).carrying(&[0; 24]);
            (
                LOOPBACK,
                vec![long(CLIENT).piece(0, true), long(CLIENT6).extended(&[fragment(0, true)])],
            )
        }
        Oddity::LaterFragments => {
            let rest = |from| other(from, 6).carrying(&[0; 24]);
            (
                LOOPBACK,
                vec![
                    rest(CLIENT).piece(3, true),
                    rest(CLIENT).piece(185, false),
                    rest(CLIENT6).extended(&[fragment(3, true)]),
                    rest(CLIENT6).extended(&[options(0, 0), fragment(185, false)]),
                ],
            )
        }
        Oddity::EvilFragments => (
            LOOPBACK,
            vec![
                syn(CLIENT, 8080).piece(0, true).with(|f| f.headless = true),
                tcp(CLIENT, 8080, SYN).carrying(&[0; 64]).piece(1, false),
                syn(CLIENT6, 8080).extended(&[fragment(0, true)]).with(|f| f.headless = true),
            ],
        ),
        Oddity::Truncated => (LOOPBACK, both(|frame| frame.with(|f| f.cut = Some(30)))),
        Oddity::BadIp => {
            let mut frames = both(|frame| frame.with(|f| f.length = Some(1500)));
            frames.push(syn(CLIENT, 8080).with(|f| f.words = Some(4)));
            (LOOPBACK, frames)
        }
        Oddity::BadTransport => {
            let mut frames = both(|frame| {
                frame.with(|f| {
                    f.body = Body::Tcp { flags: SYN, options: Vec::new(), data_offset: Some(4) };
                })
            });
            frames.push(udp(CLIENT, 8080).with(|f| f.body = Body::Udp { length: Some(7) }));
            (LOOPBACK, frames)
        }
        Oddity::TcpFlags => {
            (LOOPBACK, [CLIENT, CLIENT6].map(|from| tcp(from, 8080, SYN | FIN)).to_vec())
        }
        Oddity::MappedSources => (LOOPBACK, from(&["::ffff:198.51.100.7"])),
        Oddity::LoopbackSources => {
            (OTHER_INTERFACE, from(&["127.0.0.1", "127.255.255.254", "::1"]))
        }
        Oddity::MulticastSources => {
            let sources = ["224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1", "ff0e::5"];
            (OTHER_INTERFACE, from(&sources))
        }
        Oddity::OwnSources => (OTHER_INTERFACE, from(&[OWN, OWN6])),
    }
}

/// What a policy that says nothing of a kind makes of its packets to the API.
fn otherwise(kind: Oddity) -> Verdict {
    match kind {
        Oddity::LaterFragments => pass(Reason::Fragment, ""),
        kind if kind.is_unreadable() => pass(Reason::Unjudged, ""),
        _ => pass(Reason::Allowed, "web"),
    }
}

/// Which API a dropped packet is counted for: a source's oddity is seen before the API is.
fn counted_for(kind: Oddity) -> &'static str {
    let by_source = filter_common::oddity::SOURCES & kind.bit() != 0;
    if by_source { "" } else { otherwise(kind).api }
}

fn treated(kind: Oddity, treatment: Treatment) -> Vec<Step> {
    let (interface, frames) = samples(kind);
    let reason = kind.reason();
    let passes = otherwise(kind);
    let expected = match treatment {
        Treatment::Pass => passes,
        Treatment::Monitor => would_drop(reason, passes.api),
        Treatment::Drop => dropped(reason, counted_for(kind)),
    };
    let mut steps = vec![own(&[OWN, OWN6])];
    for (number, frame) in frames.iter().enumerate() {
        let what = format!("{} {treatment:?}, sample {number}", kind.key());
        steps.push(row_on(interface, what, frame, expected));
        if passes.api.is_empty() {
            continue;
        }
        // Being watched is no way past the rules.
        let expected = match treatment {
            Treatment::Drop => dropped(reason, ""),
            _ => dropped(Reason::UnclaimedRefused, ""),
        };
        let elsewhere = frame.clone().with(|f| f.destination_port = 81);
        let what = format!("{} {treatment:?}, sample {number}, another port", kind.key());
        steps.push(row_on(interface, what, &elsewhere, expected));
    }
    if filter_common::oddity::MARTIANS & kind.bit() != 0 {
        for frame in &frames {
            let what = format!("{} {treatment:?} on the loopback interface", kind.key());
            steps.push(row_on(LOOPBACK, what, frame, passes));
        }
    }
    // What nobody may find odd.
    for (what, frame) in [("a stranger", syn(STRANGER, 8080)), ("another", syn(STRANGER6, 8080))] {
        steps.push(row_on(interface, what, &frame, pass(Reason::Allowed, "web")));
    }
    for (what, frame) in [
        ("beside the host's own", syn(NEAR_OWN, 8080)),
        ("beside loopback", syn("128.0.0.1", 8080)),
        ("before loopback", syn("126.255.255.255", 8080)),
        ("below multicast", syn("223.255.255.255", 8080)),
        ("above multicast", syn("240.0.0.1", 8080)),
        ("no address yet", syn("0.0.0.0", 8080)),
        ("no address yet, IPv6", syn("::", 8080)),
        ("beside loopback, IPv6", syn("::2", 8080)),
        ("below multicast, IPv6", syn("feff::1", 8080)),
        ("link-local", syn("fe80::1", 8080)),
    ] {
        steps.push(row_on(OTHER_INTERFACE, what, &frame, pass(Reason::Allowed, "web")));
    }
    // What a host is lost without passes whatever else it is, as far as it can be read.
    let essential = pass(Reason::Essential, "");
    if !kind.is_unreadable() {
        for (what, frame) in [
            ("path-MTU discovery in a VLAN", icmp(CLIENT, 3, 4).tagged(&[0x8100])),
            ("with options", icmp(CLIENT, 3, 4).with(|f| f.options = vec![131, 3, 4, 0])),
            ("in a first fragment", icmp(CLIENT, 3, 4).piece(0, true)),
            ("from loopback", icmp("127.0.0.1", 3, 4)),
            ("too big, from a mapped source", icmp("::ffff:192.0.2.1", 2, 0)),
            (
                "neighbour discovery behind options",
                icmp(CLIENT6, 135, 0).extended(&[options(0, 0)]).with(|f| f.hop_limit = 255),
            ),
        ] {
            steps.push(row_on(OTHER_INTERFACE, what, &frame, essential));
        }
        steps.push(row_on(
            LOOPBACK,
            "listener report behind a router alert",
            &icmp(CLIENT6, 143, 0).extended(&[options(0, 0)]),
            pass(Reason::Unclaimed, ""),
        ));
    }
    if kind.is_unreadable() && treatment != Treatment::Drop {
        steps.extend([ban(CLIENT), ban("2001:db8:1::/64")]);
        for (number, frame) in frames.iter().enumerate() {
            // Cut before its source, it could be anybody's.
            let is_known =
                !matches!(kind, Oddity::Truncated | Oddity::VlanDepth) && frame.words.is_none();
            let expected = if is_known { dropped(Reason::Banned, "") } else { expected };
            let what = format!("{} {treatment:?} of a banned source, {number}", kind.key());
            steps.push(row_on(interface, what, frame, expected));
        }
    }
    steps
}

/// Everything that can be refused is.
const TRUSTED: &str = r#"
[trusted]
cidrs = ["192.0.2.77", "2001:db8:bad::77", "127.0.0.1", "203.0.113.5", "::1"]
ports = ["tcp/8080"]
[packets]
vlan_tags = "drop"
ipv4_options = "drop"
ipv6_extensions = "drop"
first_fragments = "drop"
later_fragments = "drop"
[[api]]
name = "web"
listen = ["tcp/8080"]
allow = "any"
"#;

fn trusted() -> Vec<Step> {
    let trusted = pass(Reason::Trusted, "web");
    let mut steps = vec![own(&[OWN, OWN6])];
    for (what, frame, expected) in [
        ("tags", syn(STRANGER, 8080).tagged(&[0x8100]), trusted),
        ("options", syn(STRANGER, 8080).with(|f| f.options = vec![131, 3, 4, 0]), trusted),
        ("extensions", syn(STRANGER6, 8080).extended(&[options(0, 0)]), trusted),
        ("first fragment", syn(STRANGER, 8080).piece(0, true), trusted),
        ("flags", tcp(STRANGER, 8080, 0), trusted),
        (
            "later fragments have no port",
            other(STRANGER, 6).piece(9, false),
            dropped(Reason::LaterFragment, ""),
        ),
        ("tags, another port", syn(STRANGER, 81).tagged(&[0x8100]), dropped(Reason::VlanTag, "")),
        // Trust goes by the source, and these cannot be it.
        ("loopback", syn("127.0.0.1", 8080), dropped(Reason::LoopbackSource, "")),
        ("loopback, IPv6", syn("::1", 8080), dropped(Reason::LoopbackSource, "")),
        ("own", syn(OWN, 8080), dropped(Reason::OwnSource, "")),
        ("cut", syn(STRANGER, 8080).with(|f| f.cut = Some(33)), dropped(Reason::Truncated, "")),
        ("lying", syn(STRANGER, 8080).with(|f| f.length = Some(99)), dropped(Reason::BadIp, "")),
    ] {
        steps.push(row_on(OTHER_INTERFACE, what, &frame, expected));
    }
    steps
}

const SEVERAL: &str = r#"
[packets]
vlan_tags = "monitor"
tcp_flags = "monitor"
ipv4_options = "drop"
own_sources = "monitor"
[groups.partners]
cidrs = ["198.51.100.0/24", "203.0.113.0/24"]
[[api]]
name = "web"
listen = ["tcp/8080"]
allow = ["partners"]
limit = { packets = "2/day", burst = "13h" }
[[api]]
name = "watched"
listen = ["tcp/9090"]
allow = ["partners"]
mode = "monitor"
"#;

fn several() -> Vec<Step> {
    let flags = |port| tcp(CLIENT, port, FIN);
    let tagged = |frame: Frame| frame.tagged(&[0x8100]);
    let mut steps = vec![own(&[OWN, OWN6])];
    for (what, frame, expected) in [
        ("the first counts", tagged(flags(8080)), would_drop(Reason::VlanTag, "web")),
        (
            "refused before watched",
            tagged(flags(8080)).with(|f| f.options = vec![1; 4]),
            dropped(Reason::Ipv4Options, "web"),
        ),
        ("what is watched is charged", flags(8080), would_drop(Reason::TcpFlags, "web")),
        ("and limited", flags(8080), dropped(Reason::LimitPackets, "web")),
        (
            "a rule's would-drop stays one",
            tagged(syn(STRANGER, 9090)),
            would_drop(Reason::NotAllowed, "watched"),
        ),
        ("own", syn(OWN, 9090), would_drop(Reason::OwnSource, "watched")),
        ("own, refused", syn(OWN6, 8080), dropped(Reason::NotAllowed, "web")),
        ("monitored APIs excuse no packet", flags(9090).with(|f| f.options = vec![1; 4]), {
            dropped(Reason::Ipv4Options, "watched")
        }),
    ] {
        steps.push(row_on(OTHER_INTERFACE, what, &frame, expected));
    }
    steps
}

/// Every combination of the six flags, and the bits above them.
fn flags() -> Vec<Step> {
    let mut steps = Vec::new();
    for flags in 0..=255u8 {
        let is_odd = match flags & (SYN | FIN | RST | ACK) {
            // Something must say what the segment is for, and only one thing.
            0 | FIN => true,
            both => (both & (SYN | FIN | RST)).count_ones() > 1,
        };
        let expected =
            if is_odd { dropped(Reason::TcpFlags, "web") } else { pass(Reason::Allowed, "web") };
        let source = if flags & 1 == 0 { CLIENT } else { CLIENT6 };
        steps.push(row_on(
            LOOPBACK,
            format!("flags {flags:#04x}"),
            &tcp(source, 8080, flags),
            expected,
        ));
    }
    // Names of scans that are known by them.
    for (what, flags) in [("null", 0), ("FIN", FIN), ("Xmas", FIN | PSH | URG)] {
        let frame = tcp(CLIENT, 81, flags);
        steps.push(row_on(LOOPBACK, what, &frame, dropped(Reason::TcpFlags, "")));
    }
    steps
}

fn ipv4_options() -> Vec<Step> {
    let web = pass(Reason::Allowed, "web");
    let route = dropped(Reason::SourceRoute, "web");
    let bad = dropped(Reason::BadIp, "");
    let rows: Vec<(&str, Vec<u8>, Verdict)> = vec![
        ("forty times nothing", vec![1; 40], web),
        ("the end, then a source route", vec![0, 131, 3, 4], web),
        ("a source route inside a timestamp", vec![68, 8, 5, 0, 131, 3, 4, 0], web),
        ("record route is not source route", vec![7, 3, 4, 0], web),
        ("loose", vec![131, 7, 4, 192, 0, 2, 1, 0], route),
        ("strict at the very end", [vec![1; 37], vec![137, 3, 4]].concat(), route),
        ("behind a timestamp", vec![68, 4, 5, 0, 137, 3, 4, 0], route),
        ("of no length", vec![7, 0, 0, 0], bad),
        ("of length 1", vec![7, 1, 0, 0], bad),
        ("longer than the header", vec![7, 5, 4, 0], bad),
        ("by far", vec![7, 255, 4, 0], bad),
        ("without a length", vec![1, 1, 1, 7], bad),
        ("a source route without a length", vec![1, 1, 1, 131], bad),
        ("a source route longer than the header", vec![131, 9, 4, 0], bad),
    ];
    let mut steps = Vec::new();
    for (what, options, expected) in rows {
        let frame = syn(CLIENT, 8080).with(|f| f.options = options);
        steps.push(row_on(LOOPBACK, what, &frame, expected));
    }
    // The frame ends inside the options, and its IP header says so.
    for length in 20..28u16 {
        let frame = syn(CLIENT, 8080).with(|f| {
            f.options = vec![68, 8, 5, 0, 0, 0, 0, 0];
            f.cut = Some(14 + usize::from(length));
            f.length = Some(length);
        });
        steps.push(row_on(LOOPBACK, format!("cut at {length} of 28"), &frame, bad));
    }
    steps
}

fn routing_headers() -> Vec<Step> {
    let web = pass(Reason::Allowed, "web");
    let mut steps = Vec::new();
    for (what, kind, left, expected) in [
        ("type 0", 0, 1, dropped(Reason::SourceRoute, "web")),
        ("type 0, all hops left", 0, 255, dropped(Reason::SourceRoute, "web")),
        ("type 0 that has arrived", 0, 0, web),
        ("mobility", 2, 1, web),
        ("segment routing", 4, 3, web),
    ] {
        let frame = syn(CLIENT6, 8080).extended(&[routing(kind, left)]);
        steps.push(row_on(LOOPBACK, what, &frame, expected));
    }
    // The same bytes in another header are no route.
    let mut header = routing(0, 1);
    header.number = 60;
    steps.push(row_on(LOOPBACK, "as options", &syn(CLIENT6, 8080).extended(&[header]), web));
    steps
}

fn own_addresses() -> Vec<Step> {
    let web = pass(Reason::Allowed, "web");
    let mine = dropped(Reason::OwnSource, "");
    let mut steps = Vec::new();
    let mut at = |now: &'static [&'static str], rows: &[(&str, Verdict)]| {
        steps.push(own(now));
        for (source, expected) in rows {
            let what = format!("{source} while {now:?} are own");
            steps.push(row_on(OTHER_INTERFACE, what, &syn(source, 8080), *expected));
            steps.push(row_on(
                OTHER_INTERFACE,
                format!("{source}, UDP to another port"),
                &udp(source, 53),
                if *expected == web { pass(Reason::Unclaimed, "") } else { *expected },
            ));
        }
    };
    at(&[], &[(OWN, web), (OWN6, web)]);
    at(&[OWN], &[(OWN, mine), (OWN6, web), (NEAR_OWN, web)]);
    at(&[OWN6, NEAR_OWN], &[(OWN, web), (OWN6, mine), (NEAR_OWN, mine)]);
    at(&[OWN, NEAR_OWN], &[(OWN, mine), (OWN6, web), (NEAR_OWN, mine)]);
    at(&[], &[(OWN, web), (NEAR_OWN, web)]);
    steps
}
