//! How a report is written down.

use super::*;

/// Something of everything.
fn full() -> Report {
    let mut facts = facts();
    facts.previous = Some(Box::new(Report::of(Facts { time: NOW - 90 * DAY, ..self::facts() })));
    facts.apis.push(plain(bare("billing"), 300, 120));
    facts.apis.push(encrypted(bare("edge-with-a-name-that-is-far-too-long"), "1.3"));
    let seen = ApiEntry { name: "tcp/9000".to_owned(), requests: 3, ..ApiEntry::default() };
    facts.apis.push(ApiFacts { seen, ..ApiFacts::default() });
    facts.findings = vec![finding("f-1", "critical", NOW - 8 * DAY)];
    Report::of(facts)
}

#[test]
fn the_same_facts_give_the_same_bytes() {
    for format in Format::ALL {
        assert_eq!(full().write(format), full().write(format));
    }
    let json = full().write(Format::Json);
    let again: Report = serde_json::from_str(&json).expect("a report");
    assert_eq!(again, full());
    for format in Format::ALL {
        assert_eq!(again.write(format), full().write(format), "out of its own JSON");
    }
    assert_eq!(full().file_name(), "posture-20260301T140000Z");
}

#[test]
fn markdown_says_it_all() {
    let text = full().write(Format::Markdown);
    for part in [
        "# API posture of gate-1, 2026-03-01T14:00:00Z",
        "| Unclaimed traffic | refused |",
        "critical: 1",
        "| critical | finding | orders | brute\\_force: 15 of 15 attempts failed |",
        "| warning | overdue | orders | finding f-1 (brute\\_force) has been open since 2026-02-21 14:00 UTC |",
        "Since the report of 2025-12-01 14:00 UTC:",
        "- New: billing, edge-with-a-name-that-is-far-too-long, tcp/9000",
        "| orders | ✓ | ✓ | ✓ | ✗ | ✓ | ✓ | ✓ | ✓ | ✓ | ✓ |",
        "| API4:2023 Unrestricted Resource Consumption | ✓ | ◐ | ◐ | ◐ |",
        "## tcp/9000 (not declared)",
        "| Authentication seen | bearer 60 % (180), none 40 % (120) |",
        "| Responder | not named |",
        "| Rate limit | ✗ missing | packets, bytes and connections are not limited |",
        "Bodies are not looked at",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn html_needs_nothing_else_and_nests() {
    let text = full().write(Format::Html);
    for never in
        ["<script", "http://", "https://", "url(", "@import", "javascript:", "<img", "<link"]
    {
        assert!(!text.contains(never), "{never}");
    }
    for part in ["prefers-color-scheme: dark", "@media print", "<svg viewBox", "role=\"img\""] {
        assert!(text.contains(part), "{part}");
    }
    assert_eq!(text.matches("<svg").count(), 2);
    // Every element that is opened is closed, in its place.
    let mut open: Vec<&str> = Vec::new();
    let body = text.split_once("<html").expect("a page").1.split_once('>').expect("a page").1;
    let style = body.find("<style>").zip(body.find("</style>")).expect("a style");
    let body = format!("{}{}", &body[..style.0], &body[style.1 + 8..]);
    for tag in body.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or_default();
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        if ["meta", "br"].contains(&name) || tag.ends_with('/') {
            continue;
        }
        if tag.starts_with('/') {
            assert_eq!(open.pop().unwrap_or("html"), name, "{tag}");
        } else {
            open.push(name);
        }
    }
    assert_eq!(open, [""; 0]);
}

#[test]
fn strangers_write_no_markup() {
    let mut facts = facts();
    facts.apis[0].seen.owner = Some("<script>alert(1)</script>|x\n# y".to_owned());
    facts.apis[0].seen.credentials.insert("<b>\"'".to_owned(), 9);
    facts.findings = vec![FindingEntry {
        why: "</td><img src=x onerror=alert(1)>".to_owned(),
        ..finding("f-1", "warning", NOW)
    }];
    let report = Report::of(facts);
    let html = report.write(Format::Html);
    for never in ["<script", "<img", "<b>\""] {
        assert!(!html.contains(never), "{never}");
    }
    let markdown = report.write(Format::Markdown);
    for never in ["<script", "<img", "\n# y", "</td>"] {
        assert!(!markdown.contains(never), "{never}");
    }
}

#[test]
fn an_empty_host_is_a_report_too() {
    let report = Report::of(Facts { time: NOW, ..Facts::default() });
    for format in Format::ALL {
        assert!(report.write(format).len() > 500);
    }
    assert!(report.points.iter().any(|point| point.key == "policy"));
}
