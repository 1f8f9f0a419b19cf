//! From banned sources to a banned network, where an API's `escalate` says so.
//!
//! A network hides neighbours who have done nothing, so this is held back more than a ban of one
//! source: it covers only the API that asked for it, it is never longer than a day, what an operator
//! lifts stays lifted, and a network with a proxy of the API in it is left alone. Bans count whoever
//! made them: a detector's needs a handshake seen both ways, and an operator's is an order.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use super::action::{Action, Refusal};
use super::responder::{Executor, Guard, MINUTE, Outcome};
use crate::detect::Source;
use crate::policy::{Escalate, SourceLengths};

/// The longest that a network is banned for at once. When enough of its sources still are, it is
/// banned again.
pub const LONGEST: Duration = Duration::from_secs(86_400);

/// Why a network is banned when so many of its sources are.
pub fn escalation_reason(sources: u32) -> String {
    format!("{sources} of its sources are banned")
}

/// An API that wants networks banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Stable id.
    pub api: u32,
    /// How it tells a source from another.
    pub lengths: SourceLengths,
    /// What it wants.
    pub escalate: Escalate,
}

/// A ban in force. Times are ns of one clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Banned {
    /// Whom it covers.
    pub network: Source,
    /// The only API it covers (stable id); `None`: the whole host.
    pub api: Option<u32>,
    /// When it began.
    pub since: u64,
    /// When it ends; `None`: never.
    pub until: Option<u64>,
}

impl Banned {
    fn at(&self, api: u32) -> bool {
        self.api.is_none_or(|only| only == api)
    }

    fn end(&self) -> u64 {
        self.until.unwrap_or(u64::MAX)
    }
}

/// Bans networks.
#[derive(Debug)]
pub struct Escalator {
    per_minute: usize,
    /// When this daemon began: a network of which nobody was banned since is left as it was found,
    /// because an operator may have lifted it.
    began: u64,
    /// The networks of which enough sources are banned, by API.
    known: HashMap<(u32, Source), Standing>,
    /// When the latest networks were banned, ns.
    latest: VecDeque<u64>,
}

/// What is known of a network of which enough sources are banned.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    /// It is banned until then.
    Banned(u64),
    /// An operator lifted its ban.
    Lifted,
    /// It was free when this daemon began, and nobody in it was banned since.
    Found,
    /// It was not tried.
    Refused(&'static str),
    /// It could not be done.
    Failed(String),
}

/// A network of which enough sources are banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Due {
    network: Source,
    sources: u32,
    /// When the last of these bans began.
    since: u64,
    /// When the last of them ends.
    until: u64,
}

impl Escalator {
    /// Has banned nothing yet. At most `per_minute` networks a minute; `began` is now.
    pub fn new(per_minute: usize, began: u64) -> Self {
        Self { per_minute, began, known: HashMap::new(), latest: VecDeque::new() }
    }

    /// Another policy is in force, with another number of networks a minute.
    pub fn set_per_minute(&mut self, per_minute: usize) {
        self.per_minute = per_minute;
    }

    /// Whether to look again although no ban has changed.
    pub fn waits(&self) -> bool {
        self.known.values().any(|standing| match standing {
            Standing::Refused(guard) => ["too_many", "blast_radius"].contains(guard),
            Standing::Failed(_) => true,
            _ => false,
        })
    }

    /// Looks at the bans in force, and returns what is to be told: what was done, and what was not,
    /// once for each reason.
    pub fn look(
        &mut self,
        now: u64,
        watched: &[Watch],
        bans: &[Banned],
        guard: &impl Guard,
        executor: &mut impl Executor,
    ) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut known = HashMap::new();
        for watch in watched {
            for due in due(watch, bans) {
                let key = (watch.api, due.network);
                let before = self.known.remove(&key);
                let standing = match (banned_until(bans, watch.api, &due.network), before) {
                    (Some(until), _) => Standing::Banned(until),
                    (None, Some(Standing::Lifted)) => Standing::Lifted,
                    (None, Some(Standing::Banned(until))) if until > now => Standing::Lifted,
                    (None, _) if due.since <= self.began => Standing::Found,
                    (None, before) => {
                        let outcome = self.act(now, watch.api, &due, guard, executor);
                        let standing = standing(&outcome, now);
                        if before.as_ref() != Some(&standing) {
                            outcomes.push(outcome);
                        }
                        standing
                    }
                };
                known.insert(key, standing);
            }
        }
        self.known = known;
        outcomes
    }

    fn act(
        &mut self,
        now: u64,
        api: u32,
        due: &Due,
        guard: &impl Guard,
        executor: &mut impl Executor,
    ) -> Outcome {
        let ttl = Duration::from_nanos(due.until.saturating_sub(now)).min(LONGEST);
        let Due { network, sources, .. } = *due;
        let action = Action::Escalate { network, api, sources, ttl };
        while self.latest.front().is_some_and(|time| time.saturating_add(MINUTE) <= now) {
            self.latest.pop_front();
        }
        let refusal = if guard.is_trusted_in_part(&network) {
            Some(Refusal::Trusted)
        } else if guard.is_proxy(api, &network) {
            Some(Refusal::Proxy)
        } else if let Some(hit) = guard.too_wide(&action) {
            Some(Refusal::BlastRadius(hit))
        } else {
            (self.latest.len() >= self.per_minute).then_some(Refusal::TooMany)
        };
        if let Some(refusal) = refusal {
            return Outcome::Refused(action, refusal);
        }
        match executor.execute(&action) {
            Ok(()) => {
                self.latest.push_back(now);
                Outcome::Done(action)
            }
            Err(error) => Outcome::Failed(action, error),
        }
    }
}

fn standing(outcome: &Outcome, now: u64) -> Standing {
    match outcome {
        Outcome::Done(action) | Outcome::DryRun(action) | Outcome::Held(action) => {
            let span = u64::try_from(action.ttl().as_nanos()).unwrap_or(u64::MAX);
            Standing::Banned(now.saturating_add(span))
        }
        Outcome::Refused(_, refusal) | Outcome::Impossible(refusal) => {
            Standing::Refused(refusal.name())
        }
        Outcome::Failed(_, error) => Standing::Failed(error.clone()),
    }
}

/// The networks of which enough sources are banned at an API, in the order of their addresses. A ban
/// wider than a source says nothing about the sources in it, and is not counted.
fn due(watch: &Watch, bans: &[Banned]) -> Vec<Due> {
    let Watch { api, lengths, escalate } = *watch;
    let wide = SourceLengths { v4: escalate.v4, v6: escalate.v6 };
    let mut networks: HashMap<Source, (HashSet<Source>, u64, u64)> = HashMap::new();
    for ban in bans.iter().filter(|ban| ban.at(api)) {
        let source = Source::of(ban.network.address, lengths);
        if ban.network.length < source.length {
            continue;
        }
        let network = Source::of(source.address, wide);
        let (sources, since, until) = networks.entry(network).or_default();
        sources.insert(source);
        *since = ban.since.max(*since);
        *until = ban.end().max(*until);
    }
    let mut all: Vec<_> = networks
        .into_iter()
        .filter_map(|(network, (sources, since, until))| {
            let sources = u32::try_from(sources.len()).ok()?;
            (sources >= escalate.sources).then_some(Due { network, sources, since, until })
        })
        .collect();
    all.sort_unstable_by_key(|due| due.network);
    all
}

/// Until when a ban covers the whole network at an API; `None` when none does.
fn banned_until(bans: &[Banned], api: u32, network: &Source) -> Option<u64> {
    let covers = |ban: &&Banned| {
        let length = ban.network.length;
        ban.at(api)
            && ban.network.address.is_ipv4() == network.address.is_ipv4()
            && length <= network.length
            && Source::of(network.address, SourceLengths { v4: length, v6: length }) == ban.network
    };
    bans.iter().filter(covers).map(Banned::end).max()
}

#[cfg(test)]
mod tests;
