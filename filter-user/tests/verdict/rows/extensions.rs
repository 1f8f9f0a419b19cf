//! IPv6 extension headers: each kind, chains of them, and too many.

use filter_common::reason::Reason;

use super::{CLIENT6, CLOSED};
use crate::frame::{Body, Extension, Frame, authentication, icmp, options, syn, udp};
use crate::script::{Script, Step, dropped, pass, row, script};

pub(crate) fn scripts() -> Vec<Script> {
    vec![
        script("each kind of extension header", CLOSED, kinds()),
        script("chains of extension headers", CLOSED, chains()),
        script("extension headers that lie", CLOSED, lies()),
    ]
}

fn web(extensions: &[Extension]) -> Frame {
    syn(CLIENT6, 8080).extended(extensions)
}

fn kinds() -> Vec<Step> {
    let allowed = pass(Reason::Allowed, "web");
    let refused = dropped(Reason::UnclaimedRefused, "");
    let mut steps = Vec::new();
    for (what, extension) in [
        ("hop-by-hop options", options(0, 0)),
        ("long hop-by-hop options", options(0, 5)),
        ("routing", options(43, 2)),
        ("destination options", options(60, 0)),
        ("long destination options", options(60, 200)),
        ("authentication", authentication(1)),
        ("short authentication", authentication(0)),
        ("long authentication", authentication(10)),
    ] {
        let list = [extension];
        steps.push(row(what, &web(&list), allowed));
        steps.push(row(format!("{what}, UDP"), &udp(CLIENT6, 8080).extended(&list), allowed));
        steps.push(row(
            format!("{what}, another port"),
            &syn(CLIENT6, 81).extended(&list),
            refused,
        ));
    }
    // Encryption hides what follows; mobility and HIP are protocols of their own.
    for (what, number) in [("ESP", 50), ("mobility", 135), ("HIP", 139), ("shim6", 140)] {
        let frame = syn(CLIENT6, 8080).extended(&[options(number, 0)]);
        steps.push(row(what, &frame, pass(Reason::Unclaimed, "")));
    }
    steps.push(row(
        "neighbour discovery behind options",
        &icmp(CLIENT6, 135, 0).extended(&[options(60, 0)]).with(|f| f.hop_limit = 255),
        pass(Reason::Essential, ""),
    ));
    steps
}

fn chains() -> Vec<Step> {
    let allowed = pass(Reason::Allowed, "web");
    let mut steps = vec![
        row(
            "the order of RFC 8200",
            &web(&[
                options(0, 0),
                options(60, 1),
                options(43, 2),
                authentication(1),
                options(60, 0),
            ]),
            allowed,
        ),
        row("another order", &web(&[authentication(2), options(43, 0), options(0, 3)]), allowed),
    ];
    for count in [1, 2, 4, 7, 8, 9, 10, 40] {
        let expected = if count <= 8 { allowed } else { dropped(Reason::ExtensionDepth, "") };
        let same = vec![options(60, 0); count];
        steps.push(row(format!("{count} destination options"), &web(&same), expected));
        let mixed: Vec<_> = (0..count)
            .map(|n| {
                [options(0, 1), options(43, 0), authentication(3), options(60, 2)][n % 4].clone()
            })
            .collect();
        steps.push(row(format!("{count} headers of every kind"), &web(&mixed), expected));
    }
    // 2 KiB of headers at most, the first 54 bytes of the frame among them.
    for (more, expected) in [(248, allowed), (249, dropped(Reason::ExtensionDepth, ""))] {
        let long = web(&[options(60, more)]);
        steps.push(row(format!("options of {} bytes", 8 + 8 * u32::from(more)), &long, expected));
    }
    let long = [options(60, 120), options(43, 120), options(60, 10)];
    steps.push(row("2 KiB in three headers", &web(&long), dropped(Reason::ExtensionDepth, "")));
    steps
}

fn lies() -> Vec<Step> {
    let longer = |more: u8| {
        let mut extension = options(60, 0);
        extension.bytes[1] = more;
        web(&[extension])
    };
    let bad_ip = dropped(Reason::BadIp, "");
    let mut steps = vec![
        row("options beyond the end", &longer(3), bad_ip),
        row("long options, not there", &longer(200), bad_ip),
        // The length leads into the TCP header, whose bytes 8 to 11 are then taken for its ports.
        row(
            "options up to the end",
            &longer(2).carrying(&[0; 4]),
            dropped(Reason::BadTransport, ""),
        ),
        row(
            "a chain that ends in nothing",
            &web(&[options(60, 0)]).with(|f| {
                f.headless = true;
                f.body = Body::Other(60);
            }),
            dropped(Reason::Truncated, ""),
        ),
        row(
            "a header cut in the middle",
            &web(&[options(60, 0)]).with(|f| f.cut = Some(54 + 1)),
            bad_ip,
        ),
        row(
            "a header of which the length is missing",
            &web(&[options(60, 0)]).with(|f| {
                f.cut = Some(54 + 1);
                f.length = Some(1);
            }),
            dropped(Reason::Truncated, ""),
        ),
        row(
            "TCP beyond the payload length",
            &web(&[options(60, 0)]).with(|f| f.length = Some(8)),
            dropped(Reason::BadTransport, ""),
        ),
        row(
            "extension beyond the payload length",
            &web(&[options(60, 0)]).with(|f| f.length = Some(7)),
            bad_ip,
        ),
    ];
    // Cut at every byte of two headers, with an IP header that says so.
    let frame = web(&[options(0, 0), authentication(1)]);
    for left in 0..20 + 20 {
        let expected = match left {
            // Of each header the first four bytes are read.
            0..12 => dropped(Reason::Truncated, ""),
            12..20 => bad_ip,
            _ => dropped(Reason::BadTransport, ""),
        };
        let frame = frame.clone().with(|f| {
            f.cut = Some(54 + left);
            f.length = Some(left as u16);
        });
        steps.push(row(format!("{left} bytes of two headers and TCP"), &frame, expected));
    }
    steps
}
