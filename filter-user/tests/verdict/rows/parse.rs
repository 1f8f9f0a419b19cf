//! What is told from the headers: families, protocols, VLAN tags, options, and what always passes.

use filter_common::reason::Reason;

use super::{CLIENT, CLIENT6, CLOSED};
use crate::frame::{ACK, Body, FIN, Frame, PSH, RST, SYN, icmp, not_ip, other, syn, tcp, udp};
use crate::script::{Script, Step, dropped, pass, row, script};

pub(crate) fn scripts() -> Vec<Script> {
    // Under this policy what is not understood as the API's is refused.
    vec![
        script("protocols", CLOSED, protocols()),
        script("link layer", CLOSED, link_layer()),
        script("what always passes", CLOSED, essential()),
        script("header fields", CLOSED, fields()),
    ]
}

fn protocols() -> Vec<Step> {
    let web = pass(Reason::Allowed, "web");
    let mut steps = Vec::new();
    for client in [CLIENT, CLIENT6] {
        steps.extend([
            row("SYN", &syn(client, 8080), web),
            row("ACK", &tcp(client, 8080, ACK), web),
            row("data", &tcp(client, 8080, ACK | PSH).carrying(b"GET / HTTP/1.1\r\n\r\n"), web),
            row("end", &tcp(client, 8080, ACK | FIN), web),
            row("reset", &tcp(client, 8080, RST), web),
            row("UDP", &udp(client, 8080), web),
            row("empty UDP", &udp(client, 8080).carrying(b""), web),
            row("full segment", &tcp(client, 8080, ACK).carrying(&[7; 1400]), web),
            row(
                "jumbo frame over several pages",
                &tcp(client, 8080, ACK).carrying(&[7; 8900]),
                web,
            ),
            row("SCTP", &other(client, 132), pass(Reason::Unclaimed, "")),
            row("GRE", &other(client, 47), pass(Reason::Unclaimed, "")),
            row(
                "no payload of another protocol",
                &other(client, 253).carrying(b""),
                pass(Reason::Unclaimed, ""),
            ),
        ]);
    }
    steps.extend([
        row("echo request", &icmp(CLIENT, 8, 0), pass(Reason::Unclaimed, "")),
        row("echo reply", &icmp(CLIENT, 0, 0), pass(Reason::Unclaimed, "")),
        row("echo request, IPv6", &icmp(CLIENT6, 128, 0), pass(Reason::Unclaimed, "")),
        row("no next header, IPv6", &other(CLIENT6, 59).carrying(b""), pass(Reason::Unclaimed, "")),
        row(
            "ICMP inside IPv6 is of no kind",
            &other(CLIENT6, 1).carrying(&[3, 4, 0, 0, 0]),
            pass(Reason::Unclaimed, ""),
        ),
    ]);
    steps
}

fn link_layer() -> Vec<Step> {
    let web = pass(Reason::Allowed, "web");
    let mut steps = vec![
        row("ARP", &not_ip(0x0806), pass(Reason::NotIp, "")),
        row("LLDP", &not_ip(0x88cc), pass(Reason::NotIp, "")),
        row(
            "MPLS over several pages",
            &not_ip(0x8847).carrying(&[7; 8900]),
            pass(Reason::NotIp, ""),
        ),
        row("MPLS", &not_ip(0x8847), pass(Reason::NotIp, "")),
        row("802.3 length", &not_ip(0x0040), pass(Reason::NotIp, "")),
        row("ARP in a VLAN", &not_ip(0x0806).tagged(&[0x8100]), pass(Reason::NotIp, "")),
    ];
    for client in [CLIENT, CLIENT6] {
        let one =
            |what, tags: &[u16], expected| row(what, &syn(client, 8080).tagged(tags), expected);
        let depth = dropped(Reason::VlanDepth, "");
        steps.extend([
            one("one tag", &[0x8100], web),
            one("one service tag", &[0x88a8], web),
            one("one old service tag", &[0x9100], web),
            one("two tags", &[0x8100, 0x8100], web),
            one("service and customer tag", &[0x88a8, 0x8100], web),
            one("three tags", &[0x8100, 0x8100, 0x8100], depth),
            one("three kinds of tags", &[0x88a8, 0x8100, 0x9100], depth),
            one("four tags", &[0x8100, 0x8100, 0x8100, 0x8100], depth),
        ]);
        for (what, tag) in [("priority tag", 0x6000), ("VLAN 4095", 0x0fff), ("all bits", 0xffff)] {
            let frame = syn(client, 8080).tagged(&[0x8100]).with(|f| f.tag = tag);
            steps.push(row(what, &frame, web));
        }
        let closed = dropped(Reason::UnclaimedRefused, "");
        steps.push(row("another port in a VLAN", &syn(client, 81).tagged(&[0x8100]), closed));
    }
    steps
}

fn essential() -> Vec<Step> {
    let essential = pass(Reason::Essential, "");
    let unclaimed = pass(Reason::Unclaimed, "");
    let nd = |kind, hop_limit| icmp(CLIENT6, kind, 0).with(|f| f.hop_limit = hop_limit);
    let mut steps = Vec::new();
    for (what, kind) in [
        ("router solicitation", 133),
        ("router advertisement", 134),
        ("neighbour solicitation", 135),
        ("neighbour advertisement", 136),
        ("redirect", 137),
    ] {
        steps.push(row(what, &nd(kind, 255), essential));
        steps.push(row(format!("{what} from afar"), &nd(kind, 254), unclaimed));
    }
    steps.extend([
        row("just below neighbour discovery", &nd(132, 255), unclaimed),
        row("just above neighbour discovery", &nd(138, 255), unclaimed),
        row("packet too big, from any hop", &icmp(CLIENT6, 2, 0), essential),
        row("fragmentation needed", &icmp(CLIENT, 3, 4), essential),
        row("port unreachable", &icmp(CLIENT, 3, 3), unclaimed),
        row("type 4 code 3", &icmp(CLIENT, 4, 3), unclaimed),
        row("type 2 of ICMP", &icmp(CLIENT, 2, 0), unclaimed),
        row("type 135 of ICMP", &icmp(CLIENT, 135, 0).with(|f| f.hop_limit = 255), unclaimed),
        row("type 3 code 4 of ICMPv6", &icmp(CLIENT6, 3, 4), unclaimed),
        row(
            "ICMPv6 in IPv4",
            &icmp(CLIENT, 2, 0).with(|f| f.body = Body::Other(58)).carrying(&[2, 0, 0, 0]),
            unclaimed,
        ),
    ]);
    steps
}

fn fields() -> Vec<Step> {
    let web = pass(Reason::Allowed, "web");
    let bad_ip = dropped(Reason::BadIp, "");
    let bad_transport = dropped(Reason::BadTransport, "");
    let mapped = dropped(Reason::MappedSource, "");
    let with = |change: fn(&mut Frame)| syn(CLIENT, 8080).with(change);
    let with6 = |change: fn(&mut Frame)| syn(CLIENT6, 8080).with(change);
    let mut steps = vec![
        row("IPv4 says 6", &with(|f| f.version = Some(6)), bad_ip),
        row("IPv4 says 0", &with(|f| f.version = Some(0)), bad_ip),
        row("IPv6 says 4", &with6(|f| f.version = Some(4)), bad_ip),
        row("IPv4 under IPv6's EtherType", &with(|f| f.ethertype = Some(0x86dd)), bad_ip),
        row("IPv6 under IPv4's EtherType", &with6(|f| f.ethertype = Some(0x0800)), bad_ip),
        row("header of four words", &with(|f| f.words = Some(4)), bad_ip),
        row("header of no words", &with(|f| f.words = Some(0)), bad_ip),
        row("header longer than the datagram", &with(|f| f.words = Some(15)), bad_ip),
        row("options of 4 bytes", &with(|f| f.options = vec![1; 4]), web),
        row("options of 40 bytes", &with(|f| f.options = vec![1; 40]), web),
        row(
            "options, another port",
            &syn(CLIENT, 81).with(|f| f.options = vec![1; 24]),
            dropped(Reason::UnclaimedRefused, ""),
        ),
        row("UDP behind options", &udp(CLIENT, 8080).with(|f| f.options = vec![1; 12]), web),
        // What the options hide is the port, were they taken for the header.
        row(
            "options that look like the API's port",
            &syn(CLIENT, 81).with(|f| f.options = vec![0x9c, 0x04, 0x1f, 0x90]),
            dropped(Reason::UnclaimedRefused, ""),
        ),
        row("IPv4 in mapped form", &syn("::ffff:198.51.100.7", 8080), mapped),
        row("unspecified mapped source", &syn("::ffff:0.0.0.0", 8080), mapped),
        row("beside the mapped range", &syn("::fffe:c633:6407", 8080), web),
        row("IPv4-compatible source", &syn("::198.51.100.7", 8080), web),
        row("mapped destination", &syn(CLIENT6, 8080).to("::ffff:203.0.113.5"), web),
        row("hop limit 0", &with(|f| f.hop_limit = 0), web),
        row("do not fragment", &with(|f| f.fragment = 0x4000), web),
        row("reserved flag", &with(|f| f.fragment = 0x8000), web),
    ];
    for client in [CLIENT, CLIENT6] {
        for (words, expected) in [(0, bad_transport), (4, bad_transport), (6, bad_transport)] {
            let frame = syn(client, 8080).with(|f| {
                f.body = Body::Tcp { flags: SYN, options: Vec::new(), data_offset: Some(words) };
            });
            steps.push(row(format!("TCP header of {words} words in five"), &frame, expected));
        }
        for options in [4, 40] {
            let frame = syn(client, 8080).with(|f| {
                f.body = Body::Tcp { flags: SYN, options: vec![1; options], data_offset: None };
            });
            steps.push(row(format!("TCP options of {options} bytes"), &frame, web));
        }
        for (length, expected) in [
            (0, web),
            (7, bad_transport),
            (8, web),
            (12, web),
            (13, bad_transport),
            (0xffff, bad_transport),
        ] {
            let frame = udp(client, 8080).with(|f| f.body = Body::Udp { length: Some(length) });
            steps.push(row(format!("UDP length {length} of 12"), &frame, expected));
        }
    }
    steps
}
