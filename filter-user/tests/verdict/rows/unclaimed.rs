//! Traffic that no API claims, let through or refused.

use filter_common::reason::Reason;

use super::{CLIENT, CLIENT6, CLOSED, OPEN};
use crate::frame::{ACK, FIN, Frame, PSH, RST, SYN, icmp, other, syn, tcp, udp};
use crate::script::{Script, Step, dropped, pass, row, script, sent};

pub(crate) fn scripts() -> Vec<Script> {
    vec![
        script("unclaimed passes", OPEN, passes()),
        script("unclaimed is refused", CLOSED, refused()),
        script("answers", CLOSED, answers()),
    ]
}

fn passes() -> Vec<Step> {
    let unclaimed = pass(Reason::Unclaimed, "");
    let mut steps = Vec::new();
    for client in [CLIENT, CLIENT6] {
        steps.extend([
            row("SYN", &syn(client, 81), unclaimed),
            row("data", &tcp(client, 81, ACK | PSH).carrying(b"hello"), unclaimed),
            row("UDP", &udp(client, 81), unclaimed),
            row("SCTP", &other(client, 132), unclaimed),
            row("the API", &syn(client, 8080), pass(Reason::Allowed, "web")),
        ]);
    }
    steps
}

fn refused() -> Vec<Step> {
    let unclaimed = pass(Reason::Unclaimed, "");
    let refused = dropped(Reason::UnclaimedRefused, "");
    let mut steps = Vec::new();
    for client in [CLIENT, CLIENT6] {
        let echo = if client == CLIENT { 8 } else { 128 };
        steps.extend([
            row("SYN", &syn(client, 81), refused),
            row("SYN with data", &syn(client, 81).carrying(b"fast open"), refused),
            row("SYN and FIN", &tcp(client, 81, SYN | FIN), dropped(Reason::TcpFlags, "")),
            row("SYN and PSH", &tcp(client, 81, SYN | PSH), refused),
            // A connection that this host opened: its answers are not new connections.
            row("SYN and ACK", &tcp(client, 81, SYN | ACK), unclaimed),
            row("ACK", &tcp(client, 81, ACK), unclaimed),
            row("data", &tcp(client, 81, ACK | PSH).carrying(b"hello"), unclaimed),
            row("reset", &tcp(client, 81, RST), unclaimed),
            row("UDP that answers nothing", &udp(client, 81), refused),
            row("echo", &icmp(client, echo, 0), unclaimed),
            row("SCTP", &other(client, 132), unclaimed),
            row("the API", &syn(client, 8080), pass(Reason::Allowed, "web")),
            row("the API's UDP", &udp(client, 8080), pass(Reason::Allowed, "web")),
        ]);
    }
    let dhcp = |client, from, to| udp(client, to).with(|f| f.source_port = from);
    let reply = pass(Reason::Reply, "");
    steps.extend([
        row("DHCP offer", &dhcp(CLIENT, 67, 68), reply),
        row("DHCP request", &dhcp(CLIENT, 68, 67), refused),
        row("to the DHCP client from another port", &dhcp(CLIENT, 1067, 68), refused),
        row("DHCPv6 advertise", &dhcp(CLIENT6, 547, 546), reply),
        row("DHCPv6 solicit", &dhcp(CLIENT6, 546, 547), refused),
    ]);
    steps
}

/// A name server's answer, from port 53 to the port that asked.
fn answer() -> Frame {
    udp(CLIENT, 33_000).with(|f| f.source_port = 53)
}

fn answer6() -> Frame {
    udp(CLIENT6, 33_000).with(|f| f.source_port = 53)
}

fn question() -> Frame {
    answer().back()
}

fn question6() -> Frame {
    answer6().back().tagged(&[0x8100])
}

fn question_over_tcp() -> Frame {
    tcp(CLIENT, 34_000, SYN).with(|f| f.source_port = 53).back()
}

fn answers() -> Vec<Step> {
    let reply = pass(Reason::Reply, "");
    let refused = dropped(Reason::UnclaimedRefused, "");
    vec![
        row("before anything was asked", &answer(), refused),
        sent(question),
        row("the answer", &answer(), reply),
        row("again", &answer(), reply),
        row("a first fragment of it", &answer().carrying(&[0; 16]).piece(0, true), reply),
        row("in a VLAN", &answer().tagged(&[0x8100]), reply),
        row("from another port", &answer().with(|f| f.source_port = 54), refused),
        row("to another port", &answer().with(|f| f.destination_port = 33_001), refused),
        row("to another address", &answer().to("203.0.113.6"), refused),
        row(
            "from another address",
            &answer().with(|f| f.source = "198.51.100.8".parse().expect("an address")),
            refused,
        ),
        row("IPv6, not yet", &answer6(), refused),
        sent(question6),
        row("IPv6", &answer6(), reply),
        // TCP is known by its flags, and gives UDP no way in.
        sent(question_over_tcp),
        row(
            "UDP on a TCP connection's ports",
            &udp(CLIENT, 34_000).with(|f| f.source_port = 53),
            refused,
        ),
    ]
}
