//! docs/settings.md against the reader of settings: keys, one way and the other, words, ranges, defaults.

use std::collections::BTreeSet;

use super::*;
use crate::text::Severity;

const PAGE: &str = include_str!("../../../docs/settings.md");
/// No key, nor like one.
const NOBODY: &str = "zqxjkvbw";

fn check(text: &str) -> Loaded {
    parse(text, Path::new("/etc/weir"), "weir.toml", Paths::of(None).expect("the default"))
}

fn is_taken(text: &str) -> bool {
    check(text).config.is_some()
}

/// What follows `begin` in a hint about an error.
fn told(text: &str, begin: &str) -> Option<String> {
    let mut told = check(text).diagnostics;
    told.retain(|told| told.severity == Severity::Error);
    let found = told.iter().find_map(|told| told.hint.split_once(begin));
    found.map(|(_, rest)| rest.to_owned())
}

/// A row of the page: a key, what it takes, its default.
struct Row {
    key: String,
    kind: String,
    default: String,
}

impl Row {
    fn line(&self, value: &str) -> String {
        format!("{} = {value}\n", self.key)
    }
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for line in PAGE.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, keys, kind, default, ..] = cells[..] else { panic!("{line}") };
        for key in keys.split(", ").map(|key| key.trim_matches(['`', '[', ']'])) {
            let default = default.trim_matches('`');
            rows.push(Row {
                key: key.to_owned(),
                kind: kind.to_owned(),
                default: default.to_owned(),
            });
        }
    }
    rows
}

#[test]
fn every_key_is_on_the_page_and_no_other() {
    let known = |text: &str, begin: &str| -> BTreeSet<String> {
        let told = told(text, begin).unwrap_or_default();
        told.split(", ").filter(|key| !key.is_empty()).map(str::to_owned).collect()
    };
    let mut read = BTreeSet::new();
    for key in known(&format!("{NOBODY} = 1\n"), "known here: ") {
        let inside = known(&format!("[{key}]\n{NOBODY} = 1\n"), &format!("known in {key}: "));
        if inside.is_empty() {
            read.insert(key);
        } else {
            read.extend(inside.into_iter().map(|inner| format!("{key}.{inner}")));
        }
    }
    let written: BTreeSet<String> = rows().into_iter().map(|row| row.key).collect();
    assert_eq!(read, written);
}

#[test]
fn words_ranges_and_defaults_are_those_of_the_page() {
    let (mut words, mut ranges, mut defaults) = (0, 0, 0);
    let usual = check("").config.expect("the defaults");
    for row in rows() {
        let Row { key, kind, default } = &row;
        if kind.starts_with("`\"") {
            words += 1;
            let read = told(&row.line(&format!("\"{NOBODY}\"")), "write one of ");
            assert_eq!(read, Some(kind.replace('`', "")), "{key}");
        }
        let range = kind.split(", ").find_map(|part| part.split_once('–'));
        let range = range.or_else(|| kind.rsplit(", ").find_map(|part| part.split_once('–')));
        if let Some((least, _)) = range {
            ranges += 1;
            // Thousands are set apart by commas in one of the two, so that the end is all behind the dash.
            let most = kind.split_once('–').map_or("", |(_, most)| most);
            let most = most.split(", or").next().unwrap_or_default().replace(',', "");
            let is_number = least.bytes().all(|byte| byte.is_ascii_digit());
            let quoted =
                |text: &str| if is_number { text.to_owned() } else { format!("\"{text}\"") };
            for end in [least, most.as_str()] {
                assert!(is_taken(&row.line(&quoted(end))), "{key} = {end}");
            }
            if is_number {
                let ends = format!("{least} to {most}");
                assert_eq!(told(&row.line("-987654321"), "a number from "), Some(ends), "{key}");
            } else {
                for beyond in ["0s", "367d", "1B", "1024GiB"] {
                    assert!(!is_taken(&row.line(&quoted(beyond))), "{key} = {beyond}");
                }
            }
        }
        if default.starts_with("none") || key == "sink" {
            continue;
        }
        defaults += 1;
        let is_bare =
            default.starts_with('"') || default.bytes().all(|byte| b"0123456789.".contains(&byte));
        let is_bare = is_bare || ["true", "false"].contains(&default.as_str());
        let value = if is_bare { default.clone() } else { format!("\"{default}\"") };
        let read = check(&row.line(&value)).config;
        let mut read = read.unwrap_or_else(|| panic!("{key} = {value} is refused"));
        if key == "events.path" {
            // A name that is given, and the same name that is not.
            assert_eq!(read.events_path(), usual.events_path());
            read.events = None;
        }
        assert!(read == usual, "{key} = {value} is not the default");
    }
    assert!(words >= 3 && ranges >= 12 && defaults >= 20, "{words} {ranges} {defaults}");
}
