//! Answers, and what holds them back.

use super::*;
use crate::detect::finding::Measure;
use crate::detect::{Detector, Severity};

struct Guards;

impl Guard for Guards {
    fn is_trusted(&self, source: &Source) -> bool {
        source.to_string() == "192.0.2.1"
    }
    fn is_trusted_in_part(&self, source: &Source) -> bool {
        self.is_trusted(source)
    }
    fn is_proxy(&self, api: u32, source: &Source) -> bool {
        api == 1 && source.to_string() == "192.0.2.2"
    }
    fn is_behind_proxy(&self, source: &Source) -> bool {
        source.to_string() == "192.0.2.3"
    }
}

#[derive(Default)]
struct Kernel {
    done: Vec<Action>,
    broken: bool,
}

impl Executor for Kernel {
    fn execute(&mut self, action: &Action) -> Result<(), String> {
        if self.broken {
            return Err("no room in the ban map".to_owned());
        }
        self.done.push(action.clone());
        Ok(())
    }
}

fn finding(id: &str, source: Option<&str>, forgeable: bool, updated: u64) -> Finding {
    Finding {
        id: id.into(),
        state: State::Open,
        detector: Detector::BruteForce,
        severity: Severity::Warning,
        api: 1,
        api_name: "orders".into(),
        source: source.map(|text| Source::from(text.parse::<std::net::IpAddr>().unwrap())),
        credential: None,
        endpoint: None,
        measure: Measure {
            unit: "share",
            observed: 1.0,
            baseline: 0.3,
            threshold: 0.5,
            window_seconds: 600,
            weight: 1.0,
            why: "15 of 15 failed".to_owned(),
            owasp: None,
            evidence_forgeable: forgeable,
        },
        examples: Arc::default(),
        completeness: 1.0,
        opened: 0,
        updated,
        closed: None,
    }
}

fn wanted(response: Response) -> Wanted {
    let answer = Answer { response, ttl: None };
    Wanted { answer, mode: RespondMode::Act, per_minute: 10, stopped: false }
}

const BAN: Response = Response::Ban(Duration::from_secs(600));
const LIMIT: Response =
    Response::Limit(crate::text::quantity::Rate { amount: 10, period: Duration::from_secs(1) });

#[test]
fn answers_and_guards() {
    let lockdown = Response::Lockdown(crate::policy::GroupIndex(0));
    let somebody = Some("198.51.100.1");
    for (what, answer, source, forgeable, expected) in [
        ("alert", Response::Alert, somebody, false, ""),
        ("ban", BAN, somebody, false, "done ban 600"),
        ("ban of nobody", BAN, None, false, "impossible no_source"),
        ("trusted", BAN, Some("192.0.2.1"), false, "refused trusted"),
        ("trusted and forged", BAN, Some("192.0.2.1"), true, "refused trusted"),
        ("proxy", BAN, Some("192.0.2.2"), false, "refused proxy"),
        ("behind a proxy", BAN, Some("192.0.2.3"), false, "refused behind_proxy"),
        ("forged", BAN, somebody, true, "refused forgeable"),
        ("limit", LIMIT, None, false, "done limit 600"),
        ("limit, trusted is not touched", LIMIT, Some("192.0.2.1"), false, "done limit 600"),
        ("limit, forged", LIMIT, None, true, "refused forgeable"),
        ("lockdown", lockdown, None, false, "done lockdown 600"),
        ("lockdown, forged", lockdown, None, true, "refused forgeable"),
    ] {
        let mut kernel = Kernel::default();
        let mut responder = Responder::new();
        let finding = finding("a", source, forgeable, 0);
        let found = match responder.answer(0, &finding, &wanted(answer), &Guards, &mut kernel) {
            None => String::new(),
            Some(Outcome::Done(action)) => {
                assert_eq!(kernel.done, std::slice::from_ref(&action), "{what}");
                format!("done {} {}", action.name(), action.ttl().as_secs())
            }
            Some(Outcome::Refused(_, refusal)) => format!("refused {}", refusal.name()),
            Some(Outcome::Impossible(refusal)) => format!("impossible {}", refusal.name()),
            Some(other) => format!("{other:?}"),
        };
        assert_eq!(found, expected, "{what}");
        assert_eq!(kernel.done.is_empty(), !expected.starts_with("done"), "{what}");
    }
}

#[test]
fn once_a_finding_and_so_many_a_minute() {
    let mut kernel = Kernel::default();
    let mut responder = Responder::new();
    let mut answer = |id: &str, forgeable, state, seconds: u64| {
        let source = Some("198.51.100.1");
        let finding = Finding { state, ..finding(id, source, forgeable, seconds * SECOND) };
        match responder.answer(finding.updated, &finding, &wanted(BAN), &Guards, &mut kernel) {
            None => "nothing",
            Some(Outcome::Done(_)) => "done",
            Some(Outcome::Refused(_, refusal)) => refusal.name(),
            Some(_) => "failed",
        }
    };
    use State::{Closed, Open, Update};
    for (what, id, forgeable, state, seconds, expected) in [
        ("forgeable at first", "a", true, Open, 0, "forgeable"),
        ("still: said once", "a", true, Update, 1, "nothing"),
        ("firm now", "a", false, Update, 2, "done"),
        ("once a finding", "a", false, Update, 3, "nothing"),
        ("over", "a", false, Closed, 4, "nothing"),
        ("another finding", "b", false, Open, 5, "done"),
    ] {
        assert_eq!(answer(id, forgeable, state, seconds), expected, "{what}");
    }
    for number in 0..8 {
        assert_eq!(answer(&format!("c{number}"), false, Open, 10), "done");
    }
    assert_eq!(answer("d", false, Open, 20), "too_many");
    assert_eq!(answer("d", false, Update, 61), "nothing", "said before");
    assert_eq!(answer("d", false, Update, 62), "done", "the first is a minute old");
    assert_eq!(answer("e", false, Open, 63), "too_many");
}

#[test]
fn a_restart_frees_no_actions() {
    const EPOCH: i128 = 1_700_000_000_000_000_000;
    let source = Some("198.51.100.1");
    let ask = |responder: &mut Responder, id: &str, now: u64| {
        let wanted = Wanted { per_minute: 2, ..wanted(BAN) };
        let finding = finding(id, source, false, now);
        responder
            .answer(now, &finding, &wanted, &Guards, &mut Kernel::default())
            .map(|outcome| outcome.name())
    };
    let mut first = Responder::new();
    for (id, second) in [("a", 100), ("b", 130)] {
        assert_eq!(ask(&mut first, id, second * SECOND), Some("done"));
    }
    let saved = first.save(EPOCH);
    let boot = EPOCH + 135 * i128::from(SECOND);
    // The clock and what to add to it, seconds until an action is refused and until one is done.
    for (what, now, epoch, refused, done) in [
        ("a restart", 135 * SECOND, EPOCH, 0, 25),
        ("a boot", SECOND, boot - i128::from(SECOND), 0, 60),
        ("a clock set back an hour", 135 * SECOND, EPOCH - 3_600 * 1_000_000_000, 0, 60),
    ] {
        let mut again = Responder::new();
        assert!(again.load(&saved, now, epoch), "{what}");
        assert_eq!(ask(&mut again, "c", now + refused * SECOND), Some("refused"), "{what}");
        assert_eq!(ask(&mut again, "d", now + done * SECOND), Some("done"), "{what}");
    }
    let mut later = Responder::new();
    assert!(later.load(&saved, 3_600 * SECOND, EPOCH));
    assert_eq!(later.latest.len(), 0, "of an hour ago");
    assert!(!later.load(&saved[..20], 0, EPOCH), "damaged");
    assert!(!later.load(&vec![0; 16 * (MOST_KEPT + 1)], 0, 0), "too many");
}

/// Everyone is too many, or shared, as the finding says.
struct Wary;

impl Guard for Wary {
    fn is_trusted(&self, _: &Source) -> bool {
        false
    }
    fn is_trusted_in_part(&self, _: &Source) -> bool {
        false
    }
    fn is_proxy(&self, _: u32, _: &Source) -> bool {
        false
    }
    fn is_behind_proxy(&self, _: &Source) -> bool {
        false
    }
    fn too_wide(&self, action: &Action) -> Option<Hit> {
        matches!(action, Action::Lockdown { .. }).then(Hit::default)
    }
    fn shared(&self, _: u32, source: &Source) -> Option<Crowd> {
        (source.to_string() == "192.0.2.9").then(Crowd::default)
    }
}

#[test]
fn modes_stop_and_guards_of_the_many() {
    use RespondMode::{Act, Approve, DryRun};
    let lockdown = Response::Lockdown(crate::policy::GroupIndex(0));
    let rows = [
        ("acts", BAN, Act, false, "198.51.100.1", "done"),
        ("says", BAN, DryRun, false, "198.51.100.1", "dry run"),
        ("asks", BAN, Approve, false, "198.51.100.1", "held"),
        ("stopped", BAN, Act, true, "198.51.100.1", "stopped"),
        ("a dry run is stopped too", BAN, DryRun, true, "198.51.100.1", "stopped"),
        ("shared", BAN, Act, false, "192.0.2.9", "shared"),
        ("a limit is no ban", LIMIT, Act, false, "192.0.2.9", "done"),
        ("too wide", lockdown, Act, false, "198.51.100.1", "blast_radius"),
        ("too wide to be asked", lockdown, Approve, false, "198.51.100.1", "blast_radius"),
    ];
    for (what, response, mode, stopped, source, expected) in rows {
        let mut kernel = Kernel::default();
        let mut responder = Responder::new();
        let finding = finding("a", Some(source), false, 0);
        let wanted = Wanted { mode, stopped, ..wanted(response) };
        let mut ask = |wanted: &Wanted, now| match responder.answer(
            now,
            &finding,
            wanted,
            &Wary,
            &mut kernel,
        ) {
            None => "nothing",
            Some(Outcome::Done(_)) => "done",
            Some(Outcome::DryRun(_)) => "dry run",
            Some(Outcome::Held(_)) => "held",
            Some(Outcome::Refused(_, refusal)) => refusal.name(),
            Some(_) => "other",
        };
        assert_eq!(ask(&wanted, 0), expected, "{what}");
        assert_eq!(ask(&wanted, 1), "nothing", "{what}: told once");
        if expected == "stopped" {
            let started = Wanted { stopped: false, mode: Act, ..wanted };
            assert_eq!(ask(&started, 2), "done", "{what}: started again");
        } else {
            assert_eq!(kernel.done.len(), usize::from(expected == "done"), "{what}");
        }
    }
}

#[test]
fn an_answer_lasts_as_long_as_it_says() {
    let mut kernel = Kernel::default();
    let ttl = Some(Duration::from_secs(90));
    let wanted = Wanted { answer: Answer { response: LIMIT, ttl }, ..wanted(LIMIT) };
    let done =
        Responder::new().answer(0, &finding("a", None, false, 0), &wanted, &Guards, &mut kernel);
    let Some(Outcome::Done(action)) = done else { panic!("{done:?}") };
    assert_eq!(Some(action.ttl()), ttl);
}

#[test]
fn a_failure_is_tried_again() {
    let mut kernel = Kernel { broken: true, ..Kernel::default() };
    let mut responder = Responder::new();
    let finding = finding("a", Some("198.51.100.1"), false, 0);
    let failed = responder.answer(finding.updated, &finding, &wanted(BAN), &Guards, &mut kernel);
    assert!(matches!(failed, Some(Outcome::Failed(_, error)) if error.contains("ban map")));
    kernel.broken = false;
    let done = responder.answer(finding.updated, &finding, &wanted(BAN), &Guards, &mut kernel);
    let Some(Outcome::Done(Action::Ban { source, api, reason, .. })) = done else {
        panic!("{done:?}")
    };
    assert_eq!((source.to_string().as_str(), api), ("198.51.100.1", 1));
    assert_eq!(reason, "finding a: 15 of 15 failed");
}
