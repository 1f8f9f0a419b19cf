//! The daemon's own settings: `weir.toml`, its defaults, and what the command line overrides.
//!
//! What is judged and how is the policy's. Whether an interface or a directory exists is found out
//! by those that use it.

mod origin;
mod read;
pub mod sink;

#[cfg(test)]
mod documented;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

pub use origin::Origin;

use crate::recording;
use crate::text::{Diagnostic, Problem, Report, Source, read_text};

/// The largest settings file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// Bytes of a recording where nothing else is said.
const RECORD_BYTES: u64 = 1 << 30;
const DAY: Duration = Duration::from_secs(86_400);

/// The settings of a daemon.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Interfaces to gate. None by default: `run` needs at least one from here or its arguments.
    pub interfaces: Vec<String>,
    /// How XDP is attached.
    pub xdp_mode: XdpMode,
    /// How the way out is observed.
    pub egress: Egress,
    /// The policy; none means observing.
    pub policy: Option<PathBuf>,
    /// Where the daemon keeps what must survive a boot.
    pub state_dir: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// Where maps and links are pinned: a directory of a BPF file system.
    pub pins: PathBuf,
    /// Where metrics are served.
    pub metrics: SocketAddr,
    /// What an orderly end leaves behind.
    pub on_exit: OnExit,
    /// What is sampled.
    pub sensor: Sensor,
    /// Sizes of the tables in the kernel.
    pub limits: Limits,
    /// What is believed of feeds.
    pub feeds: Feeds,
    /// Where what detectors are told is recorded, if at all.
    pub record: Option<recording::Settings>,
    /// What is kept of transactions.
    pub store: Store,
    /// What the inventory says.
    pub inventory: Inventory,
    /// Where sources are.
    pub geo: Geo,
    /// Bytes of a file of the audit log; one that would become larger is put aside.
    pub audit_bytes: u64,
    /// Where events are written, when not in `events.jsonl` of the state directory. See
    /// [`Config::events_path`].
    pub events: Option<PathBuf>,
    /// Further receivers of events.
    pub sinks: Vec<sink::Sink>,
    /// Whether the kernel half logs.
    pub log_kernel: bool,
}

/// What is sampled, and how much memory it may take.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensor {
    /// Share of flows that are sampled, 0 to 1; 0 switches the sensor off in the kernel.
    pub sample: f64,
    /// Bytes of a segment that are shipped at most, 64 to 16384.
    pub snap: u32,
    /// Bytes of a turn (what one side says until the other answers) that are shipped at most, 64 to
    /// 1048576.
    pub turn: u32,
    /// Bytes of the ring buffer, a power of two.
    pub ring: u32,
    /// Flows that are followed at once.
    pub flows: u32,
}

/// Sizes of the tables in the kernel. They take effect when the tables are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sources whose limits are tracked exactly at once.
    pub sources: u32,
    /// APIs there can be in the lifetime of the tables, those no longer in the policy included.
    pub max_apis: u32,
    /// Bans there can be at once.
    pub max_bans: u32,
}

/// What is believed of feeds that change.
#[derive(Clone, Debug, PartialEq)]
pub struct Feeds {
    /// Share of its prefixes that a feed may lose at once, 0 to 1.
    pub max_shrink: f64,
}

/// What is kept of transactions in the state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Bytes that sampled transactions may take on the disk; 0 keeps none.
    pub transactions: u64,
    /// How long they are kept.
    pub retention: Duration,
}

/// What the inventory says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// How long an operation must be documented, and its API in use, before it is called unused.
    pub unused_after: Duration,
}

/// Databases in MaxMind's format that say where sources are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Geo {
    /// Of countries.
    pub country: Option<PathBuf>,
    /// Of autonomous systems.
    pub asn: Option<PathBuf>,
}

/// Where the parts of a daemon are, by the name of its instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The control socket.
    pub socket: PathBuf,
    /// The state directory.
    pub state_dir: PathBuf,
    /// The directory of pins.
    pub pins: PathBuf,
}

impl Paths {
    /// Those of the instance `name`, or of the only daemon of a host.
    ///
    /// # Errors
    /// The name is not one: 1 to 63 of a–z, 0–9, `.`, `_`, `-`, beginning with a letter or digit.
    pub fn of(instance: Option<&str>) -> Result<Self, Problem> {
        let suffix = match instance {
            Some(name) => format!("-{}", crate::text::name(name)?),
            None => String::new(),
        };
        Ok(Self {
            socket: PathBuf::from(format!("/run/weir{suffix}/weir.sock")),
            state_dir: PathBuf::from(format!("/var/lib/weir{suffix}")),
            pins: PathBuf::from(format!("/sys/fs/bpf/weir{suffix}")),
        })
    }
}

macro_rules! words {
    ($(#[$about:meta])+ $type:ident { $($(#[$doc:meta])+ $variant:ident $word:literal,)+ }) => {
        $(#[$about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type { $($(#[$doc])+ $variant,)+ }

        impl $type {
            /// Every value with the word that stands for it.
            pub const ALL: &'static [(&'static str, Self)] = &[$(($word, Self::$variant),)+];
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word,)+ })
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let words: Vec<&str> = Self::ALL.iter().map(|(word, _)| *word).collect();
                let found = Self::ALL.iter().find(|(word, _)| *word == text);
                found.map(|(_, value)| *value).ok_or_else(|| format!("one of {}", words.join(", ")))
            }
        }
    };
}

words! {
    /// How XDP is attached.
    XdpMode {
        /// In the driver where it can, else in the stack.
        Auto "auto",
        /// In the driver, or not at all.
        Native "native",
        /// In the stack: slower, works with every driver.
        Generic "generic",
    }
}

words! {
    /// How the way out is observed.
    Egress {
        /// TCX where the kernel has it, else a clsact filter.
        Auto "auto",
        /// TCX (Linux 6.6), or not at all.
        Tcx "tcx",
        /// A filter of a clsact queueing discipline.
        Clsact "clsact",
        /// Not: no responses are seen, so no statuses and latencies.
        Off "off",
    }
}

words! {
    /// What an orderly end leaves behind.
    OnExit {
        /// The filter goes on enforcing.
        Keep "keep",
        /// The filter is taken off: everything passes.
        Open "open",
    }
}

/// What the command line says instead of the file; what is absent leaves the file's value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Replaces the interfaces when not empty.
    pub interfaces: Vec<String>,
    /// Replaces `xdp_mode`.
    pub xdp_mode: Option<XdpMode>,
    /// Replaces `egress`.
    pub egress: Option<Egress>,
    /// Replaces `policy`.
    pub policy: Option<PathBuf>,
    /// Replaces `state_dir`.
    pub state_dir: Option<PathBuf>,
    /// Replaces `socket`.
    pub socket: Option<PathBuf>,
    /// Replaces `pins`.
    pub pins: Option<PathBuf>,
    /// Replaces `metrics`.
    pub metrics: Option<SocketAddr>,
    /// Replaces `on_exit`.
    pub on_exit: Option<OnExit>,
    /// Replaces `[sensor] sample`.
    pub sample: Option<f64>,
    /// Replaces `[record] path`.
    pub record: Option<PathBuf>,
    /// Replaces `[log] kernel`.
    pub log_kernel: Option<bool>,
}

impl Config {
    /// The defaults with the paths of an instance.
    pub fn with_paths(paths: Paths) -> Self {
        let Paths { socket, state_dir, pins } = paths;
        Self {
            interfaces: Vec::new(),
            xdp_mode: XdpMode::Auto,
            egress: Egress::Auto,
            policy: None,
            state_dir,
            socket,
            pins,
            metrics: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9720),
            on_exit: OnExit::Keep,
            sensor: Sensor {
                sample: 1.0,
                snap: 4096,
                turn: 16_384,
                ring: 16 << 20,
                flows: 100_000,
            },
            limits: Limits { sources: 262_144, max_apis: 256, max_bans: 65_536 },
            feeds: Feeds { max_shrink: 0.5 },
            record: None,
            store: Store { transactions: 64 << 20, retention: 7 * DAY },
            inventory: Inventory { unused_after: 7 * DAY },
            geo: Geo::default(),
            audit_bytes: crate::export::audit::MAX_BYTES,
            events: None,
            sinks: Vec::new(),
            log_kernel: false,
        }
    }

    /// Where events are written: as given, relative to the state directory.
    pub fn events_path(&self) -> PathBuf {
        self.state_dir.join(self.events.as_deref().unwrap_or(Path::new("events.jsonl")))
    }

    /// Puts what the command line says in place.
    ///
    /// # Errors
    /// A value that the file could not have had either.
    pub fn apply(&mut self, overrides: Overrides) -> Result<(), Problem> {
        if let Some(sample) = overrides.sample {
            if !(0.0..=1.0).contains(&sample) {
                let message = format!("{sample} is not a share of flows");
                return Err(Problem::new(message, "write a number from 0 to 1"));
            }
            self.sensor.sample = sample;
        }
        if !overrides.interfaces.is_empty() {
            let names = overrides.interfaces.iter().map(|name| crate::text::interface(name));
            self.interfaces = names.collect::<Result<_, _>>()?;
            self.interfaces.dedup();
        }
        fn put<T>(slot: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *slot = value;
            }
        }
        put(&mut self.xdp_mode, overrides.xdp_mode);
        put(&mut self.egress, overrides.egress);
        put(&mut self.state_dir, overrides.state_dir);
        put(&mut self.socket, overrides.socket);
        put(&mut self.pins, overrides.pins);
        put(&mut self.metrics, overrides.metrics);
        put(&mut self.on_exit, overrides.on_exit);
        put(&mut self.log_kernel, overrides.log_kernel);
        if let Some(path) = overrides.record {
            let bytes = self.record.as_ref().map_or(RECORD_BYTES, |record| record.bytes);
            self.record = Some(recording::Settings { path, bytes });
        }
        self.policy = overrides.policy.or(self.policy.take());
        Ok(())
    }
}

/// What reading settings gave.
#[derive(Debug)]
pub struct Loaded {
    /// The settings; none when a diagnostic is an error.
    pub config: Option<Config>,
    /// Every problem found, sorted by position.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads the settings at `path` over the defaults with these paths. The policy it names is relative
/// to its directory. A file that cannot be read is a diagnostic too.
pub fn load(path: &Path, defaults: Paths) -> Loaded {
    match read_text(path, MAX_BYTES) {
        Ok(text) => {
            let directory = path.parent().unwrap_or(Path::new(""));
            parse(&text, directory, &path.display().to_string(), defaults)
        }
        Err(diagnostic) => Loaded { config: None, diagnostics: vec![*diagnostic] },
    }
}

/// Checks settings given as text, called `name` in messages and as if in `directory`.
pub fn parse(text: &str, directory: &Path, name: &str, defaults: Paths) -> Loaded {
    let source = Source::new(name, text);
    let mut report = Report::new(&source);
    let config = read::config(&mut report, directory, Config::with_paths(defaults));
    let config = report.usable().then_some(config);
    Loaded { config, diagnostics: report.finish() }
}
