//! Packets that a policy admits and refuses, to try its cost on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::api::{Allow, Api};
use super::model::{GroupIndex, Listen, Policy, Port, Protocol, Sited};
use super::prefixes::Prefixes;

/// Groups whose first member is a candidate.
const CANDIDATES: usize = 16;

/// A packet: from whom, and where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Example {
    /// Its source.
    pub source: IpAddr,
    /// Its destination.
    pub listen: Listen,
}

/// Sources to look for strangers among: 198.51.100.7, 8.8.8.8, 100.64.0.1, and three of IPv6.
fn strangers(is_v4: bool) -> [IpAddr; 3] {
    if is_v4 {
        [[198, 51, 100, 7], [8, 8, 8, 8], [100, 64, 0, 1]]
            .map(|octets| Ipv4Addr::from(octets).into())
    } else {
        [0x2001_0db8, 0x2600_1000, 0x2a00_1450]
            .map(|first: u128| Ipv6Addr::from(first << 96 | 7).into())
    }
}

/// For each family a source that the first API of that family admits and one that it refuses, as far
/// as they are found; without an API two packets that none claims.
pub fn examples(policy: &Policy) -> Vec<Example> {
    let mut found = Vec::new();
    for is_v4 in [true, false] {
        let of_family = |listen: &&Sited<Listen>| {
            listen.value.address.is_none_or(|address| address.is_ipv4() == is_v4)
        };
        let claimed = policy.apis.iter().find_map(|api| {
            let listen = api.listen.iter().find(of_family)?;
            Some((api, listen.value))
        });
        let Some((api, listen)) = claimed else {
            let port = Port { protocol: Protocol::Udp, port: 9 };
            let [source, ..] = strangers(is_v4);
            found.push(Example { source, listen: Listen { port, address: None } });
            continue;
        };
        let judged = |source: &IpAddr| policy.trusted_by(*source).is_none();
        let known = members(policy, api, is_v4).into_iter().chain(strangers(is_v4));
        let admitted = known.filter(judged).find(|source| admits(policy, api, *source));
        let refused = strangers(is_v4)
            .into_iter()
            .filter(judged)
            .find(|source| !admits(policy, api, *source));
        found.extend(
            [admitted, refused].into_iter().flatten().map(|source| Example { source, listen }),
        );
    }
    found
}

/// Packets to an API from the first address of each group that is no proxy of it, and from strangers,
/// trusted ones left out: as far as they go, those that an order about the API would hit and spare.
pub fn candidates(policy: &Policy, api: &Api) -> Vec<Example> {
    let mut found = Vec::new();
    for is_v4 in [true, false] {
        let listen = api
            .listen
            .iter()
            .find(|listen| listen.value.address.is_none_or(|address| address.is_ipv4() == is_v4));
        let Some(listen) = listen else { continue };
        let groups = policy.groups.iter().enumerate().take(CANDIDATES);
        let groups = groups.filter(|(index, _)| {
            !api.proxies.iter().any(|proxy| proxy.value == GroupIndex(*index))
        });
        let members = groups.filter_map(|(_, group)| first(&group.prefixes, is_v4));
        let sources = members.chain(strangers(is_v4));
        for source in sources.filter(|source| policy.trusted_by(*source).is_none()) {
            let example = Example { source, listen: listen.value };
            if !found.contains(&example) {
                found.push(example);
            }
        }
    }
    found
}

/// The first address of a set.
fn first(prefixes: &Prefixes, is_v4: bool) -> Option<IpAddr> {
    if is_v4 {
        prefixes.v4.first().map(|member| Ipv4Addr::from(member.address).into())
    } else {
        prefixes.v6.first().map(|member| Ipv6Addr::from(member.address).into())
    }
}

/// The first address of each group that the API allows.
fn members(policy: &Policy, api: &Api, is_v4: bool) -> Vec<IpAddr> {
    let Allow::Groups(groups) = &api.allow else { return Vec::new() };
    let first = |group: &Sited<GroupIndex>| first(&policy.group(group.value)?.prefixes, is_v4);
    groups.iter().filter_map(first).collect()
}

fn admits(policy: &Policy, api: &Api, source: IpAddr) -> bool {
    let inside = |group: &Sited<GroupIndex>| {
        policy.group(group.value).is_some_and(|group| group.prefixes.covering(source).is_some())
    };
    let allowed = match &api.allow {
        Allow::Any(_) => true,
        Allow::Groups(groups) => groups.iter().any(inside),
    };
    allowed && !api.deny.iter().any(inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::parse;

    #[test]
    fn one_is_admitted_and_one_refused() {
        let rows = [
            ("", "198.51.100.7 udp/9, 2001:db8::7 udp/9"),
            (
                "[groups.a]\ncidrs = [\"10.0.0.0/8\", \"198.51.100.0/24\"]\n[groups.b]\ncidrs = [\"10.0.0.0/16\"]\n\
                 [[api]]\nname = \"x\"\nlisten = [\"tcp/80\"]\nallow = [\"a\"]\ndeny = [\"b\"]",
                "198.51.100.7 tcp/80, 8.8.8.8 tcp/80, 2001:db8::7 tcp/80",
            ),
            (
                "[trusted]\ncidrs = [\"198.51.100.7/32\"]\nports = [\"tcp/22\"]\n\
                 [[api]]\nname = \"x\"\nlisten = [\"192.0.2.5:udp/53\"]\nallow = \"any\"",
                "8.8.8.8 192.0.2.5:udp/53, 2001:db8::7 udp/9",
            ),
        ];
        for (text, expected) in rows {
            let text = format!("[policy]\nname = \"p\"\nversion = 1\n{text}");
            let loaded = parse(&text, std::path::Path::new(""), "p.toml");
            let policy = loaded.policy.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
            let found: Vec<_> = examples(&policy)
                .iter()
                .map(|example| format!("{} {}", example.source, example.listen))
                .collect();
            assert_eq!(found.join(", "), expected, "{text}");
        }
    }
}
