//! That the documentation has everything it is to have, and nothing that is not there: each reason, each detector,
//! names of metrics, each page linked, each link somewhere. That its commands work is tested in `tests/tests/docs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use filter_common::reason::{Reason, Verdict};
use filter_user::detect::Detector;
use filter_user::export::metrics::def;

fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// README.md and all pages, by path from the root.
fn pages() -> BTreeMap<String, String> {
    let mut names = vec!["README.md".to_owned(), "CHANGELOG.md".to_owned()];
    for directory in ["docs", "docs/decisions"] {
        for entry in std::fs::read_dir(root().join(directory)).expect("docs") {
            let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
            if name.ends_with(".md") {
                names.push(format!("{directory}/{name}"));
            }
        }
    }
    let text = |name: &str| std::fs::read_to_string(root().join(name)).expect("a page");
    names.into_iter().map(|name| (name.clone(), text(&name))).collect()
}

/// Text outside of blocks, where `#` and `[` mean what they mean in Markdown.
fn prose(text: &str) -> String {
    let mut inside = false;
    let kept = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    kept.flat_map(|line| [line, "\n"]).collect()
}

/// What a heading is linked by.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for line in prose(text).lines().filter(|line| line.starts_with('#')) {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        // Of a link in a heading only its text is kept.
        let bare: String = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let mut name = bare.clone();
        let mut number = 1;
        while !anchors.insert(name) {
            name = format!("{bare}-{number}");
            number += 1;
        }
    }
    anchors
}

#[test]
fn every_reason_is_explained() {
    let page = &pages()["docs/reasons.md"];
    let parts: Vec<&str> = page.split("\n## ").collect();
    for reason in Reason::ALL {
        let row = format!("| `{}` |", reason.name());
        let rows: Vec<&&str> = parts.iter().filter(|part| part.contains(&row)).collect();
        let [part] = rows[..] else {
            panic!("docs/reasons.md has `{}` {} times", reason.name(), rows.len())
        };
        let passes = part.starts_with("What passes");
        assert_eq!(
            passes,
            reason.verdict() == Verdict::Pass,
            "{} is in the wrong part",
            reason.name()
        );
    }
    let named = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(named, Reason::ALL.len(), "rows that are no reason");
}

#[test]
fn every_detector_has_a_runbook() {
    let page = &pages()["docs/findings.md"];
    let headings: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let detectors: BTreeSet<&str> = Detector::ALL.iter().map(|detector| detector.name()).collect();
    assert_eq!(headings, detectors);
    for part in page.split("\n## ").skip(1) {
        let (name, text) = part.split_once('\n').unwrap_or_default();
        assert!(text.trim().len() > 60, "{name} says nothing");
    }
}

#[test]
fn metrics_that_are_named_exist() {
    let there: BTreeSet<&str> = def::ALL.iter().map(|def| def.name).collect();
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || "_:".contains(letter);
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, text) in pages() {
        for word in text.split(|letter| !is_word(letter)) {
            let bare = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| word.strip_suffix(end).filter(|bare| there.contains(bare)))
                .unwrap_or(word);
            // The rest of a name is left out (the second is what README.md has grep look for), it is a file's, or a
            // counter of the sensor's.
            let open = bare.ends_with('_') || bare == "http_server_request";
            let other = bare.contains("VERSION") || bare.starts_with("weir_sensor_");
            if !(bare.starts_with("weir_") || bare.starts_with("http_server_")) || open || other {
                continue;
            }
            match there.get(bare) {
                Some(metric) => drop(seen.insert(*metric)),
                None => wrong.push(format!("{name}: {word}")),
            }
        }
    }
    assert_eq!(seen, there);
    assert!(wrong.is_empty(), "no such metrics: {wrong:#?}");
}

#[test]
fn every_page_is_linked_from_the_first() {
    let pages = pages();
    let first = &pages["README.md"];
    for name in pages.keys().filter(|name| *name != "README.md") {
        assert!(first.contains(&format!("({name})")), "README.md has no link to {name}");
    }
}

#[test]
fn every_link_goes_somewhere() {
    let pages = pages();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (name, text) in &pages {
        let directory = Path::new(name).parent().unwrap_or(Path::new(""));
        let text = prose(text);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            seen += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { PathBuf::from(name) } else { directory.join(file) };
            // `docs/../README.md` is README.md.
            let mut parts: Vec<String> = Vec::new();
            for part in target.iter().map(|part| part.to_string_lossy().into_owned()) {
                if part == ".." { drop(parts.pop()) } else { parts.push(part) }
            }
            let target = parts.join("/");
            let there = match pages.get(&target) {
                Some(page) => anchor.is_empty() || anchors(page).contains(anchor),
                None => root().join(&target).exists(),
            };
            if !there {
                wrong.push(format!("{name}: {link}"));
            }
        }
    }
    assert!(seen > 100, "only {seen} links were seen");
    assert!(wrong.is_empty(), "links to nowhere: {wrong:#?}");
}
