//! The checker as its users meet it: a policy text in, diagnostics out.

mod mistakes;

use std::collections::HashMap;

use super::*;
use crate::text::{Problem, Severity, render};

/// Files that exist only in a test.
#[derive(Default)]
struct Memory(HashMap<&'static str, Vec<u8>>);

impl ReadFile for Memory {
    fn read(&self, name: &str) -> Result<Vec<u8>, Problem> {
        self.0.get(name).cloned().ok_or_else(|| Problem::new(format!("cannot read {name}"), "put"))
    }
}

fn check(text: &str) -> Loaded {
    parse_with(text, "policy.toml", &Memory::default())
}

/// The example of the design, with every key of the language.
const EXAMPLE: &str = include_str!("../../../tests/data/edge.toml");

fn example_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in [
        ("policy.toml", EXAMPLE),
        ("feeds/partners.txt", "# ours\n198.51.101.0/24\n2001:db8:2::/48 # v6\n"),
        ("feeds/blocklist.txt", "192.0.2.66\n"),
        ("specs/orders.yaml", "openapi: 3.1.0\npaths: {}\n"),
    ] {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    dir
}

#[test]
fn the_example_of_the_design_is_accepted_and_understood() {
    let dir = example_dir();
    let loaded = load(&dir.path().join("policy.toml"));
    let policy = loaded.policy.unwrap_or_else(|| panic!("{}", render(&loaded.diagnostics)));
    assert_eq!(policy.name, "edge");
    assert_eq!(policy.groups.iter().map(|g| g.prefixes.len()).collect::<Vec<_>>(), [4, 1, 1]);
    let api = policy.api("orders").expect("the API");
    assert_eq!(
        api.at.line,
        EXAMPLE.lines().position(|l| l == "[[api]]").expect("there") as u32 + 1
    );
    assert_eq!(api.listen.len(), 3);
    assert_eq!(api.about.criticality, Criticality::High);
    assert_eq!(api.limit_for[0].per, Per::Group);
    let answer = api.respond.to(crate::detect::Detector::BruteForce);
    assert_eq!(answer.response, Response::Ban(std::time::Duration::from_secs(600)));
    assert_eq!(api.login.as_ref().map(|login| login.failed.clone()), Some(vec![401, 403]));
    let found = policy.groups_of("198.51.101.7".parse().expect("an address"));
    assert_eq!(found.len(), 1);
    assert!(found[0].2.to_string().ends_with("feeds/partners.txt:2"), "{}", found[0].2);
    // Only the proxies that nothing admits are worth a word, and answers that are only said.
    let told: Vec<_> = loaded.diagnostics.iter().map(|d| (d.severity, &*d.message)).collect();
    let refused = "proxies `cdn` are not in allow: they are refused";
    let said = "answers to findings are only said, not carried out: orders";
    assert_eq!(told, [(Severity::Warning, said), (Severity::Warning, refused)]);
}

#[test]
fn the_hash_covers_the_text_and_every_file() {
    let dir = example_dir();
    let hash = || load(&dir.path().join("policy.toml")).policy.expect("valid").hash();
    let mut seen = vec![hash()];
    assert_eq!(seen[0].len(), 64);
    assert_eq!(hash(), seen[0], "the same contents have the same hash");
    for name in ["policy.toml", "feeds/partners.txt", "feeds/blocklist.txt", "specs/orders.yaml"] {
        let path = dir.path().join(name);
        let mut text = std::fs::read_to_string(&path).expect("read");
        text.push_str("# changed\n");
        std::fs::write(path, text).expect("written");
        let now = hash();
        assert!(!seen.contains(&now), "{name} does not change the hash");
        seen.push(now);
    }
}

#[test]
fn five_mistakes_in_one_policy_are_five_diagnostics() {
    let text = "[trusted]\ncidr = [\"192.0.2.1\"]\n\
                [groups.partners]\ncidrs = [\"198.51.100.7/24\"]\n\
                [[api]]\nname = \"orders\"\nlisten = [\"tcp/8080\"]\nallow = [\"partnrs\"]\n\
                limit = { packets = \"0/s\" }\n\
                [[api]]\nname = \"catalog\"\nlisten = [\"tcp/8080\"]\nallow = \"any\"\n";
    let found = check(text);
    let places: Vec<_> = found.diagnostics.iter().map(|d| (d.line, d.column)).collect();
    assert_eq!(
        places,
        [(2, 1), (4, 10), (8, 10), (9, 21), (12, 11)],
        "{}",
        render(&found.diagnostics)
    );
    assert!(found.diagnostics.iter().all(|d| d.is_error() && !d.hint.is_empty()));
    assert!(found.policy.is_none());
}

#[test]
fn a_syntax_error_does_not_hide_the_other_mistakes() {
    let text = "[groups.a]\ncidrs = [\"192.0.2.0/24\"]\n[[api]]\nname = orders\n\
                listen = [\"tcp/0\"]\nallow = [\"a\"]\n";
    let found = check(text);
    let lines: Vec<_> = found.diagnostics.iter().map(|d| d.line).collect();
    assert_eq!(lines, [4, 5], "{}", render(&found.diagnostics));
}

#[test]
fn bad_lines_of_a_feed_are_told_with_the_name_of_the_feed_once() {
    let text = "[groups.a]\nfiles = [\"feed\"]\n[groups.b]\nfiles = [\"feed\"]\n\
                [[api]]\nname = \"x\"\nlisten = [\"tcp/80\"]\nallow = [\"a\", \"b\"]\n";
    let files = Memory([("feed", b"192.0.2.1\n192.0.2.0/33\n".to_vec())].into());
    let found = parse_with(text, "policy.toml", &files);
    let places: Vec<_> = found.diagnostics.iter().map(|d| (&*d.file, d.line, d.column)).collect();
    assert_eq!(places, [("feed", 2, 1)]);
    assert_eq!(found.files.len(), 1, "a file is read once");
}

/// Generated policies at the edge of what there can be of one thing.
#[test]
fn how_many_there_can_be() {
    let specific = |count: usize| {
        let listens: Vec<_> = (0..count).map(|n| format!("\"192.0.2.{n}:tcp/80\"")).collect();
        format!("[[api]]\nname = \"x\"\nlisten = [{}]\nallow = \"any\"\n", listens.join(", "))
    };
    let groups = |count: usize| {
        let names: Vec<_> = (0..count).map(|n| format!("\"g{n}\"")).collect();
        let tables: String =
            (0..count).map(|n| format!("[groups.g{n}]\ncidrs = [\"10.0.0.0/8\"]\n")).collect();
        let allow = names.join(", ");
        format!("[[api]]\nname = \"x\"\nlisten = [\"tcp/80\"]\nallow = [{allow}]\n{tables}")
    };
    let shared = |count: usize| {
        let limits: String = (0..count)
            .map(|n| format!("limit_for.g{n} = {{ packets = \"5/s\", per = \"group\" }}\n"))
            .collect();
        groups(count).replacen("[groups", &format!("{limits}[groups"), 1)
    };
    let interfaces = |count: usize| {
        let names: Vec<_> = (0..count).map(|n| format!("\"eth{n}\"")).collect();
        format!(
            "[unclaimed]\naction = \"drop\"\n[trusted]\ncidrs = [\"192.0.2.1\"]\ninterfaces = [{}]\n",
            names.join(", ")
        )
    };
    type Make<'a> = &'a dyn Fn(usize) -> String;
    let rows: [(Make<'_>, usize, &str); 4] = [
        (&specific, 64, "more than 64 listens"),
        (&groups, 255, "more than 255 groups"),
        (&shared, 14, "more than 14 limits"),
        (&interfaces, 8, "more than 8 interfaces"),
    ];
    for (make, most, message) in rows {
        let fits = check(&make(most));
        assert!(fits.policy.is_some(), "{}", render(&fits.diagnostics));
        let over = check(&make(most + 1));
        assert_eq!(over.diagnostics.len(), 1, "{}", render(&over.diagnostics));
        assert!(over.diagnostics[0].message.contains(message), "{}", over.diagnostics[0]);
    }
}

/// Whatever is read, the checker answers; what it accepts, it explains the same way again.
#[test]
fn mangled_policies_never_break_the_checker() {
    let mut random = crate::text::Random::new(7);
    for _ in 0..3_000 {
        let mut text: Vec<char> = EXAMPLE.chars().collect();
        for _ in 0..=random.below(6) {
            let at = random.below(text.len() - 1);
            match random.below(4) {
                0 => drop(text.remove(at)),
                1 => text.insert(at, *random.pick(&['"', '[', ']', '{', '=', '\n', '/', 'é', '0'])),
                2 => text[at] = *random.pick(&['"', '.', '#', '-', '9', '\t', '\u{0}', '🦀']),
                _ => text.truncate(text.len() - at % 40),
            }
        }
        let text: String = text.into_iter().collect();
        let found = check(&text);
        for diagnostic in &found.diagnostics {
            assert!(diagnostic.line >= 1 && diagnostic.column >= 1, "{diagnostic}");
            assert!(!diagnostic.message.is_empty() && !diagnostic.hint.is_empty());
        }
        assert_eq!(found.policy.is_none(), found.diagnostics.iter().any(Diagnostic::is_error));
        drop(render(&found.diagnostics));
    }
}

#[test]
fn an_openapi_document_is_read_with_the_policy_and_its_mistakes_told_with_their_lines() {
    let text = "[policy]\nname = \"p\"\nversion = 1\n[[api]]\nname = \"orders\"\n\
                listen = [\"tcp/80\"]\nallow = \"any\"\nopenapi = \"spec.yaml\"\n";
    let with = |spec: &'static str| {
        let files = Memory([("spec.yaml", spec.as_bytes().to_vec())].into());
        parse_with(text, "policy.toml", &files)
    };
    let good = with("openapi: 3.1.0\npaths:\n  /a: {get: {}, put: {}}\n");
    assert_eq!(good.diagnostics, []);
    let spec = good.policy.and_then(|policy| policy.apis[0].spec.clone());
    assert_eq!(spec.map(|spec| spec.operations()), Some(2));
    assert_eq!(good.files.len(), 1, "a stored generation has it");
    let bad = with("openapi: 3.1.0\npaths:\n  a: {get: {}}\n");
    let [only] = &bad.diagnostics[..] else { panic!("{:?}", bad.diagnostics) };
    assert_eq!((&*only.file, only.line, only.severity), ("spec.yaml", 3, Severity::Error));
    assert!(bad.policy.is_none());
}
