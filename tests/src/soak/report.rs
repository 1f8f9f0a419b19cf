//! A soak's outcome as Markdown.

use std::fmt;

use super::Outcome;
use super::usage::{Usage, median};
use std::sync::atomic::{AtomicU64, Ordering};

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.plan.length.as_secs_f64() / 60.0;
        let number = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let traffic = &self.traffic;
        let happened: u32 = self.mishaps.values().sum();
        writeln!(f, "{minutes:.0} minutes, seed {}, {happened} mishaps.\n", self.plan.seed)?;
        writeln!(f, "| what has to hold | measured | |\n| --- | --- | --- |")?;
        for claim in &self.claims {
            let word = if claim.held { "held" } else { "**broken**" };
            writeln!(f, "| {} | {} | {word} |", claim.what, claim.measured)?;
        }
        writeln!(f, "\n| what it took | first quarter | second | third | last | most |")?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: | ---: |")?;
        type Of = fn(&Usage) -> u64;
        let kinds: [(&str, Of); 6] = [
            ("anonymous memory, KiB", |one| one.anonymous),
            ("descriptors", |one| one.descriptors),
            ("threads", |one| one.threads),
            ("objects of BPF it holds", |one| one.held),
            ("of those it ever held, alive", |one| one.alive),
            ("state directory, KiB", |one| one.state / 1024),
        ];
        for (what, of) in kinds {
            write!(f, "| {what} ")?;
            for quarter in 0..4 {
                let (from, until) =
                    (self.plan.length / 4 * quarter, self.plan.length / 4 * (quarter + 1));
                let within = self.usages.iter().filter(|one| one.at >= from && one.at < until);
                write!(f, "| {} ", median(within.map(of)))?;
            }
            writeln!(f, "| {} |", self.usages.iter().map(of).max().unwrap_or_default())?;
        }
        writeln!(f, "\n| traffic | |\n| --- | ---: |")?;
        for (what, count) in [
            ("answers over kept connections", &traffic.kept),
            ("answers over a connection each", &traffic.single),
            ("answers over HTTP/2", &traffic.streams),
            ("answers inside TLS", &traffic.secure),
            ("guesses, probes and ports tried", &traffic.probes),
            ("packets of the flood", &traffic.flood),
        ] {
            writeln!(f, "| {what} | {} |", number(count))?;
        }
        writeln!(f, "\n| mishap | times |\n| --- | ---: |")?;
        for (name, times) in &self.mishaps {
            writeln!(f, "| {name} | {times} |")?;
        }
        if !self.warnings.is_empty() {
            writeln!(f, "\nWarnings of `weir status` at the end:\n\n```text")?;
            self.warnings.iter().try_for_each(|warning| writeln!(f, "{warning}"))?;
            writeln!(f, "```")?;
        }
        Ok(())
    }
}
