//! The reference against the parser.

use std::collections::BTreeSet;

use super::Default;
use super::*;

/// The keys that the parser knows where a policy has one that it does not know.
fn known(text: &str) -> Option<BTreeSet<String>> {
    let told = errors(text);
    let hint = told.iter().find(|told| told.message.contains(NOBODY))?.hint.split_once(": ")?;
    hint.0.starts_with("known ").then(|| hint.1.split(", ").map(str::to_owned).collect())
}

fn nobody() -> Key {
    number(NOBODY, "", Default::Required, "")
}

fn names(section: &Section) -> BTreeSet<String> {
    section.keys.iter().map(|key| key.name.to_owned()).collect()
}

#[test]
fn the_page_is_the_one_that_the_parser_makes() {
    let written = include_str!("../../../../docs/policy-reference.md");
    assert!(
        page() == written,
        "docs/policy-reference.md is not up to date: run `cargo xtask reference`"
    );
}

#[test]
fn the_prose_speaks_of_every_key() {
    let prose = include_str!("../../../../docs/policy.md");
    for section in all() {
        // Detectors have a page of their own.
        for key in section.keys.iter().filter(|_| section.title != "api.respond") {
            let spoken =
                [format!("`{}`", key.name), format!("{} =", key.name), format!("`{}.", key.name)];
            let of = section.title;
            assert!(
                spoken.iter().any(|text| prose.contains(text)),
                "docs/policy.md lacks {} of {of}",
                key.name
            );
        }
    }
}

#[test]
fn every_table_and_key_of_the_language_is_listed_and_no_other() {
    let sections = all();
    let first = |title: &str| title.split('.').next().unwrap_or_default().to_owned();
    let tables: BTreeSet<_> = sections.iter().map(|section| first(section.title)).collect();
    assert_eq!(Some(tables), known(&format!("{NOBODY} = 1\n")), "tables");
    for section in &sections {
        let text = section.text(&nobody(), Some("1"));
        assert_eq!(Some(names(section)), known(&text), "keys of {}\n{text}", section.title);
    }
}

#[test]
fn every_table_within_a_table_is_listed() {
    let sections = all();
    let odd = [
        format!("{{ {NOBODY} = 1 }}"),
        format!("[{{ {NOBODY} = 1 }}]"),
        // Of a table whose keys are groups.
        format!("{{ partners = {{ {NOBODY} = 1 }} }}"),
    ];
    for section in &sections {
        for key in &section.keys {
            let inside = odd.iter().find_map(|odd| known(&section.text(key, Some(odd))));
            let listed = match key.takes {
                Takes::Table(title, _) => {
                    let found = sections.iter().find(|section| section.title == title);
                    Some(names(found.unwrap_or_else(|| panic!("there is no section {title}"))))
                }
                _ => None,
            };
            assert_eq!(listed, inside, "{}.{}", section.title, key.name);
        }
    }
}

#[test]
fn values_are_taken_and_refused_as_it_says() {
    for section in all() {
        for key in &section.keys {
            let place = format!("{}.{}", section.title, key.name);
            let try_it = |value: &str| {
                let text = section.text(key, Some(value));
                let told = errors(&text);
                (told.is_empty(), format!("{place} = {value}: {told:?}\n{text}"))
            };
            let (good, bad): (Vec<String>, Vec<String>) = match &key.takes {
                Takes::Word => (words(&section, key), vec!["1".to_owned(), "true".to_owned()]),
                Takes::Number(_) => {
                    let (least, most) = range(&section, key).expect(&place);
                    (
                        vec![least, most],
                        vec!["\"1\"".to_owned(), "-1".to_owned(), "1e18".to_owned()],
                    )
                }
                Takes::Value { good, bad, .. } => {
                    let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
                    (owned(good), owned(bad))
                }
                Takes::Table(_, good) => {
                    (good.iter().map(|&text| text.to_owned()).collect(), vec!["true".to_owned()])
                }
            };
            assert!(
                !bad.is_empty() && (!good.is_empty() || place.ends_with("requests")),
                "{place}"
            );
            for value in good {
                // The ends of a range may contradict what stands beside them.
                let beside = ["is within one source", "that is not below its max"];
                let (taken, why) = try_it(&value);
                assert!(taken || beside.iter().any(|part| why.contains(part)), "{why}");
            }
            for value in bad {
                let (taken, why) = try_it(&value);
                assert!(!taken, "it is taken: {why}");
            }
        }
    }
}

/// A policy as it is understood, without where its parts stand in the text.
fn understood(text: &str) -> String {
    let policy = parse_with(text, "policy.toml", &Files).policy.unwrap_or_else(|| panic!("{text}"));
    let shown = format!("{policy:?}");
    let mut words = Vec::new();
    let mut rest = shown.as_str();
    // `Location { file: "policy.toml", line: 1, column: 1 }`, and the hash of the text.
    while let Some((before, after)) = rest.split_once("Location {") {
        words.push(before);
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    words.push(rest);
    let all = words.concat();
    match all.split_once("hash: ") {
        Some((before, after)) => {
            let after = after.split_once(']').map_or("", |(_, after)| after);
            format!("{before}{after}")
        }
        None => all,
    }
}

#[test]
fn a_key_left_out_is_its_default() {
    for section in all() {
        for key in &section.keys {
            let place = format!("{}.{}", section.title, key.name);
            let without = section.text(key, None);
            match key.default {
                Default::Required => {
                    assert!(!errors(&without).is_empty(), "{place} is not required\n{without}");
                }
                // Where each treatment is written is kept, and nothing else: the treatments are compared.
                Default::Is(value) if section.title == "packets" => {
                    let treatments = |text: &str| {
                        let policy = parse_with(text, "policy.toml", &Files).policy.expect(&place);
                        policy.packets.iter().collect::<Vec<_>>()
                    };
                    let with = section.text(key, Some(value));
                    assert_eq!(treatments(&without), treatments(&with), "{place}");
                }
                // An answer that is only an alert is kept as one.
                Default::Is("\"alert\"") => {}
                Default::Is(value) => {
                    let with = section.text(key, Some(value));
                    assert_eq!(understood(&without), understood(&with), "{place} = {value}");
                }
                Default::Says(_) => {}
            }
        }
    }
}
