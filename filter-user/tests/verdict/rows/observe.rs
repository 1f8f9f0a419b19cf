//! A host without a policy: everything passes, but what an operator bans.

use filter_common::reason::Reason;

use super::{CLIENT, CLIENT6, STRANGER};
use crate::frame::{ACK, Frame, fragment, icmp, not_ip, options, other, syn, tcp, udp};
use crate::script::{OTHER_INTERFACE, Script, Step, ban, dropped, pass, row, row_on, would_drop};

pub(crate) fn scripts() -> Vec<Script> {
    vec![Script { about: "observing", policy: None, sources: 4096, steps: steps() }]
}

fn steps() -> Vec<Step> {
    let unclaimed = pass(Reason::Unclaimed, "");
    let would = |reason| would_drop(reason, "");
    let bent = |change: fn(&mut Frame)| syn(CLIENT, 8080).with(change);
    let mut steps = Vec::new();
    for client in [CLIENT, CLIENT6] {
        steps.extend([
            row("SYN", &syn(client, 8080), unclaimed),
            row("ACK", &tcp(client, 8080, ACK), unclaimed),
            row("UDP", &udp(client, 53), unclaimed),
            row("SCTP", &other(client, 132), unclaimed),
            row("TCP of no header", &syn(client, 8080).with(|f| f.headless = true), {
                would(Reason::BadTransport)
            }),
        ]);
    }
    steps.extend([
        row("ARP", &not_ip(0x0806), pass(Reason::NotIp, "")),
        row("path-MTU discovery", &icmp(CLIENT, 3, 4), pass(Reason::Essential, "")),
        row("later fragment", &tcp(CLIENT, 80, 0).piece(9, true), pass(Reason::Fragment, "")),
        row("cut in Ethernet's type", &bent(|f| f.cut = Some(20)), would(Reason::Truncated)),
        row("three tags", &bent(|f| f.tags = vec![0x8100; 3]), would(Reason::VlanDepth)),
        row("short IPv4 header", &bent(|f| f.words = Some(4)), would(Reason::BadIp)),
        row("TCP of ten bytes", &bent(|f| f.length = Some(30)), would(Reason::BadTransport)),
        row(
            "too many extension headers",
            &syn(CLIENT6, 8080).extended(&vec![options(60, 0); 9]),
            would(Reason::ExtensionDepth),
        ),
        row("tiny fragment", &bent(|f| (f.fragment, f.headless) = (0x2000, true)), {
            would(Reason::EvilFragment)
        }),
        row(
            "tiny fragment, IPv6",
            &syn(CLIENT6, 80).extended(&[fragment(0, true)]).with(|f| f.headless = true),
            would(Reason::EvilFragment),
        ),
        row("overlay", &bent(|f| f.fragment = 1), would(Reason::EvilFragment)),
        row("mapped source", &syn("::ffff:10.0.0.1", 80), would(Reason::MappedSource)),
        row("no flags", &tcp(CLIENT, 80, 0), would(Reason::TcpFlags)),
        row("source route", &bent(|f| f.options = vec![131, 3, 4, 0]), would(Reason::SourceRoute)),
        row_on(OTHER_INTERFACE, "from loopback", &syn("::1", 80), would(Reason::LoopbackSource)),
        row("loopback", &syn("::1", 80), unclaimed),
        ban(STRANGER),
        ban("2001:db8:bad::/48"),
        row("banned", &syn(STRANGER, 8080), dropped(Reason::Banned, "")),
        row(
            "banned, with a header that lies",
            &syn(STRANGER, 8080).with(|f| f.length = Some(99)),
            dropped(Reason::Banned, ""),
        ),
        row("banned, IPv6", &udp("2001:db8:bad::1", 53), dropped(Reason::Banned, "")),
    ]);
    steps
}
