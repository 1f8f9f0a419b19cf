//! What should have been done by now: drills, looking at findings, taking down what is retired, feeds,
//! the report itself.

use super::facts::Facts;
use super::points::{Level, Point, Topic};
use super::words::{date, span};
use super::{Report, words};
use crate::control::api::FeedState;

/// Without a schedule a report is due after so long, seconds.
const REPORT_DUE: u64 = 90 * 86_400;
/// A retired API that was used within so long is in use, seconds.
const IN_USE: u64 = 7 * 86_400;

/// All of it.
pub(super) fn of(facts: &Facts, previous: Option<&Report>) -> Vec<Point> {
    let mut points = Vec::new();
    let mut add = |level, api: &str, key: String, text| {
        points.push(Point::new(level, Topic::Overdue, api, &key, text));
    };
    for book in &facts.playbooks {
        let key = format!("drill {}", book.name);
        let limit = facts.terms.drill_seconds;
        match book.drilled {
            None => {
                let text = format!("playbook {} was never drilled", book.name);
                add(Level::Notice, "", key, text);
            }
            Some(time) if facts.older(time, limit) => {
                let text = format!(
                    "playbook {} was last drilled {}, more than {} ago",
                    book.name,
                    date(time),
                    span(limit)
                );
                add(Level::Notice, "", key, text);
            }
            Some(time) if book.drill_passed == Some(false) => {
                let text =
                    format!("the last drill of playbook {} failed, {}", book.name, date(time));
                add(Level::Warning, "", key, text);
            }
            Some(_) => {}
        }
    }
    let unseen = facts.findings.iter().filter(|found| found.acknowledged.is_none());
    for found in unseen.filter(|found| found.state == "open") {
        if facts.older(found.opened, facts.terms.finding_seconds) {
            let text = format!(
                "finding {} ({}) has been open since {}",
                found.id,
                found.detector,
                date(found.opened)
            );
            // The finding itself counts at its own level already.
            let level = found.severity.parse().unwrap_or(Level::Notice);
            let level = level.clamp(Level::Notice, Level::Warning);
            add(level, &found.api, format!("finding {}", found.id), text);
        }
    }
    for api in &facts.apis {
        let retired = api.seen.lifecycle.as_deref() == Some("retired");
        if let Some(last) = api.seen.last_seen.filter(|&last| retired && !facts.older(last, IN_USE))
        {
            let text = format!("retired, and still in use: last seen {}", date(last));
            add(Level::Warning, &api.seen.name, "retired".to_owned(), text);
        }
    }
    for feed in &facts.feeds {
        let why = match feed.state {
            FeedState::Current if feed.problem.is_empty() => continue,
            _ if !feed.problem.is_empty() => format!(": {}", feed.problem),
            FeedState::RolledBack => {
                ": what is in force is of a generation gone back to".to_owned()
            }
            _ => String::new(),
        };
        let text = format!(
            "feed {} is stale since {}{why}",
            feed.feed,
            words::date_or_never(Some(feed.last_success).filter(|&time| time > 0))
        );
        add(Level::Warning, "", format!("feed {}", feed.feed), text);
    }
    let due = facts.terms.every_seconds.unwrap_or(REPORT_DUE);
    // One that is made when it is due is a moment late, and that is no news.
    let due = due.saturating_add(due / 10);
    if let Some(before) = previous.filter(|before| facts.older(before.facts.time, due)) {
        let text = format!(
            "the report before this one is of {}, more than {} ago",
            date(before.facts.time),
            span(due)
        );
        add(Level::Notice, "", "report".to_owned(), text);
    }
    points
}
