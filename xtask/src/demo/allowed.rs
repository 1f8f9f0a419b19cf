//! Allowed sources pass.

use std::time::Duration;

use anyhow::Result;
use weir_tests::wrk;

use super::scene::{CATALOG, Family, ORDERS, Scene};
use super::table::Row;
use super::text::count;

/// Requests to each API by curl.
const REQUESTS: usize = 20;
/// Connections of wrk.
const CONNECTIONS: u32 = 2;

pub(super) fn claim(scene: &mut Scene<'_>, family: Family) -> Result<Row> {
    let before = scene.reading()?;
    let client = scene.client;
    let mut good = 0;
    for (_, port) in [ORDERS, CATALOG] {
        let url = scene.url(family, port, &format!("/items/[1-{REQUESTS}]"));
        let answers = scene.ask_many(client, &[&url])?;
        good += answers.iter().filter(|response| response.status == 200).count();
    }
    let url = scene.url(family, ORDERS.1, "/items/7");
    let load = wrk::run(client, CONNECTIONS, Duration::from_secs(2), &url)?;
    *scene.answers.entry(200).or_default() += load.requests;
    scene.cut_off += u64::from(CONNECTIONS);

    let after = scene.reading()?;
    let sum = |reading: &dyn Fn(&str) -> u64| reading(ORDERS.0) + reading(CATALOG.0);
    let allowed = sum(&|api| after.kernel(api, "allowed") - before.kernel(api, "allowed"));
    let dropped = sum(&|api| after.dropped(api) - before.dropped(api));
    let exported = sum(&|api| after.exported(api, "allowed") - before.exported(api, "allowed"));
    let status = [("http_response_status_code", "200")];
    let requests = after.requests(&status) - before.requests(&status);
    let seen = good as u64 + load.requests;
    let holds = good == 2 * REQUESTS
        && load.bad_status + load.socket_errors == 0
        && dropped == 0
        && allowed == exported
        // wrk counts no answer that comes when its time is over.
        && (seen..=seen + u64::from(CONNECTIONS)).contains(&requests);
    Ok(Row {
        claim: "Allowed sources pass",
        case: family.name(),
        expected: "200, always".to_owned(),
        client: format!("{good} of {} by curl\n{} by wrk", 2 * REQUESTS, count(load.requests)),
        kernel: format!("{} allowed\n{dropped} dropped", count(allowed)),
        metrics: format!("{} × 200", count(requests)),
        holds,
    })
}
