//! Who is too fast is held to the rate; the limits hold exactly.

use std::time::Duration;

use anyhow::Result;
use weir_tests::frame::Transport;
use weir_tests::generator::{self, Flood, Sent, Sources};
use weir_tests::lab::Host;
use weir_tests::reading::Reading;

use crate::site::{self, PORT};

const DURATION: Duration = Duration::from_secs(1);
/// The share by which what is admitted may differ from rate × time + burst.
const TOLERANCE: f64 = 0.02;

fn flood(from: &Host, server: &Host, v6: bool, transport: Transport, rate: u32) -> Result<Sent> {
    let flood = Flood {
        sources: Sources::One(from.addresses()[usize::from(v6)]),
        destination: server.addresses()[usize::from(v6)],
        transport,
        rate,
        duration: DURATION,
    };
    generator::send(from, server, &flood)
}

fn near(name: &str, counted: u64, expected: f64) {
    let difference = (counted as f64 - expected).abs() / expected;
    assert!(difference <= TOLERANCE, "{name}: {counted} instead of {expected:.0}");
}

const UDP: Transport = Transport::Udp { port: PORT, payload: 58 };
/// Bytes of such a frame: Ethernet, IP and UDP headers, payload.
const FRAME: [f64; 2] = [100.0, 120.0];

#[test]
fn each_limit_of_a_source_holds() -> Result<()> {
    let syn = Transport::Syn { port: PORT };
    let rows = [
        ("packets", r#"limit = { packets = "1000/s", burst = "500ms" }"#, UDP, "limit_packets"),
        ("bytes", r#"limit = { bytes = "100kB/s", burst = "500ms" }"#, UDP, "limit_bytes"),
        (
            "connections",
            r#"limit = { connections = "1000/s", burst = "500ms" }"#,
            syn,
            "limit_connections",
        ),
    ];
    for (name, limit, transport, reason) in rows {
        let lab = site::lab()?;
        let [server, client] = [lab.host("server")?, lab.host("client")?];
        let weir = site::weir(&lab, &site::orders(&lab, limit)?)?;
        for v6 in [false, true] {
            let before = Reading::at_rest(&weir)?;
            let sent = flood(client, server, v6, transport, 5_000)?;
            let after = Reading::at_rest(&weir)?;
            let since = |reason| after.kernel("orders", reason) - before.kernel("orders", reason);
            // The server's answers to a SYN are answered by resets, which are no connections.
            let passed = sent.packets - since(reason);
            let rate = if name == "bytes" { 100_000.0 / FRAME[usize::from(v6)] } else { 1_000.0 };
            near(&format!("{name}, IPv6 {v6}"), passed, rate * (sent.seconds + 0.5));
            assert_eq!(after.exported("orders", reason), after.kernel("orders", reason), "{name}");
            if transport == UDP {
                assert_eq!(since("allowed"), passed, "{name}");
            }
        }
    }
    Ok(())
}

#[test]
fn each_source_has_its_own_and_the_api_has_one_for_all() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let limits = r#"limit = { packets = "500/s", burst = "1s" }
limit_total = { packets = "800/s", burst = "1s" }"#;
    let policy = site::orders(&lab, limits)?.replace("[\"clients\"]", "\"any\"");
    let weir = site::weir(&lab, &policy)?;

    let alone = flood(client, server, false, UDP, 3_000)?;
    let first = Reading::at_rest(&weir)?;
    near("the client alone", first.kernel("orders", "allowed"), 500.0 * (alone.seconds + 1.0));
    assert_eq!(first.kernel("orders", "total_packets"), 0);
    // Each keeps below its 500/s as the API's 800/s are shared; the bursts are back.
    std::thread::sleep(Duration::from_millis(1_100));
    let both = std::thread::scope(|scope| -> Result<[Sent; 2]> {
        let other = scope.spawn(|| flood(stranger, server, false, UDP, 3_000));
        let one = flood(client, server, false, UDP, 3_000)?;
        Ok([one, other.join().expect("the generator panicked")?])
    })?;
    let second = Reading::at_rest(&weir)?;
    let passed = second.kernel("orders", "allowed") - first.kernel("orders", "allowed");
    let seconds = both[0].seconds.max(both[1].seconds);
    near("both", passed, 800.0 * (seconds + 1.0));
    assert!(second.kernel("orders", "total_packets") > 0);
    Ok(())
}

#[test]
fn a_group_shares_one_limit_and_events_are_few() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let limit = r#"limit_for.clients = { packets = "1000/s", burst = "500ms", per = "group" }"#;
    let weir = site::weir(&lab, &site::orders(&lab, limit)?)?;
    let sent = std::thread::scope(|scope| -> Result<[Sent; 2]> {
        let v6 = scope.spawn(|| flood(client, server, true, UDP, 3_000));
        let v4 = flood(client, server, false, UDP, 3_000)?;
        Ok([v4, v6.join().expect("the generator panicked")?])
    })?;
    let reading = Reading::at_rest(&weir)?;
    let seconds = sent[0].seconds.max(sent[1].seconds);
    near("IPv4 and IPv6 together", reading.kernel("orders", "allowed"), 1_000.0 * (seconds + 0.5));

    let events = weir_tests::wait::until("the events", Duration::from_secs(5), || {
        let events = weir.events()?;
        let limited = site::named(&events, "source_limited").len();
        anyhow::ensure!(limited >= 2, "{limited}");
        Ok(events)
    })?;
    let limited = site::named(&events, "source_limited");
    assert_eq!(limited.len(), 2, "one a source, not one a packet: {limited:?}");
    for event in limited {
        assert_eq!(event["api"]["name"], "orders");
        assert_eq!(event["traffic"]["reason"], "limit_packets");
    }
    Ok(())
}

/// Of the limits of groups the first in `allow` counts, instead of `limit`; the API's own counts for
/// all classes together.
#[test]
fn a_class_has_its_own_limit_and_all_share_the_total() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let limits = format!(
        "limit = {{ packets = \"5000/s\" }}\nlimit_for.all = {{ packets = \"100/s\" }}\n\
         limit_for.clients = {{ packets = \"300/s\" }}\nlimit_total = {{ packets = \"800/s\" }}\n\
         [groups.all]\ncidrs = [\"{}\", \"{}\"]",
        client.v4(),
        client.v6()
    );
    let policy = site::orders(&lab, &limits)?
        .replace("allow = [\"clients\"]", "allow = [\"clients\", \"all\", \"rest\"]");
    let policy = format!("{policy}\n[groups.rest]\ncidrs = [\"{}\"]\n", stranger.v4());
    let weir = site::weir(&lab, &policy)?;
    let alone = flood(client, server, false, UDP, 2_000)?;
    let first = Reading::at_rest(&weir)?;
    near("a class alone", first.kernel("orders", "allowed"), 300.0 * (alone.seconds + 1.0));
    assert_eq!(first.kernel("orders", "total_packets"), 0);
    // The bursts are back.
    std::thread::sleep(Duration::from_millis(1_100));
    let both = std::thread::scope(|scope| -> Result<[Sent; 2]> {
        let other = scope.spawn(|| flood(stranger, server, false, UDP, 2_000));
        let one = flood(client, server, false, UDP, 2_000)?;
        Ok([one, other.join().expect("the generator panicked")?])
    })?;
    let second = Reading::at_rest(&weir)?;
    let passed = second.kernel("orders", "allowed") - first.kernel("orders", "allowed");
    let seconds = both[0].seconds.max(both[1].seconds);
    // One of them may begin or end later than the other, and leave something of the budget unused.
    let most = 800.0 * (seconds + 1.0);
    let share = passed as f64 / most;
    assert!((0.8..=1.0 + TOLERANCE).contains(&share), "both classes: {passed} of {most:.0}");
    assert!(second.kernel("orders", "total_packets") > 0);
    Ok(())
}
