//! `weir replay` on what tcpdump captured: the same requests as in nginx's log, and the same
//! verdicts that the kernel then gives.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::lab::{Host, INTERFACE, Lab};
use weir_tests::process::{self, Background};
use weir_tests::reading::Reading;
use weir_tests::{curl, wait, weir};

use crate::site::{self, PORT};

/// Captures what the server's interface sees while `during` runs.
pub(crate) fn capture(
    lab: &Lab,
    server: &Host,
    during: impl FnOnce() -> Result<()>,
) -> Result<String> {
    let file = lab.directory().join("lab.pcap").display().to_string();
    let mut command = server.netns.command("tcpdump");
    // Room for bursts: nothing is to be missing from the file.
    command.args([
        "-i",
        INTERFACE,
        "-U",
        "--immediate-mode",
        "-B",
        "65536",
        "-Z",
        "root",
        "-w",
        &file,
    ]);
    let log = lab.directory().join("tcpdump.log");
    let mut tcpdump = Background::start("tcpdump", command, &log)?;
    tcpdump.ready("tcpdump listens", Duration::from_secs(10), || {
        ensure!(std::fs::read_to_string(&log)?.contains("listening on"));
        Ok(())
    })?;
    during()?;
    // What was captured is written by the time that it ends in order.
    wait::pause(Duration::from_millis(200))?;
    tcpdump.stop()?;
    Ok(file)
}

/// The lines that `weir replay --json` prints.
pub(crate) fn replay(words: &[&str]) -> Result<Vec<Value>> {
    let mut command = std::process::Command::new(weir::binary()?);
    let output = process::run(command.arg("replay").args(words), Duration::from_secs(20))?;
    let text = output.success()?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

pub(crate) fn of_type<'a>(lines: &'a [Value], name: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["type"] == name).collect()
}

#[test]
fn a_capture_has_the_requests_of_the_log_and_the_verdicts_of_the_kernel() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let nginx = site::nginx(&lab)?;
    let traffic = || -> Result<()> {
        for address in server.addresses() {
            let url = |path: &str| site::url(address, PORT, path);
            curl::many(client, &[&url("/items/[1-20]")])?;
            curl::many(client, &[&url("/files/{1k,64k,300k,1m}")])?;
            curl::many(client, &[&url("/no/such/[1-3]")])?;
            curl::many(client, &["--data", "a=b", &url("/login")])?;
            curl::many(stranger, &["--max-time", site::PATIENCE, &url("/items/1")])?;
        }
        Ok(())
    };
    let file = capture(&lab, server, traffic)?;
    let mut logged = BTreeMap::<(String, u64), (u64, u64)>::new();
    for request in nginx.requests()? {
        let entry = logged.entry((request.method, request.status.into())).or_default();
        *entry = (entry.0 + 1, entry.1 + request.body);
    }
    let lines = replay(&[&file, "--json"])?;
    let mut seen = BTreeMap::<(String, u64), (u64, u64)>::new();
    for line in of_type(&lines, "http") {
        let key = (
            line["method"].as_str().context("a method")?.to_owned(),
            line["status"].as_u64().context("a status")?,
        );
        let entry = seen.entry(key).or_default();
        *entry = (entry.0 + 1, entry.1 + line["response_body_bytes"].as_u64().context("a body")?);
    }
    assert_eq!(seen, logged, "requests and bytes of their bodies");
    assert_eq!(of_type(&lines, "summary").len(), 1);
    assert_eq!(lines.last().map(|line| &line["type"]), Some(&"summary".into()));
    assert!(of_type(&lines, "verdict").is_empty(), "only when they are asked for");

    // The policy in the replay, and then in the kernel: the stranger is out in both.
    let policy = site::write(&lab, "policy.toml", &site::orders(&lab, "")?)?;
    let lines = replay(&[&file, "--json", "--verdicts", "--policy", &policy])?;
    let verdicts = of_type(&lines, "verdict");
    let refused = |line: &&&Value| line["verdict"] == "drop";
    let strangers = stranger.addresses().map(|address| address.to_string());
    for line in verdicts.iter().filter(refused) {
        let source = line["flow"]["src"].as_str().unwrap_or_default();
        assert!(strangers.iter().any(|stranger| stranger == source), "{line}");
        assert_eq!((&line["reason"], &line["api"]), (&"not_allowed".into(), &"orders".into()));
    }
    assert!(verdicts.iter().filter(refused).count() >= 2);
    let allowed = verdicts.iter().filter(|line| line["reason"] == "allowed");
    assert!(allowed.count() > 2 * 28);
    let weir = weir::Weir::start(&lab, server, &["--policy", &policy])?;
    traffic()?;
    assert_eq!(Reading::at_rest(&weir)?.kernel("orders", "not_allowed"), 2);
    Ok(())
}

#[test]
fn a_capture_that_cannot_be_read_is_told() -> Result<()> {
    let lab = site::lab()?;
    let text = site::write(&lab, "text.pcap", "this is no capture\n")?;
    for (file, word) in [(text.as_str(), "text.pcap"), ("/no/such.pcap", "/no/such.pcap")] {
        let mut command = std::process::Command::new(weir::binary()?);
        let output = process::run(command.args(["replay", file]), Duration::from_secs(20))?;
        let output = output.expect_code(2)?;
        assert!(output.stderr.contains(word), "{}", output.stderr);
    }
    Ok(())
}
