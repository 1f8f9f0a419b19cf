//! Who the policy says must not be acted against.

use std::net::IpAddr;

use super::Guard;
use crate::detect::Source;
use crate::policy::{Api, Policy, Prefixes};

/// The guard of a policy. A source that is a network is guarded when any of its addresses is: a
/// prefix of the policy may lie inside it.
#[derive(Clone, Copy, Debug)]
pub struct PolicyGuard<'a, F, B> {
    policy: &'a Policy,
    /// Stable id → API.
    find: F,
    /// Whether a source is only known through a proxy.
    behind: B,
}

impl<'a, F: Fn(u32) -> Option<&'a Api>, B: Fn(&Source) -> bool> PolicyGuard<'a, F, B> {
    /// The guard of this policy, whose APIs `find` finds by stable id; `behind` knows who is only
    /// known through a proxy.
    pub fn new(policy: &'a Policy, find: F, behind: B) -> Self {
        Self { policy, find, behind }
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
    use crate::policy::SourceLengths;

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
        let guard = PolicyGuard::new(&policy, |id| policy.apis.get(id as usize), |_| false);
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
        let guard = PolicyGuard::new(&policy, |id| policy.apis.get(id as usize), |_| false);
        let source = Source::of("192.0.2.200".parse().unwrap(), lengths(24, 64));
        assert!(guard.is_trusted(&source), "{source}");
        assert!(!guard.is_trusted_in_part(&source), "{source}: it passes before any ban");
    }
}
