//! One mistake a row: where it is told, in which words, with which remedy.

mod answers;
mod apis;
mod language;

use super::*;

/// A valid start that the rows below add one mistake to.
const BASE: &str = "[groups.a]\ncidrs = [\"192.0.2.0/24\"]\n[[api]]\nname = \"x\"\n\
                    listen = [\"tcp/80\"]\nallow = [\"a\"]\n";

/// What is added to `BASE` (or, after `=`, what replaces it), then severity, line, column, and words
/// of the message and of the hint.
type Row = (&'static str, Severity, u32, u32, &'static str, &'static str);

#[test]
fn one_mistake_gives_one_diagnostic_that_says_where_and_what_to_do() {
    let rows = [language::ROWS, apis::ROWS, answers::ROWS];
    let mut wrong = String::new();
    for (text, severity, line, column, message, hint) in rows.into_iter().flatten() {
        let whole = match text.strip_prefix('=') {
            Some(alone) => alone.to_owned(),
            None => format!("{BASE}{text}\n"),
        };
        let found = check(&whole);
        let shown = render(&found.diagnostics);
        let right = matches!(found.diagnostics.as_slice(), [one]
            if (one.severity, one.line, one.column) == (*severity, *line, *column)
                && one.message.contains(message)
                && one.hint.contains(hint));
        if !right || found.policy.is_some() != (*severity == Severity::Warning) {
            wrong += &format!(
                "{text}\nshould give {severity} {line}:{column} {message:?} {hint:?}, gives:\n{shown}\n"
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn automatic_bans_have_at_most_eight_prefix_lengths_a_family() {
    let with = |lengths: std::ops::RangeInclusive<u8>| {
        let api = |length: u8| {
            format!(
                "[[api]]\nname = \"a{length}\"\nlisten = [\"tcp/{length}\"]\nallow = \"any\"\n\
                 escalate = {{ v4 = {length}, v6 = 64, sources = 2 }}\nsource = {{ v6 = 128 }}\n"
            )
        };
        check(&lengths.map(api).collect::<String>())
    };
    assert!(with(16..=23).diagnostics.is_empty(), "eight");
    let found = with(16..=24);
    let [one] = &found.diagnostics[..] else { panic!("{}", render(&found.diagnostics)) };
    let place = (one.severity, one.line, one.column);
    assert_eq!(place, (Severity::Error, 8 * 6 + 5, 12), "{}", one.message);
    for word in ["9 different IPv4", "/16 /17", "at most 8"] {
        assert!(one.message.contains(word), "{word}: {}", one.message);
    }
    let bans = "source = { v4 = 24, v6 = 48 }\nrespond = { brute_force = \"ban 1m\" }\n";
    let rest: String = (16..=23)
        .map(|length| {
            format!(
                "[[api]]\nname = \"a{length}\"\nlisten = [\"tcp/{length}\"]\nallow = \"any\"\n\
                 escalate = {{ v4 = {length}, sources = 2 }}\n"
            )
        })
        .collect();
    let found = check(&format!(
        "{rest}[[api]]\nname = \"z\"\nlisten = [\"tcp/1\"]\nallow = \"any\"\n{bans}[respond]\nmode = \"act\"\n"
    ));
    let [one] = &found.diagnostics[..] else { panic!("{}", render(&found.diagnostics)) };
    assert_eq!(
        (one.line, one.column),
        (8 * 5 + 5, 10),
        "sources that may be banned count: {}",
        one.message
    );
}
