//! Proposals and edits on policies and observations that are made up.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::edit::{Wanted, edit};
use super::propose::{Advice, advise, round_up};
use super::replace;
use crate::control::api::{ObservedApi, Peak};
use crate::policy::parse;

fn seen() -> ObservedApi {
    let peak = |p999| Peak { p999, most: p999, source: "192.0.2.1".into() };
    ObservedApi {
        api: "a".into(),
        kept: 5_000,
        estimated: 5_000,
        sources: 40,
        first_ms: 1,
        last_ms: 200_000_000,
        minute: peak(61),
        second: peak(140),
        ..ObservedApi::default()
    }
}

fn advice(limit: &str, seen: &ObservedApi, margin: f64) -> Advice {
    let text = format!(
        "[policy]\nname = \"p\"\n[[api]]\nname = \"a\"\nlisten = [\"tcp/80\"]\nallow = \"any\"\n{limit}\n"
    );
    let loaded = parse(&text, Path::new(""), "p");
    let policy = loaded.policy.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    advise(&policy.apis[0], Some(seen), margin)
}

/// `key=proposed` of every key, `key.` where it stays.
fn shown(advice: &Advice) -> String {
    let limits = advice.limits.iter().map(|limit| match &limit.proposed {
        Some(proposed) => format!("{}={proposed}", limit.key),
        None => format!("{}.", limit.key),
    });
    limits.collect::<Vec<_>>().join(" ")
}

#[test]
fn proposals() {
    let seen = seen();
    let quiet = ObservedApi {
        minute: Peak { p999: 2, ..Peak::default() },
        second: Peak { p999: 7, ..Peak::default() },
        ..seen.clone()
    };
    let rows: [(&str, &str, &ObservedApi, f64, &str); 12] = [
        ("none yet", "", &seen, 2.0, "requests=130/min packets=280/s"),
        ("no margin", "", &seen, 1.0, "requests=61/min packets=140/s"),
        ("a broken margin", "", &seen, 1.5, "requests=92/min packets=210/s"),
        ("quiet", "", &quiet, 2.0, "requests=30/min packets=50/s"),
        (
            "fits",
            "limit = { requests = \"100/min\", packets = \"200/s\" }",
            &seen,
            2.0,
            "requests. packets.",
        ),
        (
            "too tight",
            "limit = { requests = \"60/min\", packets = \"139/s\" }",
            &seen,
            2.0,
            "requests=130/min packets=280/s",
        ),
        (
            "just enough",
            "limit = { requests = \"61/min\", packets = \"140/s\" }",
            &seen,
            2.0,
            "requests. packets.",
        ),
        (
            "wide",
            "limit = { requests = \"1300/min\", packets = \"2800/s\" }",
            &seen,
            2.0,
            "requests. packets.",
        ),
        (
            "too wide",
            "limit = { requests = \"1301/min\", packets = \"2801/s\" }",
            &seen,
            2.0,
            "requests=130/min packets=280/s",
        ),
        (
            "another span",
            "limit = { requests = \"10/day\" }",
            &seen,
            2.0,
            "requests. packets=280/s",
        ),
        (
            "a burst holds it",
            "limit = { packets = \"60/s\", burst = \"5s\" }",
            &seen,
            2.0,
            "requests=130/min packets.",
        ),
        (
            "sizes unknown",
            "",
            &ObservedApi { sizes_unknown: 251, ..seen.clone() },
            2.0,
            "requests=130/min",
        ),
    ];
    for (what, limit, seen, margin, expected) in rows {
        assert_eq!(shown(&advice(limit, seen, margin)), expected, "{what}");
    }
}

#[test]
fn too_little_is_no_basis() {
    let rows = [
        ("requests", ObservedApi { kept: 99, ..seen() }, "99 kept requests"),
        ("sources", ObservedApi { sources: 2, ..seen() }, "2 sources"),
        ("nothing", ObservedApi::default(), "0 kept requests"),
        (
            "all left out",
            ObservedApi { exempt: 500, ..ObservedApi::default() },
            "500 more left out",
        ),
    ];
    for (what, seen, part) in rows {
        let advice = advice("", &seen, 2.0);
        assert!(advice.limits.is_empty(), "{what}");
        let refused = advice.refused.unwrap_or_default();
        assert!(refused.contains(part), "{what}: {refused}");
    }
    let enough = ObservedApi { kept: 100, sources: 3, ..seen() };
    assert_eq!(advice("", &enough, 2.0).refused, None);
    let short = ObservedApi { last_ms: 60_001, ..seen() };
    assert!(advice("", &short, 2.0).rests_on.contains("in 60 seconds; less than a day"));
    assert!(!advice("", &seen(), 2.0).rests_on.contains("less than"));
}

#[test]
fn rounding() {
    for (number, expected) in
        [(0, 0), (7, 7), (99, 99), (100, 100), (101, 110), (1_234, 1_300), (99_999, 100_000)]
    {
        assert_eq!(round_up(number), expected);
    }
    assert!(round_up(u64::MAX) >= 18_000_000_000_000_000_000);
}

const BEFORE: &str = "# mine\n[[api]] # first\nname = \"a\"\nlisten = [\n  \"tcp/80\", # http\n]\nallow = \"any\"   # all\n# end of a\n\n\
    [[api]]\nname = 'b'\nallow = [\"x\"]\nlimit = { packets = \"1/s\", burst=\"9s\" } # old\n\n# last\n[[api]]\nname = \"c\"\nallow = \"any\"";

#[test]
fn edits_keep_everything_else() {
    let rows: [(&[Wanted<'_>], &str); 4] = [
        (
            &[("a", vec![("requests", "9/min"), ("packets", "8/s")])],
            "@@ -5,6 +5,7 @@\n   \"tcp/80\", # http\n ]\n allow = \"any\"   # all\n+limit = { requests = \"9/min\", packets = \"8/s\" }\n # end of a\n \n [[api]]\n",
        ),
        (
            &[("b", vec![("packets", "8/s"), ("requests", "9/min")])],
            "@@ -10,7 +10,7 @@\n [[api]]\n name = 'b'\n allow = [\"x\"]\n-limit = { packets = \"1/s\", burst=\"9s\" } # old\n+limit = { packets = \"8/s\", burst=\"9s\", requests = \"9/min\" } # old\n \n # last\n [[api]]\n",
        ),
        (
            &[("c", vec![("packets", "8/s")])],
            "@@ -15,4 +15,5 @@\n # last\n [[api]]\n name = \"c\"\n-allow = \"any\"\n\\ No newline at end of file\n+allow = \"any\"\n+limit = { packets = \"8/s\" }\n",
        ),
        (&[], ""),
    ];
    for (wanted, expected) in rows {
        let edited = edit(BEFORE, wanted).expect("it has a place");
        assert_eq!(edited.hunks, expected);
        if expected.is_empty() {
            assert_eq!(edited.text, BEFORE);
        }
        for line in BEFORE.lines().filter(|line| line.contains('#')) {
            let comment = &line[line.find('#').unwrap_or(0)..];
            assert!(edited.text.contains(comment), "{comment} is lost");
        }
    }
    let all = [
        ("a", vec![("packets", "1/s")]),
        ("b", vec![("packets", "2/s")]),
        ("c", vec![("packets", "3/s")]),
    ];
    let edited = edit(BEFORE, &all).expect("places");
    for part in [
        "allow = \"any\"   # all\nlimit = { packets = \"1/s\" }\n",
        "{ packets = \"2/s\", burst",
        "allow = \"any\"\nlimit = { packets = \"3/s\" }\n",
    ] {
        assert!(edited.text.contains(part), "{}", edited.text);
    }
    let windows =
        edit("[[api]]\r\nname = \"a\"\r\nallow = \"any\"\r\n", &all[..1]).expect("a place");
    assert!(
        windows.text.ends_with("\"any\"\r\nlimit = { packets = \"1/s\" }\r\n"),
        "{:?}",
        windows.text
    );
}

#[test]
fn what_has_no_place_is_said() {
    let wanted = [("a", vec![("requests", "9/min")])];
    for text in [
        "[[api]]\nname = \"a\"\nallow = \"any\"\nlimit.packets = \"1/s\"\n",
        "[[api]]\nname = \"a\"\nallow = \"any\"\n[api.limit]\npackets = \"1/s\"\n",
        "[[api]]\nname = \"b\"\nallow = \"any\"\n",
        "",
    ] {
        let problem = edit(text, &wanted).expect_err("no place");
        assert!(problem.contains("requests = \"9/min\""), "{problem}");
    }
    // A value that is there can be changed wherever it is.
    let text = "[[api]]\nname = \"a\"\nallow = \"any\"\nlimit.requests = \"1/min\"\n";
    let edited = edit(text, &wanted).expect("a place");
    assert!(edited.text.ends_with("limit.requests = \"9/min\"\n"), "{}", edited.text);
}

#[test]
fn a_file_is_replaced_with_its_mode() {
    let directory = tempfile::tempdir().expect("a directory");
    let [file, link] = ["p.toml", "link.toml"].map(|name| directory.path().join(name));
    std::fs::write(&file, "one").expect("written");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).expect("a mode");
    std::os::unix::fs::symlink("p.toml", &link).expect("a link");
    assert!(replace(&file, "other", "two").is_err(), "changed meanwhile");
    replace(&link, "one", "two").expect("replaced");
    assert_eq!(std::fs::read_to_string(&file).expect("there"), "two");
    assert!(link.is_symlink());
    assert_eq!(file.metadata().expect("there").permissions().mode() & 0o777, 0o640);
    assert_eq!(directory.path().read_dir().expect("a directory").count(), 2, "nothing is left");
}
