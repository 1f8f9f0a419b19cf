//! `weir breach drill`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;

use super::super::Common;
use super::super::outcome::{Failure, Outcome, Verdict};
use super::super::style::{Style, Tone, clean};
use super::super::table::{Align, Table, cell};
use super::run::ask;
use crate::control::api::{Drill, DrillEnd, DrillRequest, DrillState, Drilled};

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Everything but the last step: nobody meets an order. The orders are tried out by the kernel on\n\
    packets that nobody sent, and written to a cell that no API has. Manual steps are timed on a terminal\n\
    (Enter when done), and skipped elsewhere. The report goes into drills/ of the state directory. Exit code 1\n\
    when something would not work.\n\n\
    Examples:\n  weir breach drill leak\n  weir breach drill orders --output /srv/reports"
)]
pub(super) struct DrillArgs {
    /// A playbook of the policy, or an API: its shutdown
    #[arg(value_name = "PLAYBOOK|API")]
    name: String,
    /// Write the report, as Markdown and JSON, into this directory [default: the state directory]
    #[arg(long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) fn drill(args: &DrillArgs) -> Verdict {
    let client = args.common.target.client()?;
    let start = Instant::now();
    client.playbooks()?;
    let answered = start.elapsed();
    let drill = client.breach_drill(&DrillRequest { name: args.name.clone() })?;
    let manual: Vec<String> = drill
        .steps
        .iter()
        .filter(|step| step.state == DrillState::Skipped && step.api.is_empty())
        .map(|step| step.what.clone())
        .collect();
    let taken = if args.common.output.json { vec![None; manual.len()] } else { ask(&manual)? };
    let end = DrillEnd {
        id: drill.id,
        manual: taken.iter().map(|time| time.map(|time| time.as_secs_f64())).collect(),
        answered_seconds: Some(answered.as_secs_f64()),
        keep: args.output.is_none(),
    };
    let mut drilled = client.breach_drill_end(&end)?;
    if let Some(directory) = &args.output {
        drilled.files = write(directory, &drilled)?;
    }
    args.common.output.printer().print(&drilled, |style| describe(&drilled, style))?;
    Ok(if drilled.drill.passed { Outcome::Done } else { Outcome::No })
}

/// Writes the report with one's own rights; the files.
fn write(directory: &Path, drilled: &Drilled) -> Result<Vec<String>, Failure> {
    let Drill { name, started, .. } = &drilled.drill;
    let body = serde_json::to_string_pretty(&drilled.drill).map_err(anyhow::Error::from)?;
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let mut files = Vec::new();
    for (ending, text) in [("md", &drilled.markdown), ("json", &body)] {
        let path = directory.join(format!("{name}-{started}.{ending}"));
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        files.push(path.display().to_string());
    }
    Ok(files)
}

fn describe(drilled: &Drilled, style: Style) -> String {
    let drill = &drilled.drill;
    let mut table = Table::new([
        ("RESULT", Align::Left),
        ("TIME", Align::Right),
        ("API", Align::Left),
        ("STEP", Align::Left),
        ("FOUND", Align::Cut),
    ]);
    for step in &drill.steps {
        let state = match step.state {
            DrillState::Ok => cell("ok", Tone::Good),
            DrillState::Done => cell("done", Tone::Good),
            DrillState::Failed => cell("FAILED", Tone::Bad),
            DrillState::Skipped => cell("skipped", Tone::Warn),
        };
        let time = match step.seconds {
            None => "–".to_owned(),
            Some(seconds) if seconds < 1.0 => format!("{:.2} ms", seconds * 1e3),
            Some(seconds) => format!("{seconds:.1} s"),
        };
        table.row([
            state,
            time.into(),
            (&step.api).into(),
            (&step.what).into(),
            (&step.found).into(),
        ]);
    }
    let mut text = table.render(style);
    text.push_str("not done:\n");
    for left in &drill.not_done {
        text.push_str(&format!("  {}\n", clean(left)));
    }
    for file in &drilled.files {
        text.push_str(&format!("report: {}\n", clean(file)));
    }
    let verdict = if drill.passed {
        style.paint(Tone::Good, "passed: what weir does would work")
    } else {
        style.paint(Tone::Bad, "FAILED: something would not work")
    };
    text.push_str(&format!("{verdict}\n"));
    text
}
