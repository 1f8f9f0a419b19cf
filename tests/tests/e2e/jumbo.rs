//! Frames in several pieces and several packets in one frame: judged and counted right at MTU 9000.

use std::time::Duration;

use anyhow::{Result, ensure};
use weir_tests::frame::Transport;
use weir_tests::generator::{self, Flood, Sources};
use weir_tests::lab::{Host, Lab};
use weir_tests::nft::{self, Count};
use weir_tests::reading::Reading;
use weir_tests::weir::Weir;
use weir_tests::{curl, wait};

use crate::site::{self, PORT};

const MTU: u32 = 9_000;
/// The burst of the byte limit, and its rate a second.
const BURST: f64 = 4_000_000.0;
const RATE: f64 = 8_000_000.0;

fn flood(from: &Host, server: &Host, v6: bool) -> Result<generator::Sent> {
    let flood = Flood {
        sources: Sources::One(from.addresses()[usize::from(v6)]),
        destination: server.addresses()[usize::from(v6)],
        transport: Transport::Udp { port: PORT, payload: 8_900 },
        rate: 3_000,
        duration: Duration::from_millis(700),
    };
    generator::send(from, server, &flood)
}

/// A host with MTU 9000 all around, under this policy.
fn weir<'lab>(lab: &'lab Lab, mode: &str, policy: &str) -> Result<Weir<'lab>> {
    lab.set_mtu(MTU)?;
    let policy = site::write(lab, "policy.toml", policy)?;
    let arguments = ["--policy", policy.as_str(), "--xdp-mode", mode];
    Weir::start(lab, lab.host("server")?, &arguments)
}

#[test]
fn jumbo_frames_are_judged_and_counted_whole() -> Result<()> {
    for mode in ["native", "generic"] {
        let lab = site::lab()?;
        let [server, client, stranger] =
            [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
        let limit = r#"limit = { bytes = "8MB/s", burst = "500ms" }"#;
        let weir = weir(&lab, mode, &site::orders(&lab, limit)?)?;
        nft::count(server, &format!("udp dport {PORT}"))?;
        for v6 in [false, true] {
            let before = (Reading::at_rest(&weir)?, nft::counted(server)?);
            let sent = flood(client, server, v6)?;
            let refused = flood(stranger, server, v6)?;
            let after = (Reading::at_rest(&weir)?, nft::counted(server)?);
            let since = |reason: &str| {
                let of = |reading: &Reading| Count {
                    packets: reading.kernel("orders", reason),
                    bytes: reading
                        .metrics
                        .sum("weir_bytes_total", &[("api", "orders"), ("reason", reason)])
                        as u64,
                };
                let (before, after) = (of(&before.0), of(&after.0));
                Count { packets: after.packets - before.packets, bytes: after.bytes - before.bytes }
            };
            let arrived = Count {
                packets: after.1.packets - before.1.packets,
                bytes: after.1.bytes - before.1.bytes,
            };
            let (allowed, limited) = (since("allowed"), since("limit_bytes"));
            assert_eq!(allowed, arrived, "{mode}, IPv6 {v6}: nftables counts what passed");
            let all = Count {
                packets: allowed.packets + limited.packets,
                bytes: allowed.bytes + limited.bytes,
            };
            assert_eq!((all.packets, all.bytes), (sent.packets, sent.bytes), "{mode}, {v6}");
            let expected = RATE * sent.seconds + BURST;
            let share = allowed.bytes as f64 / expected;
            // A generator that is held up uses up less; more never passes.
            assert!((0.9..=1.02).contains(&share), "{mode}, {v6}: {share} of what is admitted");
            let refusals = since("not_allowed");
            let told = (refusals.packets, refusals.bytes);
            assert_eq!(told, (refused.packets, refused.bytes), "{mode}, {v6}: refused");
        }
    }
    Ok(())
}

#[test]
fn segments_are_counted_as_they_go_over_the_wire() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let weir = weir(&lab, "native", &site::orders(&lab, "")?)?;
    let _nginx = site::nginx(&lab)?;
    lab.cut_segments(client)?;
    nft::count(client, &format!("tcp sport {PORT}"))?;
    let body = lab.directory().join("nginx/www/files/300k");
    let body = format!("@{}", body.display());
    for (n, address) in server.addresses().into_iter().enumerate() {
        let url = site::url(address, PORT, "/files/1m");
        let got = curl::many(client, &[&format!("{url}?[1-4]")])?;
        assert!(got.iter().all(|got| (got.status, got.size) == (200, 1 << 20)), "{got:?}");
        let url = site::url(address, PORT, "/upload");
        assert_eq!(curl::one(client, &["--data-binary", &body, &url])?.status, 200);

        let of_orders = [("api", "orders")];
        let reading = wait::until("both counts to agree", Duration::from_secs(10), || {
            let reading = Reading::at_rest(&weir)?;
            let number = |name| reading.metrics.sum(name, &of_orders) as u64;
            let sent = Count {
                packets: number("weir_egress_packets_total"),
                bytes: number("weir_egress_bytes_total"),
            };
            let arrived = nft::counted(client)?;
            ensure!(sent == arrived, "weir counts {sent:?}, nftables {arrived:?}");
            Ok(reading)
        })?;
        let times = n as u64 + 1;
        let large = reading.metrics.sum("http_server_response_body_size_bytes_sum", &of_orders);
        assert!(large as u64 >= times * 4 * 1_048_576, "bodies seen whole: {large}");
        assert_eq!(reading.requests(&[("http_response_status_code", "200")]), times * 5);
        let sent = reading.metrics.sum("http_server_request_body_size_bytes_sum", &of_orders);
        assert_eq!(sent as u64, times * 307_200, "request bodies");
        // Most of what went out was several packets in one, or this test shows nothing.
        let packets = reading.metrics.sum("weir_egress_packets_total", &of_orders);
        let handed_over = server.counter("tx", "packets")? as f64;
        assert!(handed_over < packets / 2.0, "{handed_over} frames for {packets} packets");
    }
    Ok(())
}
