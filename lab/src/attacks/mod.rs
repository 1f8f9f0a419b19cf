//! Attacks and mishaps, each at several strengths, one after the other over some days on which benign
//! life goes on.
//!
//! What must be found is what docs/detectors.md says is found, written down before anything was run;
//! the other rows are weaker, to show where finding ends.

mod mishaps;
mod sources;
mod table;

use crate::plan::{DAY, HOUR, Label, Scene};
use crate::random::Random;
use crate::world::ApiNumber;

pub use table::{Attack, table};

/// Hours from one attack to the next.
const APART: f64 = 2.5;
/// When mishaps are looked for: hours of the day at which the shop has customers.
const OPEN: std::ops::Range<f64> = 10.0..20.5;

/// What an attack does.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// One source tries passwords: seconds between two, how many, every how many-th is right (0: none).
    Guess(f64, u32, u32),
    /// Each source tries one or two: sources a minute, minutes.
    Stuff(f64, f64),
    /// Object after object: seconds between two, how many, and how.
    Walk(f64, u32, Walk),
    /// Words: seconds between two, how many, of which one in so many is there (0: none).
    Probe(f64, u32, u32),
    /// Pages in any order: seconds between two, how many, spread of the pauses' logarithm.
    Scrape(f64, u32, f64),
    /// Large answers: bytes each, seconds between two, how many.
    Take(f64, f64, u32),
    /// Requests a second, minutes, sources; each source begins anew when there are more requests.
    Flood(f64, f64, u32),
    /// Somebody from where nobody ever was: seconds between two, how many.
    Far(f64, u32),
    /// Benign requests are not as usual for so many minutes.
    Mishap(Mishap, f64),
}

/// How objects are gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// One number after the other, all granted.
    Even,
    /// Guessed numbers, nineteen of twenty not there.
    Guessed,
    /// One number after the other, by one user of an office.
    Inside,
    /// One number after the other, with other credentials each time.
    Masked,
    /// Random identifiers that are all granted.
    Random,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mishap {
    /// Only this share of the requests comes.
    Fewer(f64),
    /// This share is answered 500.
    Errors(f64),
    /// All take so many times as long.
    Slower(f64),
    /// All answers are so many times as large.
    Larger(f64),
    /// This share takes so many times as long.
    SomeSlower(f64, f64),
    /// This share is so many times as large.
    SomeLarger(f64, f64),
}

/// Days that attacks take, quarters of an hour at a time apart enough that none stands in for another.
pub fn days(attacks: usize) -> f64 {
    (attacks as f64 * APART / 24.0).ceil() + 1.0
}

/// Lets attacks happen from a time on, and says what must be found of them.
pub fn happen(scene: &mut Scene, attacks: &[Attack], from: f64) {
    let begins = schedule(attacks, from, &mut scene.random);
    for (attack, begin) in attacks.iter().zip(begins) {
        let (sources, end) = attack.act.play(scene, attack.api, begin);
        scene.labels.push(Label {
            detectors: attack.detectors.to_vec(),
            strength: attack.strength.to_owned(),
            must: attack.must,
            api: attack.api,
            sources,
            begin,
            end,
        });
    }
}

/// When each begins: mishaps when there are customers, and no two that follow each other at the same
/// API as far as that can be had.
fn schedule(attacks: &[Attack], from: f64, random: &mut Random) -> Vec<f64> {
    let mut order: Vec<usize> = (0..attacks.len()).collect();
    random.shuffle(&mut order);
    let mut begins = vec![from; attacks.len()];
    let mut slot = 0_u32;
    let mut before: Option<ApiNumber> = None;
    while !order.is_empty() {
        let begin = from + f64::from(slot) * APART * HOUR + random.between(0.0, 0.4 * HOUR);
        slot += 1;
        let open = OPEN.contains(&(begin % DAY / HOUR));
        let fits = |&place: &usize| {
            let attack = &attacks[place];
            (open || !attack.needs_customers()) && Some(attack.api) != before
        };
        // Those that are hard to place first.
        let hard = |&place: &usize| fits(&place) && attacks[place].needs_customers();
        let chosen = order.iter().position(hard).or_else(|| order.iter().position(fits));
        let any = |&place: &usize| open || !attacks[place].needs_customers();
        let Some(chosen) = chosen.or_else(|| order.iter().position(any)) else {
            before = None;
            continue;
        };
        let place = order.remove(chosen);
        before = Some(attacks[place].api);
        begins[place] = begin;
    }
    begins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mishaps_wait_for_customers_and_apis_take_turns() {
        let attacks = table();
        let mut random = Random::new(3, 1);
        let begins = schedule(&attacks, 28.0 * DAY, &mut random);
        let mut rows: Vec<_> = attacks.iter().zip(&begins).collect();
        rows.sort_by(|a, b| a.1.total_cmp(b.1));
        let mut alike = 0;
        for pair in rows.windows(2) {
            assert!(pair[1].1 - pair[0].1 >= 2.0 * HOUR);
            alike += usize::from(pair[0].0.api == pair[1].0.api);
        }
        assert!(alike <= 6, "{alike} follow one at the same API");
        for (attack, begin) in rows {
            let hour = begin % DAY / HOUR;
            assert!(!attack.needs_customers() || OPEN.contains(&hour), "{attack:?} at {hour}");
            assert!(*begin < (28.0 + 2.0 * days(attacks.len())) * DAY);
        }
    }
}
