//! The posture report: what stands between each API and its abuse, what does not, and what changed.
//!
//! Pure: [`Facts`] are what the daemon knows at one moment, [`Report::of`] judges them, [`markdown`] and
//! [`html`] write the report down. The same facts give the same bytes. Gathering facts, keeping reports
//! and telling of them is the daemon's; no clock and no disk are here.

pub mod changes;
mod escape;
pub mod facts;
mod html;
pub mod layers;
mod markdown;
mod overdue;
pub mod owasp;
mod points;
mod rows;
#[cfg(test)]
mod tests;
mod words;

use serde::{Deserialize, Serialize};

pub use changes::Changes;
pub use facts::{ApiFacts, Facts, LimitFact};
pub use layers::{Layer, LayerKind, State};
pub use owasp::{Coverage, Entry, Risk};
pub use points::{Level, Point, Topic};

/// Version of the report's JSON: raised when a field changes its meaning or goes away.
pub const REPORT: u32 = 1;

/// The largest report that is read, bytes.
pub const LARGEST: u64 = 64 << 20;

/// A report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`REPORT`].
    pub report: u32,
    /// When the facts were gathered, RFC 3339 in UTC.
    pub date: String,
    /// What is open, the worst first.
    pub points: Vec<Point>,
    /// Each API, in the order of the facts.
    pub apis: Vec<Posture>,
    /// What is different from the report before; `None`: there is none.
    pub changes: Option<Changes>,
    /// What all of this was judged by.
    pub facts: Facts,
}

/// How an API stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Posture {
    /// Its name.
    pub name: String,
    /// What protects it, every layer there is.
    pub layers: Vec<Layer>,
    /// The OWASP API Security Top 10 of 2023, in its order.
    pub owasp: Vec<Entry>,
}

impl Posture {
    fn of(facts: &Facts, api: &ApiFacts) -> Self {
        Self {
            name: api.seen.name.clone(),
            layers: layers::of(facts, api),
            owasp: owasp::of(facts, api),
        }
    }

    /// How many of its layers are in this state.
    pub fn count(&self, state: State) -> usize {
        self.layers.iter().filter(|layer| layer.state == state).count()
    }
}

/// How a report is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Markdown, with the tables of GitHub.
    Markdown,
    /// One HTML page that needs nothing else.
    Html,
    /// JSON.
    Json,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Markdown, Self::Html, Self::Json];

    /// The ending of its files.
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            Self::Html => "html",
            Self::Json => "json",
        }
    }
}

impl Report {
    /// Judges facts. The report before, where they have one, goes into [`Report::changes`] and out of
    /// [`Report::facts`].
    pub fn of(mut facts: Facts) -> Self {
        let previous = facts.previous.take();
        let apis: Vec<Posture> = facts.apis.iter().map(|api| Posture::of(&facts, api)).collect();
        let points = points::of(&facts, &apis, previous.as_deref());
        let mut report = Self {
            report: REPORT,
            date: words::rfc3339(facts.time),
            points,
            apis,
            changes: None,
            facts,
        };
        report.changes = previous.map(|previous| changes::between(&previous, &report));
        report
    }

    /// The report as text.
    pub fn write(&self, format: Format) -> String {
        match format {
            Format::Markdown => markdown::write(self),
            Format::Html => html::write(self),
            // A map whose keys are not strings is the only thing that JSON cannot hold; there is none.
            Format::Json => serde_json::to_string_pretty(self)
                .map_or_else(|_| String::new(), |text| text + "\n"),
        }
    }

    /// The name of its file without an ending: `posture-20260301T140000Z`.
    pub fn file_name(&self) -> String {
        format!("posture-{}", words::compact(self.facts.time))
    }

    /// Points at or above a level, but for findings that are muted.
    pub fn at_least(&self, level: Level) -> impl Iterator<Item = &Point> {
        self.points.iter().filter(move |point| point.level >= level && !point.muted)
    }

    /// Points of exactly a level.
    pub fn count(&self, level: Level) -> usize {
        self.points.iter().filter(|point| point.level == level).count()
    }
}
