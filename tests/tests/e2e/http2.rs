//! HTTP/2 in clear text: every request is measured, compared with nginx's log and with what clients
//! saw.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use weir_tests::curl;
use weir_tests::h2load;
use weir_tests::nginx::{Nginx, PASSWORD};
use weir_tests::reading::Reading;

use crate::measure::compare;
use crate::replay::{capture, of_type, replay};
use crate::site::{self, PORT};

/// Paths that are asked for in turn, and the routes they are counted under.
const PATHS: [(&str, &str); 5] = [
    ("/items/7", "/items/{id}"),
    ("/files/1k", "/files/1k"),
    ("/files/64k", "/files/64k"),
    ("/admin", "/admin"),
    ("/empty", "/empty"),
];

#[test]
fn many_streams_at_once() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let nginx = Nginx::http2(server, lab.directory(), &[("orders", PORT)])?;
    let weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    let mut body = 0;
    for address in server.addresses() {
        let urls = PATHS.map(|(path, _)| site::url(address, PORT, path));
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        let report = h2load::run(client, 1000, 4, 25, &urls)?;
        assert_eq!(report.statuses, [800, 0, 200, 0], "{report:?}");
        body += report.body;
        // Fields that need several frames, and a password.
        let long = format!("X-Long: {}", "x".repeat(6000));
        let url = site::url(address, PORT, "/login");
        let said = ["--http2-prior-knowledge", "--header", PASSWORD, "--header", &long, &url];
        let answer = curl::one(client, &said)?;
        assert_eq!(answer.status, 200, "{answer:?}");
        body += answer.size;
    }
    let total = compare(&nginx, &weir)?;
    assert_eq!(total, 2 * 1001);

    let reading = Reading::at_rest(&weir)?;
    let sum = |name: &str, labels: &[(&str, &str)]| reading.metrics.sum(name, labels) as u64;
    for (path, route) in PATHS {
        let count = sum("http_server_request_duration_seconds_count", &[("http_route", route)]);
        assert_eq!(count, 400, "{path}");
    }
    assert_eq!(sum("http_server_response_body_size_bytes_sum", &[]), body, "as the clients say");
    assert_eq!(reading.metrics.sum("weir_telemetry_completeness_ratio", &[]), 1.0);
    Ok(())
}

/// The same over the wire's bytes alone, and what a client that asks to upgrade gets.
#[test]
fn a_capture_has_the_requests_of_the_log() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let nginx = Nginx::http2(server, lab.directory(), &[("orders", PORT)])?;
    let file = capture(&lab, server, || {
        for address in server.addresses() {
            let urls = PATHS.map(|(path, _)| site::url(address, PORT, path));
            let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
            h2load::run(client, 200, 2, 10, &urls)?;
            let url = site::url(address, PORT, "/files/1m");
            curl::one(client, &["--http2-prior-knowledge", "--output", "/dev/null", &url])?;
        }
        Ok(())
    })?;
    let mut logged = BTreeMap::<(String, u64, u64), u64>::new();
    for request in nginx.requests()? {
        *logged.entry((request.target, request.status.into(), request.body)).or_default() += 1;
    }
    let mut seen = BTreeMap::<(String, u64, u64), u64>::new();
    let lines = replay(&[&file, "--json"])?;
    let summary = lines.last().context("a summary")?;
    for line in of_type(&lines, "http") {
        let whole = (&line["protocol"], &line["complete"]);
        assert_eq!(whole, (&"2".into(), &true.into()), "{line}\n{summary}");
        assert!(line["latency_seconds"].as_f64().is_some_and(|latency| latency > 0.0), "{line}");
        let number = |name: &str| line[name].as_u64().with_context(|| format!("{name}: {line}"));
        let target = line["target"].as_str().context("a target")?.to_owned();
        let key = (target, number("status")?, number("response_body_bytes")?);
        *seen.entry(key).or_default() += 1;
    }
    assert_eq!(seen, logged, "targets, statuses and bytes of their bodies");
    Ok(())
}
