//! The counts that a view draws again and again: asked for every second, so that nothing here reads
//! files or looks at each of many bans.

use std::net::IpAddr;

use super::bans::told;
use super::core::{Core, lock};
use crate::control::api::{FindingQuery, SourceCount, TOP_ENTRIES, TOP_SOURCES, Top};
use crate::export::metrics::DURATION_BUCKETS;
use crate::geo::Country;
use crate::kernel::bans::Entry;
use crate::kernel::clock;
use crate::kernel::error::Result;

/// The counts now.
pub(super) fn take(core: &Core) -> Result<Top> {
    core.tend_interfaces();
    let gate = core.gate();
    let status = super::status::glance(core, &gate)?;
    // Right after the counters, which are what was read last.
    let clock_ns = clock::monotonic_ns();
    let mut sources = lock(&core.sources).tell(clock_ns, TOP_SOURCES, |api| gate.api_name(api));
    let mut bans: Vec<Entry> = gate.state.bans.in_force().collect();
    mark_banned(&mut sources.sources, &bans, |api| gate.api_name(api));
    let end = |ban: &Entry| (ban.until.unwrap_or(u64::MAX), ban.network, ban.prefix);
    if bans.len() > TOP_ENTRIES {
        bans.select_nth_unstable_by_key(TOP_ENTRIES, end);
        bans.truncate(TOP_ENTRIES);
    }
    bans.sort_unstable_by_key(end);
    for ban in &mut bans {
        ban.hits = gate.state.bans.hits(ban);
    }
    let bans = bans.iter().map(|ban| told(&gate, ban)).collect();
    drop(gate);
    for source in &mut sources.sources {
        let country = core.geo.country(source.source).filter(|known| *known != Country::UNKNOWN);
        source.country = country.map(|country| country.as_str().to_owned());
        source.asn = core.geo.asn(source.source);
    }
    let findings = FindingQuery { limit: TOP_ENTRIES, ..FindingQuery::default() };
    Ok(Top {
        clock_ns,
        status,
        bounds: DURATION_BUCKETS.to_vec(),
        requests: core.metrics.requests(),
        sources: sources.sources,
        source_seconds: sources.seconds,
        sources_seen: sources.seen,
        sources_untold: sources.untold,
        findings: core.list_findings(&findings),
        bans,
    })
}

/// Sources in the order of families and addresses.
fn place(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(address) => (false, address.to_bits().into()),
        IpAddr::V6(address) => (true, address.to_bits()),
    }
}

/// The first and the last address of a ban.
fn span(ban: &Entry) -> ((bool, u128), (bool, u128)) {
    let (family, first) = place(ban.network);
    let free = (if family { 128 } else { 32_u32 }).saturating_sub(ban.prefix.into());
    let rest = if free == 0 { 0 } else { u128::MAX >> (128 - free) };
    ((family, first), (family, first | rest))
}

/// Notes of each source whether a ban covers it at its API. Bans may be many, so that each looks for
/// the sources in it.
fn mark_banned(sources: &mut [SourceCount], bans: &[Entry], name: impl Fn(u32) -> String) {
    let mut order: Vec<usize> = (0..sources.len()).collect();
    order.sort_unstable_by_key(|&at| place(sources[at].source));
    for ban in bans {
        let (first, last) = span(ban);
        let from = order.partition_point(|&at| place(sources[at].source) < first);
        let inside = order[from..].iter().take_while(|&&at| place(sources[at].source) <= last);
        for &at in inside.collect::<Vec<_>>() {
            let covers = ban.api.is_none_or(|api| name(api) == sources[at].api);
            sources[at].banned |= covers;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ban(network: &str, prefix: u8, api: Option<u32>) -> Entry {
        Entry {
            network: network.parse().unwrap(),
            prefix,
            api,
            until: None,
            since: 0,
            hits: 0,
            automatic: false,
            sources: 0,
        }
    }

    #[test]
    fn bans_cover_sources() {
        // A ban, and which of the sources it covers.
        let all = ["192.0.2.7", "192.0.2.8", "198.51.100.1", "2001:db8::7", "2001:db8:1::7"];
        let rows = [
            (ban("192.0.2.7", 32, None), "10000"),
            (ban("192.0.2.0", 24, None), "11000"),
            (ban("0.0.0.0", 0, None), "11100"),
            (ban("::", 0, None), "00011"),
            (ban("2001:db8::", 48, None), "00010"),
            (ban("2001:db8:1::7", 128, None), "00001"),
            (ban("192.0.2.0", 24, Some(7)), "11000"),
            (ban("192.0.2.0", 24, Some(8)), "00000"),
            (ban("203.0.113.0", 24, None), "00000"),
        ];
        for (ban, expected) in rows {
            let mut sources: Vec<SourceCount> = all
                .iter()
                .map(|source| {
                    let text = serde_json::json!({"source": source, "api": "7"});
                    serde_json::from_value(text).unwrap()
                })
                .collect();
            mark_banned(&mut sources, &[ban], |api| api.to_string());
            let told: String =
                sources.iter().map(|source| if source.banned { '1' } else { '0' }).collect();
            assert_eq!(told, expected, "{ban:?}");
        }
    }
}
