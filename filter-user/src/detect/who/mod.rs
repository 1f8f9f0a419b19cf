//! Who asks for what: one bounded table of sources and their users, for every detector that compares
//! a source with others.
//!
//! Each (API, source) has a [`record`]; from the second credential on that a source sends within a
//! window, each user of it has one too. Each of them has a further one for every route with objects
//! that it asks ([`record::Pair`]). Windows of ten minutes begin with a source's first request; when one is over,
//! its numbers join those of others ([`cohort`]), unless the source has a finding. A request looks
//! up two records, four where a source has several users, and never walks over others. What looks
//! strange is put on a list, of which the next tick decides.
//!
//! **Memory.** At most `sources` records of 240 bytes and `pairs` pairs of 184, some 340 MiB when all are taken, which
//! takes a million sources that ask for objects. When there is no room the least active of the next
//! eight goes, never one with a finding; each is counted. Whoever was idle for a day goes too.
//!
//! The formulas are in [`super::enumeration`], [`super::probing`], [`super::scraping`] and
//! [`super::exfiltration`].

pub(crate) mod cohort;
mod config;
pub(crate) mod distinct;
pub(crate) mod gaps;
mod kept;
pub(crate) mod object;
pub(crate) mod record;
mod roll;
pub(crate) mod route;
pub(crate) mod share;
mod standing;
pub(crate) mod table;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::HashMap;

use super::SECOND;
use super::api::ApiProfile;
use super::codec::{Reader, Writer};
use super::detector::{Detect, Tick};
use super::engine::StateCount;
use super::finding::Detector;
use super::hasher::{Mixing, bytes, mix};
use super::observation::{FlowSeen, Observation, TurnSeen};
use super::source::Source;
use crate::inventory::route::says_exists;
use crate::sensor::Application;
pub use config::WhoConfig;
use record::{NOBODY, Pair, Record, WHOLE, Who};
use roll::{roll_pair, roll_record};
use route::Route;
pub(crate) use standing::{ApiCohorts, Judged, span};
use table::Table;
use watch::Watch;

/// Seconds of a window.
pub(crate) const WINDOW: u32 = 600;
/// Seconds of the short window.
pub(crate) const MINUTE: u32 = 60;
/// Seconds of the long one.
pub(crate) const DAY: u32 = 86_400;
/// Bytes that [`ApiCohorts::minute`] and [`ApiCohorts::day`] count as one.
pub(crate) const UNIT: f64 = 1024.0;
/// Seconds within which every record is looked at, to see whether its window is over.
const ROUND: u64 = 120;

/// Something to be looked at.
#[derive(Clone, Copy, Debug)]
enum Suspect {
    Record(Who, u64),
    Pair(Who, u64, u64),
}

impl Suspect {
    fn who(&self) -> &Who {
        match self {
            Self::Record(who, _) | Self::Pair(who, ..) => who,
        }
    }
}

/// The detector of sources.
#[derive(Debug)]
pub(crate) struct Sources {
    config: WhoConfig,
    seed: u64,
    /// The first time seen, ns: the table's clock begins there.
    origin: Option<u64>,
    records: Table<Record>,
    pairs: Table<Pair>,
    routes: HashMap<u64, Route, Mixing>,
    cohorts: HashMap<u32, ApiCohorts, Mixing>,
    suspects: Vec<Suspect>,
    watched: Vec<Watch>,
    /// Where the round over records and pairs stands, and when it was there.
    cursor: [usize; 2],
    swept: u64,
    /// Routes for which there was no room.
    refused: u64,
}

/// A request as far as records care.
#[derive(Clone, Copy)]
struct Seen {
    time: u64,
    now: u32,
    weight: f32,
    forged: bool,
    missing: Option<u64>,
    page: Option<u64>,
    bytes: f32,
    object: Option<(u64, object::Object)>,
    granted: bool,
    refused: bool,
}

impl Sources {
    /// `seed` keys the hashes: who knows it can hide.
    pub(crate) fn new(config: WhoConfig, seed: u64) -> Self {
        Self {
            config,
            seed,
            origin: None,
            records: Table::new(config.sources),
            pairs: Table::new(config.pairs),
            routes: HashMap::default(),
            cohorts: HashMap::default(),
            suspects: Vec::new(),
            watched: Vec::new(),
            cursor: [0; 2],
            swept: 0,
            refused: 0,
        }
    }

    /// Seconds on the table's clock; an hour has passed when it begins, so that a capture may go back
    /// a little.
    fn seconds(&mut self, time: u64) -> u32 {
        let origin = *self.origin.get_or_insert(time.saturating_sub(3600 * SECOND));
        u32::try_from(time.saturating_sub(origin) / SECOND).unwrap_or(u32::MAX)
    }

    fn hash(&self, who: &Who) -> u64 {
        let source = who.source.hash(self.seed);
        let rest = u64::from(who.api) << 8 | u64::from(who.source.length);
        mix(mix(source, rest), who.user ^ self.seed)
    }

    /// The place of somebody's record, made if need be; its window has begun anew if it was over.
    fn record(&mut self, who: Who, now: u32) -> Option<usize> {
        let hash = self.hash(&who);
        let place = match self.records.find(&who, hash) {
            Some(place) => place,
            None => return self.records.insert(Record::new(who, hash, now), now, |_| {}),
        };
        let record = self.records.at_mut(place)?;
        if now.saturating_sub(record.minute) >= MINUTE {
            roll_record(record, &mut self.cohorts, &self.config, now);
        }
        Some(place)
    }

    /// Takes something into account that somebody did; how many users the source has, if several.
    fn take(&mut self, who: Who, seen: &Seen, user: u64) -> Option<bool> {
        let place = self.record(who, seen.now)?;
        let record = self.records.at_mut(place)?;
        record.last = record.last.max(seen.now);
        record.requests = record.requests.saturating_add(1);
        record.weight += seen.weight;
        record.forged += u32::from(seen.forged);
        record.minute_bytes += seen.bytes;
        record.day_bytes += seen.bytes;
        let mut more = seen.bytes > 0.0;
        if let Some(path) = seen.missing {
            record.missing_requests += 1;
            more |= record.missing.add(path);
        }
        if let Some(page) = seen.page {
            more |= record.pages.add(page);
        }
        record.gaps.add(seen.time / 1_000_000);
        if who.user == WHOLE && user > NOBODY {
            record.users.add(mix(self.seed, user));
            if record.sole == WHOLE {
                record.sole = user;
            } else if record.sole != user {
                record.shared = true;
            }
        }
        let shared = record.shared;
        let config = &self.config;
        // Now and then will do: looking closely takes longer than the rest.
        let due = record.requests % 8 == 0
            || seen.missing.is_some()
            || seen.bytes >= UNIT as f32 * UNIT as f32;
        if more
            && due
            && !record.pending
            && (config.probing.suspects(record)
                || config.scraping.suspects(record)
                || config.exfiltration.suspects(record))
        {
            record.pending = true;
            self.suspects.push(Suspect::Record(who, record.hash));
        }
        Some(shared)
    }

    /// Takes an object that somebody asked for into account.
    fn take_object(&mut self, who: Who, seen: &Seen, shared: bool) {
        let Some((route, object)) = seen.object else { return };
        let now = seen.now;
        let hash = mix(self.hash(&who), route);
        let place = match self.pairs.find(&(who, route), hash) {
            Some(place) => place,
            None => match self.pairs.insert(Pair::new(who, route, hash, now), now, |_| {}) {
                Some(place) => place,
                None => return,
            },
        };
        let Some(pair) = self.pairs.at_mut(place) else { return };
        if now.saturating_sub(pair.since) >= WINDOW {
            roll_pair(pair, &mut self.routes, &self.config, now);
        }
        pair.last = pair.last.max(now);
        pair.shared |= shared;
        pair.requests = pair.requests.saturating_add(1);
        pair.weight += seen.weight;
        pair.forged += u32::from(seen.forged);
        pair.granted += u32::from(seen.granted);
        pair.refused += u32::from(seen.refused);
        let mut more = pair.objects.add(object.hash);
        more |= pair.day_objects.add(object.hash);
        pair.step(object.number);
        // Now and then will do: looking closely takes longer than the rest. Sketches seldom change when
        // there are many, but evidence grows by even steps too.
        let due = more && pair.requests % 4 == 0 || pair.requests % 64 == 0;
        if due && !pair.pending && self.config.enumeration.suspects(pair) {
            pair.pending = true;
            self.suspects.push(Suspect::Pair(who, route, hash));
        }
    }

    /// The key of a route with objects; `None` when there is no room for another.
    fn route(&mut self, api: u32, method: &str, route: &str) -> Option<u64> {
        let name = bytes(self.seed, route.as_bytes()) ^ u64::from(api);
        let key = mix(name, bytes(self.seed, method.as_bytes()));
        if !self.routes.contains_key(&key) {
            if self.routes.len() >= self.config.routes {
                self.refused += 1;
                return None;
            }
            let usual = self.config.enumeration.usual;
            self.routes.insert(key, Route::new(api, method, route, usual));
        }
        Some(key)
    }

    /// Bytes that went to a source outside of HTTP messages that were read.
    fn bytes(&mut self, api: &ApiProfile, moment: &Moment, bytes: u64) {
        let now = self.seconds(moment.time);
        let who = Who { api: api.id, source: moment.source, user: WHOLE };
        let Some(place) = self.record(who, now) else { return };
        let Some(record) = self.records.at_mut(place) else { return };
        record.last = record.last.max(now);
        record.requests = record.requests.saturating_add(1);
        record.weight += moment.weight;
        record.forged += u32::from(!moment.handshake);
        record.minute_bytes += bytes as f32;
        record.day_bytes += bytes as f32;
        if !record.pending && self.config.exfiltration.suspects(record) {
            record.pending = true;
            self.suspects.push(Suspect::Record(who, record.hash));
        }
    }

    /// Looks at some of all records: windows that are over are learned from, idle ones go.
    fn sweep(&mut self, now: u64) {
        let passed = now.saturating_sub(self.swept).min(ROUND * SECOND);
        if passed < SECOND / 4 {
            return;
        }
        self.swept = now;
        let seconds = self.seconds(now);
        let part = |length: usize| {
            (length as u128 * u128::from(passed) / u128::from(ROUND * SECOND)) as usize + 1
        };
        for _ in 0..part(self.records.len()) {
            let place = self.cursor[0];
            let Some(record) = self.records.at_mut(place) else {
                self.cursor[0] = 0;
                break;
            };
            if seconds.saturating_sub(record.minute) >= MINUTE {
                roll_record(record, &mut self.cohorts, &self.config, seconds);
            }
            if record.open == 0 && seconds.saturating_sub(record.last) >= DAY {
                self.records.remove(place);
            } else {
                self.cursor[0] += 1;
            }
        }
        for _ in 0..part(self.pairs.len()) {
            let place = self.cursor[1];
            let Some(pair) = self.pairs.at_mut(place) else {
                self.cursor[1] = 0;
                break;
            };
            if seconds.saturating_sub(pair.since) >= WINDOW {
                roll_pair(pair, &mut self.routes, &self.config, seconds);
            }
            if !pair.open && seconds.saturating_sub(pair.last) >= DAY {
                self.pairs.remove(place);
            } else {
                self.cursor[1] += 1;
            }
        }
    }
}

/// When somebody did something, and how far that is to be believed.
struct Moment {
    time: u64,
    source: Source,
    handshake: bool,
    weight: f32,
}

impl Detect for Sources {
    fn observe(&mut self, api: &ApiProfile, observation: &Observation<'_>) {
        let Observation { method, target, route, status, .. } = *observation;
        let now = self.seconds(observation.time);
        let objects = route.contains('{');
        let exists = status.is_some_and(says_exists);
        let path = object::path(target);
        let object = object::object(self.seed, route, target);
        let own = bytes(self.seed, path.as_bytes());
        // A route that is made for what is missing tells nothing.
        let known = objects && !route.ends_with(crate::inventory::route::VALUE);
        let missing = match status {
            Some(_) if exists => None,
            Some(_) if known => Some(bytes(self.seed, route.as_bytes())),
            Some(_) => Some(own),
            None => None,
        };
        let page = match status {
            Some(200..400) => Some(object.map_or(own, |object| mix(own, object.hash))),
            _ => None,
        };
        // Who is meant to fetch everything is not counted by what it fetches.
        let crawls = api.crawlers.as_ref().is_some_and(|who| who.contains(observation.source));
        let (page, object) = if crawls { (None, None) } else { (page, object) };
        let object = object.and_then(|object| Some((self.route(api.id, method, route)?, object)));
        let seen = Seen {
            time: observation.time,
            now,
            // A weight is a count below 2^16: exact.
            weight: observation.stands_for() as f32,
            forged: !observation.handshake,
            missing,
            page,
            bytes: observation.response_bytes.unwrap_or_default() as f32,
            object,
            granted: matches!(status, Some(200..400)),
            refused: matches!(status, Some(401 | 403 | 404 | 410)),
        };
        let source = Source::of(observation.source, api.sources);
        let user = observation.credential.map_or(NOBODY, |hash| hash.max(NOBODY + 1));
        let whole = Who { api: api.id, source, user: WHOLE };
        let shared = self.take(whole, &seen, user).unwrap_or_default();
        self.take_object(whole, &seen, shared);
        if shared {
            let one = Who { user, ..whole };
            self.take(one, &seen, user);
            self.take_object(one, &seen, false);
        }
    }

    fn turn(&mut self, api: &ApiProfile, turn: &TurnSeen) {
        let moment = Moment {
            time: turn.time,
            source: Source::of(turn.source, api.sources),
            handshake: turn.handshake,
            weight: super::observation::stands_for(turn.weight) as f32,
        };
        self.bytes(api, &moment, turn.response_bytes);
    }

    fn flow(&mut self, api: &ApiProfile, flow: &FlowSeen) {
        use Application::{Http, Http2, Opaque, Quic, Tls, Unknown, Upgraded, WebSocket};
        match flow.application {
            // Their messages and turns were told.
            Http | Http2 | Tls => return,
            Unknown | Quic | WebSocket | Upgraded | Opaque => {}
        }
        let moment = Moment {
            time: flow.end,
            source: Source::of(flow.source, api.sources),
            handshake: flow.handshake,
            weight: super::observation::stands_for(flow.weight) as f32,
        };
        self.bytes(api, &moment, flow.bytes[1]);
    }

    fn tick(&mut self, tick: &mut Tick<'_>) {
        self.sweep(tick.now);
        self.decide(tick);
    }

    fn retain(&mut self, keep: &dyn Fn(u32) -> bool) {
        self.records.retain(|record| keep(record.who.api));
        self.pairs.retain(|pair| keep(pair.who.api));
        self.routes.retain(|_, route| keep(route.api));
        self.cohorts.retain(|api, _| keep(*api));
        self.watched.retain(|watch| keep(watch.api()));
    }

    fn save(&self, api: u32, to: &mut Writer) {
        self.write_api(api, to);
    }

    fn load(&mut self, api: &ApiProfile, from: Reader<'_>, _: u64) -> Option<()> {
        self.read_api(api.id, from)
    }

    fn state_counts(&self) -> Vec<StateCount> {
        let count = |detector, states: usize, evicted| StateCount {
            detector,
            states: states as u64,
            evicted,
        };
        vec![
            count(Detector::Exfiltration, self.records.len(), self.records.evicted()),
            count(Detector::Enumeration, self.pairs.len(), self.pairs.evicted() + self.refused),
        ]
    }
}
