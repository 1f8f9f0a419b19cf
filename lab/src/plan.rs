//! What is to happen: requests in simulated time, and what of it a detector should speak of.

use std::net::Ipv4Addr;

use crate::random::Random;
use crate::world::{ApiNumber, Ask};

/// The plan begins here, seconds since 1970: Monday, 5 January 2026, 0:00 UTC.
pub const EPOCH: u64 = 1_767_571_200;
/// Seconds of a minute, an hour and a day.
pub const MINUTE: f64 = 60.0;
/// See [`MINUTE`].
pub const HOUR: f64 = 3600.0;
/// See [`MINUTE`].
pub const DAY: f64 = 86_400.0;

/// Files that the server has are so many times larger, each than the one before.
const STEP: f64 = 0.25;
/// Number of the largest file: 16 MiB.
pub const LARGEST: u8 = 72;

/// Bytes of a file of the server, by its number.
pub fn file_bytes(number: u8) -> u64 {
    (64.0 * (f64::from(number) * STEP).exp2()).round() as u64
}

/// The file whose size is nearest, by ratio.
pub fn file_for(bytes: f64) -> u8 {
    let number = ((bytes.max(1.0) / 64.0).log2() / STEP).round();
    // Within the range by the clamp.
    number.clamp(0.0, f64::from(LARGEST)) as u8
}

/// What the server answers instead of a file: everything but `GET` with 200.
pub const BODY: &str = "{\"message\":\"as the laboratory wants it\"}\n";

/// A request and its answer.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Nanoseconds since the plan's beginning.
    pub time: u64,
    /// What is asked for of what there is of its kind.
    pub value: u64,
    /// The connection it is sent on.
    pub flow: u32,
    /// Who sends it.
    pub source: Ipv4Addr,
    /// Whose credentials it carries; 0: none.
    pub user: u32,
    /// Microseconds to the answer, in simulated time.
    pub latency: u32,
    /// The answer's status.
    pub status: u16,
    /// Of which API.
    pub api: ApiNumber,
    /// What.
    pub ask: Ask,
    /// Number of the file that the answer is, where it is one.
    pub file: u8,
}

impl Request {
    /// Bytes of the answer's body.
    pub fn bytes(&self) -> u64 {
        match (self.ask.method(), self.status) {
            (_, 204 | 304) => 0,
            ("GET", 200) => file_bytes(self.file),
            _ => BODY.len() as u64,
        }
    }
}

/// Something that a detector should find, or may.
#[derive(Clone, Debug)]
pub struct Label {
    /// Names of the detectors of which any counts as found; the first is whose row of the report it is.
    pub detectors: Vec<&'static str>,
    /// How strong it is, for people.
    pub strength: String,
    /// Whether it is strong enough that it must be found. What need not be is no error when it is found.
    pub must: bool,
    /// Where.
    pub api: ApiNumber,
    /// Whose doing it is; nobody's for what an API does by itself.
    pub sources: Vec<Ipv4Addr>,
    /// The first and the last of it, seconds since the plan's beginning.
    pub begin: f64,
    /// See `begin`.
    pub end: f64,
}

/// Everything that is to happen.
#[derive(Debug)]
pub struct Plan {
    /// In the order of time.
    pub requests: Vec<Request>,
    /// In the order of time.
    pub labels: Vec<Label>,
    /// Connections.
    pub flows: u32,
    /// Seconds before the first attack.
    pub benign: f64,
    /// Seconds of all of it.
    pub length: f64,
}

/// A plan in the making.
#[derive(Debug)]
pub struct Scene {
    /// Requests in any order.
    pub requests: Vec<Request>,
    /// Labels in any order.
    pub labels: Vec<Label>,
    /// For everything that is drawn.
    pub random: Random,
    flows: u32,
    users: u32,
    strangers: u32,
}

impl Scene {
    /// Nothing yet.
    pub fn new(seed: u64) -> Self {
        Self {
            requests: Vec::new(),
            labels: Vec::new(),
            random: Random::new(seed, 0),
            flows: 0,
            users: 1_000_000,
            strangers: 0,
        }
    }

    /// An address that nobody has had.
    pub fn stranger(&mut self) -> Ipv4Addr {
        self.strangers += 1;
        Ipv4Addr::from_bits(crate::world::STRANGERS + self.strangers)
    }

    /// A user that nobody has been.
    pub fn user(&mut self) -> u32 {
        self.users += 1;
        self.users
    }

    /// Puts everything in order.
    pub fn plan(mut self, benign: f64, length: f64) -> Plan {
        let end = nanoseconds(length);
        self.requests.retain(|request| request.time < end);
        // Stable: what is asked in the same nanosecond stays in its order.
        self.requests.sort_by_key(|request| request.time);
        self.labels.sort_by(|a, b| a.begin.total_cmp(&b.begin));
        Plan { requests: self.requests, labels: self.labels, flows: self.flows, benign, length }
    }
}

/// Seconds as nanoseconds.
pub fn nanoseconds(seconds: f64) -> u64 {
    // Never negative, and far below 2^53 microseconds.
    (seconds.max(0.0) * 1e9) as u64
}

/// Seconds of silence after which a client makes a new connection.
const KEEP_ALIVE: f64 = 60.0;
/// The share of answers that are slow without a reason, and how much slower.
const STRAGGLERS: (f64, f64) = (0.004, 8.0);

/// Somebody with connections of their own.
#[derive(Clone, Debug)]
pub struct Client {
    source: Ipv4Addr,
    user: u32,
    lanes: Vec<Lane>,
    next: usize,
}

#[derive(Clone, Copy, Debug)]
struct Lane {
    api: ApiNumber,
    flow: u32,
    last: f64,
}

impl Client {
    /// One connection at a time to each API, or `lanes` of them; without credentials.
    pub fn new(source: Ipv4Addr, lanes: usize) -> Self {
        let none = Lane { api: u8::MAX, flow: 0, last: f64::NEG_INFINITY };
        Self {
            source,
            user: 0,
            lanes: vec![none; lanes.max(1) * crate::world::APIS.len()],
            next: 0,
        }
    }

    /// With somebody's credentials from now on; 0: without.
    pub fn becomes(&mut self, user: u32) -> &mut Self {
        self.user = user;
        self
    }

    /// Where from.
    pub fn source(&self) -> Ipv4Addr {
        self.source
    }

    /// Asks for something, answered with a status: latency and size are as usual, and may be changed
    /// in what is returned.
    pub fn ask<'a>(
        &mut self,
        scene: &'a mut Scene,
        time: f64,
        api: ApiNumber,
        (ask, value): (Ask, u64),
        status: u16,
    ) -> &'a mut Request {
        let flow = self.flow(scene, time, api);
        let (millis, bytes) = ask.medians();
        let random = &mut scene.random;
        // Who is refused is told at once.
        let millis = if status < 400 { millis } else { millis.min(4.0) };
        let mut latency = random.spread(millis, 0.35);
        if random.chance(STRAGGLERS.0) {
            latency *= STRAGGLERS.1;
        }
        let file = file_for(random.spread(bytes, 0.4));
        scene.requests.push(Request {
            time: nanoseconds(time),
            value,
            flow,
            source: self.source,
            user: self.user,
            // At most an hour.
            latency: (latency * 1000.0).clamp(50.0, 3.6e9) as u32,
            status,
            api,
            ask,
            file,
        });
        let last = scene.requests.len() - 1;
        &mut scene.requests[last]
    }

    fn flow(&mut self, scene: &mut Scene, time: f64, api: ApiNumber) -> u32 {
        self.next += 1;
        let lanes = self.lanes.len() / crate::world::APIS.len();
        let place = usize::from(api) * lanes + self.next % lanes;
        let lane = &mut self.lanes[place];
        if lane.api != api || time - lane.last > KEEP_ALIVE {
            *lane = Lane { api, flow: scene.flows, last: time };
            scene.flows += 1;
        }
        lane.last = time;
        lane.flow
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{CATALOGUE, ORDERS};

    #[test]
    fn files() {
        for (bytes, expected) in
            [(0.0, 64), (64.0, 64), (1000.0, 1024), (3e6, 2_965_821), (1e12, 1 << 24)]
        {
            assert_eq!(file_bytes(file_for(bytes)), expected, "{bytes}");
        }
    }

    #[test]
    fn connections_are_kept_for_a_minute() {
        let mut scene = Scene::new(1);
        let mut client = Client::new(Ipv4Addr::LOCALHOST, 1);
        for (time, api) in [(0.0, ORDERS), (1.0, CATALOGUE), (59.0, ORDERS), (200.0, ORDERS)] {
            client.ask(&mut scene, time, api, (Ask::Health, 0), 200);
        }
        let flows: Vec<_> = scene.requests.iter().map(|request| request.flow).collect();
        assert_eq!(flows, [0, 1, 0, 2]);
        let mut many = Client::new(Ipv4Addr::LOCALHOST, 3);
        for time in 0..6 {
            many.ask(&mut scene, f64::from(time), ORDERS, (Ask::Health, 0), 200);
        }
        assert_eq!(scene.flows, 6);
        assert_eq!(scene.plan(0.0, 100.0).requests.len(), 9, "what is later is left out");
    }
}
