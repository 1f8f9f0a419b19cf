//! Which interfaces the packets of a connection come in by.
//!
//! The kernel does not note it. So it is where the local address is, and the way the answers take;
//! where routing is not symmetric and the address is elsewhere, that is wrong. Of interfaces on top
//! of others (bridges, bonds, VLANs), those underneath carry it too.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use super::LOOPBACK;
use super::{INFO, ask, attributes, field};
use crate::lockout::Connection;

const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINK_NETNSID: u16 = 37;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
/// Bytes of an ifaddrmsg and of an rtmsg.
const ADDRESS: usize = 8;
const ROUTE: usize = 12;

/// An interface and those it is connected to in this namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    index: u32,
    /// The one underneath, of a VLAN and the like.
    on: Option<u32>,
    /// The bridge or bond it is a port of.
    port_of: Option<u32>,
}

/// Those of `interfaces`, by index, that carry a connection of this network namespace. When the
/// kernel does not say, all of them: better warned once too often.
pub fn carriers(connection: &Connection, interfaces: &[u32]) -> Vec<u32> {
    match find(connection) {
        Ok((ends, links)) if !ends.is_empty() => {
            let carries = |index: &&u32| !above(**index, &links).is_disjoint(&ends);
            interfaces.iter().filter(carries).copied().collect()
        }
        Ok(_) => interfaces.to_vec(),
        Err(error) => {
            tracing::warn!(%error, "the kernel does not say which interface carries {}", connection.peer);
            interfaces.to_vec()
        }
    }
}

/// The interfaces where a connection ends, and all interfaces.
fn find(connection: &Connection) -> io::Result<(BTreeSet<u32>, Vec<Link>)> {
    let (local, peer) = (connection.local.ip(), connection.peer.ip());
    let links = ask(libc::RTM_GETLINK, libc::NLM_F_DUMP, &[0; INFO])?;
    let links = links.iter().filter_map(|answer| link(answer)).collect();
    if local == peer || peer.is_loopback() {
        return Ok((BTreeSet::from([LOOPBACK]), links));
    }
    let addresses = ask(libc::RTM_GETADDR, libc::NLM_F_DUMP, &[0; ADDRESS])?;
    let owners = addresses.iter().filter_map(|answer| owner(answer, local));
    // An address of the loopback interface is reached by any other.
    let mut ends: BTreeSet<_> = owners.filter(|&index| index != LOOPBACK).collect();
    match ask(libc::RTM_GETROUTE, 0, &route_request(local, peer)) {
        Ok(routes) => ends.extend(routes.iter().filter_map(|answer| way_out(answer))),
        // A peer of the link alone: which link, only the address says.
        Err(error) if ends.is_empty() => return Err(error),
        Err(_) => {}
    }
    Ok((ends, links))
}

fn number(value: &[u8]) -> Option<u32> {
    field(value, 0).map(u32::from_ne_bytes)
}

fn link(answer: &[u8]) -> Option<Link> {
    let index = field(answer, 4).map(u32::from_ne_bytes)?;
    let mut link = Link { index, on: None, port_of: None };
    let mut elsewhere = false;
    for (kind, value) in attributes(answer.get(INFO..)?) {
        match kind {
            IFLA_LINK => link.on = number(value),
            IFLA_MASTER => link.port_of = number(value),
            IFLA_LINK_NETNSID => elsewhere = true,
            _ => {}
        }
    }
    if elsewhere {
        link.on = None;
    }
    Some(link)
}

/// The interface of an address, when it is the one that is looked for.
fn owner(answer: &[u8], wanted: IpAddr) -> Option<u32> {
    let index = field(answer, 4).map(u32::from_ne_bytes)?;
    let found = attributes(answer.get(ADDRESS..)?)
        .any(|(kind, value)| matches!(kind, IFA_ADDRESS | IFA_LOCAL) && value == octets(wanted));
    found.then_some(index)
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// How a packet from `local` to `peer` leaves: rtmsg { family, dst_len, src_len, tos, table,
/// protocol, scope, type, flags } and the two addresses.
fn route_request(local: IpAddr, peer: IpAddr) -> Vec<u8> {
    let family = if peer.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 } as u8;
    let bits = if peer.is_ipv4() { 32 } else { 128 };
    let mut body = vec![0; ROUTE];
    body[..3].copy_from_slice(&[family, bits, bits]);
    for (kind, address) in [(RTA_DST, peer), (RTA_SRC, local)] {
        let value = octets(address);
        body.extend((value.len() as u16 + 4).to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(value);
    }
    body
}

fn way_out(answer: &[u8]) -> Option<u32> {
    attributes(answer.get(ROUTE..)?)
        .find(|&(kind, _)| kind == RTA_OIF)
        .and_then(|(_, value)| number(value))
}

/// An interface and all that lie above it.
fn above(index: u32, links: &[Link]) -> BTreeSet<u32> {
    let mut found = BTreeSet::from([index]);
    let mut new = vec![index];
    while let Some(lower) = new.pop() {
        for link in links {
            let higher = match link {
                Link { index, port_of: Some(master), .. } if *index == lower => *master,
                Link { index, on: Some(on), .. } if *on == lower => *index,
                _ => continue,
            };
            if found.insert(higher) {
                new.push(higher);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_to_oneself_is_carried_by_the_loopback_interface() {
        let end = |text: &str| text.parse().expect("an address");
        let connection = Connection { local: end("127.0.0.1:22"), peer: end("127.0.0.1:50000") };
        assert_eq!(carriers(&connection, &[LOOPBACK, 0x7fff_fff0]), [LOOPBACK]);
        let (_, links) = find(&connection).expect("the kernel answers");
        assert!(links.iter().any(|link| link.index == LOOPBACK));
    }

    #[test]
    fn what_lies_above_an_interface() {
        let link = |index, on, port_of| Link { index, on, port_of };
        // eth0 with a VLAN that is a port of a bridge, itself with a VLAN; eth1 in a bond.
        let links = [
            link(1, None, None),
            link(2, None, None),
            link(3, Some(2), Some(4)),
            link(4, None, None),
            link(5, Some(4), None),
            link(6, None, Some(7)),
            link(7, None, None),
        ];
        let rows: [(u32, &[u32]); 4] = [(2, &[2, 3, 4, 5]), (5, &[5]), (6, &[6, 7]), (9, &[9])];
        for (index, expected) in rows {
            assert_eq!(above(index, &links).into_iter().collect::<Vec<_>>(), expected, "{index}");
        }
        let pair = [link(2, Some(3), None), link(3, Some(2), None)];
        assert_eq!(above(2, &pair).len(), 2, "a pair that is on each other ends");
    }
}
