//! What is open: findings, layers that are missing, what is overdue; each with how much it matters.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::facts::{ApiFacts, Facts};
use super::layers::{LayerKind, State};
use super::{Posture, Report, overdue, words};

/// How much a point matters: the severities of findings and events.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// To be read when one looks for it.
    #[default]
    Info,
    /// Worth a look.
    Notice,
    /// Someone should look today.
    Warning,
    /// Someone should look now.
    Critical,
}

impl Level {
    /// Every level, the worst first.
    pub const WORST_FIRST: [Self; 4] = [Self::Critical, Self::Warning, Self::Notice, Self::Info];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    const fn less(self) -> Self {
        match self {
            Self::Critical => Self::Warning,
            Self::Warning => Self::Notice,
            Self::Notice | Self::Info => Self::Info,
        }
    }
}

impl FromStr for Level {
    type Err = ();

    /// By its name. `high`, which other scales have above their middle, is [`Level::Warning`].
    fn from_str(text: &str) -> Result<Self, ()> {
        let known = Self::WORST_FIRST.into_iter().find(|level| level.name() == text);
        known.or((text == "high").then_some(Self::Warning)).ok_or(())
    }
}

/// What a point is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// An open finding.
    Finding,
    /// Something that should have been done.
    Overdue,
    /// A layer that is missing or does less than it could.
    Layer,
    /// weir itself does not see or enforce all it should.
    Telemetry,
}

impl Topic {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Finding => "finding",
            Self::Overdue => "overdue",
            Self::Layer => "layer",
            Self::Telemetry => "telemetry",
        }
    }
}

/// Something that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// How much it matters.
    pub level: Level,
    /// What it is about.
    pub topic: Topic,
    /// At which API; empty: of the host.
    pub api: String,
    /// What it is, the same from report to report: a finding's id, a layer's name, what is overdue.
    pub key: String,
    /// A sentence.
    pub text: String,
    /// An operator does not want to be told of it: [`Report::at_least`] leaves it out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub muted: bool,
}

impl Point {
    pub(super) fn new(level: Level, topic: Topic, api: &str, key: &str, text: String) -> Self {
        Self { level, topic, api: api.to_owned(), key: key.to_owned(), text, muted: false }
    }
}

/// All of them, the worst first, then by topic and in the order of the facts.
pub(super) fn of(facts: &Facts, apis: &[Posture], previous: Option<&Report>) -> Vec<Point> {
    let mut points: Vec<Point> = facts
        .findings
        .iter()
        .filter(|found| found.state == "open")
        .map(|found| {
            let level = found.severity.parse().unwrap_or(Level::Warning);
            let muted = if found.muted { " (muted)" } else { "" };
            let text = format!("{}{muted}: {}", found.detector, found.why);
            let point = Point::new(level, Topic::Finding, &found.api, &found.id, text);
            Point { muted: found.muted, ..point }
        })
        .collect();
    points.extend(overdue::of(facts, previous));
    for (api, posture) in facts.apis.iter().zip(apis) {
        points.extend(layers(api, posture));
    }
    points.extend(telemetry(facts));
    points.sort_by_key(|point| (std::cmp::Reverse(point.level), point.topic));
    points
}

fn layers(api: &ApiFacts, posture: &Posture) -> Vec<Point> {
    if !api.seen.declared {
        let text =
            "nothing holds its sources or their rates: no API of the policy claims it".to_owned();
        return vec![Point::new(Level::Notice, Topic::Layer, &api.seen.name, "declared", text)];
    }
    let lacking = posture.layers.iter().filter_map(|layer| {
        let full = worth(layer.layer, api.criticality());
        let level = match layer.state {
            State::Missing => full,
            State::Partly => full.less(),
            State::Present | State::Unseen | State::NotApplicable => return None,
        };
        let (kind, state) = (layer.layer, layer.state.title());
        let text = format!("{} {state}: {}", kind.title(), layer.found);
        Some(Point::new(level, Topic::Layer, &api.seen.name, kind.name(), text))
    });
    lacking.collect()
}

/// What it means that a layer is missing, by what an incident would cost.
fn worth(layer: LayerKind, criticality: &str) -> Level {
    let matters = match criticality {
        "low" => 0,
        "medium" => 1,
        "high" => 2,
        _ => 3,
    };
    let by_worth = match layer {
        // What keeps one stranger from using up or taking all of it.
        LayerKind::RateLimit | LayerKind::Tls | LayerKind::Authentication | LayerKind::People => {
            [Level::Info, Level::Notice, Level::Warning, Level::Warning]
        }
        // What says that there is something to see, and has something done.
        LayerKind::Login | LayerKind::Response | LayerKind::Openapi | LayerKind::Playbook => {
            [Level::Info, Level::Info, Level::Notice, Level::Warning]
        }
        // Many an API is for everyone, and by packets it is limited as well.
        LayerKind::Allowlist | LayerKind::Quota => {
            [Level::Info, Level::Info, Level::Info, Level::Notice]
        }
    };
    by_worth[matters]
}

/// The share below which numbers say little.
const FLOOR: f64 = 0.95;

fn telemetry(facts: &Facts) -> Vec<Point> {
    let mut points = Vec::new();
    let mut add = |level, key: &str, text| {
        points.push(Point::new(level, Topic::Telemetry, "", key, text));
    };
    if facts.policy.is_none() {
        let text = "no policy is in force: weir observes and refuses nothing".to_owned();
        add(Level::Warning, "policy", text);
    }
    if facts.policy.as_ref().is_some_and(|policy| policy.pending) {
        let text = "the policy file differs from what is in force".to_owned();
        add(Level::Notice, "pending", text);
    }
    for interface in &facts.interfaces {
        if let Some(problem) = &interface.problem {
            let text = format!("{} is not gated: {problem}", interface.name);
            add(Level::Critical, &format!("interface {}", interface.name), text);
        }
    }
    if facts.samples.completeness < FLOOR {
        let share = words::percent(facts.samples.completeness);
        let text = format!("only {share} of the telemetry of the last minute arrived");
        add(Level::Warning, "completeness", text);
    }
    if facts.receivers == 0 {
        let text = "no receiver of events is set up: nobody is told but who looks".to_owned();
        add(Level::Info, "receivers", text);
    }
    points
}
