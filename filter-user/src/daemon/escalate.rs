//! Banned sources that become banned networks: what the policy and the kernel say to `respond`, and
//! what is told of it.

use crate::detect::Source;
use crate::export::events::Event;
use crate::kernel::bans::Entry;
use crate::kernel::clock;
use crate::policy::{RespondMode, Responses};
use crate::respond::{Action, Audience, Banned, Escalator, Executor, Outcome};

use super::core::{Core, lock, unix_ns};
use super::pipeline::Hand;
use super::profile::Profile;

/// Looks after the networks.
pub(super) struct Networks {
    escalator: Escalator,
    /// [`crate::kernel::bans::Bans::changes`] when it looked last; `None`: look in any case.
    seen: Option<u64>,
}

impl Networks {
    pub(super) fn new() -> Self {
        let escalator = Escalator::new(Responses::default().per_minute as usize, clock::boot_ns());
        Self { escalator, seen: None }
    }

    /// Another policy is in force.
    pub(super) fn follow(&mut self) {
        self.seen = None;
    }

    /// Bans what is to be banned. Does nothing while bans and policy are as they were.
    pub(super) fn look(&mut self, core: &Core, profile: &Profile, audience: (&Audience, u64)) {
        let watched = profile.watched();
        let Some(gate) = core.try_gate() else { return };
        let changes = gate.state.bans.changes();
        if self.seen == Some(changes) && !self.escalator.waits() {
            return;
        }
        self.seen = Some(changes);
        // Where no API asks, what was known of networks is forgotten without a look at the bans.
        let bans: Vec<_> = match watched[..] {
            [] => Vec::new(),
            _ => gate.state.bans.in_force().map(banned).collect(),
        };
        drop(gate);
        let stopped = lock(&core.actions).is_stopped();
        if stopped {
            // Looked at again when it is over.
            self.seen = None;
            return;
        }
        self.escalator.set_per_minute(profile.policy.responses.per_minute as usize);
        let mut hand = Restrained { hand: Hand { core, policy: &profile.policy }, profile };
        let now = clock::boot_ns();
        // Only what is banned counts here, and nobody behind a proxy is.
        let guard = profile.guard(|_| false, Some(audience));
        for outcome in self.escalator.look(now, &watched, &bans, &guard, &mut hand) {
            tell(core, profile, outcome);
        }
    }
}

/// Carries out what the mode of an API lets it.
struct Restrained<'a> {
    hand: Hand<'a>,
    profile: &'a Profile,
}

impl Executor for Restrained<'_> {
    fn execute(&mut self, action: &Action) -> Result<(), String> {
        let Action::Escalate { api, .. } = action else { return self.hand.execute(action) };
        match self.profile.respond_mode(*api) {
            RespondMode::Act => self.hand.execute(action),
            // It is told instead.
            RespondMode::Approve | RespondMode::DryRun => Ok(()),
        }
    }
}

fn banned(entry: Entry) -> Banned {
    Banned {
        network: Source { address: entry.network, length: entry.prefix },
        api: entry.api,
        since: entry.since,
        until: entry.until,
    }
}

fn tell(core: &Core, profile: &Profile, outcome: Outcome) {
    let Some(Action::Escalate { api, .. }) = outcome.action() else { return };
    let (mode, field) = (profile.respond_mode(*api), profile.field(*api));
    let outcome = match (outcome, mode) {
        (Outcome::Done(action), RespondMode::DryRun) => Outcome::DryRun(action),
        (Outcome::Done(action), RespondMode::Approve) => Outcome::Held(action),
        (outcome, _) => outcome,
    };
    if let Some(event) = Event::escalation(&outcome, field, unix_ns()) {
        core.note_action(profile, &outcome, None, event);
    }
}
