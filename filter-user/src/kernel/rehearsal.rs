//! Orders tried out: the programs in force loaded once more beside themselves, over state of their
//! own, with an order in that state, and run on packets that nobody sent. No packet of anybody meets
//! the order; the verdicts are the kernel's.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::clock::Tick;
use super::error::Result;
use super::forecast::{Apart, REHEARSAL, frame, unlimited};
use super::generation::Generation;
use super::orders::{Kind, Order};
use super::state::{Settings, State};
use crate::image::Image;
use crate::policy::examples::Example;

/// `XDP_PASS` of the kernel's `enum xdp_action`.
const PASS: u32 = 2;
/// Packets that a limit is tried with at most, for each source.
const MOST_PACKETS: u32 = 200_000;

/// What is needed to rehearse, taken from the state: the state itself is not held up by it.
#[derive(Debug)]
pub struct Rehearsal {
    settings: Settings,
    tick: Tick,
}

/// An order to try, and on whom.
#[derive(Clone, Debug)]
pub struct Take {
    /// Stable id of the API.
    pub api: u32,
    /// The order.
    pub order: Order,
    /// Packets to that API.
    pub packets: Vec<Example>,
    /// How many of each packet are sent in a burst: more than a limit lets through at once.
    pub burst: u32,
}

/// What became of an order that was tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Sources whose packets passed without the order, and whether they did with it.
    pub passed: Vec<(IpAddr, bool)>,
    /// How long writing the order took.
    pub written: Duration,
}

impl State {
    /// What is needed to rehearse.
    pub fn rehearsal(&self) -> Rehearsal {
        Rehearsal { settings: self.settings.clone(), tick: self.tick() }
    }
}

impl Rehearsal {
    /// Tries orders out, one after the other. `image` is what is in force; its own limits do not run
    /// out.
    ///
    /// # Errors
    /// When a program or table does not go in, or does not run.
    pub fn run(&self, image: &Image, takes: &[Take]) -> Result<Vec<Taken>> {
        let apart = Apart::new(self.settings.pins.join(REHEARSAL))?;
        let settings = Settings {
            pins: apart.pins().to_owned(),
            max_bans: 1,
            sources: 4_096,
            ring_bytes: 4096,
            sample: 0.0,
            log: false,
            ..self.settings.clone()
        };
        let mut state = State::open_beside(settings, self.tick)?;
        let mut generation = Generation::load(&mut state, &unlimited(image))?;
        let mut taken = Vec::with_capacity(takes.len());
        for take in takes {
            let mut result = Taken::default();
            let mut passing = Vec::new();
            for packet in &take.packets {
                let frame = frame::build(packet, super::forecast::destination(packet));
                if generation.try_ingress(&frame, 1)?.action == PASS {
                    passing.push((packet.source, frame));
                }
            }
            let start = Instant::now();
            state.orders.set(take.api, take.order, None);
            result.written = start.elapsed();
            let burst = take.burst.clamp(1, MOST_PACKETS);
            for (source, frame) in passing {
                let passes = generation.try_ingress(&frame, burst)?.action == PASS;
                result.passed.push((source, passes));
            }
            for kind in [Kind::Shutdown, Kind::Lockdown, Kind::Limit] {
                state.orders.lift(take.api, kind);
            }
            taken.push(result);
        }
        Ok(taken)
    }
}
