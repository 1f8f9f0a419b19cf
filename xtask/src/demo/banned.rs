//! A banned source disappears, and is back when its time is over.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use weir_tests::wait;

use super::scene::{Family, ORDERS, Scene};
use super::table::Row;

/// How long the ban lasts, in seconds.
const TTL: u64 = 3;
/// One request gives up after this, long before its SYN is sent again: a request is a packet.
const PATIENCE: &str = "0.2";
const PAUSE: Duration = Duration::from_millis(50);
/// How much longer than its ban a source may be away: a request has to be begun and answered.
const SLACK: f64 = 1.0;
/// Nobody waits longer for it to come back.
const LIMIT: Duration = Duration::from_secs(TTL + 5);

pub(super) fn claim(scene: &mut Scene<'_>, family: Family) -> Result<Row> {
    let before = scene.reading()?;
    let client = scene.client;
    let address = family.of(client).to_string();
    let url = scene.url(family, ORDERS.1, "/");
    let ask = |scene: &mut Scene<'_>| {
        scene.ask(client, &["--max-time", PATIENCE, &url]).map(|response| response.status == 200)
    };
    let passed = ask(scene)?;
    let arguments = ["ban", "add", &address, "--ttl", &format!("{TTL}s"), "--reason", "demo"];
    let start = Instant::now();
    scene.weir.verb(&arguments)?.success().context("weir ban add")?;
    let mut refused = 0;
    let back = loop {
        if ask(scene)? {
            break true;
        }
        refused += 1;
        if start.elapsed() > LIMIT {
            break false;
        }
        wait::pause(PAUSE)?;
    };
    let gone = start.elapsed().as_secs_f64();

    let after = scene.reading()?;
    let dropped = after.kernel(ORDERS.0, "banned") - before.kernel(ORDERS.0, "banned");
    let exported = after.exported(ORDERS.0, "banned") - before.exported(ORDERS.0, "banned");
    let ttl = TTL as f64;
    Ok(Row {
        claim: "A banned source is\ngone, and is back\nafter its time",
        case: family.name(),
        expected: format!("gone for {TTL} s"),
        client: format!(
            "{} for {gone:.1} s\n{refused} SYN lost",
            if back { "gone" } else { "not back" }
        ),
        kernel: format!("{dropped} banned"),
        metrics: format!("{exported} banned"),
        holds: passed
            && back
            && (ttl..ttl + SLACK).contains(&gone)
            && refused > 0
            && dropped == refused
            && exported == refused,
    })
}
