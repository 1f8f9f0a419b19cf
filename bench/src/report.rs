//! What a number comes to: goals, each met or missed, and tables beside them.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

/// Says on the standard error what is going on, to whoever waits at a terminal.
pub(crate) fn tell(what: &str) {
    if io::stderr().is_terminal() {
        note(what);
    }
}

/// Says on the standard error what belongs to the numbers.
pub(crate) fn note(what: &str) {
    eprintln!("bench: {what}");
}

struct Goal {
    what: String,
    most: f64,
    measured: f64,
}

/// One number's report.
#[derive(Default)]
pub(crate) struct Report {
    goals: Vec<Goal>,
    text: String,
}

impl Report {
    /// A goal: `measured` may be at most `most`.
    pub(crate) fn at_most(&mut self, what: &str, most: f64, measured: f64) {
        self.goals.push(Goal { what: what.to_owned(), most, measured });
    }

    /// A line of what stands under the goals.
    pub(crate) fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A table with its heads; columns after the first are numbers.
    pub(crate) fn table(&mut self, heads: &[&str], rows: &[Vec<String>]) {
        let marks = heads.iter().enumerate().map(|(n, _)| if n == 0 { "---" } else { "---:" });
        self.line("");
        self.row(heads.iter().copied());
        self.row(marks);
        for row in rows {
            self.row(row.iter().map(String::as_str));
        }
        self.line("");
    }

    fn row<'a>(&mut self, cells: impl Iterator<Item = &'a str>) {
        let cells: Vec<&str> = cells.collect();
        let _infallible = writeln!(self.text, "| {} |", cells.join(" | "));
    }

    /// Prints it; whether every goal is met.
    pub(crate) fn print(&self) -> bool {
        println!("{} on Linux {}.\n", crate::cpu::model(), crate::cpu::kernel());
        if !self.goals.is_empty() {
            println!("| goal | at most | measured | |\n| --- | ---: | ---: | --- |");
        }
        for goal in &self.goals {
            let word = if goal.met() { "met" } else { "**missed**" };
            let (most, measured) = (number(goal.most), number(goal.measured));
            println!("| {} | {most} | {measured} | {word} |", goal.what);
        }
        println!("\n{}", self.text.trim());
        self.goals.iter().all(Goal::met)
    }
}

impl Goal {
    fn met(&self) -> bool {
        self.measured <= self.most
    }
}

/// As many digits as mean something.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        small if small < 0.001 => format!("{value:.1e}"),
        small if small < 0.1 => format!("{value:.4}"),
        small if small < 10.0 => format!("{value:.2}"),
        small if small < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_what_means_something() {
        let rows = [
            (0.0, "0"),
            (0.000_02, "2.0e-5"),
            (0.012_34, "0.0123"),
            (0.4, "0.40"),
            (12.34, "12.3"),
            (1234.5, "1234"),
        ];
        for (value, text) in rows {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_goal_that_is_not_a_number_is_missed() {
        let goal = |measured| Goal { what: String::new(), most: 1.0, measured };
        assert!(goal(1.0).met() && !goal(1.1).met() && !goal(f64::NAN).met());
    }
}
