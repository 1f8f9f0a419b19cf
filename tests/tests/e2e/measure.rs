//! Every request is measured: compared with nginx's log and with what clients saw.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weir_tests::curl;
use weir_tests::lab::{Host, INTERFACE, Lab};
use weir_tests::nginx::{Nginx, PASSWORD};
use weir_tests::prometheus::{self, Prometheus};
use weir_tests::reading::Reading;
use weir_tests::weir::{METRICS, Weir};
use weir_tests::{wait, wrk};

use crate::site::{self, PORT};

/// What nginx answered and what weir counted, by method and status.
pub(crate) fn compare(nginx: &Nginx, weir: &Weir<'_>) -> Result<u64> {
    wait::until("the books agree", Duration::from_secs(3), || {
        let mut logged = BTreeMap::<(String, u16), u64>::new();
        for request in nginx.requests()? {
            *logged.entry((request.method, request.status)).or_default() += 1;
        }
        let reading = Reading::at_rest(weir)?;
        let mut counted = BTreeMap::<(String, u16), u64>::new();
        for series in reading.metrics.select("http_server_request_duration_seconds_count", &[]) {
            let label = |name: &str| series.labels.get(name).cloned().unwrap_or_default();
            let status = label("http_response_status_code").parse()?;
            *counted.entry((label("http_request_method"), status)).or_default() +=
                series.value as u64;
        }
        ensure!(logged == counted, "nginx {logged:?}\nweir {counted:?}\n{}", reading.status);
        Ok(logged.values().sum())
    })
}

/// Sends bytes on one connection and reads until the server has answered so many requests.
fn pipeline(from: &Host, to: std::net::IpAddr, chunks: &[Vec<u8>], answers: usize) -> Result<()> {
    from.netns.enter(|| {
        let mut stream = TcpStream::connect((to, PORT))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(3)))?;
        for chunk in chunks {
            stream.write_all(chunk)?;
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut text = Vec::new();
        let mut part = [0; 65_536];
        while text.windows(9).filter(|window| window == b"HTTP/1.1 ").count() < answers {
            let size = stream.read(&mut part).context("too few answers")?;
            ensure!(size > 0, "the server hung up");
            text.extend_from_slice(&part[..size]);
        }
        Ok(())
    })
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: lab\r\n\r\n").into_bytes()
}

#[test]
fn keep_alive_pipelining_large_bodies_and_every_status() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let nginx = site::nginx(&lab)?;
    let weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    let upload = site::write(&lab, "upload", &"x".repeat(300 * 1024))?;
    for address in server.addresses() {
        let url = |path: &str| site::url(address, PORT, path);
        let upload = format!("@{upload}");
        let rows: [(&str, Vec<&str>); 6] = [
            ("/items/[1-50]", vec![]),
            ("/files/{1k,64k,1m,300k}", vec![]),
            ("/no/such/[1-3]", vec![]),
            ("/empty", vec![]),
            ("/login", vec!["--data", "a=b", "--header", PASSWORD]),
            ("/upload", vec!["--data-binary", &upload, "--header", "Expect:"]),
        ];
        for (path, arguments) in rows {
            curl::many(client, &[arguments, vec![&url(path)]].concat())?;
        }
        curl::many(client, &["--head", &url("/items/[1-3]")])?;
        curl::many(client, &["--request", "DELETE", &url("/items/1")])?;
        // Five requests in one segment; one cut in the middle of its head; one byte after the other.
        let five: Vec<u8> = (1..=5).flat_map(|n| get(&format!("/items/{n}"))).collect();
        let (left, right) = five.split_at(30);
        pipeline(client, address, std::slice::from_ref(&five), 5)?;
        pipeline(client, address, &[left.to_vec(), right.to_vec()], 5)?;
        let bytes: Vec<Vec<u8>> = get("/empty").into_iter().map(|byte| vec![byte]).collect();
        pipeline(client, address, &bytes, 1)?;
    }
    let total = compare(&nginx, &weir)?;
    assert_eq!(total, 2 * (50 + 4 + 3 + 1 + 1 + 1 + 3 + 1 + 11));

    let reading = Reading::at_rest(&weir)?;
    let sum = |name: &str, labels: &[(&str, &str)]| reading.metrics.sum(name, labels);
    // Bodies that went by sendfile, in super-packets and with what the snap length cuts off.
    let files = [("http_route", "/files/1m")];
    assert_eq!(sum("http_server_response_body_size_bytes_sum", &files), 2.0 * 1_048_576.0);
    let posted = [("http_route", "/upload")];
    assert_eq!(sum("http_server_request_body_size_bytes_sum", &posted), 2.0 * 300.0 * 1024.0);
    assert_eq!(sum("weir_telemetry_completeness_ratio", &[]), 1.0);
    Ok(())
}

#[test]
fn under_load_nothing_is_lost_silently() -> Result<()> {
    // The share of flows that is sampled.
    for share in ["1", "0.25", "0"] {
        let lab = site::lab()?;
        let [server, client] = [lab.host("server")?, lab.host("client")?];
        let nginx = site::nginx(&lab)?;
        let policy = site::write(&lab, "policy.toml", &site::orders(&lab, "")?)?;
        let weir = Weir::start(&lab, server, &["--policy", &policy, "--sample", share])?;
        // Closing each connection gives many flows.
        let urls = site::url(server.v4().into(), PORT, "/items/[1-400]");
        curl::many(client, &["--header", "Connection: close", &urls])?;
        let url = site::url(server.v6().into(), PORT, "/items/1");
        let report = wrk::run(client, 4, Duration::from_secs(1), &url)?;
        assert_eq!(report.socket_errors + report.bad_status, 0, "{report:?}");

        let reading = Reading::at_rest(&weir)?;
        let samples = |name: &str| reading.samples(name);
        let (attempted, submitted) = (samples("attempted")?, samples("submitted")?);
        let (dropped, out) = (samples("dropped")?, samples("sampled_out")?);
        assert_eq!(attempted, submitted + dropped + out, "{}", reading.status["samples"]);
        assert_eq!(samples("received")?, submitted);
        assert_eq!(samples("decode_errors")?, 0);
        for outcome in ["attempted", "submitted", "dropped", "sampled_out", "received"] {
            let labels = [("outcome", outcome)];
            let exported = reading.metrics.sum("weir_samples_total", &labels);
            assert_eq!(exported as u64, samples(outcome)?, "{outcome}");
        }
        let requests = nginx.requests()?.len() as u64;
        let counted = reading.requests(&[]);
        match share {
            "1" => assert_eq!((counted, out), (requests, 0), "{}", reading.status),
            "0" => assert_eq!((counted, submitted), (0, 0), "the sensor is off"),
            // Each of the 404 flows is sampled with this share, and stands for so many: the short
            // ones are enough to tell that neither all nor none were taken.
            _ => assert!(submitted > 0 && out > 0 && counted > 0, "{}", reading.status["samples"]),
        }
    }
    Ok(())
}

#[test]
fn latencies_are_the_server_s() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let nginx = site::nginx(&lab)?;
    let weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    for address in server.addresses() {
        // nginx answers ten a second.
        curl::many(client, &[&site::url(address, PORT, "/slow?[1-8]")])?;
    }
    compare(&nginx, &weir)?;
    let reading = Reading::at_rest(&weir)?;
    let measured = reading.seconds(&[("http_route", "/slow")]);
    let logged: f64 = nginx.requests()?.iter().map(|request| request.seconds).sum();
    assert!(logged > 1.0, "{logged}");
    assert!((measured - logged).abs() < 0.05 * logged, "{measured:.3} s, nginx {logged:.3} s");
    let labels = [("http_route", "/slow"), ("le", "0.05")];
    let fast = reading.metrics.sum("http_server_request_duration_seconds_bucket", &labels);
    assert!(fast <= 3.0, "{fast} of 16 took less than 50 ms");
    Ok(())
}

#[test]
fn prometheus_scrapes_and_promtool_agrees() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let nginx = site::nginx(&lab)?;
    let weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    let prometheus = Prometheus::start(server, lab.directory(), METRICS)?;
    curl::many(client, &[&site::url(server.v4().into(), PORT, "/items/[1-7]")])?;
    curl::many(client, &[&site::url(server.v6().into(), PORT, "/no/such/[1-3]")])?;
    assert_eq!(site::answered(stranger, server)?, [false; 2]);
    weir.verb(&["ban", "add", "203.0.113.9", "--ttl", "5m"])?.success()?;
    compare(&nginx, &weir)?;
    // Query and value.
    let rows = [
        ("sum(http_server_request_duration_seconds_count{http_response_status_code=\"200\"})", 7.0),
        ("sum(http_server_request_duration_seconds_count{http_response_status_code=\"404\"})", 3.0),
        ("sum(weir_packets_total{api=\"orders\",verdict=\"drop\",reason=\"not_allowed\"})", 2.0),
        ("weir_policy_info{name=\"lab\",generation=\"1\"}", 1.0),
        ("weir_api_info{api=\"orders\",owner=\"team-orders\"}", 1.0),
        ("weir_bans{origin=\"operator\"}", 1.0),
        ("weir_telemetry_completeness_ratio", 1.0),
    ];
    for (query, expected) in rows {
        wait::until(query, Duration::from_secs(6), || {
            let samples = prometheus.query(server, query)?;
            ensure!(
                samples.len() == 1 && samples[0].value == expected,
                "{samples:?}\n{}",
                prometheus.log()
            );
            Ok(())
        })?;
    }
    let page = site::write(&lab, "page", &weir.exposition()?)?;
    prometheus::check_metrics(std::path::Path::new(&page))
}

#[test]
fn guessed_passwords_end_in_a_ban() -> Result<()> {
    // What the policy answers with, whether the source is banned.
    for (respond, banned) in [("ban 5m", true), ("alert", false)] {
        let lab = site::lab()?;
        let [server, client] = [lab.host("server")?, lab.host("client")?];
        let nginx = site::nginx(&lab)?;
        let more = format!(
            "login = {{ routes = [\"POST /login\"] }}\nrespond = {{ brute_force = \"{respond}\" }}"
        );
        let weir = site::weir(&lab, &site::orders(&lab, &more)?)?;
        let url = site::url(server.v4().into(), PORT, "/login?user=[1-40]");
        let patience = ["--max-time", site::PATIENCE, "--data", "a=b"];
        curl::many(client, &[&patience[..], &["--header", "Connection: close", &url]].concat())?;
        let events = wait::until("the finding", Duration::from_secs(5), || {
            let events = weir.events()?;
            ensure!(!site::named(&events, "finding_opened").is_empty(), "{}", weir.log());
            Ok(events)
        })?;
        let finding = site::named(&events, "finding_opened")[0];
        assert_eq!(finding["finding"]["detector"], "brute_force");
        assert_eq!(finding["source"]["ip"], client.v4().to_string().as_str());
        assert_eq!(finding["api"]["owner"], "team-orders");
        assert_eq!(finding["finding"]["evidence_forgeable"], false);
        let failed = nginx.requests()?.iter().filter(|request| request.status == 401).count();
        let bans = weir.json(&["ban", "list"])?;
        if banned {
            wait::until("the ban", Duration::from_secs(3), || {
                ensure!(site::named(&weir.events()?, "ban_added").len() == 1);
                Ok(())
            })?;
            assert_eq!(site::answered(client, server)?, [false, true], "IPv4 is banned");
            assert!((15..=40).contains(&failed), "{failed}");
        } else {
            assert_eq!((bans, failed), (serde_json::json!([]), 40));
            assert_eq!(site::answered(client, server)?, [true; 2]);
        }
        compare(&nginx, &weir)?;
    }
    Ok(())
}

/// Forged packets alone never make weir ban somebody.
#[test]
fn evidence_without_a_handshake_bans_nobody() -> Result<()> {
    let lab: Lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    let weir = site::weir(&lab, &site::orders(&lab, "respond = { brute_force = \"ban 5m\" }")?)?;
    let flood = weir_tests::generator::Flood {
        sources: weir_tests::generator::Sources::One(client.v4().into()),
        destination: server.v4().into(),
        transport: weir_tests::frame::Transport::Syn { port: PORT },
        rate: 2_000,
        duration: Duration::from_millis(500),
    };
    weir_tests::generator::send(lab.host("stranger")?, server, &flood)?;
    wait::pause(Duration::from_millis(1_500))?;
    assert_eq!(weir.json(&["ban", "list"])?, serde_json::json!([]), "on {INTERFACE}");
    assert_eq!(site::answered(client, server)?, [true; 2]);
    Ok(())
}
