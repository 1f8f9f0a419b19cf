//! A few of the requests that a finding is about: what somebody who doubts it looks up first.
//!
//! Detectors count; they keep no requests. So the last few of each source, and of each endpoint, are kept
//! beside them, in two tables of a fixed size: of a source from its second request on, first every one
//! and then every eighth; of an endpoint, and of an API as a whole, one every [`SPACING`], and beside
//! these those that failed, likewise. When a finding is reported the [`MOST`] that tell most about it
//! are chosen: those of its user and its endpoint, for guessing those that were refused, for errors
//! those that failed, for latency and size the farthest off; then the latest.
//!
//! What is kept is what `weir evidence` tells too: when, who, method, route, status, latency and size.
//! No target, no query, no value of a credential.
//!
//! **Bounds.** [`PLACES`] places of five in each table, 4 MiB together, whatever comes. Who is at a place
//! stays until others wanted it as often as it was used, so that a source that asks on and on is not
//! pushed out by a crowd that asks once. A finding has no examples when its place was another's.

use std::net::IpAddr;
use std::sync::Arc;

use super::SECOND;
use super::api::ApiProfile;
use super::codec::{Reader, Writer};
use super::finding::Detector;
use super::hasher::{bytes, mix};
use super::lifecycle::Subject;
use super::observation::{FlowSeen, Observation, RefusedSeen, TurnSeen};
use super::source::Source;

/// Examples of a finding, at most.
pub const MOST: usize = 5;
/// Places of a table; a power of two.
const PLACES: usize = 4096;
/// Time between two examples of an endpoint.
const SPACING: u64 = 5 * SECOND;
/// Older ones say nothing of what is found now.
const OLD: u64 = 86_400 * SECOND;

/// A request, a turn of an encrypted connection (without method, route and status), or a connection to
/// a port that no API has (with the port).
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
    /// The port, where no API has it.
    pub port: Option<u16>,
    /// Of which user; for choosing only.
    credential: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Place {
    key: u64,
    /// How often it was used, less how often others wanted it.
    used: u32,
    last: u64,
    next: u8,
    kept: [Option<Example>; MOST],
}

impl Place {
    fn put(&mut self, mut example: Example) {
        // Most are of one route: it is kept once.
        for other in self.kept.iter().flatten() {
            if other.route == example.route && other.method == example.method {
                example.route = Arc::clone(&other.route);
                example.method = Arc::clone(&other.method);
            }
        }
        let next = usize::from(self.next) % MOST;
        self.last = example.time;
        self.kept[next] = Some(example);
        self.next = (next as u8 + 1) % MOST as u8;
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Examples {
    seed: u64,
    sources: Vec<Place>,
    endpoints: Vec<Place>,
}

/// A place for this key, unless it is another's who uses it more.
fn claim(places: &mut [Place], key: u64) -> Option<&mut Place> {
    let place = places.get_mut(key as usize & (PLACES - 1))?;
    if place.key != key {
        place.used /= 2;
        if place.used > 0 {
            return None;
        }
        *place = Place { key, ..Place::default() };
    }
    place.used = place.used.saturating_add(1).min(1 << 16);
    Some(place)
}

impl Examples {
    /// `seed` keys the places: who knows it can push others out.
    pub(super) fn new(seed: u64) -> Self {
        let places = || vec![Place::default(); PLACES];
        Self { seed, sources: places(), endpoints: places() }
    }

    fn of_source(&self, api: u32, source: Source) -> u64 {
        mix(source.hash(self.seed), u64::from(api) << 8 | u64::from(source.length))
    }

    fn of_endpoint(&self, api: u32, endpoint: Option<(&str, &str)>, failed: bool) -> u64 {
        let name = endpoint.map_or(0, |(method, route)| {
            mix(bytes(self.seed, route.as_bytes()), bytes(self.seed, method.as_bytes()))
        });
        mix(name ^ self.seed, u64::from(api) << 1 | u64::from(failed))
    }

    pub(super) fn request(&mut self, api: &ApiProfile, seen: &Observation<'_>) {
        let example = || Example {
            time: seen.time,
            source: seen.source,
            method: seen.method.into(),
            route: seen.route.into(),
            status: seen.status,
            latency: seen.latency,
            bytes: seen.response_bytes,
            port: None,
            credential: seen.credential,
        };
        self.source(api, seen.source, example);
        let failed = seen.status.is_some_and(|status| status >= 400);
        let named = (!seen.route.is_empty()).then_some((seen.method, seen.route));
        self.endpoint(self.of_endpoint(api.id, None, failed), seen.time, example);
        if named.is_some() {
            self.endpoint(self.of_endpoint(api.id, named, failed), seen.time, example);
        }
    }

    fn endpoint(&mut self, key: u64, time: u64, example: impl FnOnce() -> Example) {
        if let Some(place) = claim(&mut self.endpoints, key)
            && (place.used <= MOST as u32 || time.saturating_sub(place.last) >= SPACING)
        {
            place.put(example());
        }
    }

    fn source(&mut self, api: &ApiProfile, source: IpAddr, example: impl FnOnce() -> Example) {
        let key = self.of_source(api.id, Source::of(source, api.sources));
        if let Some(place) = claim(&mut self.sources, key)
            && (2..12).contains(&place.used) | (place.used % 8 == 0)
        {
            place.put(example());
        }
    }

    pub(super) fn turn(&mut self, api: &ApiProfile, turn: &TurnSeen) {
        self.source(api, turn.source, || Example {
            latency: turn.latency,
            bytes: Some(turn.response_bytes),
            ..Example::bare(turn.time, turn.source)
        });
    }

    /// A connection that is over or trickles.
    pub(super) fn flow(&mut self, api: &ApiProfile, flow: &FlowSeen) {
        self.source(api, flow.source, || Example {
            bytes: Some(flow.bytes[1]),
            port: Some(flow.port),
            ..Example::bare(flow.end, flow.source)
        });
    }

    pub(super) fn refusal(&mut self, api: &ApiProfile, refused: &RefusedSeen) {
        self.source(api, refused.source, || Example {
            port: Some(refused.port),
            ..Example::bare(refused.time, refused.source)
        });
    }

    /// Those that tell most of a finding, the latest last.
    pub(super) fn of(&self, subject: &Subject, up: bool, now: u64) -> Arc<[Example]> {
        let named = subject.endpoint.as_ref().map(|name| (&*name.method, &*name.route));
        let keys = match subject.source {
            Some(source) => vec![(&self.sources, self.of_source(subject.api, source))],
            None => [true, false]
                .map(|failed| (&self.endpoints, self.of_endpoint(subject.api, named, failed)))
                .into(),
        };
        let place = |(places, key): (&'_ Vec<Place>, u64)| {
            places.get(key as usize & (PLACES - 1)).filter(|place| place.key == key).cloned()
        };
        let kept = keys.into_iter().filter_map(place).flat_map(|place| place.kept);
        let mut kept: Vec<_> = kept
            .flatten()
            .filter(|example| now.saturating_sub(example.time) < OLD && is_about(subject, example))
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
    fn bare(time: u64, source: IpAddr) -> Self {
        let nothing: Arc<str> = Arc::from("");
        Self {
            time,
            source,
            method: Arc::clone(&nothing),
            route: nothing,
            status: None,
            latency: None,
            bytes: None,
            port: None,
            credential: None,
        }
    }

    /// Writes all but the user; the time becomes wall time by `epoch`.
    pub(super) fn write(&self, epoch: i128, to: &mut Writer) {
        to.i128(i128::from(self.time) + epoch);
        to.text(&self.source.to_string());
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
            source: from.text()?.parse().ok()?,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Endpoint;
    use crate::detect::simulation::orders;

    fn kept(requests: &[(u64, u8, &str, u16, u64)]) -> Examples {
        let mut examples = Examples::new(7);
        for &(second, source, route, status, ms) in requests {
            examples.request(
                &orders(),
                &Observation {
                    time: second * SECOND,
                    source: [192, 0, 2, source].into(),
                    credential: Some(u64::from(source)),
                    route,
                    target: "/orders/1?token=secret",
                    status: Some(status),
                    latency: Some(ms * 1_000_000),
                    ..Observation::example()
                },
            );
        }
        examples
    }

    fn times(examples: &[Example]) -> Vec<u64> {
        examples.iter().map(|example| example.time / SECOND).collect()
    }

    #[test]
    fn the_latest_of_whom_it_is_about() {
        let mut requests: Vec<_> = (0..40).map(|n| (n, 1, "/orders/{id}", 200, 3)).collect();
        requests.extend([(40, 2, "/a", 200, 3), (41, 2, "/a", 401, 3), (42, 2, "/b", 200, 3)]);
        let examples = kept(&requests);
        let source = |last: u8| Source::of([192, 0, 2, last].into(), orders().sources);
        let of = |subject: &Subject| times(&examples.of(subject, true, 50 * SECOND));
        let about = |detector, last| Subject::source(detector, 1, source(last));
        let one = of(&about(Detector::Scraping, 1));
        assert_eq!(one.len(), MOST);
        assert!(one.is_sorted() && one[4] >= 32, "{one:?}");
        assert_eq!(of(&about(Detector::Scraping, 2)), [41, 42], "from the second on");
        assert_eq!(of(&about(Detector::Probing, 2)), [41], "only what failed");
        assert_eq!(of(&about(Detector::Scraping, 3)), [0; 0], "never seen");
        let stranger = Subject { credential: Some(9), ..about(Detector::Scraping, 1) };
        assert_eq!(of(&stranger), [0; 0], "another user of it");
        let late = examples.of(&about(Detector::Scraping, 1), true, OLD + 100 * SECOND);
        assert!(late.is_empty(), "of long ago");
    }

    #[test]
    fn those_of_an_endpoint_that_tell_most() {
        let requests: Vec<_> = (0..60)
            .map(|n| {
                let status = if n % 20 == 0 { 500 } else { 200 };
                (10 * n, 1 + (n % 9) as u8, if n % 2 == 0 { "/a" } else { "/b" }, status, n)
            })
            .collect();
        let examples = kept(&requests);
        let endpoint = Endpoint { method: "GET".into(), route: "/a".into() };
        let about = |detector, named: bool| Subject {
            endpoint: named.then(|| endpoint.clone()),
            ..Subject::api(detector, 1)
        };
        let of = |detector, named, up| examples.of(&about(detector, named), up, 600 * SECOND);
        let failed = of(Detector::ErrorShift, true, true);
        assert_eq!(times(&failed), [0, 200, 400]);
        assert!(failed.iter().all(|example| example.status == Some(500)));
        let slow = of(Detector::LatencyShift, true, true);
        assert_eq!(slow.len(), MOST);
        assert!(slow.iter().all(|example| &*example.route == "/a"), "{slow:?}");
        let [up, down] = [true, false].map(|up| {
            let found = of(Detector::LatencyTail, false, up);
            found.iter().filter_map(|example| example.latency).sum::<u64>()
        });
        assert!(up > down, "{up} and {down}");
    }

    #[test]
    fn who_asks_on_and_on_is_not_pushed_out() {
        let mut examples = Examples::new(7);
        let request = |examples: &mut Examples, n: u64, source: IpAddr| {
            let time = n * 1_000_000;
            examples.request(&orders(), &Observation { time, source, ..Observation::example() });
        };
        let one: IpAddr = [198, 51, 100, 1].into();
        for n in 0..200_000_u64 {
            let crowd: IpAddr = [10, (n >> 16) as u8, (n >> 8) as u8, n as u8].into();
            request(&mut examples, n, crowd);
            if n % 100 == 0 {
                request(&mut examples, n, one);
            }
        }
        let subject = Subject::source(Detector::Scraping, 1, Source::from(one));
        assert!(!examples.of(&subject, true, 200 * SECOND).is_empty());
        assert_eq!(examples.sources.len(), PLACES);
    }

    #[test]
    fn written_and_read() {
        let examples = kept(&[(1, 1, "/a", 200, 3), (2, 1, "/a", 404, 4)]);
        let subject =
            Subject::source(Detector::Scraping, 1, Source::from(IpAddr::from([192, 0, 2, 1])));
        let all = examples.of(&subject, true, 9 * SECOND);
        let mut to = Writer::default();
        all.iter().for_each(|example| example.write(100, &mut to));
        assert!(!String::from_utf8_lossy(&to.0).contains("secret"));
        let read = Example::read(&mut Reader(&to.0), 100).expect("what was written");
        assert_eq!(read, Example { credential: None, ..all[0].clone() });
        for length in 0..to.0.len() {
            assert_eq!(Example::read(&mut Reader(&to.0[..length]), 100), None);
        }
    }
}
