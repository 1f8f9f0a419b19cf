//! Who asked in the last minute, and who was refused: for whoever looks, in bounded memory. Nothing is
//! decided by it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::control::api::{SourceCount, SourceRefused};
use crate::detect::hasher::Keyed;
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
    asked: HashMap<(u32, IpAddr), Asked, Keyed>,
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
        Self {
            asked: HashMap::default(),
            refused: HashMap::new(),
            untold: 0,
            since: now,
            tidied: 0,
        }
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
        let over = |(_, asked): &(_, &Asked)| !asked.is_over(slot);
        let mut rows: Vec<Row<'_>> = self
            .asked
            .iter()
            .filter(over)
            .map(|(key, asked)| Row { key, asked, sum: asked.sum(slot) })
            .collect();
        let ids: BTreeSet<u32> = rows.iter().map(|row| row.key.0).collect();
        let names: HashMap<u32, Arc<str>> =
            ids.into_iter().map(|id| (id, name(id).into())).collect();
        let ids: HashMap<&str, u32> = names.iter().map(|(id, name)| (&**name, *id)).collect();
        let of = |api: &str, source: IpAddr| {
            let key = (*ids.get(api)?, source);
            let asked = self.asked.get(&key).filter(|asked| !asked.is_over(slot))?;
            Some((asked.sum(slot), asked))
        };
        let mut refused: Vec<(&(Arc<str>, IpAddr), &Refusal)> =
            self.refused.iter().filter(|(_, one)| now.saturating_sub(one.time) < MEMORY).collect();
        refused.sort_unstable_by_key(|(key, one)| (Reverse(one.time), key.1));
        let strangers = refused.iter().filter(|((api, source), _)| of(api, *source).is_none());
        let seen = (rows.len() + strangers.count()) as u64;

        let mut told: BTreeMap<(Arc<str>, IpAddr), SourceCount> = BTreeMap::new();
        let mut take = |api: &Arc<str>, source: IpAddr, found: Option<(Counts, &Asked)>| {
            let key = (Arc::clone(api), source);
            if told.len() < most && !told.contains_key(&key) {
                let refusal = self.refused.get(&key);
                let count = count(now, &key, found, refusal);
                told.insert(key, count);
            }
        };
        for ((api, source), _) in refused.iter().take(most / 4) {
            take(api, *source, of(api, *source));
        }
        best(&mut rows, most / 4, |row| row.sum.errors);
        for row in rows.iter().take(most / 4).filter(|row| row.sum.errors > 0) {
            take(&names[&row.key.0], row.key.1, Some((row.sum, row.asked)));
        }
        best(&mut rows, most, |row| row.sum.requests);
        for row in rows.iter().take(most) {
            take(&names[&row.key.0], row.key.1, Some((row.sum, row.asked)));
        }
        let mut sources: Vec<SourceCount> = told.into_values().collect();
        sources.sort_by_key(|one| (Reverse(one.requests), one.source));
        // A slot has begun that is not over: the span is what is past of it, and the others.
        let begun = now.saturating_sub((slot + 1).saturating_sub(SLOTS) * SLOT);
        Told {
            seconds: begun.min(now.saturating_sub(self.since)).max(1) as f64 / 1e9,
            seen,
            untold: self.untold >> 16,
            sources,
        }
    }
}

/// Who asked, and how much lately.
struct Row<'a> {
    key: &'a (u32, IpAddr),
    asked: &'a Asked,
    sum: Counts,
}

/// Puts the largest so many first, in order.
fn best(rows: &mut [Row<'_>], most: usize, by: fn(&Row<'_>) -> u64) {
    let order = |row: &Row<'_>| (Reverse(by(row)), *row.key);
    let first =
        if rows.len() > most { rows.select_nth_unstable_by_key(most, order).0 } else { rows };
    first.sort_unstable_by_key(order);
}

fn count(
    now: u64,
    (api, source): &(Arc<str>, IpAddr),
    found: Option<(Counts, &Asked)>,
    refusal: Option<&Refusal>,
) -> SourceCount {
    let (sum, asked) = found.unzip();
    let sum = sum.unwrap_or_default();
    let age = |time: u64| now.saturating_sub(time);
    SourceCount {
        source: *source,
        api: api.to_string(),
        country: None,
        asn: None,
        requests: sum.requests >> 16,
        errors: sum.errors >> 16,
        bytes: sum.bytes,
        idle_seconds: asked.map(|asked| age(asked.last) / 1_000_000_000),
        server: asked.map(|asked| asked.server),
        proxy: asked.and_then(|asked| asked.proxy),
        refused: refusal.filter(|one| age(one.time) < MEMORY).map(|one| SourceRefused {
            reason: one.reason.to_owned(),
            verdict: one.verdict.to_owned(),
            seconds_ago: age(one.time) / 1_000_000_000,
        }),
        banned: false,
    }
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
