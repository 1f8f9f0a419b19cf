//! What a policy will cost: its programs loaded beside those in force, over state of their own, and
//! run on packets that nobody sent. Nothing that is in force is touched, no counter moves.

pub(super) mod frame;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use filter_common::bytes::Slice;
use filter_common::gcra::Rate;
use filter_common::packet::{self, Packet};
use filter_common::reason::Reason;
use filter_common::verdict;

use super::clock;
use super::error::{Error, Result};
use super::generation::Generation;
use super::state::{Settings, State};
use super::trial::Program;
use crate::image::Image;
use crate::policy::examples::Example;

/// Packets in a burst.
const BURST: u32 = 5_000;
/// Bursts of each packet, the fastest of which counts: in the others the processor did other things.
/// Few, because to begin one the kernel waits for every processor, some 20 ms.
const BURSTS: usize = 3;
/// Sources the limiter of a trial holds.
const SOURCES: u32 = 4_096;

/// What packets cost under a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// A program that looks at nothing and passes, a packet.
    pub empty: Duration,
    /// Packets and what they cost.
    pub costs: Vec<Cost>,
}

/// What a packet costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Its family.
    pub is_v4: bool,
    /// What becomes of it.
    pub reason: Reason,
    /// With the cost of running a program at all.
    pub time: Duration,
}

/// Directories of trials, below the pins of the daemon that makes them.
pub(super) const FORECAST: &str = "forecast";
pub(super) const REHEARSAL: &str = "rehearsal";

/// The pins of a trial, which go with it.
pub(super) struct Apart(PathBuf);

impl Apart {
    /// Removes what a daemon has left that ended in the middle of a trial: its tables would take the
    /// kernel's memory until the next trial.
    pub(super) fn sweep(pins: &Path) {
        for name in [FORECAST, REHEARSAL] {
            let left = pins.join(name);
            if left.exists() {
                drop(Self(left));
            }
        }
    }

    pub(super) fn new(pins: PathBuf) -> Result<Self> {
        if pins.exists() {
            // A daemon that ended in the middle of a trial left them.
            std::fs::remove_dir_all(&pins).map_err(|e| Error::path("remove", &pins, e))?;
        }
        Ok(Self(pins))
    }

    /// Where they are.
    pub(super) fn pins(&self) -> &Path {
        &self.0
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            log::warn!("{} stays behind: {error}", self.0.display());
        }
    }
}

impl State {
    /// Tries an image out. The sensor is off, and no limit runs out: what is measured is the way of a
    /// packet, everything in the caches.
    ///
    /// # Errors
    /// When a program or table does not go in, or does not run.
    pub fn forecast(&self, image: &Image, examples: &[Example]) -> Result<Forecast> {
        let apart = Apart::new(self.settings.pins.join(FORECAST))?;
        let settings = Settings {
            pins: apart.0.clone(),
            max_bans: 1,
            sources: SOURCES,
            ring_bytes: 4096,
            sample: 0.0,
            log: false,
            ..self.settings.clone()
        };
        let mut state = self.open_apart(settings)?;
        let mut generation = Generation::load(&mut state, &unlimited(image))?;
        let empty = Program::empty(false)?;
        let mut costs = Vec::new();
        let mut frames = Vec::new();
        for example in examples {
            let frame = frame::build(example, destination(example));
            costs.push(Cost {
                is_v4: example.source.is_ipv4(),
                reason: foretell(&generation, &frame)?,
                time: Duration::MAX,
            });
            frames.push(frame);
        }
        let mut least = Duration::MAX;
        for _ in 0..BURSTS {
            let Some(first) = frames.first() else { break };
            least = least.min(empty.run(first, BURST)?.time);
            for (cost, frame) in costs.iter_mut().zip(&frames) {
                cost.time = cost.time.min(generation.try_ingress(frame, BURST)?.time);
            }
        }
        costs.dedup_by_key(|cost| (cost.is_v4, cost.reason));
        Ok(Forecast { empty: least, costs })
    }
}

/// The same image with limits that are counted and never spent.
pub(super) fn unlimited(image: &Image) -> Image {
    let mut image = image.clone();
    for profile in &mut image.profiles {
        for rate in [&mut profile.packets, &mut profile.bytes, &mut profile.connections] {
            if rate.is_limit() {
                let ahead = u64::MAX / 4;
                *rate = Rate { mul: 1, tau: ahead, ceiling: ahead, shift: 20, reserved: 0 };
            }
        }
    }
    image
}

pub(super) fn destination(example: &Example) -> IpAddr {
    example.listen.address.unwrap_or(match example.source {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    })
}

fn foretell(generation: &Generation, frame: &[u8]) -> Result<Reason> {
    let now = generation.grains(clock::monotonic_ns());
    let live = generation.live(0, now, &|_| ())?;
    let mut packet = Packet::default();
    let decision = match packet::parse(&Slice::whole(frame), &mut packet) {
        Ok(()) => verdict::judge(&live, &packet),
        Err(reason) => verdict::judge_unparsed(&live, &packet, reason),
    };
    live.whole()?;
    Ok(decision.reason)
}
