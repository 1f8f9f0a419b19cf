//! Frames that end early, say more or less than they are, or go on after their end.

use filter_common::reason::Reason;

use super::{CLIENT, CLIENT6, OPEN};
use crate::frame::{ACK, Frame, icmp, syn, tcp, udp};
use crate::script::{Script, Step, Verdict, dropped, pass, row, script};

/// The shortest frame that the kernel runs a program on.
const LEAST: usize = 14;

pub(crate) fn scripts() -> Vec<Script> {
    vec![
        script("cut", OPEN, cut()),
        script("cut, and saying so", OPEN, cut_and_saying_so()),
        script("lengths that lie", OPEN, lies()),
        script("padding", OPEN, padding()),
        script("jumbo frames", OPEN, jumbo()),
    ]
}

const WEB: Verdict = pass(Reason::Allowed, "web");

/// Valid frames with where their headers end: link, network, transport.
fn whole() -> Vec<(&'static str, Frame, [usize; 3])> {
    let data = |client| tcp(client, 8080, ACK).carrying(b"some data");
    vec![
        ("TCP in IPv4", data(CLIENT), [14, 34, 54]),
        ("TCP in IPv6", data(CLIENT6), [14, 54, 74]),
        ("TCP in a VLAN", data(CLIENT).tagged(&[0x8100]), [18, 38, 58]),
        ("TCP in two VLANs", data(CLIENT6).tagged(&[0x88a8, 0x8100]), [22, 62, 82]),
        ("UDP in IPv4", udp(CLIENT, 8080), [14, 34, 42]),
        ("UDP in IPv6", udp(CLIENT6, 8080), [14, 54, 62]),
        ("TCP behind options", data(CLIENT).with(|f| f.options = vec![1; 8]), [14, 42, 62]),
    ]
}

/// Every length of every frame: what is missing decides.
fn cut() -> Vec<Step> {
    let mut steps = Vec::new();
    for (what, frame, [link, network, _]) in whole() {
        let full = frame.bytes().len();
        // Options are not read: an IPv4 header is known from its first 20 bytes.
        let read = if frame.source.is_ipv4() { link + 20 } else { network };
        for length in LEAST..=full {
            let expected = match length {
                _ if length == full => WEB,
                _ if length < read => dropped(Reason::Truncated, ""),
                _ => dropped(Reason::BadIp, ""),
            };
            let frame = frame.clone().with(|f| f.cut = Some(length));
            steps.push(row(format!("{what} cut to {length} of {full}"), &frame, expected));
        }
    }
    steps
}

/// The same, with an IP header that says how much is left.
fn cut_and_saying_so() -> Vec<Step> {
    let mut steps = Vec::new();
    for (what, frame, [link, network, transport]) in whole() {
        let full = frame.bytes().len();
        let is_v4 = frame.source.is_ipv4();
        for length in network..full {
            let is_udp = what.starts_with("UDP");
            // A UDP header has a length of its own, which is the whole one's here.
            let expected =
                if length < transport || is_udp { dropped(Reason::BadTransport, "") } else { WEB };
            let said = length - if is_v4 { link } else { network };
            let frame = frame.clone().with(|f| {
                f.cut = Some(length);
                f.length = Some(said as u16);
            });
            steps.push(row(format!("{what} of {length} instead of {full}"), &frame, expected));
        }
    }
    steps
}

fn lies() -> Vec<Step> {
    let bad_ip = dropped(Reason::BadIp, "");
    let bad_transport = dropped(Reason::BadTransport, "");
    let mut steps = Vec::new();
    for (length, expected) in [
        (0, bad_ip),
        (1, bad_ip),
        (19, bad_ip),
        (20, bad_transport),
        (39, bad_transport),
        (40, WEB),
        (43, WEB),
        (44, WEB),
        (45, bad_ip),
        (1500, bad_ip),
        (0xffff, bad_ip),
    ] {
        let frame = syn(CLIENT, 8080).carrying(b"data").with(|f| f.length = Some(length));
        steps.push(row(format!("total length {length} of 44"), &frame, expected));
    }
    for (length, expected) in [
        (0, bad_transport),
        (19, bad_transport),
        (20, WEB),
        (23, WEB),
        (24, WEB),
        (25, bad_ip),
        (1500, bad_ip),
        (0xffff, bad_ip),
    ] {
        let frame = syn(CLIENT6, 8080).carrying(b"data").with(|f| f.length = Some(length));
        steps.push(row(format!("payload length {length} of 24"), &frame, expected));
    }
    for (what, client, kind) in [("ICMP", CLIENT, 8), ("ICMPv6", CLIENT6, 128)] {
        for (length, expected) in
            [(0, bad_transport), (3, bad_transport), (4, pass(Reason::Unclaimed, ""))]
        {
            let header = if client == CLIENT { 20 } else { 0 };
            let frame = icmp(client, kind, 0).with(|f| f.length = Some(header + length));
            steps.push(row(format!("{what} of {length} bytes"), &frame, expected));
        }
    }
    steps
}

/// Datagrams around the length of a first piece, of MTU 9000, and as segmentation offload makes them.
fn jumbo() -> Vec<Step> {
    let mut steps = Vec::new();
    for client in [CLIENT, CLIENT6] {
        for length in [1400, 1500, 3400, 3460, 3480, 3500, 8940, 65_000] {
            for frame in [tcp(client, 8080, ACK), udp(client, 8080)] {
                let frame = frame.carrying(&vec![b'w'; length]);
                steps.push(row(format!("{length} bytes"), &frame, WEB));
                let frame = frame.with(|f| f.length = Some(u16::MAX));
                let bad = dropped(Reason::BadIp, "");
                steps.push(row(format!("{length} bytes, said to be more"), &frame, bad));
            }
        }
    }
    steps
}

/// What follows the datagram is not looked at, but it is counted: it was on the wire.
fn padding() -> Vec<Step> {
    let mut steps = Vec::new();
    for client in [CLIENT, CLIENT6] {
        // Of more than the kernel has in one piece the rest is asked for.
        for padding in [1, 6, 46, 1000, 1500, 3300, 3500, 9000, 30_000] {
            for frame in [syn(client, 8080), udp(client, 8080)] {
                let frame = frame.with(|f| f.padding = padding);
                steps.push(row(format!("{padding} bytes behind"), &frame, WEB));
            }
        }
        // The header that the IP length cuts off is there all the same, in the padding.
        let v4 = if client == CLIENT { 20 } else { 0 };
        for (what, left) in [("no TCP header", 0), ("half a TCP header", 10)] {
            let frame = syn(client, 8080).with(|f| f.length = Some(v4 + left));
            steps.push(row(
                format!("{what} but in the padding"),
                &frame,
                dropped(Reason::BadTransport, ""),
            ));
        }
    }
    steps
}
