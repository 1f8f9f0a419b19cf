//! What sources do that mean no good.

use std::net::Ipv4Addr;

use super::{Act, Walk, mishaps};
use crate::plan::{Client, MINUTE, Scene, file_for};
use crate::random::mix;
use crate::world::{ApiNumber, Ask, CATALOGUE, OFFICE, far};

impl Act {
    /// Adds its requests; whose they are, and when they end.
    pub(super) fn play(
        self,
        scene: &mut Scene,
        api: ApiNumber,
        begin: f64,
    ) -> (Vec<Ipv4Addr>, f64) {
        match self {
            Self::Guess(every, count, right) => guess(scene, api, begin, (every, count, right)),
            Self::Stuff(sources, minutes) => stuff(scene, api, begin, sources, minutes),
            Self::Walk(every, count, how) => walk(scene, api, begin, (every, count), how),
            Self::Probe(every, count, there) => probe(scene, api, begin, (every, count, there)),
            Self::Scrape(every, count, spread) => scrape(scene, api, begin, (every, count), spread),
            Self::Take(bytes, every, count) => take(scene, api, begin, bytes, (every, count)),
            Self::Flood(rate, minutes, sources) => {
                flood(scene, api, begin, (rate, minutes), sources)
            }
            Self::Far(every, count) => from_afar(scene, api, begin, every, count),
            Self::Mishap(what, minutes) => {
                mishaps::happen(scene, api, what, begin, begin + minutes * MINUTE);
                (Vec::new(), begin + minutes * MINUTE)
            }
        }
    }
}

/// Programs do not keep time exactly: a tenth more or less.
fn step(scene: &mut Scene, every: f64) -> f64 {
    every * scene.random.between(0.9, 1.1)
}

fn guess(
    scene: &mut Scene,
    api: ApiNumber,
    begin: f64,
    (every, count, right): (f64, u32, u32),
) -> (Vec<Ipv4Addr>, f64) {
    let mut client = Client::new(scene.stranger(), 4);
    let mut time = begin;
    for number in 1..=count {
        let status = if right != 0 && number % right == 0 { 200 } else { 401 };
        client.ask(scene, time, api, (Ask::Login, 0), status);
        time += step(scene, every);
    }
    (vec![client.source()], time)
}

/// One in fifty of the passwords is still right.
fn stuff(
    scene: &mut Scene,
    api: ApiNumber,
    begin: f64,
    rate: f64,
    minutes: f64,
) -> (Vec<Ipv4Addr>, f64) {
    let mut sources = Vec::new();
    let mut time = begin;
    while time < begin + minutes * MINUTE {
        let source = scene.stranger();
        sources.push(source);
        let mut client = Client::new(source, 1);
        for attempt in 0..1 + scene.random.below(2) {
            let status = if scene.random.chance(0.02) { 200 } else { 401 };
            client.ask(scene, time + attempt as f64 * 2.0, api, (Ask::Login, 0), status);
        }
        time += scene.random.wait(MINUTE / rate);
    }
    (sources, time)
}

fn walk(
    scene: &mut Scene,
    api: ApiNumber,
    begin: f64,
    (every, count): (f64, u32),
    how: Walk,
) -> (Vec<Ipv4Addr>, f64) {
    let source = if how == Walk::Inside { OFFICE } else { scene.stranger() };
    let mut client = Client::new(source, 4);
    let user = if how == Walk::Inside { 900_007 } else { scene.user() };
    client.becomes(user);
    let first = scene.random.below(1_000_000);
    let mut time = begin;
    for number in 0..u64::from(count) {
        if how == Walk::Masked {
            let other = scene.user();
            client.becomes(other);
        }
        let (ask, value) = match how {
            Walk::Guessed => (Ask::Order, scene.random.below(40_000_000)),
            Walk::Random => (Ask::Invoice, mix(first + number)),
            _ => (Ask::Order, first + number),
        };
        let there = how != Walk::Guessed || scene.random.chance(0.05);
        client.ask(scene, time, api, (ask, value), if there { 200 } else { 404 });
        time += step(scene, every);
    }
    (vec![source], time)
}

fn probe(
    scene: &mut Scene,
    api: ApiNumber,
    begin: f64,
    (every, count, there): (f64, u32, u32),
) -> (Vec<Ipv4Addr>, f64) {
    let mut client = Client::new(scene.stranger(), 4);
    let mut time = begin;
    for number in 0..count {
        if there != 0 && number % there == 0 {
            let page = scene.random.below(12);
            client.ask(scene, time, api, (Ask::Category, page), 200);
        } else {
            client.ask(scene, time, api, (Ask::Word, u64::from(number)), 404);
        }
        time += step(scene, every);
    }
    (vec![client.source()], time)
}

fn scrape(
    scene: &mut Scene,
    api: ApiNumber,
    begin: f64,
    (every, count): (f64, u32),
    spread: f64,
) -> (Vec<Ipv4Addr>, f64) {
    let mut client = Client::new(scene.stranger(), 2);
    let mut pages: Vec<u64> = (0..u64::from(count)).map(|page| page * 7 + 100).collect();
    scene.random.shuffle(&mut pages);
    let mut time = begin;
    for page in pages {
        client.ask(scene, time, api, (Ask::Product, page), 200);
        time += scene.random.spread(every, spread);
    }
    (vec![client.source()], time)
}

fn take(
    scene: &mut Scene,
    api: ApiNumber,
    begin: f64,
    bytes: f64,
    (every, count): (f64, u32),
) -> (Vec<Ipv4Addr>, f64) {
    let mut client = Client::new(scene.stranger(), 2);
    let user = scene.user();
    client.becomes(user);
    let mut time = begin;
    for _ in 0..count {
        client.ask(scene, time, api, (Ask::Orders, 0), 200).file = file_for(bytes);
        time += step(scene, every);
    }
    (vec![client.source()], time)
}

fn flood(
    scene: &mut Scene,
    api: ApiNumber,
    begin: f64,
    (rate, minutes): (f64, f64),
    sources: u32,
) -> (Vec<Ipv4Addr>, f64) {
    let mut clients: Vec<_> = (0..sources).map(|_| Client::new(scene.stranger(), 1)).collect();
    let ask = if api == CATALOGUE { Ask::Search } else { Ask::Orders };
    let mut time = begin;
    let mut turn = 0;
    while time < begin + minutes * MINUTE {
        let place = turn % clients.len();
        clients[place].ask(scene, time, api, (ask, 0), 200);
        turn += 1;
        time += scene.random.wait(1.0 / rate);
    }
    (clients.iter().map(Client::source).collect(), time)
}

fn from_afar(
    scene: &mut Scene,
    api: ApiNumber,
    begin: f64,
    every: f64,
    count: u32,
) -> (Vec<Ipv4Addr>, f64) {
    let source = far(scene.random.below(4000) as u32);
    let mut client = Client::new(source, 1);
    let user = scene.user();
    client.becomes(user);
    let mut time = begin;
    for _ in 0..count {
        client.ask(scene, time, api, (Ask::Orders, 0), 200);
        time += step(scene, every);
    }
    (vec![source], time)
}
