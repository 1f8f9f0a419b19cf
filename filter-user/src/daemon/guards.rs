//! What the guards of automatic actions go by, over restarts: whom each API served in the last hour, how
//! many share a source, and when the latest actions were. It takes the way of what detectors have [learned](super::learned).

use crate::detect::codec::{Reader, Writer};
use crate::respond::{Responder, Served};

use super::core::Core;
use super::learned::{named, tell_reset};
use super::profile::Profile;

/// Under which name is kept what samples are drawn by, and when the latest actions were.
const NAME: &str = "guards of actions";
/// Of what is kept under it; other versions are begun anew.
const VERSION: u32 = 1;

/// What is to be kept.
#[derive(Debug)]
pub(super) struct Guards<'a> {
    /// Whom an action would hit.
    pub(super) served: &'a Served,
    /// With the times of the latest actions.
    pub(super) responder: &'a Responder,
    /// What to add to their times for ns since 1970.
    pub(super) epoch: i128,
}

/// Under which name is kept whom an API served.
fn name_of(api: &str) -> String {
    format!("served by {api}")
}

/// Under which name is kept who is shared at an API.
fn name_of_shared(api: &str) -> String {
    format!("shared at {api}")
}

impl Guards<'_> {
    /// Writes down what there is of no API in particular.
    pub(super) fn keep(&self, core: &Core) {
        let mut to = Writer::default();
        to.u32(VERSION);
        to.u64(self.served.reach.seed());
        to.0.extend_from_slice(&self.responder.save(self.epoch));
        core.learned.keep(NAME, to.0);
    }

    /// Writes down whom an API served.
    pub(super) fn keep_api(&self, core: &Core, id: u32, name: &str) {
        if let Some(bytes) = self.served.reach.save(id, self.epoch) {
            core.learned.keep(&name_of(name), bytes);
        }
    }

    /// Writes down who is shared at these APIs: at once, for all are held together.
    pub(super) fn keep_shared(&self, core: &Core, apis: &[(u32, String)]) {
        let mut shared = self.served.crowds.save(self.epoch);
        for (id, name) in apis {
            if let Some(bytes) = shared.remove(id) {
                core.learned.keep(&name_of_shared(name), bytes);
            }
        }
    }
}

/// What was kept, before anything else is known.
pub(super) fn restore(core: &Core, now: u64, epoch: i128) -> (Served, Responder) {
    let (mut served, mut responder) = (Served::default(), Responder::new());
    if let Some(bytes) = core.learned.take_kept(NAME) {
        let mut from = Reader(&bytes);
        let seed = from.u32().filter(|version| *version == VERSION).and_then(|_| from.u64());
        if let Some(seed) = seed {
            served.reach.sow(seed);
        }
        if seed.is_none() || !responder.load(from.0, now, epoch) {
            let what =
                "the times of the latest actions were kept by another version, or are damaged";
            tell_reset(core, format!("{what}: the limit of actions a minute begins anew"));
        }
    }
    (served, responder)
}

/// Takes up whom the APIs of a policy served and who is shared at them, once.
pub(super) fn take_up(core: &Core, served: &mut Served, profile: &Profile, now: u64, epoch: i128) {
    for (id, name) in named(profile) {
        if let Some(bytes) = core.learned.take_kept(&name_of(&name))
            && !served.reach.load(id, &bytes, now, epoch)
        {
            let what = format!("whom {name} served was kept by another version, or is damaged");
            tell_reset(core, format!("{what}: the hour of the guards begins anew"));
        }
        if let Some(bytes) = core.learned.take_kept(&name_of_shared(&name))
            && !served.crowds.load(id, &bytes, now, epoch)
        {
            let what =
                format!("who is shared at {name} was kept by another version, or is damaged");
            tell_reset(core, format!("{what}: that begins anew"));
        }
    }
}
