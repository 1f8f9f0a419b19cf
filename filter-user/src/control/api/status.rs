//! All there is to know at a glance.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ActionsStatus, Mode, OrderInForce, SinkStatus};

/// The answer to `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The process.
    pub daemon: DaemonStatus,
    /// What is in force; `None`: no policy, weir observes.
    pub policy: Option<PolicyStatus>,
    /// Its feeds, each once.
    pub feeds: Vec<FeedStatus>,
    /// Where it is in force.
    pub interfaces: Vec<InterfaceStatus>,
    /// The declared APIs, in the policy's order.
    pub apis: Vec<ApiStatus>,
    /// Incoming traffic that no API claims.
    pub unclaimed: PacketCounts,
    /// Incoming packets by what was decided; counts of 0 are left out.
    pub reasons: Vec<ReasonCount>,
    /// What the kernel shipped to userspace.
    pub samples: SampleStatus,
    /// Bans in force.
    pub bans: u64,
    /// Automatic actions.
    pub actions: ActionsStatus,
    /// Databases of where sources are.
    pub geo: GeoStatus,
    /// What detectors have found and not closed.
    pub findings: FindingsStatus,
    /// Receivers of events.
    pub sinks: Vec<SinkStatus>,
    /// How full each table is.
    pub maps: Vec<MapStatus>,
    /// Counters of the sensor.
    pub sensor: Vec<NamedCount>,
    /// Counters of the kernel half about itself.
    pub kernel: Vec<NamedCount>,
    /// What needs attention, each a sentence with what to do.
    pub warnings: Vec<String>,
}

/// The daemon's process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DaemonStatus {
    /// Version of weir.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// The instance; `None`: the default one.
    pub instance: Option<String>,
    /// Its clock when it answered.
    pub time: u64,
    /// Where /metrics is served; `None`: nowhere.
    pub metrics: Option<String>,
    /// Everything is attached and running.
    pub ready: bool,
}

/// The policy in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyStatus {
    /// Its name.
    pub name: String,
    /// The file it was read from.
    pub path: PathBuf,
    /// SHA-256 over the policy and the files it names, in hex.
    pub hash: String,
    /// Its number; each one applied gets the next.
    pub generation: u32,
    /// When it was applied.
    pub applied_at: u64,
    /// The file now differs from what is in force.
    pub pending: bool,
    /// Its number in the history; `None` when the store did not take it.
    pub number: Option<u64>,
    /// Seconds until it is rolled back unless it is confirmed; `None`: it stays.
    pub confirm_seconds: Option<u64>,
    /// What becomes of the odd kinds of packets for which it says so: `[packets]`, by key.
    pub packets: BTreeMap<String, String>,
}

/// What is in force of a feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedState {
    /// What its file says.
    #[default]
    Current,
    /// What its file said when it was last to be believed.
    Kept,
    /// What it said in a generation that was gone back to.
    RolledBack,
}

/// Databases of where sources are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GeoStatus {
    /// Of countries.
    pub country: GeoDatabase,
    /// Of autonomous systems.
    pub asn: GeoDatabase,
}

/// How a database is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GeoDatabase {
    /// `none`: the settings name none; `absent`: nothing was read; `loaded`; `kept`: what is there
    /// now cannot be read, and what was read before stays.
    pub state: String,
    /// Its file.
    pub path: Option<PathBuf>,
    /// Its type, as it says itself.
    pub kind: Option<String>,
    /// When it was built.
    pub built: Option<u64>,
    /// Why it is absent or kept.
    pub problem: Option<String>,
}

/// A feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedStatus {
    /// Its name in the policy.
    pub feed: String,
    /// Its file.
    pub path: PathBuf,
    /// Prefixes of it that are in force.
    pub entries: u64,
    /// What is in force.
    pub state: FeedState,
    /// When the file was last read and found to say what is in force.
    pub last_success: u64,
    /// What is wrong with the file; empty when nothing is.
    pub problem: String,
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// How XDP runs: `native`, `generic` or `offload`.
    pub mode: String,
    /// The XDP link is pinned: the filter outlives the daemon.
    pub pinned: bool,
    /// How packets that leave are seen: `tcx`, `clsact` or `off`.
    pub egress: String,
    /// Kernel id of the XDP program.
    pub ingress_program: u32,
    /// Kernel id of the egress program.
    pub egress_program: Option<u32>,
    /// Generation of the policy in force here.
    pub generation: u32,
    /// Why nothing is judged here at the moment, and what to do; `None`: the interface is gated.
    pub problem: Option<String>,
}

/// Incoming packets, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PacketCounts {
    /// Packets that went on to the host, would-drops not included.
    pub pass: u64,
    /// Packets that ended here.
    pub drop: u64,
    /// Packets that monitor mode let pass.
    pub would_drop: u64,
    /// Bytes of all of them on the wire.
    pub bytes: u64,
}

/// One API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiStatus {
    /// Its name.
    pub name: String,
    /// Its stable id.
    pub id: u32,
    /// Where it listens, as in the policy.
    pub listen: Vec<String>,
    /// The mode it is in, orders included.
    pub mode: Mode,
    /// `low`, `medium`, `high` or `critical`; empty when not declared.
    #[serde(default)]
    pub criticality: String,
    /// Who owns it; empty when not declared.
    #[serde(default)]
    pub owner: String,
    /// What came in for it.
    #[serde(default)]
    pub packets: PacketCounts,
    /// Packets and bytes that went out from it.
    #[serde(default)]
    pub egress_packets: u64,
    /// Bytes that went out from it, on the wire.
    #[serde(default)]
    pub egress_bytes: u64,
    /// Orders in force.
    #[serde(default)]
    pub orders: Vec<OrderInForce>,
}

/// Incoming packets of one API with one verdict for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    /// The API's name, or `__unclaimed__`.
    pub api: String,
    /// `pass`, `drop` or `would_drop`.
    pub verdict: String,
    /// The name of the reason.
    pub reason: String,
    /// Packets.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
}

/// What the kernel shipped to userspace: attempted = submitted + dropped + sampled out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SampleStatus {
    /// Share of flows that are to be sampled, 0 to 1.
    pub share: f64,
    /// The share now: less while the ring fills faster than it is read.
    pub share_now: f64,
    /// Segments the sensor was to see.
    pub attempted: u64,
    /// Segments that went into the ring.
    pub submitted: u64,
    /// Segments for which the ring had no room.
    pub dropped: u64,
    /// Segments of flows that are not in the sample.
    pub sampled_out: u64,
    /// Records that were read from the ring.
    pub received: u64,
    /// Records that could not be decoded.
    pub decode_errors: u64,
    /// Share of what was to be seen that was seen, 0 to 1.
    pub completeness: f64,
}

/// What detectors have found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FindingsStatus {
    /// Open now.
    pub open: u64,
    /// Of these, by severity; severities without one are left out.
    pub by_severity: Vec<NamedCount>,
    /// Of the open ones, those of which receivers are not told.
    #[serde(default)]
    pub muted: u64,
    /// And those that an operator has seen.
    #[serde(default)]
    pub acknowledged: u64,
}

/// How full a table is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapStatus {
    /// Its name.
    pub map: String,
    /// Entries in use.
    pub entries: u64,
    /// Entries there is room for.
    pub capacity: u64,
}

/// A number and what it counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedCount {
    /// What.
    pub name: String,
    /// How many.
    pub value: u64,
}
