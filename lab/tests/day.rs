//! The whole laboratory once, small: a quiet day of the shop, then two attacks, sent for real.

use anyhow::{Result, ensure};
use weir_lab::attacks;
use weir_lab::degrade::Degraded;
use weir_lab::report::Run;
use weir_lab::seen::Matched;
use weir_lab::{Options, replay, stage};

const SEED: u64 = 11;

#[test]
fn a_day_and_two_attacks() -> Result<()> {
    let wanted = ["2 a second for a minute", "in a row, 2 a second, 200"];
    let attacks = attacks::table();
    let attacks: Vec<_> =
        attacks.into_iter().filter(|attack| wanted.contains(&attack.strength)).collect();
    assert_eq!(attacks.len(), 2);
    let options = Options { days: 1, seed: SEED, load: 0.12, attacks, crowd: false };
    let plan = weir_lab::plan(&options);
    let sent = plan.requests.len() as u64;
    assert!((10_000..60_000).contains(&sent), "{sent} requests");

    let passed = stage::perform(&plan, |word| eprintln!("{word}"))?;
    assert_eq!(passed.unlike, 0, "the server answers as it is asked to");
    let all = Matched { recorded: sent, ..Matched::default() };
    assert_eq!(passed.seen.matched(), all, "weir sees every request, and each as it was");

    let directory = tempfile::tempdir()?;
    let policy = stage::policy(directory.path())?;
    let weir = weir_tests::weir::binary()?;
    let run = |degraded: Degraded| -> Result<Run> {
        let weight = |place: usize, request: &_| degraded.weight(SEED, place, request);
        let found = replay::replay(&weir, &policy, |to| {
            passed.seen.retimed(&plan, degraded.completeness(), weight, to)
        })?;
        Ok(Run::new(SEED, &plan, found))
    };
    let whole = run(Degraded::Whole)?;
    for (label, outcome) in whole.labels.iter().zip(&whole.judged.outcomes) {
        let after = outcome.after;
        ensure!(after.is_some_and(|after| after < 90.0), "{label:?} found after {after:?} s");
    }
    let sources = whole.judged.wrong.iter().map(|&place| &whole.found[place]);
    let blamed: Vec<_> = sources.filter(|found| found.source.is_some()).collect();
    assert!(blamed.is_empty(), "nobody who did nothing is blamed: {blamed:#?}");

    // The detectors have what they say from the traffic, not from the labels.
    let blind = run(Degraded::Lost(0.99))?;
    assert!(blind.found.is_empty(), "of one in a hundred nothing is said: {:#?}", blind.found);
    Ok(())
}
