//! docs/sinks.md against the reader of `[[sink]]`: keys of each kind, one way and the other, what is required,
//! words, ranges, defaults.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::config::{Loaded, Paths, parse};

const PAGE: &str = include_str!("../../../../docs/sinks.md");
/// No key, nor like one.
const NOBODY: &str = "zqxjkvbw";

/// A row of the page: a key of a kind, what it takes, its default.
struct Row {
    key: &'static str,
    of: &'static str,
    takes: &'static str,
    default: &'static str,
}

fn rows() -> Vec<Row> {
    let table = PAGE.split_once("| key | of |").and_then(|(_, rest)| rest.split_once("\n\n"));
    let (table, _) = table.expect("the table of settings");
    let mut rows = Vec::new();
    for line in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> =
            line.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect();
        let [keys, of, takes, default, about] = cells[..] else { panic!("{line}") };
        assert!(about.len() > 3, "{line}");
        let kinds: Vec<_> =
            if of == "all" { Receiver::KINDS.into() } else { of.split(", ").collect() };
        for key in keys.split(", ").map(|key| key.trim_matches('`')) {
            rows.extend(kinds.iter().map(|of| Row { key, of, takes, default }));
        }
    }
    rows
}

/// What is required of a kind.
fn needs(kind: &str) -> Vec<String> {
    let mut needs = vec!["name = \"a\"".to_owned(), format!("kind = \"{kind}\"")];
    match kind {
        "stdout" => {}
        "file" => needs.push("path = \"/x\"".to_owned()),
        "syslog" => needs.push("url = \"tls://h\"".to_owned()),
        _ => needs.push("url = \"https://h/\"".to_owned()),
    }
    needs
}

fn check(lines: &[String]) -> Loaded {
    let text = format!("[[sink]]\n{}\n", lines.join("\n"));
    parse(&text, Path::new("/etc/weir"), "weir.toml", Paths::of(None).expect("the default"))
}

/// A receiver of this kind, with a line more.
fn with(kind: &str, key: &str, value: &str) -> Loaded {
    let mut lines = needs(kind);
    lines.retain(|line| line.split_once(" = ").is_none_or(|(name, _)| name != key));
    lines.push(format!("{key} = {value}"));
    check(&lines)
}

fn sink(loaded: Loaded) -> Option<Sink> {
    loaded.config.and_then(|config| config.sinks.into_iter().next())
}

/// What follows `begin` in a hint.
fn told(loaded: &Loaded, begin: &str) -> Option<String> {
    let found = loaded.diagnostics.iter().find_map(|told| told.hint.split_once(begin));
    found.map(|(_, rest)| rest.to_owned())
}

#[test]
fn every_key_of_each_kind_is_on_the_page_and_no_other() {
    for kind in Receiver::KINDS {
        let known = told(&with(kind, NOBODY, "1"), "known in sink: ").expect("the keys");
        let known: BTreeSet<&str> = known.split(", ").collect();
        let written: BTreeSet<&str> =
            rows().iter().filter(|row| row.of == kind).map(|row| row.key).collect();
        assert_eq!(known, written, "{kind}");
    }
}

#[test]
fn what_is_required_words_ranges_and_defaults_are_those_of_the_page() {
    let (mut required, mut words, mut ranges, mut defaults) = (0, 0, 0, 0);
    for Row { key, of, takes, default } in rows() {
        let usual = sink(check(&needs(of))).unwrap_or_else(|| panic!("{of}"));
        let mut lines = needs(of);
        lines.retain(|line| !line.starts_with(&format!("{key} = ")));
        let is_required = check(&lines).config.is_none();
        assert_eq!(is_required, default == "required", "{key} of {of}");
        required += usize::from(is_required);
        if takes.starts_with("`\"") {
            words += 1;
            let read = told(&with(of, key, &format!("\"{NOBODY}\"")), "write one of ");
            assert_eq!(read, Some(takes.replace('`', "")), "{key} of {of}");
        }
        if let Some((kind, range)) = takes.split_once(", ").filter(|(_, range)| range.contains('–'))
        {
            ranges += 1;
            let (least, most) = range.split_once('–').expect("both ends");
            let value = |text: &str| match kind {
                "integer" => text.to_owned(),
                _ => format!("\"{text}\""),
            };
            for end in [least, most] {
                assert!(sink(with(of, key, &value(end))).is_some(), "{key} = {end} of {of}");
            }
            let beyond = match kind {
                "integer" => {
                    ["-1".to_owned(), (most.parse::<u32>().expect("a number") + 1).to_string()]
                }
                "span" => ["99ms".to_owned(), "61m".to_owned()],
                _ => ["63KiB".to_owned(), "65GiB".to_owned()],
            };
            for end in beyond {
                assert!(sink(with(of, key, &value(&end))).is_none(), "{key} = {end} of {of}");
            }
        }
        if default.starts_with('`') {
            defaults += 1;
            let read = sink(with(of, key, default.trim_matches('`')));
            assert_eq!(read.as_ref(), Some(&usual), "{key} of {of}");
        }
    }
    assert!(required >= 16 && words >= 16 && ranges >= 14 && defaults >= 20);
}

#[test]
fn no_more_receivers_than_the_page_says() {
    let of = |count: usize| -> String {
        (0..count).map(|n| format!("[[sink]]\nname = \"s{n}\"\nkind = \"stdout\"\n")).collect()
    };
    let most = PAGE.split_once("Of at most ").and_then(|(_, rest)| rest.split_once(" receivers"));
    let most: usize = most.and_then(|(number, _)| number.parse().ok()).expect("a number");
    let paths = || Paths::of(None).expect("the default");
    let is_taken = |count| parse(&of(count), Path::new("/"), "t", paths()).config.is_some();
    assert!(is_taken(most) && !is_taken(most + 1));
}
