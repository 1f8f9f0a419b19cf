//! A source that goes too fast is held to its rate, and the others do not notice.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use weir_tests::curl::{self, Response};
use weir_tests::frame::Transport;
use weir_tests::generator::{self, Flood, Sources};

use super::scene::{CATALOG, Family, LIMIT, Scene};
use super::table::Row;
use super::text::count;

/// How much too fast.
const TIMES: u32 = 5;
const DURATION: Duration = Duration::from_millis(2_500);
/// The share by which the packets let through may differ from rate × time + burst.
const TOLERANCE: f64 = 0.02;

pub(super) fn claim(scene: &mut Scene<'_>, family: Family) -> Result<Row> {
    let before = scene.reading()?;
    let (server, flooder, client) = (scene.server, scene.flooder, scene.client);
    let address = family.of(server);
    let socket = server.netns.enter(|| {
        UdpSocket::bind((address, CATALOG.1))
            .with_context(|| format!("cannot receive on {address} port {}", CATALOG.1))
    })?;
    socket.set_read_timeout(Some(Duration::from_millis(100))).context("a time limit")?;
    let flood = Flood {
        sources: Sources::One(family.of(flooder)),
        destination: address,
        transport: Transport::Udp { port: CATALOG.1, payload: 64 },
        rate: TIMES * LIMIT,
        duration: DURATION,
    };
    let url = scene.url(family, CATALOG.1, "/");
    let over = AtomicBool::new(false);
    let (sent, arrived, others) = std::thread::scope(|scope| {
        let receiver = scope.spawn(|| receive(&socket, &over));
        let asking = scope.spawn(|| ask(|| curl::one(client, &[&url]), &over));
        let sent = generator::send(flooder, server, &flood);
        // The last packets are on their way.
        std::thread::sleep(Duration::from_millis(50));
        over.store(true, Ordering::Relaxed);
        let panicked = |_| anyhow!("a thread of the demo panicked");
        let arrived = receiver.join().map_err(panicked)?;
        let others = asking.join().map_err(panicked)??;
        Ok::<_, anyhow::Error>((sent?, arrived, others))
    })?;
    for response in &others {
        scene.note(response);
    }

    let after = scene.reading()?;
    let since = |reason| after.kernel(CATALOG.0, reason) - before.kernel(CATALOG.0, reason);
    let limited = since("limit_packets");
    let passed = sent.packets.saturating_sub(limited);
    let exported =
        after.exported(CATALOG.0, "limit_packets") - before.exported(CATALOG.0, "limit_packets");
    let served = others.iter().filter(|response| response.status == 200).count();
    // The burst, and then the rate.
    let expected = f64::from(LIMIT) * (sent.seconds + 1.0);
    let near = |packets: u64| (packets as f64 - expected).abs() <= expected * TOLERANCE;
    Ok(Row {
        claim: "Who goes too fast is\nheld to the rate, and\nothers do not notice",
        case: family.name(),
        expected: format!("{} ±2 %\nof {} pass", count(expected as u64), count(sent.packets)),
        client: format!("{} arrived\nothers: {served} of {}", count(arrived), others.len()),
        kernel: format!("{} passed\n{} limited", count(passed), count(limited)),
        metrics: format!("{}\nlimit_packets", count(exported)),
        holds: near(arrived)
            && arrived == passed
            && exported == limited
            && served == others.len()
            && served > 0,
    })
}

/// Counts datagrams until it is over and none is left.
fn receive(socket: &UdpSocket, over: &AtomicBool) -> u64 {
    let mut arrived = 0;
    loop {
        match socket.recv(&mut [0; 256]) {
            Ok(_) => arrived += 1,
            Err(_) if over.load(Ordering::Relaxed) => return arrived,
            Err(_) => {}
        }
    }
}

/// Asks again and again until it is over.
fn ask(request: impl Fn() -> Result<Response>, over: &AtomicBool) -> Result<Vec<Response>> {
    let mut responses = Vec::new();
    while !over.load(Ordering::Relaxed) {
        responses.push(request()?);
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(responses)
}
