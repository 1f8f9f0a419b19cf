//! Benign life: people and machines, as a shop sees them, by the rhythm of day and week.

mod machines;
mod people;
mod releases;

use crate::plan::{DAY, HOUR, Label, Scene};
use crate::world::{ACCOUNTS, CATALOGUE, ORDERS};

/// Sessions of customers a day, on an average day.
const SESSIONS: f64 = 7000.0;
/// When there is a crowd: a third of the way through, in the evening; and for how long, how many times
/// as many people.
const CROWD: (f64, f64) = (1.5 * HOUR, 3.0);

/// How much life there is.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// Seconds of it.
    pub length: f64,
    /// Of [`SESSIONS`] and of what the staff does, how much.
    pub load: f64,
    /// A flash crowd is part of it.
    pub crowd: bool,
}

/// Hour of the day, 0 to 24, and day of the week, 0 for Monday.
fn clock(time: f64) -> (f64, u32) {
    // Positive and small.
    (time % DAY / HOUR, (time / DAY) as u32 % 7)
}

/// How many customers there are, compared with the average: few at night, some at noon, most in the
/// evening, more at the weekend.
fn customers(time: f64) -> f64 {
    let (hour, day) = clock(time);
    let bump = |at: f64, width: f64| (-((hour - at) / width).powi(2)).exp();
    let weekend = if day >= 5 { 1.2 } else { 0.92 };
    weekend * (0.15 + 0.9 * bump(12.5, 3.5) + 2.1 * bump(20.0, 2.8) + 0.3 * bump(0.0, 1.5))
}

/// How much of the staff works: on weekdays from eight to six.
fn staff(time: f64) -> f64 {
    let (hour, day) = clock(time);
    let at_work = day < 5 && (8.0..18.0).contains(&hour);
    let lunch = (12.0..13.0).contains(&hour);
    if at_work { if lunch { 0.4 } else { 1.0 } } else { 0.0 }
}

/// Lets people and machines live.
pub fn live(scene: &mut Scene, life: &Life) {
    let crowd = life.crowd.then(|| {
        let begin = (life.length / 3.0 / DAY).floor() * DAY + 18.5 * HOUR;
        (begin, begin + CROWD.0)
    });
    people::customers(scene, life, crowd);
    people::office(scene, life);
    machines::run(scene, life);
    releases::release(scene, life);
    if let Some((begin, end)) = crowd {
        // That more is asked for is true, and may be said; that any of them means no good is not.
        scene.labels.extend([ACCOUNTS, CATALOGUE, ORDERS].map(|api| Label {
            detectors: vec!["rate_shift"],
            strength: format!("a crowd of {} times as many customers", CROWD.1),
            must: false,
            api,
            sources: Vec::new(),
            begin,
            end,
        }));
    }
}
