//! Pieces of datagrams: whole ones in a fragment header, first and later ones, and those made to
//! get past a filter.

use filter_common::reason::Reason;

use super::{CLIENT, CLIENT6, CLOSED, STRANGER, STRANGER6};
use crate::frame::{Body, SYN, fragment, icmp, options, other, syn, tcp, udp};
use crate::script::{Script, Step, ban, dropped, pass, row, script};

pub(crate) fn scripts() -> Vec<Script> {
    vec![script("IPv4 fragments", CLOSED, v4()), script("IPv6 fragments", CLOSED, v6())]
}

fn v4() -> Vec<Step> {
    let web = pass(Reason::Allowed, "web");
    let later = pass(Reason::Fragment, "");
    let evil = dropped(Reason::EvilFragment, "");
    let mut steps = vec![
        row("first", &syn(CLIENT, 8080).carrying(&[0; 24]).piece(0, true), web),
        row(
            "first, another port",
            &syn(CLIENT, 81).carrying(&[0; 24]).piece(0, true),
            dropped(Reason::UnclaimedRefused, ""),
        ),
        row("first of UDP", &udp(CLIENT, 8080).carrying(&[0; 24]).piece(0, true), web),
        // The UDP length is that of the whole datagram.
        row(
            "first of a long UDP datagram",
            &udp(CLIENT, 8080)
                .carrying(&[0; 24])
                .piece(0, true)
                .with(|f| f.body = Body::Udp { length: Some(5000) }),
            web,
        ),
        row("later", &tcp(CLIENT, 8080, 0).carrying(&[0; 64]).piece(2, true), later),
        row("last", &tcp(CLIENT, 8080, 0).carrying(&[0; 64]).piece(185, false), later),
        row(
            "last at the greatest offset",
            &tcp(CLIENT, 8080, 0).carrying(&[0; 7]).piece(0x1fff, false),
            later,
        ),
        row("later without a byte", &tcp(CLIENT, 8080, 0).piece(2, false), later),
        row("later of UDP", &udp(CLIENT, 81).carrying(&[0; 64]).piece(100, true), later),
        row(
            "offset 1 overlays TCP's flags",
            &tcp(CLIENT, 8080, SYN).carrying(&[0; 64]).piece(1, true),
            evil,
        ),
        row("offset 1, the last", &tcp(CLIENT, 8080, SYN).carrying(&[0; 64]).piece(1, false), evil),
        // UDP's header is 8 bytes: offset 1 lies behind it.
        row("offset 1 of UDP", &udp(CLIENT, 8080).carrying(&[0; 64]).piece(1, false), later),
        row("offset 1 of ICMP", &icmp(CLIENT, 3, 4).piece(1, false), later),
        row(
            "first of path-MTU discovery",
            &icmp(CLIENT, 3, 4).piece(0, true),
            pass(Reason::Essential, ""),
        ),
        row("later of another protocol", &other(CLIENT, 132).piece(50, true), later),
        row(
            "longer than the frame",
            &tcp(CLIENT, 8080, 0).carrying(&[0; 64]).piece(9, false).with(|f| f.length = Some(200)),
            dropped(Reason::BadIp, ""),
        ),
        ban(STRANGER),
        row(
            "later of a banned source",
            &tcp(STRANGER, 8080, 0).carrying(&[0; 64]).piece(9, false),
            dropped(Reason::Banned, ""),
        ),
    ];
    for (what, frame, header) in [
        ("TCP", syn(CLIENT, 8080), 20),
        ("UDP", udp(CLIENT, 8080), 8),
        ("ICMP", icmp(CLIENT, 8, 0), 4),
    ] {
        for left in 0..header {
            let frame = frame.clone().piece(0, true).with(|f| {
                f.cut = Some(34 + left);
                f.length = Some((20 + left) as u16);
            });
            steps.push(row(format!("first with {left} bytes of {what}"), &frame, evil));
        }
    }
    steps
}

fn v6() -> Vec<Step> {
    let web = pass(Reason::Allowed, "web");
    let later = pass(Reason::Fragment, "");
    let evil = dropped(Reason::EvilFragment, "");
    let piece = |offset: u16, more| {
        syn(CLIENT6, 8080)
            .carrying(&[0; 24])
            .extended(&[fragment(offset, more)])
            .with(|f| f.headless = offset != 0)
    };
    let mut steps = vec![
        row("atomic", &piece(0, false), web),
        row(
            "atomic, another port",
            &syn(CLIENT6, 81).extended(&[fragment(0, false)]),
            dropped(Reason::UnclaimedRefused, ""),
        ),
        row(
            "atomic between options",
            &syn(CLIENT6, 8080).extended(&[options(0, 0), fragment(0, false), options(60, 0)]),
            web,
        ),
        row(
            "atomic neighbour discovery",
            &icmp(CLIENT6, 135, 0).extended(&[fragment(0, false)]).with(|f| f.hop_limit = 255),
            pass(Reason::Essential, ""),
        ),
        row("first", &piece(0, true), web),
        row(
            "first behind options",
            &syn(CLIENT6, 8080).extended(&[options(0, 0), fragment(0, true), options(60, 0)]),
            web,
        ),
        row(
            "first of a long UDP datagram",
            &udp(CLIENT6, 8080)
                .extended(&[fragment(0, true)])
                .with(|f| f.body = Body::Udp { length: Some(5000) }),
            web,
        ),
        row("later", &piece(2, true), later),
        row("last", &piece(185, false), later),
        row("last at the greatest offset", &piece(0x1fff, false), later),
        // A host that follows RFC 5722 discards what overlaps: nothing is to be gained by it.
        row("offset 1", &piece(1, false), later),
        row(
            "later behind options",
            &syn(CLIENT6, 8080)
                .extended(&[options(0, 0), fragment(9, true)])
                .with(|f| f.headless = true),
            later,
        ),
        // What lies behind a later fragment's header is payload, whatever it is called.
        row(
            "later whose payload would be an extension",
            &other(CLIENT6, 60).extended(&[fragment(9, true)]),
            later,
        ),
        row(
            "a fragment of a fragment",
            &syn(CLIENT6, 8080).extended(&[fragment(0, true), fragment(0, true)]),
            web,
        ),
        row(
            "an atomic fragment does not undo a first one",
            &syn(CLIENT6, 8080).extended(&[fragment(0, true), fragment(0, false)]).with(|f| {
                f.cut = Some(54 + 16 + 10);
                f.length = Some(16 + 10);
            }),
            evil,
        ),
        row(
            "fragment header cut",
            &piece(0, true).with(|f| {
                f.cut = Some(54 + 3);
                f.length = Some(3);
            }),
            dropped(Reason::Truncated, ""),
        ),
        ban(STRANGER6),
        row(
            "later of a banned source",
            &syn(STRANGER6, 8080).extended(&[fragment(9, false)]).with(|f| f.headless = true),
            dropped(Reason::Banned, ""),
        ),
    ];
    for (what, frame, header) in [
        ("TCP", syn(CLIENT6, 8080), 20),
        ("UDP", udp(CLIENT6, 8080), 8),
        ("ICMPv6", icmp(CLIENT6, 128, 0), 4),
    ] {
        for left in 0..header {
            let frame = frame.clone().extended(&[fragment(0, true)]).with(|f| {
                f.cut = Some(54 + 8 + left);
                f.length = Some((8 + left) as u16);
            });
            steps.push(row(format!("first with {left} bytes of {what}"), &frame, evil));
        }
    }
    steps
}
