//! What goes wrong by itself: benign requests, answered otherwise.

use super::Mishap;
use crate::plan::{LARGEST, Scene, nanoseconds};
use crate::world::{ApiNumber, Ask};

/// Changes what was to happen at an API from a time until another.
pub(super) fn happen(scene: &mut Scene, api: ApiNumber, what: Mishap, begin: f64, end: f64) {
    let window = nanoseconds(begin)..nanoseconds(end);
    let mut random = scene.random.clone();
    scene.random.bits();
    scene.requests.retain_mut(|request| {
        let concerned = request.api == api && window.contains(&request.time);
        if !concerned || request.ask == Ask::Health {
            return true;
        }
        let larger = |file: u8, times: f64| {
            // A fifth a step.
            let steps = (times.log2() * 4.0).round() as u8;
            file.saturating_add(steps).min(LARGEST)
        };
        match what {
            Mishap::Fewer(share) => return random.chance(share),
            Mishap::Errors(share) if random.chance(share) => request.status = 500,
            Mishap::Slower(times) => slow(&mut request.latency, times),
            Mishap::SomeSlower(share, times) if random.chance(share) => {
                slow(&mut request.latency, times);
            }
            Mishap::Larger(times) => request.file = larger(request.file, times),
            Mishap::SomeLarger(share, times) if random.chance(share) => {
                request.file = larger(request.file, times);
            }
            Mishap::Errors(_) | Mishap::SomeSlower(..) | Mishap::SomeLarger(..) => {}
        }
        true
    });
}

fn slow(latency: &mut u32, times: f64) {
    // Saturates.
    *latency = (f64::from(*latency) * times) as u32;
}
