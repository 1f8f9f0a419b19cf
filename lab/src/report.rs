//! What came of it: tables for people, in Markdown, and the same as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::judge::{Judgement, judge};
use crate::plan::{DAY, Label, Plan};
use crate::replay::Found;
use crate::world::APIS;

/// Share of what is found that must be right, and of what must be found that is.
pub const GOAL: f64 = 0.95;
/// Days that false alarms are counted for.
const DAYS: f64 = 28.0;
/// Alerts a day that the policy allows when it says nothing (docs/policy.md, `[alerts]`).
const BUDGET: [(&str, f64); 4] =
    [("critical", 1.0), ("warning", 2.0), ("notice", 10.0), ("info", 50.0)];

/// One run over one plan.
#[derive(Debug)]
pub struct Run {
    /// The plan's seed.
    pub seed: u64,
    /// Its labels.
    pub labels: Vec<Label>,
    /// Benign days before the first attack.
    pub days: f64,
    /// Requests.
    pub requests: usize,
    /// What was found.
    pub found: Vec<Found>,
    /// How that is judged.
    pub judged: Judgement,
}

impl Run {
    /// Judges what was found.
    pub fn new(seed: u64, plan: &Plan, found: Vec<Found>) -> Self {
        let judged = judge(plan, &found);
        let (labels, days) = (plan.labels.clone(), plan.benign / DAY);
        Self { seed, labels, days, requests: plan.requests.len(), found, judged }
    }

    fn outcomes(&self) -> impl Iterator<Item = (&Label, Option<f64>)> {
        self.labels.iter().zip(self.judged.outcomes.iter().map(|outcome| outcome.after))
    }
}

/// Counts of several runs together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// What must be found, and was.
    pub found: usize,
    /// What must be found.
    pub must: usize,
    /// What was found though it need not be.
    pub more: usize,
    /// Findings about nothing.
    pub wrong: usize,
    /// Those of them before the first attack.
    pub wrong_benign: usize,
    /// Benign days before the first attacks.
    pub days: f64,
}

impl Totals {
    /// Of these runs.
    pub fn of(runs: &[Run]) -> Self {
        let mut totals = Self::default();
        for run in runs {
            for (label, after) in run.outcomes() {
                totals.must += usize::from(label.must);
                totals.found += usize::from(label.must && after.is_some());
                totals.more += usize::from(!label.must && after.is_some());
            }
            totals.wrong += run.judged.wrong.len();
            totals.wrong_benign += benign(run).count();
            totals.days += run.days;
        }
        totals
    }

    /// Share of the events told that are right, on the days on which something happens: where nothing
    /// does, none can be, and their number is what the budget is for.
    pub fn precision(&self) -> f64 {
        self.share(self.wrong - self.wrong_benign)
    }

    /// The same of all days.
    pub fn precision_of_all(&self) -> f64 {
        self.share(self.wrong)
    }

    fn share(&self, wrong: usize) -> f64 {
        let right = (self.found + self.more) as f64;
        if right == 0.0 && wrong == 0 { 1.0 } else { right / (right + wrong as f64) }
    }

    /// Share of the events that must be told that are.
    pub fn recall(&self) -> f64 {
        if self.must == 0 { 1.0 } else { self.found as f64 / self.must as f64 }
    }
}

/// False alarms before the first attack.
fn benign(run: &Run) -> impl Iterator<Item = &Found> {
    let wrong = run.judged.wrong.iter().map(|&place| &run.found[place]);
    wrong.filter(|found| found.opened < run.days * DAY)
}

/// Whether every goal is met.
pub fn is_met(runs: &[Run]) -> bool {
    let totals = Totals::of(runs);
    let budget = within_budget(runs).iter().all(|(_, seen, allowed)| seen <= allowed);
    totals.precision() >= GOAL && totals.found == totals.must && budget
}

/// By severity: false alarms, and how many are allowed in the time.
fn within_budget(runs: &[Run]) -> Vec<(&'static str, f64, f64)> {
    let days: f64 = runs.iter().map(|run| run.days).sum();
    let each = BUDGET.iter().map(|(severity, a_day)| {
        let wrong = runs.iter().flat_map(benign).filter(|found| found.severity == *severity);
        (*severity, wrong.count() as f64, a_day * days)
    });
    each.collect()
}

/// A table in Markdown that is one on a terminal too.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|text| text.chars().count()).collect();
    for row in rows {
        for (width, text) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.zip(&widths).map(|(text, &width)| format!(" {text:<width$} |"));
        format!("|{}\n", cells.collect::<String>())
    };
    let mut text = line(&mut head.iter().copied());
    let rule: String = widths.iter().map(|width| format!(" {} |", "-".repeat(*width))).collect();
    text += &format!("|{rule}\n");
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

/// A length of time for people.
fn span(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 120.0 => format!("{seconds:.0} s"),
        seconds if seconds < 7200.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get(values.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// Everything in Markdown.
pub fn text(runs: &[Run]) -> String {
    let seeds: Vec<String> = runs.iter().map(|run| run.seed.to_string()).collect();
    let requests: usize = runs.iter().map(|run| run.requests).sum();
    let totals = Totals::of(runs);
    let mut text = format!(
        "{} run{} (seed {}), {requests} requests, {:.0} benign days before the attacks.\n\n",
        runs.len(),
        if runs.len() == 1 { "" } else { "s" },
        seeds.join(", "),
        totals.days,
    );
    text += &goals(runs, &totals);
    text += "\n";
    text += &detectors(runs);
    text += "\n";
    text += &strengths(runs);
    text
}

fn goals(runs: &[Run], totals: &Totals) -> String {
    let verdict = |met: bool| if met { "met" } else { "**missed**" }.to_owned();
    let mut rows = vec![
        vec![
            "found of what must be found".to_owned(),
            "all".to_owned(),
            format!("{} of {}", totals.found, totals.must),
            verdict(totals.found == totals.must),
        ],
        vec![
            "recall by event".to_owned(),
            format!("{GOAL}"),
            format!("{:.3}", totals.recall()),
            verdict(totals.recall() >= GOAL),
        ],
        vec![
            "precision by event, days with attacks".to_owned(),
            format!("{GOAL}"),
            format!("{:.3} ({} false)", totals.precision(), totals.wrong - totals.wrong_benign),
            verdict(totals.precision() >= GOAL),
        ],
        vec![
            "the same with the benign days".to_owned(),
            "–".to_owned(),
            format!("{:.3} ({} false)", totals.precision_of_all(), totals.wrong),
            String::new(),
        ],
    ];
    for (severity, seen, allowed) in within_budget(runs) {
        let scale = DAYS / totals.days.max(1.0);
        rows.push(vec![
            format!("false alarms in {DAYS} benign days, {severity}"),
            format!("{:.0}", allowed * scale),
            format!("{:.1}", seen * scale),
            verdict(seen <= allowed),
        ]);
    }
    table(&["goal", "asked", "measured", ""], &rows)
}

/// By the first detector of the labels.
fn detectors(runs: &[Run]) -> String {
    #[derive(Default)]
    struct Row {
        found: usize,
        must: usize,
        weaker: [usize; 2],
        after: Vec<f64>,
        wrong: usize,
    }
    let mut by: BTreeMap<String, Row> = BTreeMap::new();
    for run in runs {
        for (label, after) in run.outcomes() {
            let row = by.entry(label.detectors[0].to_owned()).or_default();
            if label.must {
                row.must += 1;
                row.found += usize::from(after.is_some());
                row.after.extend(after);
            } else {
                row.weaker[0] += usize::from(after.is_some());
                row.weaker[1] += 1;
            }
        }
        for &place in &run.judged.wrong {
            by.entry(run.found[place].detector.clone()).or_default().wrong += 1;
        }
    }
    let rows: Vec<_> = by
        .into_iter()
        .map(|(detector, row)| {
            let right = row.found + row.weaker[0];
            let share = |part: usize, all: usize| match all {
                0 => "–".to_owned(),
                _ => format!("{:.2}", part as f64 / all as f64),
            };
            vec![
                detector,
                format!("{} of {}", row.found, row.must),
                format!("{} of {}", row.weaker[0], row.weaker[1]),
                share(row.found, row.must),
                share(right, right + row.wrong),
                row.wrong.to_string(),
                median(row.after).map_or("–".to_owned(), span),
            ]
        })
        .collect();
    let head =
        ["detector", "must be found", "weaker", "recall", "precision", "false", "median delay"];
    table(&head, &rows)
}

/// By detector and strength.
fn strengths(runs: &[Run]) -> String {
    type Key = (String, bool, String);
    let mut by: BTreeMap<Key, (usize, Vec<f64>, usize)> = BTreeMap::new();
    let mut number = 0;
    for run in runs {
        for (label, after) in run.outcomes() {
            let key = (label.detectors[0].to_owned(), !label.must, label.strength.clone());
            let row = by.entry(key).or_insert_with(|| {
                number += 1;
                (0, Vec::new(), number)
            });
            row.0 += 1;
            row.1.extend(after);
        }
    }
    let rows: Vec<_> = by
        .into_iter()
        .map(|((detector, weak, strength), (all, after, _))| {
            vec![
                detector,
                strength,
                if weak { "" } else { "yes" }.to_owned(),
                format!("{} of {all}", after.len()),
                median(after).map_or("–".to_owned(), span),
            ]
        })
        .collect();
    table(&["detector", "what happens", "must", "found", "after"], &rows)
}

/// What was missed and what was wrong, a line each.
pub fn mistakes(runs: &[Run]) -> String {
    let mut text = String::new();
    let clock = |time: f64| {
        let (day, hour) = ((time / DAY).floor(), time % DAY / 3600.0);
        format!("day {day:.0} {:02.0}:{:02.0}", hour.floor(), hour.fract() * 60.0)
    };
    for run in runs {
        for (label, after) in run.outcomes() {
            if label.must && after.is_none() {
                let api = APIS[usize::from(label.api)].name;
                text += &format!(
                    "seed {} missed: {} at {api}, {} ({})\n",
                    run.seed,
                    label.detectors[0],
                    label.strength,
                    clock(label.begin)
                );
            }
        }
        for &place in &run.judged.wrong {
            let Found { detector, severity, api, why, opened, .. } = &run.found[place];
            text += &format!(
                "seed {} false: {}: {detector} ({severity}) at {api}: {why}\n",
                run.seed,
                clock(*opened)
            );
        }
    }
    text
}

/// Everything as JSON.
pub fn json(runs: &[Run]) -> Value {
    let totals = Totals::of(runs);
    let run = |run: &Run| {
        let labels: Vec<_> = run
            .outcomes()
            .map(|(label, after)| {
                json!({
                    "detectors": label.detectors, "strength": label.strength, "must": label.must,
                    "api": APIS[usize::from(label.api)].name, "begin": label.begin,
                    "end": label.end, "found_after_seconds": after,
                })
            })
            .collect();
        let wrong: Vec<_> = run
            .judged
            .wrong
            .iter()
            .map(|&place| {
                let found = &run.found[place];
                json!({
                    "detector": found.detector, "severity": found.severity, "api": found.api,
                    "source": found.source, "endpoint": found.endpoint, "opened": found.opened,
                    "closed": found.closed, "why": found.why,
                })
            })
            .collect();
        json!({
            "seed": run.seed, "requests": run.requests, "benign_days": run.days, "labels": labels,
            "false": wrong, "findings": run.found.len(), "beside": run.judged.beside,
        })
    };
    json!({
        "met": is_met(runs), "recall": totals.recall(), "precision": totals.precision(),
        "precision_with_benign_days": totals.precision_of_all(),
        "false_benign": totals.wrong_benign, "benign_days": totals.days,
        "runs": runs.iter().map(run).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up() {
        let rows = [vec!["a".to_owned(), "bcd".to_owned()], vec!["–".to_owned(), String::new()]];
        let expected = "| x | y   |\n| - | --- |\n| a | bcd |\n| – |     |\n";
        assert_eq!(table(&["x", "y"], &rows), expected);
    }

    #[test]
    fn shares() {
        let (wrong, wrong_benign) = (20, 19);
        let totals =
            Totals { found: 18, must: 20, more: 1, wrong, wrong_benign, ..Totals::default() };
        assert_eq!((totals.precision(), totals.recall()), (0.95, 0.9));
        assert_eq!(totals.precision_of_all(), 19.0 / 39.0);
        assert_eq!(Totals::default().precision(), 1.0);
        for (values, expected) in
            [(vec![], None), (vec![3.0, 1.0, 2.0], Some(2.0)), (vec![4.0, 1.0], Some(2.5))]
        {
            assert_eq!(median(values), expected);
        }
    }
}
