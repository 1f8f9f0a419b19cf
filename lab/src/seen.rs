//! What weir recorded of a plan's requests: by the number that each carries, not by when it came.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{BufRead, Write};

use anyhow::{Context, Result, ensure};

use crate::line::{Http, Line};
use crate::plan::{EPOCH, Plan, Request};
use crate::world::{APIS, Ask, origin};

/// The parameter by which a request is known again; its value is veiled like any number in a target:
/// moved by a distance that is the same for all.
pub const MARK: &str = "lab_id";
/// Numbers in targets are veiled modulo this (docs/settings.md, `record.path`).
const VEIL: u64 = 1_000_000_000_000_000_000;
/// The user that nobody is.
const NOBODY: u64 = 0;

/// What was recorded of one request.
#[derive(Clone, Copy, Debug, Default)]
struct One {
    there: bool,
    /// Number of its route.
    route: u32,
    /// Where its target begins, and its length.
    target: (usize, u16),
    credential: u64,
    status: u16,
    handshake: bool,
    bytes: u64,
}

/// How well the recording is what was planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// Requests of the plan that were recorded.
    pub recorded: u64,
    /// Requests of the plan that were not.
    pub missing: u64,
    /// Recorded ones that are not as planned: source, API, method, status or size.
    pub unlike: u64,
    /// Recorded twice, or never planned.
    pub strange: u64,
}

/// What was recorded of all requests, in the plan's order.
#[derive(Debug)]
pub struct Seen {
    all: Vec<One>,
    targets: String,
    routes: Vec<String>,
    numbers: HashMap<String, u32>,
    /// By how much numbers are moved; known from the first line.
    distance: Option<u64>,
    counts: Matched,
}

/// The target of a request: its path, and the mark of its place in the plan. The first is 1.
pub fn target(request: &Request, place: usize) -> String {
    format!("{}?{MARK}={}", request.ask.path(request.value), place + 1)
}

/// The target without its mark, and the mark's number.
fn unmark(target: &str) -> Option<(&str, u64)> {
    let (rest, number) = target.rsplit_once('=')?;
    let rest = rest.strip_suffix(MARK)?;
    Some((rest.strip_suffix(['?', '&'])?, number.parse().ok()?))
}

impl Seen {
    /// Nothing yet of so many requests.
    pub fn new(requests: usize) -> Self {
        Self {
            all: vec![One::default(); requests],
            targets: String::new(),
            routes: Vec::new(),
            numbers: HashMap::new(),
            distance: None,
            counts: Matched::default(),
        }
    }

    /// What weir would record if all went as planned: for trying out without traffic.
    pub fn imagined(plan: &Plan) -> Self {
        let mut seen = Self::new(plan.requests.len());
        for (place, request) in plan.requests.iter().enumerate() {
            let path = request.ask.path(request.value);
            let route = route_of(&path, request);
            let one = One {
                there: true,
                route: seen.route(&route),
                target: seen.text(&path),
                credential: crate::random::mix(u64::from(request.user))
                    * u64::from(request.user != 0),
                status: request.status,
                handshake: true,
                bytes: request.bytes(),
            };
            seen.all[place] = one;
            seen.counts.recorded += 1;
        }
        seen
    }

    fn route(&mut self, route: &str) -> u32 {
        if let Some(number) = self.numbers.get(route) {
            return *number;
        }
        // Routes are bounded by weir.
        let number = self.routes.len() as u32;
        self.routes.push(route.to_owned());
        self.numbers.insert(route.to_owned(), number);
        number
    }

    fn text(&mut self, text: &str) -> (usize, u16) {
        let begin = self.targets.len();
        let length = text.len().min(u16::MAX.into());
        self.targets.push_str(&text[..length]);
        (begin, length as u16)
    }

    /// Reads a recording. Its first request has to be the one with the number 0, by which it is learned
    /// how far numbers are moved.
    ///
    /// # Errors
    /// The recording cannot be read, or begins otherwise.
    pub fn read(&mut self, plan: &Plan, mut recording: impl BufRead) -> Result<()> {
        let mut text = Vec::new();
        loop {
            text.clear();
            if recording.read_until(b'\n', &mut text).context("cannot read the recording")? == 0 {
                return Ok(());
            }
            if !text.starts_with(b"{\"type\":\"http\"") {
                continue;
            }
            let line: Line<'_> = serde_json::from_slice(&text)
                .with_context(|| format!("not a line: {}", String::from_utf8_lossy(&text)))?;
            let Line::Http(http) = line else { continue };
            let marked = unmark(&http.target);
            let Some(distance) = self.distance else {
                let (_, number) = marked.context("the first request has no mark")?;
                self.distance = Some(number);
                continue;
            };
            let Some((path, number)) = marked else {
                self.counts.strange += 1;
                continue;
            };
            let place = (number + VEIL - distance) % VEIL;
            self.note(plan, place, path, &http);
        }
    }

    fn note(&mut self, plan: &Plan, place: u64, path: &str, http: &Http<'_>) {
        let place = usize::try_from(place).unwrap_or(usize::MAX).wrapping_sub(1);
        let Some(request) = plan.requests.get(place) else {
            self.counts.strange += 1;
            return;
        };
        if self.all[place].there {
            self.counts.strange += 1;
            return;
        }
        let api = &APIS[usize::from(request.api)];
        let alike = http.api.as_deref() == Some(api.name)
            && http.source == request.source
            && http.method == request.ask.method()
            && http.status == Some(request.status)
            && http.response_bytes == Some(request.bytes());
        self.counts.recorded += 1;
        self.counts.unlike += u64::from(!alike);
        let one = One {
            there: true,
            route: self.route(&http.route),
            target: self.text(path),
            credential: http.credential.unwrap_or(NOBODY),
            status: http.status.unwrap_or_default(),
            handshake: http.handshake,
            bytes: http.response_bytes.unwrap_or_default(),
        };
        self.all[place] = one;
    }

    /// How much of the plan was recorded, and how.
    pub fn matched(&self) -> Matched {
        Matched { missing: self.all.len() as u64 - self.counts.recorded, ..self.counts }
    }

    /// Writes what was recorded with the times of the plan: simulated time, and the latency that
    /// belongs to it. `weight` says how many a request stands for; 0 leaves it out.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn retimed(
        &self,
        plan: &Plan,
        completeness: f64,
        weight: impl Fn(usize, &Request) -> u32,
        mut to: impl Write,
    ) -> Result<()> {
        ensure!(self.all.len() == plan.requests.len(), "a recording of another plan");
        let begin = EPOCH * 1_000_000_000;
        let mut write = |line: &Line<'_>| -> Result<()> {
            serde_json::to_writer(&mut to, line)?;
            to.write_all(b"\n")?;
            Ok(())
        };
        write(&Line::Telemetry { time: begin, completeness })?;
        for (place, (request, one)) in plan.requests.iter().zip(&self.all).enumerate() {
            let weight = weight(place, request);
            if !one.there || weight == 0 {
                continue;
            }
            let (country, asn) = origin(request.source);
            write(&Line::Http(Http {
                time: begin + request.time,
                api: Some(Cow::Borrowed(APIS[usize::from(request.api)].name)),
                source: request.source.into(),
                credential: Some(one.credential).filter(|credential| *credential != NOBODY),
                country: Some(Cow::Borrowed(country)),
                asn: Some(asn),
                method: Cow::Borrowed(request.ask.method()),
                target: Cow::Borrowed(&self.targets[one.target.0..][..one.target.1.into()]),
                route: Cow::Borrowed(&self.routes[one.route as usize]),
                status: Some(one.status),
                latency: Some(u64::from(request.latency) * 1000),
                request_bytes: Some(0),
                response_bytes: Some(one.bytes),
                handshake: one.handshake,
                weight: weight << 16,
            }))?;
        }
        to.flush().context("cannot write")
    }
}

/// The route that weir will find for a path.
fn route_of(path: &str, request: &Request) -> String {
    let end = |route: &str| route.to_owned();
    match request.ask {
        Ask::Product => end("/products/{id}"),
        Ask::Reviews => end("/products/{id}/reviews"),
        Ask::Image => end("/images/{id}"),
        Ask::Order => end("/orders/{id}"),
        Ask::Customer => end("/customers/{id}"),
        Ask::Invoice => end("/invoices/{uuid}"),
        Ask::Export => end("/exports/{date}"),
        Ask::Part => end("/parts/{id}"),
        _ => end(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Client, Scene};
    use crate::world::ORDERS;

    fn plan() -> Plan {
        let mut scene = Scene::new(1);
        let mut client = Client::new("198.18.3.4".parse().expect("an address"), 1);
        for number in 0..3 {
            client.ask(&mut scene, number as f64, ORDERS, (Ask::Order, 70 + number), 200);
        }
        scene.plan(0.0, 10.0)
    }

    fn recorded(plan: &Plan, distance: u64) -> Vec<String> {
        let first = r#"{"type":"http","time":1,"source":"192.0.2.2","method":"GET","target":"/healthz?lab_id=DISTANCE","route":"/healthz","handshake":true,"weight":65536}"#;
        let mut lines = vec![first.replace("DISTANCE", &distance.to_string())];
        for (place, request) in plan.requests.iter().enumerate() {
            let (value, bytes) = (request.value + distance, request.bytes());
            let mark = (distance + place as u64 + 1) % VEIL;
            lines.push(format!(
                r#"{{"type":"http","time":9,"api":"orders","source":"198.18.3.4","credential":7,"method":"GET","target":"/orders/{value}?lab_id={mark}","route":"/orders/{{id}}","status":200,"latency":5,"response_bytes":{bytes},"handshake":true,"weight":65536}}"#
            ));
        }
        lines
    }

    #[test]
    fn requests_are_known_again_whatever_their_order() {
        let plan = plan();
        // The last distance makes numbers begin anew.
        for distance in [5, 123_456_789, VEIL - 2] {
            let mut lines = recorded(&plan, distance);
            lines[1..].reverse();
            lines.insert(2, r#"{"type":"flow","anything":true}"#.to_owned());
            let mut seen = Seen::new(plan.requests.len());
            seen.read(&plan, lines.join("\n").as_bytes()).expect("a recording");
            let all = Matched { recorded: 3, ..Matched::default() };
            assert_eq!(seen.matched(), all);
            let mut out = Vec::new();
            seen.retimed(&plan, 1.0, |place, _| u32::from(place != 1), &mut out).expect("written");
            let out = String::from_utf8(out).expect("text");
            let lines: Vec<_> = out.lines().collect();
            assert_eq!(lines.len(), 3, "the first line is of the telemetry: {out}");
            assert!(
                lines[2].contains(&format!("\"time\":{}", EPOCH * 1_000_000_000 + 2_000_000_000))
            );
            assert!(
                lines[2].contains("\"credential\":7") && !lines[2].contains(MARK),
                "{}",
                lines[2]
            );
        }
    }

    #[test]
    fn what_is_missing_or_unlike_is_counted() {
        let plan = plan();
        let mut lines = recorded(&plan, 5);
        lines[1] = lines[1].replace("\"status\":200", "\"status\":500");
        lines[2] = lines[3].clone();
        lines.push(lines[3].replace("lab_id=8", "lab_id=80"));
        let mut seen = Seen::new(plan.requests.len());
        seen.read(&plan, lines.join("\n").as_bytes()).expect("a recording");
        let expected = Matched { recorded: 2, missing: 1, unlike: 1, strange: 2 };
        assert_eq!(seen.matched(), expected);
    }
}
