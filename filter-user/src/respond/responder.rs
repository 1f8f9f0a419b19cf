//! From a finding and the policy's answer to an action or a refusal.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::action::{Action, Refusal};
use crate::detect::{Finding, SECOND, Source, State};
use crate::policy::Response;

/// Who must not be acted against.
pub trait Guard {
    /// Whether any address of the source is trusted.
    fn is_trusted(&self, source: &Source) -> bool;
    /// Whether any address of the source is trusted, but not in everything: a ban could hit it.
    fn is_trusted_in_part(&self, source: &Source) -> bool;
    /// Whether any address of the source is a proxy of the API (stable id).
    fn is_proxy(&self, api: u32, source: &Source) -> bool;
    /// Whether the source is only known through a proxy: no packet carries its address.
    fn is_behind_proxy(&self, source: &Source) -> bool;
}

/// Who carries actions out.
pub trait Executor {
    /// Does what the action says.
    ///
    /// # Errors
    /// Why it could not be done, for the event log: which map or API, and what to do.
    fn execute(&mut self, action: &Action) -> Result<(), String>;
}

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Most actions within a minute.
    pub per_minute: usize,
    /// How long an automatic limit or lockdown lasts; a ban says so itself.
    pub order_ttl: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { per_minute: 10, order_ttl: Duration::from_secs(600) }
    }
}

/// What became of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done(Action),
    /// It was not tried.
    Refused(Action, Refusal),
    /// A ban that names nobody was not tried.
    Impossible(Refusal),
    /// It was tried, and could not be done; it is tried again with the finding's next report.
    Failed(Action, String),
}

/// Gives answers.
#[derive(Debug)]
pub struct Responder {
    config: Config,
    /// By the id of the open finding: what it was answered with.
    answered: HashMap<Arc<str>, Answered>,
    /// When the latest actions were, ns.
    latest: VecDeque<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    Done,
    Refused(Refusal),
}

pub(super) const MINUTE: u64 = 60 * SECOND;

impl Responder {
    /// Has answered nothing yet.
    pub fn new(config: Config) -> Self {
        Self { config, answered: HashMap::new(), latest: VecDeque::new() }
    }

    /// Answers a report of a finding, at its time. `None` when there is nothing to say: the policy
    /// wants an alert only, the finding is over, it was answered before, or it was refused before for
    /// the same reason. Memory follows the open findings, which the engine bounds.
    pub fn answer(
        &mut self,
        finding: &Finding,
        answer: Response,
        guard: &impl Guard,
        executor: &mut impl Executor,
    ) -> Option<Outcome> {
        if finding.state == State::Closed {
            self.answered.remove(&finding.id);
            return None;
        }
        if self.answered.get(&finding.id) == Some(&Answered::Done) {
            return None;
        }
        let action = match self.plan(finding, answer)? {
            Ok(action) => action,
            Err(refusal) => return self.refuse(finding, refusal, Outcome::Impossible(refusal)),
        };
        if let Some(refusal) = self.hold_back(finding, &action, guard) {
            return self.refuse(finding, refusal, Outcome::Refused(action, refusal));
        }
        self.latest.push_back(finding.updated);
        Some(match executor.execute(&action) {
            Ok(()) => {
                self.answered.insert(Arc::clone(&finding.id), Answered::Done);
                Outcome::Done(action)
            }
            Err(error) => Outcome::Failed(action, error),
        })
    }

    /// Says so, once for each reason.
    fn refuse(&mut self, finding: &Finding, refusal: Refusal, outcome: Outcome) -> Option<Outcome> {
        let answered = Answered::Refused(refusal);
        let before = self.answered.insert(Arc::clone(&finding.id), answered);
        (before != Some(answered)).then_some(outcome)
    }

    /// What the answer comes to; `None` for an alert.
    fn plan(&self, finding: &Finding, answer: Response) -> Option<Result<Action, Refusal>> {
        let reason = || format!("finding {}: {}", finding.id, finding.measure.why);
        let (api, ttl) = (finding.api, self.config.order_ttl);
        Some(Ok(match answer {
            Response::Alert => return None,
            Response::Ban(ttl) => match finding.source {
                Some(source) => Action::Ban { source, api, ttl, reason: reason() },
                None => return Some(Err(Refusal::NoSource)),
            },
            Response::Limit(rate) => Action::Limit { api, rate, ttl, reason: reason() },
            Response::Lockdown(group) => Action::Lockdown { api, group, ttl, reason: reason() },
        }))
    }

    /// Why the action is not to be taken, the lasting reasons first.
    fn hold_back(
        &mut self,
        finding: &Finding,
        action: &Action,
        guard: &impl Guard,
    ) -> Option<Refusal> {
        if let Action::Ban { source, api, .. } = action {
            if guard.is_trusted(source) {
                return Some(Refusal::Trusted);
            }
            if guard.is_proxy(*api, source) {
                return Some(Refusal::Proxy);
            }
            if guard.is_behind_proxy(source) {
                return Some(Refusal::BehindProxy);
            }
        }
        if finding.measure.evidence_forgeable {
            return Some(Refusal::Forgeable);
        }
        let now = finding.updated;
        while self.latest.front().is_some_and(|time| time.saturating_add(MINUTE) <= now) {
            self.latest.pop_front();
        }
        (self.latest.len() >= self.config.per_minute).then_some(Refusal::TooMany)
    }
}

#[cfg(test)]
mod tests {
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
            completeness: 1.0,
            opened: 0,
            updated,
            closed: None,
        }
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
            let mut responder = Responder::new(Config::default());
            let finding = finding("a", source, forgeable, 0);
            let found = match responder.answer(&finding, answer, &Guards, &mut kernel) {
                None => String::new(),
                Some(Outcome::Done(action)) => {
                    assert_eq!(kernel.done, std::slice::from_ref(&action), "{what}");
                    format!("done {} {}", action.name(), action.ttl().as_secs())
                }
                Some(Outcome::Refused(_, refusal)) => format!("refused {}", refusal.name()),
                Some(Outcome::Impossible(refusal)) => format!("impossible {}", refusal.name()),
                Some(Outcome::Failed(..)) => "failed".to_owned(),
            };
            assert_eq!(found, expected, "{what}");
            assert_eq!(kernel.done.is_empty(), !expected.starts_with("done"), "{what}");
        }
    }

    #[test]
    fn once_a_finding_and_so_many_a_minute() {
        let mut kernel = Kernel::default();
        let mut responder = Responder::new(Config::default());
        let mut answer = |id: &str, forgeable, state, seconds: u64| {
            let source = Some("198.51.100.1");
            let finding = Finding { state, ..finding(id, source, forgeable, seconds * SECOND) };
            match responder.answer(&finding, BAN, &Guards, &mut kernel) {
                None => "nothing",
                Some(Outcome::Done(_)) => "done",
                Some(Outcome::Refused(_, refusal)) => refusal.name(),
                Some(Outcome::Impossible(_) | Outcome::Failed(..)) => "failed",
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
    fn a_failure_is_tried_again() {
        let mut kernel = Kernel { broken: true, ..Kernel::default() };
        let mut responder = Responder::new(Config::default());
        let finding = finding("a", Some("198.51.100.1"), false, 0);
        let failed = responder.answer(&finding, BAN, &Guards, &mut kernel);
        assert!(matches!(failed, Some(Outcome::Failed(_, error)) if error.contains("ban map")));
        kernel.broken = false;
        let done = responder.answer(&finding, BAN, &Guards, &mut kernel);
        let Some(Outcome::Done(Action::Ban { source, api, reason, .. })) = done else {
            panic!("{done:?}")
        };
        assert_eq!((source.to_string().as_str(), api), ("198.51.100.1", 1));
        assert_eq!(reason, "finding a: 15 of 15 failed");
    }
}
