//! A transaction as detectors see it.

use std::net::IpAddr;

use crate::sensor::transaction::Transaction;

/// [`Observation::weight`] of a transaction that stands for itself alone.
pub const ONE: u32 = 1 << 16;

/// One request to an API of this host and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation<'a> {
    /// When the request began, ns, on the clock that [`super::Engine::tick`] is given.
    pub time: u64,
    /// Stable id of the API, 0 when none claims the server's address and port.
    pub api: u32,
    /// Who sent it: behind a proxy that the policy names, its client.
    pub source: IpAddr,
    /// The method as sent.
    pub method: &'a str,
    /// The target as sent.
    pub target: &'a str,
    /// The final status; `None` when the response was not seen.
    pub status: Option<u16>,
    /// A handshake was seen in both directions: the source is not forged.
    pub handshake: bool,
    /// How many transactions it stands for, times 2^16; less than [`ONE`] counts as [`ONE`].
    pub weight: u32,
}

impl<'a> Observation<'a> {
    /// What detectors need of a transaction of this client; `None` when it left this host rather than
    /// came in.
    pub fn of(transaction: &'a Transaction, client: IpAddr) -> Option<Self> {
        transaction.inbound.then_some(Self {
            time: transaction.time,
            api: transaction.api,
            source: client,
            method: &transaction.method,
            target: &transaction.target,
            status: transaction.status,
            handshake: transaction.handshake,
            weight: transaction.weight,
        })
    }

    /// How many transactions it stands for, at least 1.
    pub fn stands_for(&self) -> f64 {
        f64::from(self.weight.max(ONE)) / f64::from(ONE)
    }
}
