//! New versions: a little slower or faster, a little larger or smaller, and a route that was not there.

use super::Life;
use crate::plan::{Client, DAY, HOUR, LARGEST, MINUTE, Scene, nanoseconds};
use crate::world::{APIS, Ask, CATALOGUE};

/// Days between releases of an API.
const EVERY: f64 = 6.0;

struct Release {
    at: u64,
    blip: u64,
    latency: f64,
    size: f64,
}

/// Changes the answers of each API from each of its releases on, and asks for reviews of products from
/// the first of the catalogue's on.
pub(super) fn release(scene: &mut Scene, life: &Life) {
    let releases: Vec<Vec<Release>> = (0..APIS.len()).map(|api| of(scene, api, life)).collect();
    let first = releases[usize::from(CATALOGUE)].first().map(|release| release.at);
    let mut reviews = Vec::new();
    for place in 0..scene.requests.len() {
        let request = scene.requests[place];
        let Some(release) = releases[usize::from(request.api)]
            .iter()
            .rev()
            .find(|release| release.at <= request.time)
        else {
            continue;
        };
        let restarts = request.time < release.blip && scene.random.chance(0.03);
        // Files have steps of a fifth: so many answers are the next one.
        let moves = scene.random.chance((release.size.log2() * 4.0).abs());
        let request = &mut scene.requests[place];
        request.latency = (f64::from(request.latency) * release.latency) as u32;
        if request.status == 200 && moves {
            let up = u8::from(release.size > 1.0);
            request.file = (request.file + 2 * up).saturating_sub(1).min(LARGEST);
        }
        if restarts && request.status == 200 {
            request.status = 502;
        }
        let asks = request.ask == Ask::Product && request.user == 0 && request.status == 200;
        if asks && first.is_some_and(|first| first <= request.time) {
            let (time, source, value) = (request.time, request.source, request.value);
            if source != crate::world::CRAWLER && scene.random.chance(0.15) {
                reviews.push((time, source, value));
            }
        }
    }
    for (time, source, value) in reviews {
        let time = time as f64 / 1e9 + scene.random.spread(6.0, 0.6);
        Client::new(source, 1).ask(scene, time, CATALOGUE, (Ask::Reviews, value), 200);
    }
}

fn of(scene: &mut Scene, api: usize, life: &Life) -> Vec<Release> {
    let mut releases = Vec::new();
    let (mut latency, mut size) = (1.0_f64, 1.0_f64);
    // On a working day's morning, the APIs one after the other.
    let mut day = 8.0 + api as f64;
    while day * DAY < life.length {
        if (day as u32) % 7 < 5 {
            let at = day * DAY + 10.0 * HOUR + scene.random.between(0.0, 4.0 * HOUR);
            latency = (latency * scene.random.between(0.92, 1.1)).clamp(0.8, 1.25);
            size = (size * scene.random.between(0.94, 1.08)).clamp(0.85, 1.18);
            releases.push(Release {
                at: nanoseconds(at),
                blip: nanoseconds(at + MINUTE),
                latency,
                size,
            });
        }
        day += EVERY;
    }
    releases
}
