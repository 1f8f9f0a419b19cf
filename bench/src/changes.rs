//! Number 7: a thousand changes of the policy under live traffic, and twenty deaths of the daemon.

use anyhow::Result;
use weir_tests::lab::Lab;
use weir_tests::swaps::{self, Plan};

use crate::report::{Report, tell};

const PLAN: Plan = Plan { applies: 1_000, kills: 20 };

/// Measures it.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let lab = Lab::new(&[("server", 1), ("client", 2), ("stranger", 3)])?;
    tell(&format!("{} changes and {} kills under traffic", PLAN.applies, PLAN.kills));
    let outcome = swaps::run(&lab, PLAN, |applies, kills| {
        if kills > 0 && kills % 5 == 0 || kills == 0 && applies % 100 == 0 {
            tell(&format!("{applies} changes, {kills} kills"));
        }
    })?;
    let [passed, refused] = outcome.counted;
    let missed = |counted: u64, sent: u64| counted.abs_diff(sent) as f64;
    let lost = outcome.allowed.sent - outcome.allowed.arrived;
    report.at_most("allowed packets that did not arrive", 0.0, lost as f64);
    report.at_most("refused packets that arrived", 0.0, outcome.refused.arrived as f64);
    let off = missed(passed, outcome.allowed.sent) + missed(refused, outcome.refused.sent);
    report.at_most("packets missing in weir's own counters", 0.0, off);
    report.line(&format!(
        "{} times `weir apply`, two policies in turn that both allow one host and both refuse another and \
         differ in all else; then {} times SIGKILL and a new start, every other time in the middle of an \
         apply. {} datagrams of the allowed host and {} of the refused one, IPv4 and IPv6 in turn, counted by \
         the server's sockets behind the gate.",
        PLAN.applies, PLAN.kills, outcome.allowed.sent, outcome.refused.sent
    ));
    Ok(())
}
