//! The sensor over connections made here: what is put on the wire, cut, repeated, reordered and
//! lost in every way, against what was said.

mod flows;
mod hpack;
mod http;
mod http2;
mod property;
mod property2;
mod proxies;
mod quic;
mod tcp;
mod tls;
mod wire;

use super::encrypted::{Handshake, Turn};
use super::transaction::Transaction;
use super::{FlowSummary, Output, Sensor, SensorConfig};
use wire::Record;

/// What a run gave.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    transactions: Vec<Transaction>,
    handshakes: Vec<Handshake>,
    turns: Vec<Turn>,
    flows: Vec<FlowSummary>,
    slow: Vec<FlowSummary>,
}

impl Seen {
    fn take(&mut self, output: Output) {
        match output {
            Output::Transaction(transaction) => self.transactions.push(transaction),
            Output::Tls(handshake) | Output::Quic(handshake) => self.handshakes.push(*handshake),
            Output::Turn(turn) => self.turns.push(turn),
            Output::Flow(flow) => self.flows.push(flow),
            Output::Slow(flow) => self.slow.push(flow),
        }
    }
}

/// Runs records through a sensor of their own.
fn run(records: &[Record], config: SensorConfig) -> (Seen, Sensor) {
    let (mut seen, mut sensor) = (Seen::default(), Sensor::new(config));
    for record in records {
        sensor.push(&record.header, &record.payload, &mut |output| seen.take(output));
    }
    sensor.flush(&mut |output| seen.take(output));
    assert_eq!(sensor.flows(), 0);
    assert_eq!(sensor.table.footprint(), 0, "memory of flows that are gone is still counted");
    (seen, sensor)
}

/// A transaction in one line: method, target, status, body bytes, and `!` when it is not complete.
fn line(transaction: &Transaction) -> String {
    let or_dash = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |n| n.to_string());
    format!(
        "{} {} {} {} {}{}",
        transaction.method,
        transaction.target,
        or_dash(transaction.status.map(u64::from)),
        or_dash(transaction.request_body_bytes),
        or_dash(transaction.response_body_bytes),
        if transaction.complete { "" } else { " !" }
    )
}
