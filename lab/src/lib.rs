//! Labelled traffic for weir's detectors.
//!
//! A [`plan`] says what happens in simulated time: the benign [`life`] of a shop, and [`attacks`] on
//! it. Its requests are [sent](send) for real, from their addresses, through a network namespace to
//! nginx, as fast as they are answered, while the daemon [records](stage) them. What it recorded gets the
//! times of the plan ([`seen`]) and goes through `weir replay` ([`replay`]), whole or [degraded](degrade);
//! what the detectors say is held against what was done ([`judge`]) and [reported](report).
//!
//! Simulated are times, and with them latencies: of weeks that pass within minutes, a pause of ten
//! milliseconds would be minutes in which everybody waits. Where sources are is made up too, as there is
//! no database of these addresses. All else is as weir saw it on the wire.

pub mod attacks;
mod connect;
pub mod degrade;
pub mod judge;
pub mod life;
pub mod line;
pub mod plan;
pub mod random;
pub mod replay;
pub mod report;
pub mod seen;
pub mod send;
pub mod server;
pub mod stage;
pub mod world;

use attacks::Attack;
use life::Life;
use plan::{DAY, Plan, Scene};

/// What to plan.
#[derive(Clone, Debug)]
pub struct Options {
    /// Days of benign life before the first attack.
    pub days: u32,
    /// Of what is drawn.
    pub seed: u64,
    /// How busy the shop is; 1 is one to two requests a second.
    pub load: f64,
    /// Attacks after the benign days.
    pub attacks: Vec<Attack>,
    /// A flash crowd is part of life.
    pub crowd: bool,
}

/// Plans it.
pub fn plan(options: &Options) -> Plan {
    let benign = f64::from(options.days) * DAY;
    let length = match options.attacks.len() {
        0 => benign,
        many => benign + attacks::days(many) * DAY,
    };
    let mut scene = Scene::new(options.seed);
    life::live(&mut scene, &Life { length, load: options.load, crowd: options.crowd });
    attacks::happen(&mut scene, &options.attacks, benign);
    let last = scene.labels.iter().map(|label| label.end).fold(length, f64::max);
    // Long enough to see the last of them end.
    scene.plan(benign, last + plan::HOUR)
}
