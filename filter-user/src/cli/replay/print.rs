//! What `weir replay` prints: JSON Lines, or a table for people.

mod encrypted;
mod lines;
mod words;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use filter_common::packet::{Fragment, Packet};
use filter_common::reason::Reason;
use filter_common::verdict::Decision;
use serde::Serialize;
use serde_json::{Value, json};

use lines::{flow_line, http, known};
use words::{clean, clock, end, shorten};

use super::super::style::Style;
use super::findings::Findings;
use super::parse_name;
use super::recorded::Content;
use crate::capture::fragments::Counts;
use crate::capture::{End, Frame};
use crate::detect::Finding;
use crate::export::events::{ApiField, Event};
use crate::sensor::transaction::{Flow, Transaction, ip};
use crate::sensor::{Output, Stats};

/// Columns of the longest target that the table shows where nothing limits it.
const TARGET: usize = 48;
/// Columns of everything else, with sizes and without.
const BESIDE: [usize; 2] = [89, 67];
/// The narrowest target that is worth its place.
const LEAST: usize = 13;

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One object a line.
    Json,
    /// A table.
    Text,
}

/// Prints as results come, and counts for the summary.
pub(super) struct Printer<W: Write> {
    out: W,
    form: Form,
    /// Whether each verdict is printed.
    verdicts: bool,
    /// The table has its header.
    headed: bool,
    /// Columns of targets.
    target: usize,
    /// Sizes have room.
    sizes: bool,
    style: Style,
    packets: u64,
    bytes: u64,
    fragments: u64,
    /// Datagrams that came in fragments and hold nothing that can be read.
    unreadable: u64,
    transactions: u64,
    handshakes: u64,
    turns: u64,
    flows: u64,
    first: Option<u64>,
    last: u64,
    parse: BTreeMap<&'static str, u64>,
    /// By verdict and reason.
    judged: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// A time since 1970, to the microsecond: a float has no room for more.
fn stamp(ns: u64) -> f64 {
    (ns / 1000) as f64 / 1e6
}

#[derive(Serialize)]
struct Ends {
    src: std::net::IpAddr,
    sport: u16,
    dst: std::net::IpAddr,
    dport: u16,
}

impl From<&Flow> for Ends {
    fn from(flow: &Flow) -> Self {
        let Flow { client, client_port, server, server_port } = *flow;
        Self { src: client, sport: client_port, dst: server, dport: server_port }
    }
}

/// A row of the table.
struct Row<'a> {
    time: u64,
    flow: &'a Flow,
    method: &'a str,
    target: Cow<'a, str>,
    status: Option<u16>,
    latency: Option<u64>,
    request_bytes: Option<u64>,
    response_bytes: Option<u64>,
}

impl<'a> Row<'a> {
    fn of(transaction: &'a Transaction) -> Self {
        Self {
            time: transaction.time,
            flow: &transaction.flow,
            method: known(&transaction.method).unwrap_or("-"),
            target: Cow::Borrowed(known(&transaction.target).unwrap_or("-")),
            status: transaction.status,
            latency: transaction.latency,
            request_bytes: transaction.request_body_bytes,
            response_bytes: transaction.response_body_bytes,
        }
    }
}

impl<W: Write> Printer<W> {
    /// The table as a terminal has room for it: sizes are left out where targets would have none.
    pub(super) fn styled(self, style: Style) -> Self {
        let Some(width) = style.width else { return Self { style, ..self } };
        let [with, without] = BESIDE;
        let sizes = width >= with + LEAST;
        let target = width.saturating_sub(if sizes { with } else { without }).max(LEAST);
        Self { style, sizes, target, ..self }
    }

    pub(super) fn new(out: W, form: Form, verdicts: bool) -> Self {
        Self {
            out,
            form,
            verdicts,
            headed: false,
            target: TARGET,
            sizes: true,
            style: Style::PLAIN,
            packets: 0,
            bytes: 0,
            fragments: 0,
            unreadable: 0,
            transactions: 0,
            handshakes: 0,
            turns: 0,
            flows: 0,
            first: None,
            last: 0,
            parse: BTreeMap::new(),
            judged: BTreeMap::new(),
        }
    }

    /// Counts a frame.
    pub(super) fn count(&mut self, frame: &Frame<'_>, packet: &Packet, parsed: Result<(), Reason>) {
        self.packets += 1;
        self.bytes += frame.wire_len as u64;
        self.fragments += u64::from(packet.fragment != Fragment::None);
        self.first = Some(self.first.map_or(frame.time, |first| first.min(frame.time)));
        self.last = self.last.max(frame.time);
        *self.parse.entry(parse_name(parsed)).or_default() += 1;
    }

    /// Counts a datagram that was put together for nothing.
    pub(super) fn lose_datagram(&mut self) {
        self.unreadable += 1;
    }

    /// Whether any frame was counted.
    pub(super) fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// Counts the verdict on a packet, and prints it if asked to.
    pub(super) fn verdict(
        &mut self,
        time: u64,
        packet: &Packet,
        parsed: Result<(), Reason>,
        decision: &Decision,
        api: Option<&str>,
    ) -> io::Result<()> {
        let (verdict, reason) = (decision.verdict_name(), decision.reason.name());
        *self.judged.entry(verdict).or_default().entry(reason).or_default() += 1;
        if !self.verdicts {
            return Ok(());
        }
        let flow = parsed.is_ok().then(|| Flow {
            client: ip(packet.source),
            client_port: packet.source_port,
            server: ip(packet.destination),
            server_port: packet.destination_port,
        });
        match self.form {
            Form::Json => self.line(&json!({
                "type": "verdict",
                "ts": stamp(time),
                "flow": flow.as_ref().map(Ends::from),
                "verdict": verdict,
                "reason": reason,
                "api": api,
            })),
            Form::Text => {
                let [source, destination] = match &flow {
                    Some(flow) => {
                        [end(flow.client, flow.client_port), end(flow.server, flow.server_port)]
                    }
                    None => [const { String::new() }; 2],
                };
                let api = clean(api.unwrap_or("-"));
                writeln!(
                    self.out,
                    "{}  {source:<21}  {destination:<21}  {verdict:<10}  {reason:<18}  {api}",
                    clock(time)
                )
            }
        }
    }

    /// Prints a report of a finding.
    pub(super) fn finding(&mut self, finding: &Finding, api: ApiField) -> io::Result<()> {
        // Detectors run on the capture's clock, which counts from 1970.
        let event = Event::finding(finding, api, 0);
        match self.form {
            Form::Json => {
                let mut line = serde_json::to_value(&event)?;
                line["type"] = "finding".into();
                line["ts"] = stamp(event.time).into();
                self.line(&line)
            }
            Form::Text => writeln!(
                self.out,
                "{:<12}  finding {:<6}  {:<8}  {}: {}",
                clock(event.time),
                finding.state.name(),
                event.severity.name(),
                finding.detector.name(),
                clean(&event.message),
            ),
        }
    }

    /// Prints the end of a recording.
    pub(super) fn summary_of_recording(
        &mut self,
        content: &Content,
        findings: &Findings,
    ) -> io::Result<()> {
        let duration = seconds(content.last - content.first.unwrap_or(content.last));
        match self.form {
            Form::Json => self.line(&json!({
                "type": "summary",
                "lines": content.lines,
                "skipped": content.skipped,
                "unknown_api": findings.unknown,
                "clock_jumps": findings.jumps,
                "findings": findings.opened,
                "duration_seconds": duration,
            }))?,
            Form::Text => {
                writeln!(self.out, "lines         {} in {duration:.3} s", content.lines)?;
                for (count, what) in [
                    (content.skipped, "not understood"),
                    (findings.unknown, "of APIs that the policy does not have"),
                ] {
                    if count != 0 {
                        writeln!(self.out, "warning       {count} lines {what}")?;
                    }
                }
                self.findings_text(findings)?;
            }
        }
        self.out.flush()
    }

    fn findings_text(&mut self, findings: &Findings) -> io::Result<()> {
        writeln!(self.out, "findings      {}", findings.opened)?;
        if findings.jumps != 0 {
            let jumps = findings.jumps;
            writeln!(
                self.out,
                "warning       the clock jumped {jumps} times: detectors began anew"
            )?;
        }
        Ok(())
    }

    /// Prints what the sensor hands out.
    pub(super) fn output(&mut self, output: &Output) -> io::Result<()> {
        match output {
            Output::Transaction(transaction) => {
                self.transactions += 1;
                match self.form {
                    Form::Json => self.line(&http(transaction)),
                    Form::Text => self.row(&Row::of(transaction)),
                }
            }
            Output::Tls(handshake) | Output::Quic(handshake) => {
                self.handshakes += 1;
                match self.form {
                    Form::Json => self.line(&encrypted::handshake(handshake)),
                    Form::Text => self.row(&encrypted::row(handshake)),
                }
            }
            Output::Turn(turn) => {
                self.turns += 1;
                match self.form {
                    Form::Json => self.line(&encrypted::turn(turn)),
                    Form::Text => Ok(()),
                }
            }
            // For detectors: it is told again when it is over.
            Output::Slow(_) => Ok(()),
            Output::Flow(flow) => {
                self.flows += 1;
                match self.form {
                    Form::Json => self.line(&flow_line(flow)),
                    Form::Text => Ok(()),
                }
            }
        }
    }

    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        if !std::mem::replace(&mut self.headed, true) {
            let titles = ["TIME", "CLIENT", "METHOD", "TARGET", "STATUS", "LATENCY"];
            self.cells(titles, ["REQUEST", "RESPONSE"])?;
        }
        let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let latency = |ns: u64| format!("{:.3} ms", ns as f64 / 1e6);
        let cut = self.style.shown("…".to_owned());
        self.cells(
            [
                &clock(row.time),
                &end(row.flow.client, row.flow.client_port),
                &clean(row.method),
                &shorten(&clean(&row.target), self.target, &cut),
                &number(row.status.map(u64::from)),
                &row.latency.map_or_else(|| "-".to_owned(), latency),
            ],
            [&number(row.request_bytes), &number(row.response_bytes)],
        )
    }

    /// A line of the table.
    fn cells(&mut self, cells: [&str; 6], sizes: [&str; 2]) -> io::Result<()> {
        let ([time, client, method, target, status, latency], wide) = (cells, self.target);
        write!(
            self.out,
            "{time:<12}  {client:<21}  {method:<7}  {target:<wide$}  {status:>6}  {latency:>11}"
        )?;
        let [request, response] = sizes;
        if self.sizes {
            write!(self.out, "  {request:>9}  {response:>9}")?;
        }
        writeln!(self.out)
    }

    /// Prints the end. `end` is `None` when the capture could not be read to its end.
    pub(super) fn summary(
        &mut self,
        end: Option<End>,
        stats: &Stats,
        fragments: &Counts,
        findings: Option<&Findings>,
    ) -> io::Result<()> {
        let duration = seconds(self.last - self.first.unwrap_or(self.last));
        let truncated = u64::from(end == Some(End::Truncated));
        match self.form {
            Form::Json => {
                let sensor: serde_json::Map<String, Value> =
                    stats.each().map(|(name, value)| (name.to_owned(), value.into())).collect();
                let mut summary = json!({
                    "type": "summary",
                    "packets": self.packets,
                    "bytes": self.bytes,
                    "parse": self.parse,
                    "fragments": self.fragments,
                    "transactions": self.transactions,
                    "handshakes": self.handshakes,
                    "turns": self.turns,
                    "flows": self.flows,
                    "voided": stats.voided,
                    "duration_seconds": duration,
                    "truncated_packets": truncated,
                    "read_to_end": end.is_some(),
                    "sensor": sensor,
                });
                if self.fragments != 0 {
                    let mut datagrams = json!({ "unreadable": self.unreadable });
                    for (name, count) in fragments.each() {
                        datagrams[name] = count.into();
                    }
                    summary["datagrams"] = datagrams;
                }
                if !self.judged.is_empty() {
                    summary["verdicts"] = json!(self.judged);
                }
                if let Some(findings) = findings {
                    summary["findings"] = findings.opened.into();
                    summary["clock_jumps"] = findings.jumps.into();
                }
                self.line(&summary)?;
            }
            Form::Text => {
                self.summary_text(duration, end, stats, fragments)?;
                if let Some(findings) = findings {
                    self.findings_text(findings)?;
                }
            }
        }
        self.out.flush()
    }

    fn summary_text(
        &mut self,
        duration: f64,
        end: Option<End>,
        stats: &Stats,
        fragments: &Counts,
    ) -> io::Result<()> {
        if self.headed {
            writeln!(self.out)?;
        }
        writeln!(self.out, "packets       {} in {duration:.3} s", self.packets)?;
        writeln!(self.out, "bytes         {}", self.bytes)?;
        for (name, count) in self.parse.iter().filter(|(name, _)| **name != "ok") {
            writeln!(self.out, "not parsed    {count} {name}")?;
        }
        if self.fragments != 0 {
            write!(self.out, "fragments     {}", self.fragments)?;
            let parts = fragments.each().into_iter().chain([("unreadable", self.unreadable)]);
            for (what, count) in parts.filter(|(_, count)| *count != 0) {
                write!(self.out, ", {count} {}", what.replace('_', " "))?;
            }
            writeln!(self.out)?;
        }
        writeln!(self.out, "flows         {}", self.flows)?;
        write!(self.out, "transactions  {}", self.transactions)?;
        let parts = [(stats.unanswered, "unanswered"), (stats.voided, "void")];
        for (count, what) in parts.into_iter().filter(|(count, _)| *count != 0) {
            write!(self.out, ", {count} {what}")?;
        }
        writeln!(self.out)?;
        if self.handshakes != 0 {
            writeln!(self.out, "handshakes    {}, then {} turns", self.handshakes, self.turns)?;
        }
        for (verdict, reasons) in &self.judged {
            for (reason, count) in reasons {
                writeln!(self.out, "{verdict:<12}  {count} {reason}")?;
            }
        }
        match end {
            Some(End::Whole) => Ok(()),
            Some(End::Truncated) => {
                writeln!(self.out, "warning       the capture ends in the middle of a packet")
            }
            None => writeln!(self.out, "warning       the capture could not be read to its end"),
        }
    }

    fn line(&mut self, value: &Value) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, value)?;
        self.out.write_all(b"\n")
    }
}
