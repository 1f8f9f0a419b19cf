//! Runs the shift detector over recorded series: `DIR/*.csv` (`timestamp,value`, at a regular step,
//! `YYYY-MM-DD hh:mm:ss` UTC) with the labelled windows of `DIR/windows.json` (`{"FILE": [[FROM,
//! UNTIL], …]}`), with the defaults of the daemon for every one. Exit code 1 when a window has no
//! alarm, or a series more than two outside of its windows.
//!
//! `cargo xtask lab --series DIR`

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use filter_user::detect::series::{Step, Trial};
use filter_user::detect::{Alerts, SECOND};
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

/// False alarms that a series may have, unless the second argument says.
const FALSE: usize = 2;

fn main() -> Result<ExitCode> {
    let directory = std::env::args_os().nth(1).context("which directory?")?;
    let directory = Path::new(&directory);
    let most = match std::env::args().nth(2) {
        Some(number) => number.parse().context("how many false alarms?")?,
        None => FALSE,
    };
    let text = std::fs::read_to_string(directory.join("windows.json"))
        .with_context(|| format!("{}: no windows.json", directory.display()))?;
    let windows: BTreeMap<String, Vec<[String; 2]>> =
        serde_json::from_str(&text).context("windows.json")?;
    let mut good = true;
    let row = |series: &str, values: &str, found: &str, wrong: &str, alarms: &str| {
        println!("{series:<42} {values:>7} {found:>9} {wrong:>6}  {alarms}");
    };
    row("series", "values", "windows", "false", "alarms (evidence/needed; * within a window)");
    for (file, windows) in &windows {
        let parsed: Result<Vec<_>> =
            windows.iter().map(|[from, until]| Ok((seconds(from)?, seconds(until)?))).collect();
        let outcome = run(&directory.join(file), &parsed?).with_context(|| file.clone())?;
        good &= outcome.found == windows.len() && outcome.wrong <= most;
        row(
            file,
            &outcome.values.to_string(),
            &format!("{}/{}", outcome.found, windows.len()),
            &outcome.wrong.to_string(),
            outcome.alarms.first().map_or("", String::as_str),
        );
        for alarm in outcome.alarms.iter().skip(1) {
            row("", "", "", "", alarm);
        }
    }
    println!("{}", if good { "every window was found" } else { "NOT as it should be" });
    Ok(ExitCode::from(u8::from(!good)))
}

struct Outcome {
    values: usize,
    found: usize,
    wrong: usize,
    alarms: Vec<String>,
}

fn run(path: &Path, windows: &[(u64, u64)]) -> Result<Outcome> {
    let text = std::fs::read_to_string(path)?;
    let mut values = Vec::new();
    for (number, line) in (2..).zip(text.lines().skip(1)) {
        let parsed = line.split_once(',').and_then(|(time, value)| {
            Some((seconds(time).ok()?, value.trim().parse::<f64>().ok()?))
        });
        values.push(parsed.with_context(|| format!("line {number}: `{line}`"))?);
    }
    let mut gaps: Vec<_> =
        values.windows(2).map(|pair| pair[1].0.saturating_sub(pair[0].0)).collect();
    gaps.sort_unstable();
    let step = gaps.get(gaps.len() / 2).copied().unwrap_or_default();
    if !(1..=3600).contains(&step) {
        bail!("values every {step} seconds: from 1 to 3600 are understood");
    }
    let mut trial = Trial::new(step as u32, &Alerts::default());
    let mut found = vec![false; windows.len()];
    let (mut wrong, mut alarms) = (0, Vec::new());
    for &(time, value) in &values {
        let asked = trial.threshold();
        let Some((judged, step)) = trial.step(time, value) else { continue };
        if step != Step::Open {
            continue;
        }
        let mut inside = false;
        for (found, (from, until)) in found.iter_mut().zip(windows) {
            if (*from..=*until).contains(&time) {
                (*found, inside) = (true, true);
            }
        }
        wrong += usize::from(!inside);
        let at = OffsetDateTime::from_unix_timestamp(time.cast_signed())?;
        alarms.push(format!(
            "{}{} {} {:.1} for {:.1} ({:.1}/{asked:.1})",
            if inside { "*" } else { " " },
            at.format(format_description!("[year]-[month]-[day] [hour]:[minute]"))?,
            if judged.up { "up" } else { "down" },
            judged.value,
            judged.usual,
            judged.evidence,
        ));
    }
    let found = found.into_iter().filter(|found| *found).count();
    Ok(Outcome { values: values.len(), found, wrong, alarms })
}

/// Seconds since 1970 of `YYYY-MM-DD hh:mm:ss`, fractions left out.
fn seconds(text: &str) -> Result<u64> {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    let text = text.trim().split('.').next().unwrap_or_default();
    let time = PrimitiveDateTime::parse(text, format).with_context(|| format!("`{text}`"))?;
    Ok(u64::try_from(time.assume_utc().unix_timestamp_nanos())? / SECOND)
}
