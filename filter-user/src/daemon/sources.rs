//! Who asked in the last minute, and who was refused: for whoever looks, in bounded memory. Nothing is
//! decided by it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::control::api::{SourceCount, SourceRefused};
use crate::export::events::Event;
use crate::sensor::transaction::Transaction;

/// Length of a slot, ns.
const SLOT: u64 = 10_000_000_000;
/// Slots that are remembered: a minute.
const SLOTS: u64 = 6;
/// Sources at APIs that are told apart, about 300 bytes each.
const MOST: usize = 8_192;
/// Sources at APIs that were refused and are remembered.
const MOST_REFUSED: usize = 2_048;
/// How long that a source was refused is remembered, ns: an event tells of it once in a minute.
const MEMORY: u64 = 120_000_000_000;

/// What is counted.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// In 65536ths, as weights are.
    requests: u64,
    /// Likewise.
    errors: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Asked {
    /// The number of the newest slot; the one of number n is at n modulo [`SLOTS`].
    newest: u64,
    slots: [Counts; SLOTS as usize],
    /// Time of the last request, ns.
    last: u64,
    server: SocketAddr,
    proxy: Option<IpAddr>,
}

impl Asked {
    /// Empties the slots between the newest one and this.
    fn go_on(&mut self, slot: u64) {
        let gap = slot.saturating_sub(self.newest).min(SLOTS);
        for step in 0..gap {
            self.slots[((slot - step) % SLOTS) as usize] = Counts::default();
        }
        self.newest = self.newest.max(slot);
    }

    /// All of the last minute, seen from this slot.
    fn sum(&self, slot: u64) -> Counts {
        let mut sum = Counts::default();
        let first = (slot + 1).saturating_sub(SLOTS);
        for number in first.max((self.newest + 1).saturating_sub(SLOTS))..=self.newest.min(slot) {
            let counts = self.slots[(number % SLOTS) as usize];
            sum.requests = sum.requests.saturating_add(counts.requests);
            sum.errors = sum.errors.saturating_add(counts.errors);
            sum.bytes = sum.bytes.saturating_add(counts.bytes);
        }
        sum
    }

    fn is_over(&self, slot: u64) -> bool {
        self.newest + SLOTS <= slot
    }
}

#[derive(Debug)]
struct Refusal {
    reason: &'static str,
    verdict: &'static str,
    time: u64,
}

/// See the module. All times are of CLOCK_MONOTONIC, ns.
#[derive(Debug)]
pub(super) struct Sources {
    /// By the API's stable id.
    asked: HashMap<(u32, IpAddr), Asked>,
    /// By the API's name, which is what events know.
    refused: HashMap<(Arc<str>, IpAddr), Refusal>,
    /// In 65536ths.
    untold: u64,
    since: u64,
    /// The slot in which room was made last.
    tidied: u64,
}

/// What there is to say at a time.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Without what only others know: country, network, ban.
    pub(super) sources: Vec<SourceCount>,
    /// The span that is counted over, seconds.
    pub(super) seconds: f64,
    /// Pairs of source and API in it.
    pub(super) seen: u64,
    /// Requests without room, ever.
    pub(super) untold: u64,
}

impl Sources {
    /// Nobody has asked yet.
    pub(super) fn new(now: u64) -> Self {
        Self { asked: HashMap::new(), refused: HashMap::new(), untold: 0, since: now, tidied: 0 }
    }

    /// A request that came in of this client.
    pub(super) fn asked(&mut self, transaction: &Transaction, client: IpAddr) {
        let weight = u64::from(transaction.weight.max(1 << 16));
        let slot = transaction.time / SLOT;
        let key = (transaction.api, client);
        if self.asked.len() >= MOST && !self.asked.contains_key(&key) && !self.make_room(slot) {
            self.untold = self.untold.saturating_add(weight);
            return;
        }
        let flow = &transaction.flow;
        let asked = self.asked.entry(key).or_insert_with(|| Asked {
            newest: slot,
            slots: Default::default(),
            last: 0,
            server: SocketAddr::new(flow.server, flow.server_port),
            proxy: None,
        });
        asked.go_on(slot);
        asked.last = asked.last.max(transaction.time);
        asked.server = SocketAddr::new(flow.server, flow.server_port);
        asked.proxy = Some(flow.client).filter(|peer| *peer != client);
        // One that began long ago and is over only now counts where it is still counted.
        let counts = &mut asked.slots[(slot.max(asked.newest) % SLOTS) as usize];
        counts.requests = counts.requests.saturating_add(weight);
        if transaction.status.is_some_and(|status| status >= 400) {
            counts.errors = counts.errors.saturating_add(weight);
        }
        let bytes = transaction.response_body_bytes.unwrap_or(0);
        let all = (u128::from(bytes) * u128::from(weight)) >> 16;
        counts.bytes = counts.bytes.saturating_add(u64::try_from(all).unwrap_or(u64::MAX));
    }

    /// An event that tells of a source that was refused or limited.
    pub(super) fn refused(&mut self, event: &Event, now: u64) {
        let (Some(source), Some(api), Some(traffic)) = (event.source, &event.api, &event.traffic)
        else {
            return;
        };
        if self.refused.len() >= MOST_REFUSED {
            self.refused.retain(|_, known| now.saturating_sub(known.time) < MEMORY);
        }
        if self.refused.len() >= MOST_REFUSED {
            let times = self.refused.values().map(|known| known.time);
            let oldest = times.min().unwrap_or_default();
            self.refused.retain(|_, known| known.time > oldest);
        }
        let refusal = Refusal { reason: traffic.reason, verdict: traffic.verdict, time: now };
        self.refused.insert((Arc::clone(&api.name), source.ip), refusal);
    }

    /// Forgets who has not asked for a minute, once in a slot; whether there is room then.
    fn make_room(&mut self, slot: u64) -> bool {
        if self.tidied < slot {
            self.tidied = slot;
            self.asked.retain(|_, asked| !asked.is_over(slot));
        }
        self.asked.len() < MOST
    }

    /// At most so many: a quarter of them by who was refused last, a quarter by errors, the others by
    /// requests; those with most requests first. `name` is of an API's stable id.
    pub(super) fn tell(&self, now: u64, most: usize, name: impl Fn(u32) -> String) -> Told {
        let slot = now / SLOT;
        let mut names: HashMap<u32, String> = HashMap::new();
        let mut all: HashMap<(String, IpAddr), SourceCount> = HashMap::new();
        for (&(api, source), asked) in self.asked.iter().filter(|(_, one)| !one.is_over(slot)) {
            let api = names.entry(api).or_insert_with(|| name(api)).clone();
            let sum = asked.sum(slot);
            let count = SourceCount {
                requests: sum.requests >> 16,
                errors: sum.errors >> 16,
                bytes: sum.bytes,
                idle_seconds: Some(now.saturating_sub(asked.last) / 1_000_000_000),
                server: Some(asked.server),
                proxy: asked.proxy,
                ..nothing(source, api.clone())
            };
            all.insert((api, source), count);
        }
        for ((api, source), refusal) in &self.refused {
            let age = now.saturating_sub(refusal.time);
            if age < MEMORY {
                let key = (api.to_string(), *source);
                let count = all.entry(key).or_insert_with(|| nothing(*source, api.to_string()));
                count.refused = Some(SourceRefused {
                    reason: refusal.reason.to_owned(),
                    verdict: refusal.verdict.to_owned(),
                    seconds_ago: age / 1_000_000_000,
                });
            }
        }
        let all: Vec<SourceCount> = all.into_values().collect();
        // A slot has begun that is not over: the span is what is past of it, and the others.
        let begun = now.saturating_sub((slot + 1).saturating_sub(SLOTS) * SLOT);
        Told {
            seconds: begun.min(now.saturating_sub(self.since)).max(1) as f64 / 1e9,
            seen: all.len() as u64,
            untold: self.untold >> 16,
            sources: choose(all, most),
        }
    }
}

fn nothing(source: IpAddr, api: String) -> SourceCount {
    SourceCount {
        source,
        api,
        country: None,
        asn: None,
        requests: 0,
        errors: 0,
        bytes: 0,
        idle_seconds: None,
        server: None,
        proxy: None,
        refused: None,
        banned: false,
    }
}

/// See [`Sources::tell`].
fn choose(all: Vec<SourceCount>, most: usize) -> Vec<SourceCount> {
    let mut order: Vec<usize> = (0..all.len()).collect();
    let mut chosen = BTreeSet::new();
    let refused = |at: &usize| all[*at].refused.as_ref().map_or(u64::MAX, |one| one.seconds_ago);
    order.sort_unstable_by_key(|at| (refused(at), all[*at].source));
    chosen.extend(order.iter().filter(|at| all[**at].refused.is_some()).take(most / 4));
    order.sort_unstable_by_key(|at| (Reverse(all[*at].errors), all[*at].source));
    chosen.extend(order.iter().filter(|at| all[**at].errors > 0).take(most / 4));
    order.sort_unstable_by_key(|at| (Reverse(all[*at].requests), all[*at].source));
    for at in &order {
        if chosen.len() >= most {
            break;
        }
        chosen.insert(*at);
    }
    let mut told: Vec<SourceCount> = Vec::with_capacity(chosen.len());
    told.extend(all.into_iter().enumerate().filter(|(at, _)| chosen.contains(at)).map(|(_, s)| s));
    told.sort_unstable_by(|a, b| {
        let key = |one: &SourceCount| (Reverse(one.requests), one.source);
        key(a).cmp(&key(b)).then_with(|| a.api.cmp(&b.api))
    });
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::events::{ApiField, Refused, SourceEvents};
    use crate::sensor::transaction::Flow;
    use filter_common::reason::Reason;

    const SECOND: u64 = 1_000_000_000;

    fn ip(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from(0xc633_6400 + number).into()
    }

    fn request(source: u32, second: u64, status: u16, weight: u32) -> Transaction {
        Transaction {
            time: second * SECOND,
            flow: Flow { client: ip(source), client_port: 1, server: ip(0), server_port: 80 },
            api: 7,
            status: Some(status),
            response_body_bytes: Some(10),
            weight: weight << 16,
            ..Transaction::example()
        }
    }

    fn name(id: u32) -> String {
        format!("api-{id}")
    }

    #[test]
    fn a_minute_slides() {
        let mut sources = Sources::new(100 * SECOND);
        for (second, status, weight) in [(111, 200, 1), (119, 404, 2), (125, 200, 1), (161, 500, 4)]
        {
            sources.asked(&request(1, second, status, weight), ip(1));
        }
        // Now, and requests, errors, bytes, the span.
        let rows = [
            (161, 8, 6, 80, 51.0),
            (169, 8, 6, 80, 59.0),
            (170, 5, 4, 50, 50.0),
            (179, 5, 4, 50, 59.0),
            (185, 4, 4, 40, 55.0),
            (190, 4, 4, 40, 50.0),
            (219, 4, 4, 40, 59.0),
        ];
        for (now, requests, errors, bytes, seconds) in rows {
            let told = sources.tell(now * SECOND, 10, name);
            let one = &told.sources[0];
            assert_eq!((one.requests, one.errors, one.bytes), (requests, errors, bytes), "{now}");
            assert_eq!((told.seconds, told.seen), (seconds, 1), "{now}");
            assert_eq!(one.idle_seconds, Some(now - 161));
        }
        assert_eq!(sources.tell(220 * SECOND, 10, name).seen, 0);
        let young = Sources::new(100 * SECOND).tell(105 * SECOND, 10, name);
        assert_eq!((young.seconds, young.seen), (5.0, 0), "it has not been there for a minute");
    }

    #[test]
    fn one_that_ends_late_counts_now() {
        let mut sources = Sources::new(0);
        sources.asked(&request(1, 200, 200, 1), ip(1));
        sources.asked(&request(1, 100, 200, 1), ip(1));
        let told = sources.tell(201 * SECOND, 10, name);
        assert_eq!((told.sources[0].requests, told.sources[0].idle_seconds), (2, Some(1)));
    }

    #[test]
    fn bounded_and_what_has_no_room_is_counted() {
        let mut sources = Sources::new(0);
        for number in 0..MOST as u32 + 5 {
            sources.asked(&request(number, 100, 200, 3), ip(number));
        }
        let told = sources.tell(101 * SECOND, 200, name);
        assert_eq!((told.seen, told.untold, told.sources.len()), (MOST as u64, 15, 200));
        // A minute later there is room.
        sources.asked(&request(90_000, 170, 200, 1), ip(90_000));
        let told = sources.tell(170 * SECOND, 200, name);
        assert_eq!((told.seen, told.untold), (1, 15));
    }

    #[test]
    fn who_is_told() {
        let mut sources = Sources::new(0);
        for number in 0..40 {
            for _ in 0..40 - number {
                sources.asked(&request(number, 100, 200, 1), ip(number));
            }
        }
        sources.asked(&request(39, 100, 404, 1), ip(39));
        let mut events = SourceEvents::new(60);
        let refused = Refused {
            api: 7,
            source: ip(77),
            reason: Reason::Banned,
            would: false,
            packets: 1,
            bytes: 60,
        };
        let summary = events.push(0, &refused).unwrap();
        let api = ApiField { name: "api-7".into(), ..ApiField::default() };
        sources.refused(&Event::refused(&summary, api, 0), 90 * SECOND);
        let told = sources.tell(100 * SECOND, 8, name);
        let numbers: Vec<_> = told.sources.iter().map(|one| one.source).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 39, 77].map(ip));
        let refused = told.sources[7].refused.clone().unwrap();
        assert_eq!((refused.reason.as_str(), refused.seconds_ago), ("banned", 10));
        assert_eq!(told.sources[7].idle_seconds, None);
        assert_eq!(told.seen, 41);
        let later = sources.tell(211 * SECOND, 8, name);
        assert_eq!(later.seen, 0, "{:?}", later.sources);
    }

    #[test]
    fn whoever_is_behind_a_proxy() {
        let mut sources = Sources::new(0);
        sources.asked(&request(1, 100, 200, 1), ip(9));
        let told = sources.tell(100 * SECOND, 8, name);
        assert_eq!((told.sources[0].source, told.sources[0].proxy), (ip(9), Some(ip(1))));
    }
}
