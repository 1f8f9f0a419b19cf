//! `weir events`: what happened, as JSON Lines. The schema is in docs/events.md.

use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use super::outcome::{Outcome, Verdict};
use super::style::clean;
use super::{Common, value};
use crate::control::api::EventQuery;

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "With --json each line is the event as it was written; without, a short form for people.\n\n\
    Examples:\n  weir events --limit 20\n  weir events --since 1h\n  \
    weir events --follow --json | jq -c 'select(.severity == \"critical\")'"
)]
pub(super) struct EventsArgs {
    /// Go on with the events to come, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// The latest so many of those already there
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
    /// Only those of the last so long: 30s, 10m, 1h, 2d
    #[arg(long, value_name = "TIME", value_parser = value::ttl)]
    since: Option<Duration>,
    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) fn events(args: &EventsArgs) -> Verdict {
    let ago = |span: Duration| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.saturating_sub(span).as_secs()
    };
    let query = EventQuery { limit: args.limit, since: args.since.map(ago), follow: args.follow };
    let json = args.common.output.json;
    let mut stdout = io::stdout().lock();
    let mut reader_left = false;
    let result = args.common.target.client()?.events(&query, &mut |line| {
        let shown = if json { line.to_owned() } else { short(line) };
        let written = writeln!(stdout, "{shown}").and_then(|()| stdout.flush());
        reader_left = matches!(&written, Err(error) if error.kind() == io::ErrorKind::BrokenPipe);
        written
    });
    match result {
        // `weir events -f | head` ends as it should.
        Err(_) if reader_left => Ok(Outcome::Done),
        result => {
            result?;
            Ok(Outcome::Done)
        }
    }
}

/// One event on one line for a person: time, severity, name, and its sentence, which names the API
/// and the source. What is not understood is shown as it is.
pub(super) fn short(line: &str) -> String {
    let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else { return clean(line) };
    if let Some(missed) = event.get("missed").and_then(serde_json::Value::as_u64) {
        return format!("... {missed} events came faster than they were read");
    }
    let text = |field: &str| event.get(field).and_then(serde_json::Value::as_str);
    let Some(name) = text("event") else { return clean(line) };
    let time = text("time").unwrap_or("-");
    let severity = text("severity").unwrap_or("-");
    let message = text("message").unwrap_or_default();
    clean(format!("{time}  {severity:8}  {name:16}  {message}").trim_end())
}
