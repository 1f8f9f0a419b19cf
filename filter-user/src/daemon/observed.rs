//! How much sources do at their busiest, out of the kept transactions: requests in clear text. Of TLS and
//! of what is no HTTP none are kept.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use crate::control::api::{Answer, ApiError, ObservedApi, ObservedQuery, Peak};
use crate::detect::Source;
use crate::policy::{Addresses, Api, Policy};
use crate::store::{Exchange, HANDSHAKE, Store};

use super::core::Core;

/// Kept transactions that are looked at, the newest: 64 bytes each at most.
const MOST: usize = 1_000_000;
/// Packets of a request and its connection beside those that follow from sizes: SYN, two
/// acknowledgements, FIN and its acknowledgement, and the one with the request's head.
const PACKETS: u64 = 6;
/// Bytes of a segment, on a path with IPv6's smallest MTU (RFC 8200): what carries a body, and what is
/// acknowledged at the most often.
const SEGMENT: u64 = 1_220;

/// One kept transaction.
#[derive(Clone, Copy, Debug)]
struct Row {
    api: u32,
    source: Source,
    /// ms since 1970.
    time: u64,
    /// In 65536ths.
    weight: u64,
    packets: u32,
    size_unknown: bool,
}

const _: () = assert!(size_of::<Row>() <= 64);

/// What is needed of an API of the policy.
struct Rule {
    api: ObservedApi,
    lengths: crate::policy::SourceLengths,
    /// For whom `limit` does not hold.
    exempt: Vec<Addresses>,
}

impl Rule {
    fn of(policy: &Policy, api: &Api) -> Self {
        let groups = api.limit_for.iter().filter_map(|limit| policy.group(limit.group));
        let of_groups = groups.map(|group| Addresses::of(std::iter::once(&group.prefixes)));
        let trusted = Addresses::of(std::iter::once(&policy.trusted.prefixes));
        let exempt = of_groups.chain([trusted]).chain(policy.proxies_of(api)).collect();
        let observed = ObservedApi {
            api: api.name.clone(),
            proxied: !api.proxies.is_empty(),
            ..ObservedApi::default()
        };
        Self { api: observed, lengths: api.source, exempt }
    }

    fn exempts(&self, source: IpAddr) -> bool {
        self.exempt.iter().any(|addresses| addresses.contains(source))
    }
}

/// Packets from a source for an exchange: those of its body, and an acknowledgement for each segment
/// of the answer.
fn packets(exchange: &Exchange) -> u64 {
    let sent = exchange.request_bytes.unwrap_or(0).div_ceil(SEGMENT);
    PACKETS + sent + exchange.response_bytes.unwrap_or(0).div_ceil(SEGMENT)
}

/// Sums up.
struct Tallies {
    rules: Vec<Rule>,
    names: HashMap<Arc<str>, u32>,
    rows: VecDeque<Row>,
}

impl Tallies {
    fn new(policy: &Policy, wanted: Option<&str>) -> Self {
        let apis = policy.apis.iter().filter(|api| wanted.is_none_or(|name| api.name == name));
        let rules: Vec<_> = apis.map(|api| Rule::of(policy, api)).collect();
        let names = (0..).zip(&rules).map(|(at, rule)| (rule.api.api.as_str().into(), at));
        Self { names: names.collect(), rules, rows: VecDeque::new() }
    }

    fn add(&mut self, exchange: &Exchange) {
        let Some(&api) = self.names.get(&exchange.api) else { return };
        let Some(rule) = self.rules.get_mut(api as usize) else { return };
        if exchange.facts & HANDSHAKE == 0 || rule.exempts(exchange.source) {
            rule.api.exempt += 1;
            return;
        }
        if self.rows.len() >= MOST {
            self.rows.pop_front();
        }
        self.rows.push_back(Row {
            api,
            source: Source::of(exchange.source, rule.lengths),
            time: exchange.time,
            weight: exchange.weight,
            packets: u32::try_from(packets(exchange)).unwrap_or(u32::MAX),
            size_unknown: exchange.response_bytes.is_none(),
        });
    }

    fn told(mut self) -> Vec<ObservedApi> {
        let mut rows: Vec<Row> = self.rows.into();
        rows.sort_unstable_by_key(|row| (row.api, row.source, row.time));
        for of_api in rows.chunk_by(|a, b| a.api == b.api) {
            let Some(rule) = of_api.first().and_then(|row| self.rules.get_mut(row.api as usize))
            else {
                continue;
            };
            let [mut minutes, mut seconds] = [Vec::new(), Vec::new()];
            for of_source in of_api.chunk_by(|a, b| a.source == b.source) {
                let source = of_source[0].source;
                let busiest = |span: u64, of: fn(&Row) -> u32| {
                    let windows = of_source.chunk_by(|a, b| a.time / span == b.time / span);
                    let sums = windows.map(|rows| {
                        rows.iter().fold(0_u64, |sum, row| {
                            let part = u128::from(row.weight) * u128::from(of(row));
                            sum.saturating_add(u64::try_from(part).unwrap_or(u64::MAX))
                        })
                    });
                    sums.max().unwrap_or(0).div_ceil(1 << 16)
                };
                minutes.push((busiest(60_000, |_| 1), source));
                seconds.push((busiest(1_000, |row| row.packets), source));
            }
            let number = |is: fn(&&Row) -> bool| of_api.iter().filter(is).count() as u64;
            rule.api.kept = of_api.len() as u64;
            rule.api.sizes_unknown = number(|row| row.size_unknown);
            rule.api.first_ms = of_api.iter().map(|row| row.time).min().unwrap_or_default();
            rule.api.last_ms = of_api.iter().map(|row| row.time).max().unwrap_or_default();
            rule.api.sources = minutes.len() as u64;
            let weight = of_api.iter().fold(0_u64, |sum, row| sum.saturating_add(row.weight));
            rule.api.estimated = weight.saturating_add(1 << 15) >> 16;
            rule.api.minute = peak(minutes);
            rule.api.second = peak(seconds);
        }
        self.rules.into_iter().map(|rule| rule.api).collect()
    }
}

fn peak(mut of_sources: Vec<(u64, Source)>) -> Peak {
    of_sources.sort_unstable();
    // Nearest rank.
    let rank = (of_sources.len() * 999).div_ceil(1_000).saturating_sub(1);
    let Some((most, source)) = of_sources.last() else { return Peak::default() };
    let p999 = of_sources.get(rank).map_or(*most, |(value, _)| *value);
    Peak { p999, most: *most, source: source.to_string() }
}

impl Core {
    /// What sources did.
    pub(super) fn observe(&self, query: &ObservedQuery) -> Answer<Vec<ObservedApi>> {
        let policy = Arc::clone(&self.gate().now.policy);
        if let Some(name) = &query.api
            && policy.api(name).is_none()
        {
            return Err(ApiError::not_found(format!("the policy in force has no API \"{name}\""))
                .hint("`weir status` lists them"));
        }
        let mut tallies = Tallies::new(&policy, query.api.as_deref());
        // What was seen a moment ago is to be in it.
        self.write_inventory();
        let store = Store::open(&self.config.state_dir).map_err(|error| {
            ApiError::internal(error.to_string()).hint("`weir status` says what is wrong with it")
        })?;
        let until = i64::MAX.unsigned_abs();
        store
            .each_exchange(0, until, query.api.as_deref(), |exchange| tallies.add(&exchange))
            .map_err(|error| ApiError::internal(error.to_string()))?;
        Ok(tallies.told())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "[policy]\nname = \"p\"\n[trusted]\ncidrs = [\"192.0.2.200\"]\nports = [\"tcp/22\"]\n\
        [groups.big]\ncidrs = [\"198.51.100.0/24\"]\n[groups.cdn]\ncidrs = [\"203.0.113.0/24\"]\n\
        [[api]]\nname = \"a\"\nlisten = [\"tcp/80\"]\nallow = \"any\"\nlimit_for.big = { packets = \"9/s\" }\n\
        [[api]]\nname = \"b\"\nlisten = [\"tcp/81\"]\nallow = \"any\"\nproxies = [\"cdn\"]\n";

    fn exchange(api: &str, source: &str, second: u64, bytes: u64) -> Exchange {
        Exchange {
            time: second * 1_000 + 7,
            api: api.into(),
            route: "/".into(),
            method: "GET",
            source: source.parse().expect(source),
            status: Some(200),
            latency: None,
            request_bytes: Some(0),
            response_bytes: Some(bytes),
            facts: HANDSHAKE,
            weight: 1 << 16,
        }
    }

    fn told(exchanges: &[Exchange]) -> Vec<ObservedApi> {
        let policy = crate::policy::parse(POLICY, std::path::Path::new(""), "p").policy;
        let mut tallies = Tallies::new(&policy.expect("a policy"), None);
        exchanges.iter().for_each(|exchange| tallies.add(exchange));
        tallies.told()
    }

    #[test]
    fn busiest_minute_and_second() {
        // Out of order, over a minute's edge; two hosts of one /64; a sampled one.
        let mut rows = vec![
            exchange("a", "192.0.2.1", 61, 0),
            exchange("a", "192.0.2.1", 59, 0),
            exchange("a", "192.0.2.1", 60, 1_221),
            exchange("a", "192.0.2.1", 60, 0),
            exchange("a", "2001:db8::1", 10, 0),
            exchange("a", "2001:db8::2", 10, 0),
            exchange("b", "192.0.2.9", 10, 0),
            exchange("gone", "192.0.2.9", 10, 0),
        ];
        rows[6].weight = 5 << 15;
        let found = told(&rows);
        let [a, b] = found.as_slice() else { panic!("two APIs: {found:?}") };
        assert_eq!((a.kept, a.estimated, a.sources, a.exempt), (6, 6, 2, 0));
        assert_eq!((a.first_ms, a.last_ms), (10_007, 61_007));
        assert_eq!(a.minute, Peak { p999: 3, most: 3, source: "192.0.2.1".into() });
        // Two requests in a second, one with an answer of two segments.
        assert_eq!(a.second, Peak { p999: 14, most: 14, source: "192.0.2.1".into() });
        assert_eq!((b.kept, b.minute.most, b.second.most, b.proxied), (1, 3, 15, true));
    }

    #[test]
    fn only_whom_the_limit_would_hold() {
        let mut forged = exchange("a", "192.0.2.1", 1, 0);
        forged.facts = 0;
        let rows = [
            exchange("a", "192.0.2.200", 1, 0),
            exchange("a", "198.51.100.1", 1, 0),
            exchange("b", "203.0.113.1", 1, 0),
            forged,
        ];
        let found = told(&rows);
        let counts: Vec<_> = found.iter().map(|api| (api.kept, api.exempt, api.sources)).collect();
        assert_eq!(counts, [(0, 3, 0), (0, 1, 0)]);
    }

    #[test]
    fn one_of_a_thousand_is_left_out() {
        for (sources, expected) in [(1, 1), (999, 999), (1_000, 999), (2_000, 1_998)] {
            let rows: Vec<Exchange> = (1..=sources)
                .map(|n: u64| Exchange {
                    weight: n << 16,
                    ..exchange("a", &format!("10.0.{}.{}", n / 256, n % 256), 1, 0)
                })
                .collect();
            let found = told(&rows);
            assert_eq!((found[0].minute.p999, found[0].minute.most), (expected, sources));
        }
    }
}
