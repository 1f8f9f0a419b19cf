//! Number 2: the cost of a verdict does not grow with the prefixes.

use anyhow::{Context as _, Result};
use filter_user::kernel::trial::Program;

use crate::frames::udp;
use crate::prefixes::{Feed, Prefixes};
use crate::report::{Report, tell};
use crate::table::{PASS, Table};
use crate::trial::{Pins, load, policy, told};
use crate::verdict;

/// How many prefixes of each family.
const SIZES: [usize; 4] = [10, 1_000, 100_000, 1_000_000];

/// Measures it.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let empty = Program::empty(false).map_err(told)?;
    let pins = Pins::new();
    let mut state = pins.state()?;
    let mut loaded = Vec::new();
    for size in SIZES {
        tell(&format!("loading {size} prefixes of each family"));
        let prefixes = Prefixes::new(size, size);
        let members = prefixes.members().context("a list without a /24 and a /48")?;
        let policy = policy(&verdict::text(), &Feed(prefixes.text()))?;
        loaded.push((size, members.map(udp), load(&mut state, &policy)?));
    }
    tell("one packet of each family against each of them in turn");
    let (_, frames, _) = &loaded[0];
    let mut table = Table::new(&empty, &frames[0])?;
    let mut rows = Vec::new();
    for (size, frames, (_, program)) in &loaded {
        let names = ["IPv4", "IPv6"].map(|family| format!("{family}, {size} prefixes"));
        for (name, frame) in names.iter().zip(frames) {
            table.add(name, program, frame, PASS);
        }
        rows.push((*size, names));
    }
    table.measure()?;
    for (place, family) in ["IPv4", "IPv6"].into_iter().enumerate() {
        let ns = rows.iter().map(|(_, names)| table.ns(&names[place]));
        let (least, most) = ns.fold((f64::MAX, 0.0), |(a, b), ns| (ns.min(a), ns.max(b)));
        report.at_most(&format!("{family}: slowest ÷ fastest"), 1.1, most / least);
    }
    let rows: Vec<_> = rows
        .iter()
        .map(|(size, names)| {
            let mut row = vec![size.to_string()];
            row.extend(names.iter().map(|name| format!("{:.1}", table.ns(name))));
            row
        })
        .collect();
    report.table(&["prefixes of each family", "IPv4 ns", "IPv6 ns"], &rows);
    Ok(())
}
