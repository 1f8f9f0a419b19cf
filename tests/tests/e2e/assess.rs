//! The posture report of a host with real traffic: what it says of an API without limits, how a pipeline
//! is told, what changed since the last one, and that one is made when it is due.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::curl;
use weir_tests::wait;
use weir_tests::weir::Weir;

use crate::site::{self, PORT};

const SOON: Duration = Duration::from_secs(15);
/// What makes `orders` an API that somebody thought of.
const GUARDED: &str = "criticality = \"high\"\nresponder = \"oncall\"\nlimit = { packets = \"5000/s\" }\n\
                       login = { routes = [\"POST /login\"] }\nrespond = { brute_force = \"ban 5m\" }";

/// The only API's entry of this name in a list of a report, by the key of its kind.
fn entry<'a>(report: &'a Value, list: &str, key: &str, name: &str) -> Result<&'a Value> {
    let all = report["apis"][0][list].as_array().context("no list")?;
    let found = all.iter().find(|entry| entry[key] == name);
    found.with_context(|| format!("no {name} among {list}: {}", report["apis"][0]))
}

fn state<'a>(report: &'a Value, layer: &str) -> Result<&'a Value> {
    Ok(&entry(report, "layers", "layer", layer)?["state"])
}

/// The report once all requests are in it.
fn assess(weir: &Weir<'_>, requests: u64, more: &[&str]) -> Result<Value> {
    wait::until("a report of all requests", SOON, || {
        let apis = weir.json(&["apis"])?;
        ensure!(apis[0]["requests"] == requests, "{apis}");
        Ok(())
    })?;
    weir.json(&[&["assess"], more].concat())
}

fn last(weir: &Weir<'_>) -> Result<f64> {
    let metrics = weir.metrics()?;
    let mut series = metrics.select("weir_assess_last_timestamp_seconds", &[]);
    Ok(series.next().context("the metric is not there")?.value)
}

#[test]
fn a_report_says_what_is_missing_and_what_changed() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    let open = site::orders(&lab, "criticality = \"high\"")?.replace("[\"clients\"]", "\"any\"");
    let mut weir = site::weir(&lab, &open)?;
    assert_eq!(last(&weir)?, 0.0, "none was kept yet");
    let url = |path: &str| site::url(server.v4().into(), PORT, path);
    curl::many(client, &["--header", "Authorization: Bearer hunter2", &url("/items/[1-3]")])?;
    curl::many(client, &[&url("/items/9")])?;

    let report = assess(&weir, 4, &[])?;
    for (layer, expected) in [
        ("allowlist", "missing"),
        ("rate_limit", "missing"),
        ("tls", "missing"),
        ("authentication", "partly"),
        ("people", "partly"),
    ] {
        assert_eq!(state(&report, layer)?, expected, "{layer}");
    }
    assert_eq!(
        entry(&report, "layers", "layer", "authentication")?["found"],
        "75 % of 4 requests: bearer"
    );
    let consumption = entry(&report, "owasp", "risk", "API4:2023")?;
    assert_eq!(consumption["coverage"], "partly");
    let why = consumption["reason"].as_str().context("no reason")?;
    assert!(why.contains("no limit holds any source"), "{why}");
    assert_eq!(entry(&report, "owasp", "risk", "API7:2023")?["coverage"], "not_visible");
    assert_eq!(report["changes"], Value::Null);
    assert_eq!(last(&weir)?, 0.0, "to look is not to keep");

    // A pipeline is told by the exit code: an API of high criticality without limits is a warning.
    for (level, code) in [("high", 1), ("warning", 1), ("critical", 0)] {
        let said = weir.verb(&["assess", "--fail-on", level])?;
        assert_eq!(said.code, code, "{level}: {}", said.stdout);
        assert!(said.stdout.contains("| orders | Rate limit missing:"), "{}", said.stdout);
    }

    // Kept, then held against what is in force now.
    let reports = lab.directory().join("reports").display().to_string() + "/";
    weir.verb(&["assess", "--output", &reports])?.success()?;
    let first = last(&weir)?;
    assert!(first > 1e9, "{first}");
    let written: Vec<_> = std::fs::read_dir(&reports)?.collect::<std::io::Result<_>>()?;
    assert_eq!(written.len(), 3, "Markdown, HTML and JSON");
    for file in &written {
        let kept = weir.state().join("assess").join(file.file_name());
        let [mine, theirs] = [std::fs::read(file.path())?, std::fs::read(&kept)?];
        assert!(mine == theirs, "{} is not what the daemon kept", file.path().display());
    }
    let guarded = site::write(&lab, "policy.toml", &site::orders(&lab, GUARDED)?)?;
    weir.verb(&["apply", &guarded])?.success()?;
    let report = assess(&weir, 4, &["--keep"])?;
    for layer in ["allowlist", "rate_limit", "login", "response", "people"] {
        assert_eq!(state(&report, layer)?, "present", "{layer}");
    }
    let changes = &report["changes"];
    assert_eq!(changes["since"].as_f64(), Some(first));
    let changed = |key: &str, name: &str, list: &str| {
        let all = changes[list].as_array().into_iter().flatten();
        all.filter(|change| change[key] == name).count()
    };
    assert_eq!(changed("key", "limit", "settings"), 1, "{changes}");
    assert_eq!(changed("key", "allow", "settings"), 1, "{changes}");
    assert_eq!(changed("layer", "rate_limit", "layers"), 1, "{changes}");
    assert_eq!(changed("risk", "API4:2023", "owasp"), 1, "{changes}");
    assert_eq!(changed("key", "rate_limit", "closed"), 1, "{changes}");
    assert_eq!(entry(&report, "owasp", "risk", "API4:2023")?["coverage"], "covered");
    // Clear text at an API of high criticality stays; nothing of it is critical.
    assert_eq!(weir.verb(&["assess", "--fail-on", "high"])?.code, 1);
    assert_eq!(weir.verb(&["assess", "--fail-on", "critical"])?.code, 0);
    let events = weir.events()?;
    assert_eq!(site::named(&events, "assessed").len(), 2, "two were kept");

    // The schedule makes one by itself, and remembers over a restart when the last one was made.
    let second = last(&weir)?;
    weir.stop()?;
    weir.start_again()?;
    assert_eq!(last(&weir)?, second);
    let text = site::orders(&lab, GUARDED)? + "\n[assess]\nevery = \"2s\"\n";
    let scheduled = site::write(&lab, "policy.toml", &text)?;
    weir.verb(&["apply", &scheduled])?.success()?;
    wait::until("a report by itself", SOON, || {
        let now = last(&weir)?;
        ensure!(now > second + 1.0, "{now}");
        Ok(())
    })?;
    let log = weir.json(&["audit"])?;
    let made = |entry: &&Value| entry["what"] == "assess";
    assert!(log.as_array().into_iter().flatten().filter(made).count() >= 3, "{log}");
    Ok(())
}
