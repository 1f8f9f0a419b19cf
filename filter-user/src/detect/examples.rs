//! A few of the requests that a finding is about: what somebody who doubts it looks up first.
//!
//! Detectors count; they keep no requests. So the last few of each source, and of each endpoint, are kept
//! beside them, in two tables of a fixed size: of a source from its second request on, first every one
//! and then every eighth; of an endpoint, and of an API as a whole, one every [`SPACING`], and beside
//! these those that failed, likewise; of what limits and bans refuse at an API, of which the kernel tells,
//! likewise. When a finding is reported the [`MOST`] that tell most about it are chosen: those of its user and its endpoint, for guessing those that were refused, for errors
//! those that failed, for latency and size the farthest off; then the latest.
//!
//! What is kept is what `weir evidence` tells too: when, who, method, route, status, latency and size.
//! No target, no query, no value of a credential.
//!
//! **Bounds.** [`PLACES`] places of five in each table, 5 MiB together, whatever comes. Who is at a place
//! stays until others wanted it as often as it was used, so that a source that asks on and on is not
//! pushed out by a crowd that asks once. A finding has no examples when its place was another's.

mod places;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use super::SECOND;
use super::api::ApiProfile;
use super::codec::{Reader, Writer};
use super::finding::Detector;
use super::hasher::{bytes, mix};
use super::lifecycle::Subject;
use super::observation::{FlowSeen, Observation, RefusedBy, RefusedSeen, TurnSeen};
use super::source::Source;
#[cfg(doc)]
use places::PLACES;
use places::{Names, Places};

/// Examples of a finding, at most.
pub const MOST: usize = 5;
/// Time between two examples of an endpoint.
const SPACING: u64 = 5 * SECOND;
/// Older ones say nothing of what is found now.
const OLD: u64 = 86_400 * SECOND;

/// A request, a turn of an encrypted connection (without method, route and status), a connection to a
/// port that no API has, or a packet that a limit or a ban refused (both with the port).
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// When it began, ns, on the clock of the engine.
    pub time: u64,
    /// Whose it was.
    pub source: IpAddr,
    /// Method and route as the inventory knows it; empty where they are not known.
    pub method: Arc<str>,
    /// See `method`.
    pub route: Arc<str>,
    /// The final status.
    pub status: Option<u16>,
    /// To the first byte of the answer, ns.
    pub latency: Option<u64>,
    /// Bytes of the answer's body.
    pub bytes: Option<u64>,
    /// The port, of a refused packet and where no API has it.
    pub port: Option<u16>,
    /// Of which user; for choosing only.
    pub(crate) credential: Option<u64>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Examples {
    seed: u64,
    sources: Places,
    endpoints: Places,
    names: Names,
}

impl Examples {
    /// `seed` keys the places: who knows it can push others out.
    pub(super) fn new(seed: u64) -> Self {
        let (sources, endpoints) = (Places::new(), Places::new());
        Self { seed, sources, endpoints, names: Names::new() }
    }

    fn of_source(&self, api: u32, source: Source) -> u64 {
        mix(source.hash(self.seed), u64::from(api) << 8 | u64::from(source.length))
    }

    /// A hash of method and route, 0 for an API as a whole.
    fn of_name(&self, endpoint: Option<(&str, &str)>) -> u64 {
        endpoint.map_or(0, |(method, route)| {
            mix(bytes(self.seed, route.as_bytes()), bytes(self.seed, method.as_bytes()))
        })
    }

    fn of_endpoint(&self, api: u32, name: u64, failed: bool) -> u64 {
        mix(name ^ self.seed, u64::from(api) << 1 | u64::from(failed))
    }

    /// Of what is not kept only the heads of three places are touched, and nothing is allocated unless
    /// the names are new.
    pub(super) fn request(&mut self, api: &ApiProfile, seen: &Observation<'_>) {
        let named = (!seen.route.is_empty()).then_some((seen.method, seen.route));
        let name = self.of_name(named);
        let example = |names: &mut Names| {
            let (method, route) = names.of(name, seen.method, seen.route);
            Example {
                time: seen.time,
                source: seen.source,
                method,
                route,
                status: seen.status,
                latency: seen.latency,
                bytes: seen.response_bytes,
                port: None,
                credential: seen.credential,
            }
        };
        self.source(api, seen.source, example);
        let failed = seen.status.is_some_and(|status| status >= 400);
        self.endpoint(self.of_endpoint(api.id, 0, failed), seen.time, example);
        if named.is_some() {
            self.endpoint(self.of_endpoint(api.id, name, failed), seen.time, example);
        }
    }

    fn endpoint(&mut self, key: u64, time: u64, example: impl FnOnce(&mut Names) -> Example) {
        if let Some(mut place) = self.endpoints.claim(key)
            && (place.used() <= MOST as u32 || time.saturating_sub(place.last()) >= SPACING)
        {
            place.put(example(&mut self.names));
        }
    }

    fn source(
        &mut self,
        api: &ApiProfile,
        source: IpAddr,
        example: impl FnOnce(&mut Names) -> Example,
    ) {
        let key = self.of_source(api.id, Source::of(source, api.sources));
        if let Some(mut place) = self.sources.claim(key)
            && (2..12).contains(&place.used()) | (place.used() % 8 == 0)
        {
            place.put(example(&mut self.names));
        }
    }

    pub(super) fn turn(&mut self, api: &ApiProfile, turn: &TurnSeen) {
        self.source(api, turn.source, |names| Example {
            latency: turn.latency,
            bytes: Some(turn.response_bytes),
            ..Example::nameless(turn.time, turn.source, names)
        });
    }

    pub(super) fn flow(&mut self, api: &ApiProfile, flow: &FlowSeen) {
        self.source(api, flow.source, |names| Example {
            bytes: Some(flow.bytes[1]),
            port: Some(flow.port),
            ..Example::nameless(flow.end, flow.source, names)
        });
    }

    pub(super) fn refusal(&mut self, api: &ApiProfile, refused: &RefusedSeen) {
        let example = |names: &mut Names| Example {
            port: Some(refused.port),
            ..Example::nameless(refused.time, refused.source, names)
        };
        match refused.by {
            RefusedBy::Unclaimed => self.source(api, refused.source, example),
            RefusedBy::Limit | RefusedBy::Ban => {
                let key = self.of_refused(api.id, refused.by);
                self.endpoint(key, refused.time, example);
            }
            RefusedBy::Other => {}
        }
    }

    fn of_refused(&self, api: u32, by: RefusedBy) -> u64 {
        // No endpoint's: of these the name is a hash of both words.
        self.of_endpoint(api, bytes(self.seed, &[by as u8]), true)
    }

    /// Those that tell most of a finding, the latest last.
    pub(super) fn of(&self, subject: &Subject, up: bool, now: u64) -> Arc<[Example]> {
        let named = subject.endpoint.as_ref().map(|name| (&*name.method, &*name.route));
        let name = self.of_name(named);
        let by = match subject.detector {
            Detector::LimitPressure => Some(RefusedBy::Limit),
            Detector::BanPressure => Some(RefusedBy::Ban),
            _ => None,
        };
        let keys = match (subject.source, by) {
            (Some(source), _) => vec![(&self.sources, self.of_source(subject.api, source))],
            (None, Some(by)) => vec![(&self.endpoints, self.of_refused(subject.api, by))],
            (None, None) => [true, false]
                .map(|failed| (&self.endpoints, self.of_endpoint(subject.api, name, failed)))
                .into(),
        };
        let kept = keys.into_iter().flat_map(|(places, key)| places.of(key));
        let mut kept: Vec<_> = kept
            .filter(|example| now.saturating_sub(example.time) < OLD && is_about(subject, example))
            .cloned()
            .collect();
        kept.sort_by(|a, b| {
            let [a, b] = [a, b].map(|example| (tells(subject, up, example), example.time));
            b.0.total_cmp(&a.0).then(b.1.cmp(&a.1))
        });
        kept.truncate(MOST);
        kept.sort_by_key(|example| example.time);
        kept.into()
    }
}

impl Example {
    /// Nothing is known of it but when and whose.
    pub(crate) fn bare(time: u64, source: IpAddr) -> Self {
        Self {
            time,
            source,
            method: Arc::default(),
            route: Arc::default(),
            status: None,
            latency: None,
            bytes: None,
            port: None,
            credential: None,
        }
    }

    fn nameless(time: u64, source: IpAddr, names: &Names) -> Self {
        let (method, route) = names.none();
        Self { method, route, ..Self::bare(time, source) }
    }

    /// Writes all but the user; the time becomes wall time by `epoch`.
    pub(super) fn write(&self, epoch: i128, to: &mut Writer) {
        to.i128(i128::from(self.time) + epoch);
        to.address(self.source);
        to.text(&self.method);
        to.text(&self.route);
        to.maybe(self.status, Writer::u16);
        to.maybe(self.latency, Writer::u64);
        to.maybe(self.bytes, Writer::u64);
        to.maybe(self.port, Writer::u16);
    }

    /// What [`Self::write`] wrote; a time before the clock began is its beginning.
    pub(super) fn read(from: &mut Reader<'_>, epoch: i128) -> Option<Self> {
        let time = u64::try_from(from.i128()?.checked_sub(epoch)?.max(0)).ok()?;
        Some(Self {
            time,
            source: from.address()?,
            method: from.text()?.into(),
            route: from.text()?.into(),
            status: from.maybe(Reader::u16)?,
            latency: from.maybe(Reader::u64)?,
            bytes: from.maybe(Reader::u64)?,
            port: from.maybe(Reader::u16)?,
            credential: None,
        })
    }
}

/// Whether it may be shown with a finding at all.
fn is_about(subject: &Subject, example: &Example) -> bool {
    let endpoint = subject.endpoint.as_ref().is_none_or(|endpoint| {
        endpoint.route == example.route && endpoint.method == example.method
    });
    let user = subject.credential.is_none() || subject.credential == example.credential;
    let failed = match subject.detector {
        Detector::ErrorShift => example.status.is_some_and(|status| status >= 500),
        Detector::Probing | Detector::CredentialStuffing => {
            example.status.is_some_and(|status| status >= 400)
        }
        _ => true,
    };
    endpoint && user && failed
}

/// How much it tells; `up`: more than usual rather than less.
fn tells(subject: &Subject, up: bool, example: &Example) -> f64 {
    let far = |value: Option<u64>| match value {
        Some(value) if up => value as f64,
        Some(value) => -(value as f64),
        None => f64::NEG_INFINITY,
    };
    match subject.detector {
        Detector::LatencyShift | Detector::LatencyTail => far(example.latency),
        Detector::SizeShift | Detector::SizeTail | Detector::Exfiltration => far(example.bytes),
        Detector::BruteForce => {
            f64::from(u8::from(example.status.is_some_and(|status| status >= 400)))
        }
        _ => 0.0,
    }
}
