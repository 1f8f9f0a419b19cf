//! Who the policy says must not be acted against.

use std::net::IpAddr;

use super::Guard;
use super::action::Action;
use super::crowd::{Crowd, Crowds};
use super::reach::{Hit, Reach};
use crate::detect::Source;
use crate::policy::{Api, Policy, Prefixes, SourceLengths};

/// What is known of the traffic that an action would meet.
#[derive(Debug, Default)]
pub struct Served {
    /// Who asked, and how much.
    pub reach: Reach,
    /// How many share a source.
    pub crowds: Crowds,
}

/// Requests that must have been answered well for a share of them to say anything.
const ENOUGH_REQUESTS: u64 = 100;

/// The guard of a policy. A source that is a network is guarded when any of its addresses is: a
/// prefix of the policy may lie inside it.
#[derive(Clone, Copy, Debug)]
pub struct PolicyGuard<'a, F, B> {
    policy: &'a Policy,
    /// Stable id → API.
    find: F,
    /// Whether a source is only known through a proxy.
    behind: B,
    /// And now, on its clock.
    traffic: Option<(&'a Served, u64)>,
}

impl<'a, F: Fn(u32) -> Option<&'a Api>, B: Fn(&Source) -> bool> PolicyGuard<'a, F, B> {
    /// The guard of this policy, whose APIs `find` finds by stable id; `behind` knows who is only
    /// known through a proxy. Without `traffic` and its time nobody is too many.
    pub fn new(policy: &'a Policy, find: F, behind: B, traffic: Option<(&'a Served, u64)>) -> Self {
        Self { policy, find, behind, traffic }
    }

    /// Whether that is more than may be hit.
    fn is_too_much(&self, hit: &Hit) -> bool {
        let rules = &self.policy.responses;
        let sources = rules.max_share_sources * hit.of_sources as f64;
        let requests = rules.max_share_requests * hit.of_requests as f64;
        hit.sources as f64 > sources.max(1.0)
            || hit.of_requests >= ENOUGH_REQUESTS && hit.requests as f64 > requests
    }
}

impl<'a, F, B> Guard for PolicyGuard<'a, F, B>
where
    F: Fn(u32) -> Option<&'a Api>,
    B: Fn(&Source) -> bool,
{
    fn is_trusted(&self, source: &Source) -> bool {
        overlaps(&self.policy.trusted.prefixes, source)
    }

    fn is_trusted_in_part(&self, source: &Source) -> bool {
        let trusted = &self.policy.trusted;
        let in_part = !trusted.ports.is_empty() || !trusted.interfaces.is_empty();
        in_part && self.is_trusted(source)
    }

    fn is_proxy(&self, api: u32, source: &Source) -> bool {
        (self.find)(api).is_some_and(|api| {
            let groups = api.proxies.iter().filter_map(|group| self.policy.group(group.value));
            groups.into_iter().any(|group| overlaps(&group.prefixes, source))
        })
    }

    fn is_behind_proxy(&self, source: &Source) -> bool {
        (self.behind)(source)
    }

    fn too_wide(&self, action: &Action) -> Option<Hit> {
        let (traffic, now) = self.traffic?;
        let spared = |source: &Source| overlaps(&self.policy.trusted.prefixes, source);
        let hit = |api: u32, hits: &dyn Fn(&Source, f64) -> bool| {
            traffic.reach.hit(now, api, |source, rate| hits(source, rate) && !spared(source))
        };
        let too_much = |hit: &Hit| self.is_too_much(hit);
        match action {
            // On the whole host.
            Action::Ban { source, .. } => {
                let apis = traffic.reach.apis();
                let hits = apis.map(|api| hit(api, &|other, _| within(other, source)));
                hits.into_iter().find(too_much)
            }
            Action::Escalate { network, api, .. } => {
                Some(hit(*api, &|other, _| within(other, network))).filter(too_much)
            }
            Action::Lockdown { api, group, .. } => {
                let group = self.policy.group(*group)?;
                let outside = |other: &Source, _: f64| !overlaps(&group.prefixes, other);
                Some(hit(*api, &outside)).filter(too_much)
            }
            // A request takes a packet at the least: these are hit for certain.
            Action::Limit { api, rate, .. } => {
                let most = rate.amount as f64 / rate.period.as_secs_f64();
                Some(hit(*api, &|_, asked| asked > most)).filter(too_much)
            }
        }
    }

    fn shared(&self, api: u32, source: &Source) -> Option<Crowd> {
        let (traffic, _) = self.traffic?;
        let rules = &self.policy.responses;
        let crowd = traffic.crowds.of(api, source);
        let is_many = |number: u32, limit: u32| limit != 0 && number >= limit;
        let shared = is_many(crowd.credentials, rules.shared_credentials)
            || is_many(crowd.agents, rules.shared_agents);
        shared.then_some(crowd)
    }
}

/// Whether a source lies within another.
fn within(inner: &Source, outer: &Source) -> bool {
    let lengths = SourceLengths { v4: outer.length, v6: outer.length };
    inner.address.is_ipv4() == outer.address.is_ipv4()
        && inner.length >= outer.length
        && Source::of(inner.address, lengths).address == outer.address
}

/// Whether a source and some prefix have an address in common.
fn overlaps(prefixes: &Prefixes, source: &Source) -> bool {
    match source.address {
        IpAddr::V4(v4) => {
            let address = u32::from(v4);
            prefixes.v4.iter().any(|member| {
                let length = u32::from(member.length.min(source.length));
                ((member.address ^ address) & !u32::MAX.checked_shr(length).unwrap_or(0)) == 0
            })
        }
        IpAddr::V6(v6) => {
            let address = u128::from(v6);
            prefixes.v6.iter().any(|member| {
                let length = u32::from(member.length.min(source.length));
                ((member.address ^ address) & !u128::MAX.checked_shr(length).unwrap_or(0)) == 0
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
        [policy]
        name = "edge"
        version = 1
        [trusted]
        cidrs = ["192.0.2.10/32", "2001:db8:1::7/128"]
        ports = ["tcp/22"]
        [groups.cdn]
        cidrs = ["203.0.113.0/24", "2001:db8:2::/48"]
        [[api]]
        name = "orders"
        listen = ["tcp/8080"]
        allow = "any"
        proxies = ["cdn"]
        [[api]]
        name = "other"
        listen = ["tcp/8081"]
        allow = "any"
    "#;

    #[test]
    fn rows() {
        let loaded = crate::policy::parse(POLICY, std::path::Path::new("."), "edge.toml");
        let policy = loaded.policy.expect("a good policy");
        let guard = PolicyGuard::new(&policy, |id| policy.apis.get(id as usize), |_| false, None);
        let lengths = |v4, v6| SourceLengths { v4, v6 };
        for (address, lengths, trusted, proxy) in [
            ("192.0.2.10", lengths(32, 64), true, false),
            ("192.0.2.11", lengths(32, 64), false, false),
            ("192.0.2.200", lengths(24, 64), true, false),
            ("2001:db8:1::1", lengths(32, 64), true, false),
            ("2001:db8:1::1", lengths(32, 128), false, false),
            ("203.0.113.200", lengths(32, 64), false, true),
            ("203.0.114.1", lengths(32, 64), false, false),
            ("203.0.114.1", lengths(16, 64), false, true),
            ("2001:db8:2:3::1", lengths(32, 64), false, true),
            ("2001:db8:3::1", lengths(32, 64), false, false),
            ("198.51.100.1", lengths(0, 64), true, true),
        ] {
            let source = Source::of(address.parse().unwrap(), lengths);
            assert_eq!(guard.is_trusted(&source), trusted, "{source} trusted");
            assert_eq!(guard.is_trusted_in_part(&source), trusted, "{source} trusted on a port");
            assert_eq!(guard.is_proxy(0, &source), proxy, "{source} proxy");
            assert!(!guard.is_proxy(1, &source) && !guard.is_proxy(9, &source), "{source}");
        }
        let text = POLICY.replace("ports = [\"tcp/22\"]", "");
        let loaded = crate::policy::parse(&text, std::path::Path::new("."), "edge.toml");
        let policy = loaded.policy.expect("a good policy");
        let guard = PolicyGuard::new(&policy, |id| policy.apis.get(id as usize), |_| false, None);
        let source = Source::of("192.0.2.200".parse().unwrap(), lengths(24, 64));
        assert!(guard.is_trusted(&source), "{source}");
        assert!(!guard.is_trusted_in_part(&source), "{source}: it passes before any ban");
    }

    #[test]
    fn who_would_be_hit() {
        use crate::policy::GroupIndex;
        use crate::text::quantity::Rate;
        use std::time::Duration;

        let text = POLICY.to_owned()
            + "\n[respond]\nmax_share_sources = 0.2\nmax_share_requests = 0.5\nshared_credentials = 3\nshared_agents = 0\n";
        let loaded = crate::policy::parse(&text, std::path::Path::new("."), "edge.toml");
        let policy = loaded.policy.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let of = |text: &str| {
            let (address, length) = text.split_once('/').unwrap_or((text, "32"));
            let length = length.parse().expect("a length");
            Source { address: address.parse().expect("an address"), length }
        };
        let mut served = Served::default();
        // Ten sources of ten requests each, two of them of `cdn`, and one of a hundred and fifty.
        for n in 1..=8 {
            for _ in 0..10 {
                served.reach.note(0, 0, of(&format!("198.51.100.{n}")), 1 << 16);
            }
        }
        for n in 1..=2 {
            for _ in 0..10 {
                served.reach.note(0, 0, of(&format!("203.0.113.{n}")), 1 << 16);
            }
        }
        for credential in 0..150 {
            let busy = of("198.51.100.200");
            served.reach.note(0, 0, busy, 1 << 16);
            served.crowds.note(0, 0, busy, Some(credential % 6), Some("one"));
        }
        let guard = PolicyGuard::new(
            &policy,
            |id| policy.apis.get(id as usize),
            |_| false,
            Some((&served, 1)),
        );
        let (ttl, reason) = (Duration::from_secs(60), String::new());
        let ban = |text| Action::Ban { source: of(text), api: 0, ttl, reason: reason.clone() };
        let escalate = |text| Action::Escalate { network: of(text), api: 0, sources: 20, ttl };
        let limit = |amount| Action::Limit {
            api: 0,
            rate: Rate { amount, period: Duration::from_secs(3_600) },
            ttl,
            reason: reason.clone(),
        };
        let lockdown =
            Action::Lockdown { api: 0, group: GroupIndex(0), ttl, reason: reason.clone() };
        // The action, and sources and requests it would hit, when that is too many.
        let rows = [
            (ban("198.51.100.1"), None),
            (ban("192.0.2.77"), None),
            (ban("198.51.100.200"), Some((1, 150))),
            (ban("198.51.100.0/30"), Some((3, 30))),
            (ban("203.0.113.0/24"), None),
            (escalate("198.51.100.0/24"), Some((9, 230))),
            (escalate("192.0.2.0/24"), None),
            (lockdown, Some((9, 230))),
            // A hundred and fifty in ten minutes are nine hundred an hour.
            (limit(1_000), None),
            (limit(800), Some((1, 150))),
            (limit(50), Some((11, 250))),
        ];
        for (action, expected) in rows {
            let hit = guard.too_wide(&action);
            let found = hit.map(|hit| (hit.sources, hit.requests));
            assert_eq!(found, expected, "{action:?}");
            if let Some(hit) = hit {
                assert_eq!((hit.of_sources, hit.of_requests), (11, 250), "{action:?}");
            }
        }
        assert!(guard.shared(0, &of("198.51.100.200")).is_some_and(|crowd| crowd.credentials >= 3));
        assert_eq!(guard.shared(0, &of("198.51.100.1")), None);
        assert_eq!(guard.shared(1, &of("198.51.100.200")), None, "at another API");
    }
}
