//! Customers at home and the staff in an office.

use super::{CROWD, Life, SESSIONS, customers as rhythm, staff};
use crate::plan::{Client, HOUR, MINUTE, Scene};
use crate::random::mix;
use crate::world::{ACCOUNTS, Ask, CATALOGUE, OFFICE, ORDERS, home};

/// Customers there are.
const PEOPLE: u64 = 12_000;
/// Products there are.
const PRODUCTS: f64 = 20_000.0;
/// Orders there ever were.
const ORDER_NUMBERS: u64 = 2_000_000;
/// Logins of people that fail.
const TYPOS: f64 = 0.08;
/// People at work in the office, and what each asks an hour.
const STAFF: (u64, f64) = (40, 7.0);

/// Sessions, a minute's at a time; a crowd is when there are more of them.
pub(super) fn customers(scene: &mut Scene, life: &Life, crowd: Option<(f64, f64)>) {
    let mut minute = 0.0;
    while minute < life.length {
        let crowded = crowd.is_some_and(|(begin, end)| (begin..end).contains(&minute));
        let times = if crowded { CROWD.1 } else { 1.0 };
        let expected = SESSIONS * life.load / 1440.0 * rhythm(minute) * times;
        for _ in 0..scene.random.count(expected) {
            let begin = minute + scene.random.between(0.0, MINUTE);
            // Some come often, most seldom.
            let person = (PEOPLE as f64 * scene.random.share().powf(1.5)) as u32;
            session(scene, begin, person);
        }
        minute += MINUTE;
    }
}

fn pause(scene: &mut Scene) -> f64 {
    scene.random.spread(9.0, 1.0).clamp(0.4, 900.0)
}

fn product(scene: &mut Scene) -> u64 {
    (PRODUCTS * scene.random.share().powi(3)) as u64
}

/// Now and then a server is in trouble for one request.
fn status(scene: &mut Scene) -> u16 {
    if scene.random.chance(0.001) { 500 } else { 200 }
}

fn session(scene: &mut Scene, begin: f64, person: u32) {
    let mut client = Client::new(home(person), 1);
    let mut time = begin;
    let pages = scene.random.spread(4.5, 0.8).round().clamp(1.0, 80.0) as u32;
    if scene.random.chance(0.1) {
        client.ask(scene, time, CATALOGUE, (Ask::Icon, 0), 404);
    }
    for _ in 0..pages {
        let what = scene.random.share();
        if what < 0.25 {
            let value = scene.random.below(12);
            let status = status(scene);
            client.ask(scene, time, CATALOGUE, (Ask::Category, value), status);
        } else if what < 0.88 {
            let value = product(scene);
            // Links grow old.
            let status = if scene.random.chance(0.006) { 404 } else { status(scene) };
            client.ask(scene, time, CATALOGUE, (Ask::Product, value), status);
            if status == 200 && scene.random.chance(0.6) {
                client.ask(scene, time + 0.08, CATALOGUE, (Ask::Image, value), 200);
            }
        } else {
            let status = status(scene);
            client.ask(scene, time, CATALOGUE, (Ask::Search, 0), status);
        }
        time += pause(scene);
    }
    let user = person + 1;
    if scene.random.chance(0.35) {
        log_in(scene, &mut client, &mut time);
        client.becomes(user);
        account(scene, &mut client, &mut time, person);
    } else if scene.random.chance(0.25) {
        client.becomes(user);
        client.ask(scene, time, ACCOUNTS, (Ask::Token, 0), 200);
        time += 0.2;
        account(scene, &mut client, &mut time, person);
    }
}

/// Until the password is right, or for a while.
fn log_in(scene: &mut Scene, client: &mut Client, time: &mut f64) {
    let forgotten = scene.random.chance(0.01);
    for _ in 0..6 {
        let wrong = forgotten || scene.random.chance(TYPOS);
        let status = if wrong { 401 } else { 200 };
        client.ask(scene, *time, ACCOUNTS, (Ask::Login, 0), status);
        *time += scene.random.spread(7.0, 0.5);
        if !wrong {
            return;
        }
    }
}

/// What somebody who is logged in looks at.
fn account(scene: &mut Scene, client: &mut Client, time: &mut f64, person: u32) {
    client.ask(scene, *time, ACCOUNTS, (Ask::Me, 0), 200);
    *time += 0.3;
    let status = status(scene);
    client.ask(scene, *time, ORDERS, (Ask::Orders, 0), status);
    let looks = scene.random.count(1.8);
    for _ in 0..looks {
        *time += pause(scene);
        // One's own orders, a handful.
        let mine = scene.random.below(6);
        let order = mix(u64::from(person) << 8 | mine) % ORDER_NUMBERS;
        client.ask(scene, *time, ORDERS, (Ask::Order, order), 200);
        if scene.random.chance(0.1) {
            client.ask(scene, *time + 2.0, ORDERS, (Ask::Invoice, order), 200);
        }
    }
    if scene.random.chance(0.25) {
        *time += pause(scene);
        client.ask(scene, *time, ORDERS, (Ask::Place, 0), 201);
    }
}

/// Many users behind one address: customers' orders, looked up as they call.
pub(super) fn office(scene: &mut Scene, life: &Life) {
    for member in 0..STAFF.0 {
        let mut client = Client::new(OFFICE, 1);
        client.becomes(900_000 + member as u32);
        let mut time = scene.random.between(0.0, 600.0);
        while time < life.length {
            if staff(time) > 0.0 {
                call(scene, &mut client, time, life.load);
            }
            // The next call.
            let rate = staff(time).max(0.05) * STAFF.1 / 3.0;
            time += scene.random.wait(HOUR / rate).clamp(20.0, 4.0 * HOUR);
        }
    }
}

fn call(scene: &mut Scene, client: &mut Client, time: f64, load: f64) {
    if !scene.random.chance(load.min(1.0)) {
        return;
    }
    let customer = scene.random.below(PEOPLE);
    client.ask(scene, time, ORDERS, (Ask::Customer, customer), 200);
    let mut time = time;
    for order in 0..1 + scene.random.below(4) {
        time += scene.random.spread(15.0, 0.8);
        let order = mix(customer << 8 | order) % ORDER_NUMBERS;
        client.ask(scene, time, ORDERS, (Ask::Order, order), 200);
    }
}
