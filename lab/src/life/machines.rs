//! What asks by itself: health checks, partners, jobs, crawlers, and the noise of the Internet.

use super::Life;
use crate::plan::{Client, DAY, HOUR, MINUTE, Scene};
use crate::world::{APIS, Ask, BATCH, CATALOGUE, CRAWLER, JOBS, ORDERS, monitor, partner};

/// Parts of the nightly copy.
const PARTS: u64 = 40;

pub(super) fn run(scene: &mut Scene, life: &Life) {
    checks(scene, life);
    partners(scene, life);
    jobs(scene, life);
    crawler(scene, life);
    noise(scene, life);
}

/// Each API is asked once a minute by two.
fn checks(scene: &mut Scene, life: &Life) {
    for number in 1..=2 {
        let mut client = Client::new(monitor(number), 1);
        let mut time = f64::from(number) * 13.0;
        while time < life.length {
            for api in 0..APIS.len() {
                // There are four.
                client.ask(scene, time + api as f64, api as u8, (Ask::Health, 0), 200);
            }
            time += MINUTE / life.load.min(1.0);
        }
    }
}

/// Three programs with a key each ask for what is new, every minute.
fn partners(scene: &mut Scene, life: &Life) {
    for number in 1..=3 {
        let mut client = Client::new(partner(number), 1);
        client.becomes(800_000 + u32::from(number));
        let mut time = f64::from(number) * 17.0;
        while time < life.length {
            let late = scene.random.between(0.0, 1.0);
            client.ask(scene, time + late, ORDERS, (Ask::Changes, 0), 200);
            time += MINUTE / life.load.min(1.0);
        }
    }
}

/// Every hour deliveries and an export; at night a copy, part by part, evenly spaced.
fn jobs(scene: &mut Scene, life: &Life) {
    let mut client = Client::new(JOBS, 1);
    client.becomes(810_000);
    let mut hour = 0.0;
    while hour < life.length {
        let mut time = hour + 5.0 * MINUTE;
        for _ in 0..12 {
            client.ask(scene, time, BATCH, (Ask::Import, 0), 200);
            time += 2.0;
        }
        let day = (hour / DAY) as u64;
        client.ask(scene, time, BATCH, (Ask::Export, day), 200);
        if hour % DAY == 2.0 * HOUR {
            time += 10.0 * MINUTE;
            for part in 0..PARTS {
                client.ask(scene, time, BATCH, (Ask::Part, day * 1000 + part), 200);
                time += 5.0;
            }
        }
        hour += HOUR;
    }
}

/// The crawler that the policy knows goes through the catalogue from one to five at night.
fn crawler(scene: &mut Scene, life: &Life) {
    let mut client = Client::new(CRAWLER, 1);
    let mut product = 0;
    let mut day = 0.0;
    while day < life.length {
        let mut time = day + HOUR;
        while time < day + 5.0 * HOUR {
            product = (product + 1) % 20_000;
            client.ask(scene, time, CATALOGUE, (Ask::Product, product), 200);
            time += 5.0 / life.load.min(1.0) + scene.random.between(0.0, 0.5);
        }
        day += DAY;
    }
}

/// Strangers who try a few paths and go.
fn noise(scene: &mut Scene, life: &Life) {
    let mut time = scene.random.wait(2.0 * HOUR);
    while time < life.length {
        let source = scene.stranger();
        let mut client = Client::new(source, 1);
        let api = scene.random.below(APIS.len() as u64) as u8;
        for _ in 0..1 + scene.random.below(4) {
            let word = scene.random.below(120);
            client.ask(scene, time, api, (Ask::Word, word), 404);
            time += scene.random.wait(2.0);
        }
        time += scene.random.wait(2.0 * HOUR);
    }
}
