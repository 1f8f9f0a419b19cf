//! Who asks: the peer of a connection, or whoever stands behind it when it is a proxy that the policy
//! trusts to tell.
//!
//! No packet carries the address of a client behind a proxy, so that nothing here can ban it. Who is
//! known in this way only is remembered for an hour, to say so to whoever wants to.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::detect::Source;
use crate::policy::Addresses;
use crate::sensor::transaction::Transaction;

/// How long a client is remembered, ns.
const MEMORY: u64 = 3_600 * 1_000_000_000;
/// Most clients remembered; of more, those not seen for the longest time go.
const MOST: usize = 65_536;

/// A client that is known through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// The proxy that named it last.
    pub(crate) proxy: IpAddr,
    /// Stable id of the API it asked.
    pub(crate) api: u32,
    /// When, ns on the records' clock.
    seen: u64,
}

/// Clients that are only known through proxies.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    hidden: HashMap<IpAddr, Known>,
}

impl Clients {
    /// The client of a transaction with an API that has these proxies.
    pub(crate) fn of(&mut self, transaction: &Transaction, proxies: Option<&Addresses>) -> IpAddr {
        let peer = transaction.flow.client;
        let client = proxies.map_or(peer, |proxies| behind(transaction, proxies));
        if client == peer {
            // It has packets of its own.
            if !self.hidden.is_empty() {
                self.hidden.remove(&peer);
            }
            return peer;
        }
        let seen = transaction.time;
        let known = Known { proxy: peer, api: transaction.api, seen };
        if self.hidden.insert(client, known).is_none() && self.hidden.len() > MOST {
            self.forget(seen);
        }
        client
    }

    /// The client of a connection, of which only a PROXY header tells; `None` when it comes from a
    /// proxy that does not say for whom.
    pub(crate) fn of_connection(
        peer: IpAddr,
        announced: Option<IpAddr>,
        proxies: Option<&Addresses>,
    ) -> Option<IpAddr> {
        let Some(proxies) = proxies.filter(|proxies| proxies.contains(peer)) else {
            return Some(peer);
        };
        let client = announced.map(|address| address.to_canonical());
        client.filter(|client| !proxies.contains(*client))
    }

    /// How a source is known, if only through a proxy; `now` on the records' clock.
    pub(crate) fn hidden(&self, source: &Source, now: u64) -> Option<Known> {
        let fresh = |known: &Known| now.saturating_sub(known.seen) < MEMORY;
        let within = |address: &IpAddr| Source { length: source.length, ..mask(address, source) };
        if source.is_single() {
            return self.hidden.get(&source.address).copied().filter(fresh);
        }
        let inside = self.hidden.iter().filter(|(address, _)| within(address) == *source);
        inside.map(|(_, known)| *known).filter(fresh).max_by_key(|known| known.seen)
    }

    /// Makes room: what is out of date goes, or else the older half.
    fn forget(&mut self, now: u64) {
        self.hidden.retain(|_, known| now.saturating_sub(known.seen) < MEMORY);
        if self.hidden.len() > MOST {
            let mut times: Vec<u64> = self.hidden.values().map(|known| known.seen).collect();
            let half = times.len() / 2;
            let (_, &mut middle, _) = times.select_nth_unstable(half);
            self.hidden.retain(|_, known| known.seen > middle);
        }
    }
}

/// The network of a source's length that an address is in.
fn mask(address: &IpAddr, source: &Source) -> Source {
    let lengths = crate::policy::SourceLengths { v4: source.length, v6: source.length };
    Source::of(*address, lengths)
}

/// The nearest of the peer, of who a PROXY header names and of those whom header fields name that is
/// no proxy itself. Every proxy adds the address that it was asked from, so that the last is to be
/// believed as far as those behind it are trusted.
fn behind(transaction: &Transaction, proxies: &Addresses) -> IpAddr {
    let told = transaction.announced.into_iter().chain(transaction.forwarded.iter().rev().copied());
    let mut client = transaction.flow.client;
    for next in told {
        if !proxies.contains(client) {
            break;
        }
        client = next.to_canonical();
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Cidr, Prefixes};
    use crate::sensor::transaction::Flow;

    const SECOND: u64 = 1_000_000_000;

    fn proxies() -> Addresses {
        let mut prefixes = Prefixes::default();
        for (line, text) in ["198.51.100.0/24", "2001:db8:1::/48"].iter().enumerate() {
            prefixes.add(Cidr::parse(text.as_bytes()).unwrap(), 0, line as u32);
        }
        Addresses::of(std::iter::once(&prefixes))
    }

    #[test]
    fn of_connections() {
        let proxies = proxies();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for (peer, announced, expected) in [
            ("203.0.113.9", None, Some("203.0.113.9")),
            ("203.0.113.9", Some("192.0.2.1"), Some("203.0.113.9")),
            ("198.51.100.7", None, None),
            ("198.51.100.7", Some("192.0.2.1"), Some("192.0.2.1")),
            ("198.51.100.7", Some("198.51.100.8"), None),
        ] {
            let found = Clients::of_connection(ip(peer), announced.map(ip), Some(&proxies));
            assert_eq!(found, expected.map(ip), "{peer} {announced:?}");
        }
        assert_eq!(Clients::of_connection(ip("192.0.2.1"), None, None), Some(ip("192.0.2.1")));
    }

    fn asked(peer: &str, announced: &str, forwarded: &str, seconds: u64) -> Transaction {
        let peer: IpAddr = peer.parse().unwrap();
        let addresses =
            |text: &str| text.split_whitespace().map(|one| one.parse().unwrap()).collect();
        Transaction {
            time: seconds * SECOND,
            flow: Flow { client: peer, client_port: 1, server: peer, server_port: 2 },
            api: 7,
            announced: announced.parse().ok(),
            forwarded: addresses(forwarded),
            ..Transaction::example()
        }
    }

    #[test]
    fn the_nearest_that_is_no_proxy() {
        let proxies = proxies();
        for (what, peer, announced, forwarded, expected) in [
            ("no proxy", "192.0.2.1", "203.0.113.9", "203.0.113.8", "192.0.2.1"),
            ("says nothing", "198.51.100.1", "", "", "198.51.100.1"),
            ("header fields", "198.51.100.1", "", "203.0.113.8", "203.0.113.8"),
            ("the last one", "198.51.100.1", "", "10.9.9.9 203.0.113.8", "203.0.113.8"),
            ("a chain", "198.51.100.1", "", "203.0.113.8 198.51.100.2", "203.0.113.8"),
            ("only proxies", "198.51.100.1", "", "198.51.100.3 198.51.100.2", "198.51.100.3"),
            ("PROXY", "198.51.100.1", "203.0.113.9", "203.0.113.8", "203.0.113.9"),
            ("PROXY, a chain", "198.51.100.1", "198.51.100.2", "203.0.113.8", "203.0.113.8"),
            ("IPv6", "2001:db8:1::1", "", "2001:db8:2::9", "2001:db8:2::9"),
            ("mapped", "198.51.100.1", "", "::ffff:203.0.113.8", "203.0.113.8"),
        ] {
            let found =
                Clients::default().of(&asked(peer, announced, forwarded, 1), Some(&proxies));
            assert_eq!(found.to_string(), expected, "{what}");
            let direct = Clients::default().of(&asked(peer, announced, forwarded, 1), None);
            assert_eq!(direct.to_string(), peer, "{what}, an API without proxies");
        }
    }

    #[test]
    fn who_has_packets_of_its_own_is_not_hidden() {
        let (proxies, mut clients) = (proxies(), Clients::default());
        let single = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        let hidden = "203.0.113.8";
        clients.of(&asked("198.51.100.1", "", hidden, 1), Some(&proxies));
        let known = clients.hidden(&single(hidden), 2 * SECOND).unwrap();
        assert_eq!((known.proxy.to_string().as_str(), known.api), ("198.51.100.1", 7));
        assert_eq!(clients.hidden(&single("198.51.100.1"), 2 * SECOND), None, "the proxy itself");
        let network = Source { address: "203.0.113.0".parse().unwrap(), length: 24 };
        assert_eq!(clients.hidden(&network, 2 * SECOND), Some(known));
        assert_eq!(clients.hidden(&single(hidden), 3_601 * SECOND), None, "an hour later");
        clients.of(&asked(hidden, "", "", 3), Some(&proxies));
        assert_eq!(clients.hidden(&single(hidden), 4 * SECOND), None, "it came by itself");
    }

    #[test]
    fn bounded() {
        let (proxies, mut clients) = (proxies(), Clients::default());
        for number in 0..MOST as u32 + 10 {
            let client = std::net::Ipv4Addr::from(0x0a00_0000 + number).to_string();
            clients
                .of(&asked("198.51.100.1", "", &client, u64::from(number / 1000)), Some(&proxies));
        }
        assert!((MOST / 4..=MOST).contains(&clients.hidden.len()), "{}", clients.hidden.len());
    }
}
