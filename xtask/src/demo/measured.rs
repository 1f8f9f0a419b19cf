//! Every request is in the metrics with its status and its latency. nginx's access log is the truth.

use std::collections::BTreeMap;

use anyhow::Result;
use weir_tests::nginx::PASSWORD;

use super::scene::{CATALOG, Family, ORDERS, Scene};
use super::table::Row;
use super::text::count;

const CLAIM: &str = "Every request is in\nthe metrics with its\nstatus";
const LATENCY: &str = "and with its latency\n(ten are held back for\na tenth of a second)";
/// Requests that nginx holds back, a tenth of a second each.
const SLOW: usize = 10;
/// The share by which sums of latencies may differ: nginx's log has milliseconds, and curl adds the
/// way there and back.
const TOLERANCE: f64 = 0.05;

pub(super) fn claim(scene: &mut Scene<'_>) -> Result<Vec<Row>> {
    for family in Family::ALL {
        ask_for_everything(scene, family)?;
    }
    let slow: Vec<Row> =
        Family::ALL.into_iter().map(|family| latency(scene, family)).collect::<Result<_>>()?;
    let mut rows = statuses(scene)?;
    rows.extend(slow);
    Ok(rows)
}

fn ask_for_everything(scene: &mut Scene<'_>, family: Family) -> Result<()> {
    let client = scene.client;
    for (_, port) in [ORDERS, CATALOG] {
        let url = |path: &str| scene.url(family, port, path);
        let requests: [Vec<String>; 6] = [
            vec![url("/files/64k")],
            vec![url("/empty")],
            vec![url("/admin")],
            vec![url("/no/such/[1-3]")],
            vec![url("/error")],
            vec![
                "--data".into(),
                "user=a".into(),
                "--header".into(),
                PASSWORD.into(),
                url("/login"),
            ],
        ];
        for arguments in requests {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            scene.ask_many(client, &arguments)?;
        }
    }
    Ok(())
}

/// One row for each status that nginx answered in the whole demo.
fn statuses(scene: &Scene<'_>) -> Result<Vec<Row>> {
    let reading = scene.reading()?;
    let mut logged = BTreeMap::<u16, u64>::new();
    for request in scene.nginx.requests()? {
        *logged.entry(request.status).or_default() += 1;
    }
    let lost = reading.samples("dropped")?;
    let samples = reading.samples("submitted")?;
    Ok(logged
        .iter()
        .enumerate()
        .map(|(index, (status, expected))| {
            let seen = scene.answers.get(status).copied().unwrap_or(0);
            let code = status.to_string();
            let exported = reading.requests(&[("http_response_status_code", &code)]);
            let spare = if *status == 200 { scene.cut_off } else { 0 };
            Row {
                claim: CLAIM,
                case: code,
                expected: format!("{} by nginx", count(*expected)),
                client: format!("{} answers", count(seen)),
                kernel: match index {
                    0 => format!("{} samples", count(samples)),
                    1 => format!("{lost} lost"),
                    _ => String::new(),
                },
                metrics: count(exported),
                holds: exported == *expected
                    && (seen..=seen + spare).contains(expected)
                    && lost == 0,
            }
        })
        .collect())
}

/// Requests that nginx holds back: the time they took, by three clocks.
fn latency(scene: &mut Scene<'_>, family: Family) -> Result<Row> {
    let before = scene.reading()?;
    let (client, source) = (scene.client, family.of(scene.client).to_string());
    let url = scene.url(family, ORDERS.1, &format!("/slow?[1-{SLOW}]"));
    let answers = scene.ask_many(client, &[&url])?;
    let curl: f64 = answers.iter().map(|response| response.wait).sum();

    let after = scene.reading()?;
    let route = [("http_route", "/slow")];
    let weir = after.seconds(&route) - before.seconds(&route);
    let requests = after.requests(&route) - before.requests(&route);
    let ours = |request: &&weir_tests::nginx::Request| {
        request.target.starts_with("/slow") && request.source == source
    };
    let logged = scene.nginx.requests()?;
    let nginx: f64 = logged.iter().filter(ours).map(|request| request.seconds).sum();
    let near = |seconds: f64| (weir - seconds).abs() <= seconds * TOLERANCE;
    Ok(Row {
        claim: LATENCY,
        case: family.name(),
        expected: format!("{nginx:.2} s by nginx"),
        client: format!("{curl:.2} s by curl"),
        kernel: String::new(),
        metrics: format!("{weir:.2} s"),
        holds: requests == SLOW as u64 && nginx > 0.5 && near(nginx) && near(curl),
    })
}
