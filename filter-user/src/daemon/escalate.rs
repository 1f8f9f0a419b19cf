//! Banned sources that become banned networks: what the policy and the kernel say to `respond`, and
//! what is told of it.

use crate::control::ssh::own;
use crate::detect::Source;
use crate::export::events::Event;
use crate::kernel::bans::Entry;
use crate::kernel::clock;
use crate::respond::{Action, Banned, Config, Escalator, Outcome};

use super::core::{Core, unix_ns};
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
        let escalator = Escalator::new(Config::default().per_minute, clock::boot_ns());
        Self { escalator, seen: None }
    }

    /// Another policy is in force.
    pub(super) fn follow(&mut self) {
        self.seen = None;
    }

    /// Bans what is to be banned. Does nothing while bans and policy are as they were.
    pub(super) fn look(&mut self, core: &Core, profile: &Profile) {
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
        let mut hand = Hand { core, policy: &profile.policy };
        let now = clock::boot_ns();
        // Only what is banned counts here, and nobody behind a proxy is.
        let guard = profile.guard(|_| false);
        for outcome in self.escalator.look(now, &watched, &bans, &guard, &mut hand) {
            tell(core, profile, &outcome);
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

fn tell(core: &Core, profile: &Profile, outcome: &Outcome) {
    let (action, error) = match outcome {
        Outcome::Done(action) => (action, None),
        Outcome::Failed(action, error) => (action, Some(error.clone())),
        Outcome::Refused(action, _) => (action, None),
        Outcome::Impossible(_) => return,
    };
    let Action::Escalate { network, api, sources, ttl } = action else { return };
    let field = profile.field(*api);
    core.metrics.action(outcome);
    // A refusal changes nothing, and is in the event log only.
    if !matches!(outcome, Outcome::Refused(..)) {
        let fields = [
            ("action", action.name().into()),
            ("api", field.name.to_string().into()),
            ("source", network.to_string().into()),
            ("sources", (*sources).into()),
            ("ttl_seconds", ttl.as_secs_f64().into()),
            ("error", error.into()),
        ];
        core.audit_act("automatic", own(), fields);
    }
    if let Some(event) = Event::escalation(outcome, field, unix_ns()) {
        tracing::warn!("{}", event.message);
        core.tell(&event);
    }
}
