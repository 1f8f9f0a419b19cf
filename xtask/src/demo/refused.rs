//! Everybody else is dropped in the kernel: no answer, no connection, nothing in the server's log.

use std::time::Duration;

use anyhow::Result;
use weir_tests::frame::Transport;
use weir_tests::generator::{self, Flood, Sources};

use super::scene::{Family, ORDERS, Scene};
use super::table::Row;
use super::text::count;

/// Requests by curl. Each gives up before its SYN is sent again, a second later (RFC 6298).
const REQUESTS: u64 = 3;
const PATIENCE: &str = "0.5";
/// SYN packets by the generator.
const PACKETS: u32 = 2_000;

pub(super) fn claim(scene: &mut Scene<'_>, family: Family) -> Result<Row> {
    let before = scene.reading()?;
    let stranger = scene.stranger;
    let url = scene.url(family, ORDERS.1, "/");
    let mut answers = 0;
    for _ in 0..REQUESTS {
        let response = scene.ask(stranger, &["--max-time", PATIENCE, &url])?;
        answers += u64::from(response.status != 0);
    }
    let flood = Flood {
        sources: Sources::One(family.of(stranger)),
        destination: family.of(scene.server),
        transport: Transport::Syn { port: ORDERS.1 },
        rate: 4 * PACKETS,
        duration: Duration::from_millis(250),
    };
    let sent = REQUESTS + generator::send(stranger, scene.server, &flood)?.packets;

    let after = scene.reading()?;
    let dropped = after.kernel(ORDERS.0, "not_allowed") - before.kernel(ORDERS.0, "not_allowed");
    let exported =
        after.exported(ORDERS.0, "not_allowed") - before.exported(ORDERS.0, "not_allowed");
    let source = family.of(stranger).to_string();
    let logged = scene.nginx.requests()?.iter().filter(|request| request.source == source).count();
    let expected = REQUESTS + u64::from(PACKETS);
    Ok(Row {
        claim: "Strangers are dropped\nin the kernel",
        case: family.name(),
        expected: format!("no answer\n{} dropped", count(expected)),
        client: format!("{answers} answers\n{} SYN sent", count(sent)),
        kernel: format!("{}\nnot_allowed", count(dropped)),
        metrics: format!("{}\nnot_allowed", count(exported)),
        holds: answers == 0
            && logged == 0
            && sent == expected
            && dropped == sent
            && exported == sent,
    })
}
