//! A short soak: everything that happens to a daemon in a long one, at least those things that end it,
//! and the invariants at the end. `cargo xtask soak` is the long one.

use std::time::Duration;

use anyhow::Result;
use weir_tests::lab::Lab;
use weir_tests::soak::{self, Plan};
use weir_tests::sweep;

#[test]
fn half_a_minute_of_mishaps_breaks_nothing() -> Result<()> {
    let lab = Lab::new(&soak::HOSTS)?;
    let plan = Plan { length: Duration::from_secs(18), seed: 7 };
    let outcome = soak::run(&lab, plan, &mut |line| println!("{line}"))?;
    println!("{outcome}");
    let prefix = lab.prefix().to_owned();
    drop(lab);
    assert_eq!(sweep::leftovers(&prefix)?, Vec::<String>::new());
    assert!(outcome.held(), "{:#?}", outcome.claims);
    let happened: u32 = outcome.mishaps.values().sum();
    assert!(happened >= 3, "{:?}", outcome.mishaps);
    Ok(())
}
