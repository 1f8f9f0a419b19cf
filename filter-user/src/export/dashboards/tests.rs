//! That dashboards and rules ask only what is there.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::export::metrics::def::{self, Def, Kind};

const RULES: &str = include_str!("../../../../packaging/prometheus/weir.rules.yml");
const CASES: &str = include_str!("../../../../packaging/prometheus/weir.test.yml");
const RUNBOOKS: &str = include_str!("../../../../docs/runbooks.md");

/// What Prometheus adds to every series.
const ADDED: [&str; 3] = ["instance", "job", "le"];

/// Letters of names in PromQL.
fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == ':'
}

/// The words of a query, each with the letter behind it, texts in quotes left out.
fn words(query: &str) -> Vec<(&str, Option<char>)> {
    let bare: Vec<&str> = query.split('"').step_by(2).collect();
    bare.iter()
        .flat_map(|part| {
            part.split(|letter| !is_word(letter)).filter(|word| !word.is_empty()).map(|word| {
                let end = word.as_ptr() as usize - part.as_ptr() as usize + word.len();
                (word, part[end..].chars().next())
            })
        })
        .collect()
}

/// The definition of a name that a series has: of a histogram it is never the bare one.
fn definition(name: &str) -> Option<&'static Def> {
    def::ALL.iter().find(|def| match def.kind {
        Kind::Histogram => ["_bucket", "_sum", "_count"]
            .iter()
            .any(|suffix| name.strip_suffix(suffix) == Some(def.name)),
        Kind::Counter | Kind::Gauge => def.name == name,
    })
}

/// What is wrong with a query: metrics that do not exist, labels that its metrics do not have.
/// `recorded` are names of recording rules.
fn wrong(query: &str, recorded: &BTreeSet<&str>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut labels: BTreeSet<&str> = ADDED.into();
    let mut free = false;
    let words = words(query);
    for (word, _) in &words {
        if word.contains(':') {
            free |= recorded.contains(word);
            if !recorded.contains(word) {
                wrong.push(format!("{word} is not recorded"));
            }
        } else if word.starts_with("weir_") || word.starts_with("http_server_") {
            match definition(word) {
                Some(def) => labels.extend(def.labels),
                None => wrong.push(format!("{word} does not exist")),
            }
        }
    }
    // A matcher's label stands before its sign; those of `by (…)` between brackets.
    let matched = words.iter().filter(|(_, next)| matches!(next, Some('='))).map(|(word, _)| *word);
    let grouped = ["by (", "on (", "group_left (", "ignoring ("].into_iter().flat_map(|key| {
        query
            .split(key)
            .skip(1)
            .flat_map(|rest| rest.split(')').next().unwrap_or_default().split(',').map(str::trim))
    });
    // The labels of what is recorded are those of the rule, which is checked itself.
    for label in matched.chain(grouped).filter(|label| !label.is_empty() && !free) {
        if !labels.contains(label) {
            wrong.push(format!("{label} is no label"));
        }
    }
    wrong
}

#[test]
fn the_check_finds_what_is_wrong() {
    let recorded = BTreeSet::from(["weir:a:b"]);
    let rows = [
        ("sum by (api) (rate(weir_packets_total{api=~\"x\"}[5m]))", 0),
        ("sum by (map) (rate(weir_packets_total[5m]))", 1),
        ("weir_packets_total{detector=\"weir_no_such\"}", 1),
        ("weir_no_such_total", 1),
        ("http_server_request_duration_seconds", 1),
        ("sum by (le) (http_server_request_duration_seconds_bucket)", 0),
        ("weir:a:b{anything=\"1\"} > weir:c:d", 1),
    ];
    for (query, count) in rows {
        assert_eq!(wrong(query, &recorded).len(), count, "{query}: {:?}", wrong(query, &recorded));
    }
}

#[test]
fn panels_ask_what_is_there_and_every_metric_is_shown() {
    let pages = pages::all();
    let queries = || pages.iter().flat_map(|page| &page.panels).flat_map(|panel| &panel.queries);
    for query in queries() {
        assert_eq!(wrong(&query.text, &BTreeSet::new()), [""; 0], "{}", query.text);
    }
    let shown: BTreeSet<&str> = queries().flat_map(|query| query.asks.iter().copied()).collect();
    let all: BTreeSet<&str> = def::ALL.iter().map(|def| def.name).collect();
    assert_eq!(shown, all);
}

#[test]
fn panels_lie_beside_each_other() {
    for page in pages::all() {
        let mut taken = BTreeSet::new();
        for panel in page.placed() {
            let at = |key: &str| panel["gridPos"][key].as_u64().expect("a number");
            assert!(at("x") + at("w") <= u64::from(COLUMNS), "{}: {panel}", page.uid);
            for x in at("x")..at("x") + at("w") {
                assert!(taken.insert((x, at("y"))), "{}: {panel} lies on another", page.uid);
            }
            let letters: BTreeSet<_> = panel["targets"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|t| &t["refId"])
                .map(ToString::to_string)
                .collect();
            assert_eq!(letters.len(), panel["targets"].as_array().expect("a list").len());
        }
    }
}

#[test]
fn the_files_are_what_is_generated() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/grafana");
    let mut expected = BTreeSet::new();
    for (name, text) in files() {
        let path = directory.join(&name);
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(there == text, "{name} is another: run `cargo xtask dashboards`");
        expected.insert(name);
    }
    let there = std::fs::read_dir(&directory).expect("the directory").flatten();
    let there: BTreeSet<String> =
        there.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(there, expected);
}

/// A rule of the file: whether it is recorded, its name, its query, its runbook.
type Rule<'a> = (bool, &'a str, String, Option<&'a str>);

/// The rules of the file, which is plain enough to be read line by line.
fn rules() -> Vec<Rule<'static>> {
    let mut rules: Vec<Rule<'static>> = Vec::new();
    let mut in_query = false;
    for line in RULES.lines() {
        let trimmed = line.trim();
        if let Some(name) = trimmed.strip_prefix("- record: ") {
            rules.push((true, name, String::new(), None));
        } else if let Some(name) = trimmed.strip_prefix("- alert: ") {
            rules.push((false, name, String::new(), None));
        }
        let Some(rule) = rules.last_mut() else { continue };
        if let Some(query) = trimmed.strip_prefix("expr: ") {
            in_query = true;
            rule.2.push_str(query.trim_start_matches(">-"));
        } else if line.starts_with("          ") && in_query {
            rule.2.push(' ');
            rule.2.push_str(trimmed);
        } else {
            in_query = false;
        }
        if let Some(url) = trimmed.strip_prefix("runbook_url: ") {
            rule.3 = url.trim_matches('"').split_once('#').map(|(_, anchor)| anchor);
        }
    }
    rules
}

#[test]
fn rules_ask_what_is_there_and_alerts_have_runbooks() {
    let rules = rules();
    let recorded: BTreeSet<&str> = rules.iter().filter(|rule| rule.0).map(|rule| rule.1).collect();
    let anchors: BTreeSet<String> = RUNBOOKS
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|heading| heading.to_lowercase().replace(' ', "-"))
        .collect();
    assert!(rules.len() > 30 && recorded.len() > 10, "{} rules were read", rules.len());
    for (is_recorded, name, query, runbook) in rules {
        assert!(!query.is_empty(), "{name}");
        assert_eq!(wrong(&query, &recorded), [""; 0], "{name}: {query}");
        if !is_recorded {
            let anchor = runbook.unwrap_or_default();
            assert_eq!(anchor, name.to_lowercase(), "{name}");
            assert!(anchors.contains(anchor), "docs/runbooks.md has nothing on {name}");
        }
    }
}

#[test]
fn every_alert_is_tried_both_ways() {
    let mut tried = BTreeSet::new();
    let mut alert = "";
    for line in CASES.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("alertname: ") {
            alert = name;
        } else if let Some(alerts) = line.strip_prefix("exp_alerts:") {
            tried.insert((alert, alerts.is_empty()));
        }
    }
    let alerts = rules().into_iter().filter(|rule| !rule.0).map(|rule| rule.1);
    let both: BTreeSet<_> = alerts.flat_map(|name| [(name, true), (name, false)]).collect();
    assert_eq!(tried, both, "true: it comes, false: it does not");
}

#[test]
fn alerts_come_when_they_should() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/prometheus");
    let mut command = std::process::Command::new("promtool");
    match command.args(["test", "rules", "weir.test.yml"]).current_dir(rules).output() {
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}{told}", String::from_utf8_lossy(&output.stdout));
        }
        Err(error) => {
            eprintln!("skipped: promtool (Debian package prometheus) does not start: {error}");
        }
    }
}
