//! What tells one flow from another.

use std::hash::{BuildHasher, Hash, Hasher};

use filter_common::addr::Addr;
use filter_common::hash;
use filter_common::record::Header;

use crate::sensor::transaction::{Flow as Ends, ip};

/// Addresses, ports and protocol, the same for both directions: the smaller end comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    ends: [(Addr, u16); 2],
    protocol: u8,
}

/// One of the two ends of a flow: an index.
pub(crate) type Side = usize;

impl Key {
    /// The key of a record's flow, and the end that sent the record.
    pub(crate) fn of(header: &Header) -> (Self, Side) {
        let source = (header.source, header.source_port);
        let destination = (header.destination, header.destination_port);
        let protocol = header.protocol;
        if source <= destination {
            (Self { ends: [source, destination], protocol }, 0)
        } else {
            (Self { ends: [destination, source], protocol }, 1)
        }
    }

    /// The port of one end.
    pub(crate) fn port(&self, side: Side) -> u16 {
        self.ends[side].1
    }

    /// The IP protocol.
    pub(crate) fn protocol(&self) -> u8 {
        self.protocol
    }

    /// The hash by which the kernel half decides whether it is in the sample.
    pub(crate) fn sample_hash(&self, seed: u64) -> u64 {
        hash::flow(seed, self.protocol, self.ends[0], self.ends[1])
    }

    /// The flow as its client sees it.
    pub(crate) fn seen_from(&self, client: Side) -> Ends {
        let (client, server) = (self.ends[client], self.ends[1 - client]);
        Ends {
            client: ip(client.0),
            client_port: client.1,
            server: ip(server.0),
            server_port: server.1,
        }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [(a, a_port), (b, b_port)] = self.ends;
        // The first halves of all IPv4 addresses are alike.
        if a.hi | b.hi != 0 {
            state.write_u64(a.hi);
            state.write_u64(b.hi);
        }
        let ports = u64::from(a_port) << 24 | u64::from(b_port) << 8 | u64::from(self.protocol);
        state.write_u64(a.lo ^ ports.rotate_left(20));
        state.write_u64(b.lo);
        state.write_u64(ports);
    }
}

/// Hashes keys with the seeded mixer that the kernel half uses: strangers choose the keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seeded(pub(crate) u64);

/// The state of one hash, see [`Seeded`].
pub(crate) struct Mixer(u64);

impl BuildHasher for Seeded {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer(self.0)
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = hash::pair(self.0, self.0.rotate_left(17), word);
    }
}
