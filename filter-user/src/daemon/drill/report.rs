//! The report of a drill, for those who were not there.

use std::fmt::Write as _;

use time::OffsetDateTime;
use time::macros::format_description;

use crate::control::api::{Drill, DrillState};

fn date(seconds: u64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()
}

/// `leak-20260301T140000Z.md`.
pub(super) fn file_name(drill: &Drill, ending: &str) -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let date = date(drill.started).and_then(|date| date.format(format).ok()).unwrap_or_default();
    // The name is a name of the policy: letters, digits, `.`, `_` and `-`.
    format!("{}-{date}.{ending}", drill.name)
}

/// A cell of a table: nothing in it ends the cell or the line.
fn cell(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .replace('|', "\\|")
}

fn seconds(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(seconds) if seconds < 1.0 => format!("{:.2} ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.1} s"),
    }
}

/// The report as Markdown.
pub(super) fn markdown(drill: &Drill) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    let date = date(drill.started).and_then(|date| date.format(format).ok()).unwrap_or_default();
    let what = if drill.is_playbook { "Playbook" } else { "Shutdown of the API" };
    let result = if drill.passed { "passed" } else { "**failed**" };
    let hash: String = drill.policy.chars().take(12).collect();
    let mut text = format!(
        "# Drill: {}\n\n{what} {}, {date}, by {}, policy {hash}.\n\nResult: {result}. What weir does took {}.\n\n",
        drill.name,
        drill.name,
        cell(&drill.by),
        seconds(Some(drill.seconds)),
    );
    text.push_str("| step | API | result | time | found |\n| --- | --- | --- | --- | --- |\n");
    for step in &drill.steps {
        let state = match step.state {
            DrillState::Ok => "ok",
            DrillState::Failed => "**failed**",
            DrillState::Done => "done",
            DrillState::Skipped => "skipped",
        };
        let _infallible = writeln!(
            text,
            "| {} | {} | {state} | {} | {} |",
            cell(&step.what),
            cell(&step.api),
            seconds(step.seconds),
            cell(&step.found)
        );
    }
    text.push_str("\n## Not done\n\n");
    for left in &drill.not_done {
        let _infallible = writeln!(text, "- {}", cell(left));
    }
    for (title, list) in [("Contacts", &drill.contacts), ("Told", &drill.notify)] {
        if !list.is_empty() {
            let _infallible = writeln!(text, "\n## {title}\n");
            for entry in list {
                let _infallible = writeln!(text, "- {}", cell(entry));
            }
        }
    }
    text
}
