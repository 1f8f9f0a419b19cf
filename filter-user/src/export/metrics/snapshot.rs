//! What the daemon knows when it is scraped, as plain numbers.

use crate::export::sinks::Standing;

/// Packets that came in for an API with one verdict for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PacketCount {
    /// The API's name, or `__unclaimed__`.
    pub api: String,
    /// `pass`, `drop` or `would_drop`.
    pub verdict: &'static str,
    /// Name of the [`filter_common::reason::Reason`].
    pub reason: &'static str,
    /// Packets.
    pub packets: u64,
    /// Their bytes from the Ethernet header on.
    pub bytes: u64,
}

/// Packets that left from an API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EgressCount {
    /// The API's name, or `__unclaimed__`.
    pub api: String,
    /// Packets.
    pub packets: u64,
    /// Their bytes from the Ethernet header on.
    pub bytes: u64,
}

/// How full a table is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapFill {
    /// Its name.
    pub map: String,
    /// Entries in use; `None` where they cannot be counted.
    pub entries: Option<u64>,
    /// Entries there is room for.
    pub capacity: u64,
}

/// The policy in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyInfo {
    /// Its name.
    pub name: String,
    /// SHA-256, in hex.
    pub hash: String,
    /// Its number.
    pub generation: u32,
}

/// A declared API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiInfo {
    /// Its name.
    pub api: String,
    /// Who decides about it; empty when not declared. So are the others.
    pub owner: String,
    /// Who is called.
    pub responder: String,
    /// `low`, `medium`, `high` or `critical`.
    pub criticality: String,
    /// `new`, `active`, `deprecated` or `retired`.
    pub lifecycle: String,
}

impl ApiInfo {
    /// What the policy says of an API.
    pub fn of(api: &crate::policy::Api) -> Self {
        let about = &api.about;
        Self {
            api: api.name.clone(),
            owner: about.owner.clone().unwrap_or_default(),
            responder: about.responder.clone().unwrap_or_default(),
            criticality: crate::export::criticality(about.criticality).to_owned(),
            lifecycle: crate::export::lifecycle(about.lifecycle).to_owned(),
        }
    }
}

/// Entries of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyEntries {
    /// What: `apis`, `rules`, `limits`, `listens`, `ports`, `groups`, `sources`, `bans`.
    pub kind: String,
    /// As the policy file says.
    pub desired: u64,
    /// As the kernel has them.
    pub enforced: u64,
}

/// A feed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeedCount {
    /// Its name in the policy.
    pub feed: String,
    /// When its file was last read and found to say what is in force, seconds since 1970.
    pub last_success: f64,
    /// Something else is in force than its file says.
    pub stale: bool,
    /// Prefixes of it in force.
    pub entries: u64,
}

/// States of a detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DetectorCount {
    /// Its name.
    pub detector: &'static str,
    /// Subjects with a state.
    pub states: u64,
    /// States evicted or refused, ever.
    pub evicted: u64,
}

/// Everything that is read at scrape time. Counters are passed on as they are: one that the kernel
/// began anew shows as a counter reset. Rows with the same labels are added up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KernelSnapshot {
    /// Packets that came in.
    pub packets: Vec<PacketCount>,
    /// Packets that left.
    pub egress: Vec<EgressCount>,
    /// By outcome: `attempted`, `submitted`, `dropped`, `sampled_out`, `received`, `decode_errors`.
    pub samples: Vec<(&'static str, u64)>,
    /// Other counters of the kernel half, by name.
    pub kernel: Vec<(&'static str, u64)>,
    /// Tables.
    pub maps: Vec<MapFill>,
    /// Entries for which a table had no room, by table.
    pub insert_failures: Vec<(&'static str, u64)>,
    /// Entries that made room for others, by table.
    pub evictions: Vec<(&'static str, u64)>,
    /// Bytes in the ring that were not read yet.
    pub ring_pending_bytes: u64,
    /// Share of the telemetry that was not lost lately, 0 to 1.
    pub completeness: f64,
    /// Share of flows that are sampled now, 0 to 1.
    pub sample_share: f64,
    /// The policy in force; `None`: weir observes.
    pub policy: Option<PolicyInfo>,
    /// Its entries.
    pub policy_entries: Vec<PolicyEntries>,
    /// Its APIs.
    pub apis: Vec<ApiInfo>,
    /// Orders in force: API and kind (`shutdown`, `lockdown`, `mode`, `limit`).
    pub overrides: Vec<(String, &'static str)>,
    /// Interfaces that are to be gated, and whether they are.
    pub interfaces: Vec<(String, bool)>,
    /// Bans in force by origin: `operator`, `detector`.
    pub bans: Vec<(&'static str, u64)>,
    /// The feeds of the policy in force.
    pub feeds: Vec<FeedCount>,
    /// Counters of the sensor ([`crate::sensor::Stats::each`]): each becomes
    /// `weir_sensor_NAME_total`.
    pub sensor: Vec<(&'static str, u64)>,
    /// Distinct routes known.
    pub routes: u64,
    /// Requests whose route found no room.
    pub routes_overflow: u64,
    /// States of the detectors.
    pub detectors: Vec<DetectorCount>,
    /// Declared APIs, and whether each is being maintained.
    pub maintenance: Vec<(String, bool)>,
    /// Automatic actions that wait to be approved.
    pub actions_held: u64,
    /// Automatic actions are stopped.
    pub actions_stopped: bool,
    /// When a posture report was last kept, seconds since 1970; 0: never.
    pub assessed: u64,
    /// Events told, by name and severity.
    pub events: Vec<(&'static str, &'static str, u64)>,
    /// Lines of the event file by outcome: `written`, `dropped`, `retried`.
    pub event_lines: Vec<(&'static str, u64)>,
    /// How it stands with each receiver of events.
    pub sinks: Vec<Standing>,
    /// Lines of the recording by outcome: `written`, `dropped`; none without one.
    pub record_lines: Vec<(&'static str, u64)>,
    /// Failures of the files of the state directory: file and how many.
    pub store_failures: Vec<(&'static str, u64)>,
}

/// Who fills a snapshot when weir is scraped.
pub trait Source: Send + Sync {
    /// The numbers now.
    fn snapshot(&self) -> KernelSnapshot;
}

impl<F: Fn() -> KernelSnapshot + Send + Sync> Source for F {
    fn snapshot(&self) -> KernelSnapshot {
        self()
    }
}
