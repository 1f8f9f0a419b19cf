//! `weir sink`: receivers of events, and whether they take any.

use clap::{Args, Subcommand};

use super::Common;
use super::human::{bytes, count, span};
use super::outcome::{Outcome, Verdict};
use super::style::{Style, Tone, clean};
use super::table::{Align, Table, cell};
use crate::control::api::{SinkStatus, SinkTest, SinkTested};

#[derive(Args, Clone, Debug)]
#[command(after_help = "Receivers are set in weir.toml, as [[sink]]. `weir doctor --config \
    weir.toml` tries to reach them without a daemon.\n\n\
    Examples:\n  weir sink list\n  weir sink test siem")]
pub(super) struct SinkArgs {
    #[command(subcommand)]
    verb: SinkVerb,
}

#[derive(Subcommand, Clone, Debug)]
enum SinkVerb {
    /// List them: whether they take events, and how many wait
    List(ListArgs),
    /// Send one marked event and say what the receiver answers
    Test(TestArgs),
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  weir sink list\n  \
    weir sink list --json | jq '.[] | select(.state == \"failing\")'")]
struct ListArgs {
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "The event is `sink_test`; an Alertmanager gets an alert `WeirTest` that ends \
    after a minute.\nIt goes past the sink's filter and its spool. Exit code 1 when it is not \
    taken.\n\nExamples:\n  weir sink test siem"
)]
struct TestArgs {
    /// The sink
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    common: Common,
}

impl SinkArgs {
    pub(super) fn json(&self) -> bool {
        match &self.verb {
            SinkVerb::List(args) => args.common.output.json,
            SinkVerb::Test(args) => args.common.output.json,
        }
    }
}

pub(super) fn sink(args: &SinkArgs) -> Verdict {
    match &args.verb {
        SinkVerb::List(args) => {
            let status = args.common.target.client()?.status()?;
            let now = status.daemon.time;
            args.common.output.printer().print(&status.sinks, |style| {
                let table = table(&status.sinks, now);
                match table.is_empty() {
                    true => "no sinks: [[sink]] in weir.toml makes one\n".to_owned(),
                    false => table.render(style) + &errors(&status.sinks, now, style),
                }
            })?;
            Ok(Outcome::Done)
        }
        SinkVerb::Test(args) => {
            let request = SinkTest { sink: args.name.clone() };
            let tested = args.common.target.client()?.sink_test(&request)?;
            args.common.output.printer().print(&tested, |style| verdict(&tested, style))?;
            Ok(if tested.taken { Outcome::Done } else { Outcome::No })
        }
    }
}

fn verdict(tested: &SinkTested, style: Style) -> String {
    let (word, tone) = if tested.taken { ("taken", Tone::Good) } else { ("not taken", Tone::Bad) };
    let millis = tested.seconds * 1e3;
    let (sink, answer) = (clean(&tested.sink), clean(&tested.answer));
    format!("{sink}: {} after {millis:.0} ms: {answer}\n", style.paint(tone, word))
}

/// A line for each; `now` is the daemon's clock.
pub(super) fn table(sinks: &[SinkStatus], now: u64) -> Table<7> {
    let mut table = Table::new([
        ("SINK", Align::Left),
        ("STATE", Align::Left),
        ("WAITING", Align::Right),
        ("DELIVERED", Align::Right),
        ("DROPPED", Align::Right),
        ("LAST", Align::Right),
        ("WHERE", Align::Cut),
    ]);
    for sink in sinks {
        let tone = match sink.state.as_str() {
            "failing" => Tone::Bad,
            "delivering" => Tone::Good,
            _ => Tone::Quiet,
        };
        let waits = match sink.pending {
            0 => "0".to_owned(),
            pending => format!("{} ({})", count(pending), bytes(sink.pending_bytes)),
        };
        let dropped = sink.dropped.values().sum::<u64>();
        let last = sink.last_success.map(|at| format!("{} ago", span(now.saturating_sub(at))));
        table.row([
            cell(&sink.name, Tone::Strong),
            cell(&sink.state, tone),
            waits.into(),
            count(sink.delivered).into(),
            cell(count(dropped), if dropped > 0 { Tone::Warn } else { Tone::Quiet }),
            last.unwrap_or_else(|| "never".to_owned()).into(),
            format!("{} {}", sink.kind, sink.place).into(),
        ]);
    }
    table
}

/// What went wrong last, and what was given up.
fn errors(sinks: &[SinkStatus], now: u64, style: Style) -> String {
    let mut lines = String::new();
    for sink in sinks {
        let name = clean(&sink.name);
        if let (Some(error), Some(at)) = (&sink.last_error, sink.last_error_at) {
            let age = span(now.saturating_sub(at));
            let next = match sink.next_try_seconds {
                Some(seconds) => format!("; next try in {seconds} s"),
                None => String::new(),
            };
            let mark = style.paint(Tone::Warn, "!");
            lines.push_str(&format!("{mark} {name}, {age} ago: {}{next}\n", clean(error)));
        }
        let reasons: Vec<String> =
            sink.dropped.iter().map(|(why, n)| format!("{} {}", count(*n), clean(why))).collect();
        if !reasons.is_empty() {
            let mark = style.paint(Tone::Warn, "!");
            lines.push_str(&format!("{mark} {name} dropped: {}\n", reasons.join(", ")));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sinks_as_people_read_them() {
        let sinks = [
            SinkStatus {
                name: "siem".into(),
                kind: "syslog".into(),
                place: "tls://siem:6514".into(),
                state: "failing".into(),
                pending: 1_200,
                pending_bytes: 4_096,
                dropped: [("spool_full".into(), 3)].into(),
                last_error: Some("no answer\u{1b} within 10s".into()),
                last_error_at: Some(990),
                next_try_seconds: Some(7),
                ..SinkStatus::default()
            },
            SinkStatus {
                name: "am".into(),
                kind: "alertmanager".into(),
                state: "delivering".into(),
                delivered: 5,
                last_success: Some(998),
                ..SinkStatus::default()
            },
        ];
        let text = table(&sinks, 1_000).render(Style::PLAIN) + &errors(&sinks, 1_000, Style::PLAIN);
        for part in [
            "siem",
            "failing",
            "1200 (",
            "never",
            "2s ago",
            "10s ago: no answer",
            "in 7 s",
            "3 spool_full",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
        let tested = |taken| SinkTested {
            sink: "siem".into(),
            taken,
            answer: "HTTP 200".into(),
            seconds: 0.0123,
        };
        assert_eq!(verdict(&tested(true), Style::PLAIN), "siem: taken after 12 ms: HTTP 200\n");
        assert!(verdict(&tested(false), Style::PLAIN).contains("not taken"));
    }
}
