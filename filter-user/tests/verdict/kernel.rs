//! The world in the kernel: the loaded programs, run on one packet at a time.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use filter_common::bytes::Slice;
use filter_common::packet::{self, Packet};
use filter_common::reason::Reason;
use filter_common::stat::Stat;
use filter_common::verdict::{Decision, judge, judge_unparsed};
use filter_user::kernel::clock::{boot_ns, monotonic_ns};
use filter_user::kernel::counters::Row as Counted;
use filter_user::kernel::generation::Generation;
use filter_user::kernel::host::interface_index;
use filter_user::kernel::orders::Order;
use filter_user::kernel::state::{Settings, State};
use filter_user::policy::{Policy, compile};

use crate::memory::{MAX_APIS, api_id, network, policy};
use crate::script::{Change, LOOPBACK, OTHER_INTERFACE, Outcome, Script, Until, World};

/// `XDP_PASS`.
pub(crate) const PASS: u32 = 2;
/// `XDP_DROP`.
pub(crate) const DROP: u32 = 1;

/// A directory for pins of this test's own, removed with all it holds when dropped.
pub(crate) struct Pins(pub(crate) PathBuf);

impl Pins {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(format!("/sys/fs/bpf/weir-test-{}-{number}", std::process::id()).into())
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} stays behind: {error}", self.0.display());
        }
    }
}

/// The settings of a test: small tables, the whole sensor.
pub(crate) fn settings(pins: &Pins) -> Settings {
    Settings {
        pins: pins.0.clone(),
        max_apis: MAX_APIS,
        max_bans: 1024,
        sources: 4096,
        ring_bytes: 1 << 20,
        snap: 4096,
        turn: 16_384,
        sample: 1.0,
        log: false,
    }
}

/// Moves this thread to a network namespace of its own with one more interface.
pub(crate) fn own_namespace() {
    // SAFETY: changes what this thread sees, and takes no pointers.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0, "unshare needs root");
    let done = Command::new("ip")
        .args(["link", "add", OTHER_INTERFACE, "type", "veth", "peer", "name", "weirt1"])
        .status();
    assert!(done.expect("ip runs").success(), "cannot make {OTHER_INTERFACE}");
}

/// State and programs of one policy in the kernel.
pub(crate) struct Kernel {
    pub(crate) state: State,
    pub(crate) generation: Generation,
    /// Last, so that what is pinned there is closed before.
    _pins: Pins,
}

impl Kernel {
    pub(crate) fn open(script: &Script) -> Self {
        own_namespace();
        let pins = Pins::new();
        let settings = Settings { sources: script.sources, ..settings(&pins) };
        Self::with(pins, settings, &policy(script))
    }

    /// State and programs with these settings.
    pub(crate) fn with(pins: Pins, settings: Settings, policy: &Policy) -> Self {
        let mut state = State::open(settings).unwrap_or_else(|e| panic!("{e}"));
        let mut ids = state.ids();
        let image = compile(policy, &mut ids).expect("compiles");
        state.keep_ids(ids, &image).unwrap_or_else(|e| panic!("{e}"));
        let generation = Generation::load(&mut state, &image).unwrap_or_else(|e| panic!("{e}"));
        Self { state, generation, _pins: pins }
    }

    /// Every counter that is not zero.
    pub(crate) fn counts(&self) -> Vec<Counted> {
        let known = self.state.ids().apis().map(|(id, _)| id).collect::<Vec<_>>();
        let of = |api| self.state.counters.of(api).expect("counters");
        [0].into_iter().chain(known).flat_map(of).collect()
    }

    pub(crate) fn stat(&self, stat: Stat) -> u64 {
        self.state.counters.stat(stat).expect("counters")
    }

    /// What `weir explain` says of a frame.
    pub(crate) fn foretell(&self, frame: &[u8], interface: &str) -> Decision {
        let now = self.generation.grains(monotonic_ns());
        let index = interface_index(interface).expect("the interface");
        let live = self.generation.live(index, now, &|_| ()).unwrap_or_else(|e| panic!("{e}"));
        let mut packet = Packet::default();
        let decision = match packet::parse(&Slice::whole(frame), &mut packet) {
            Ok(()) => judge(&live, &packet),
            Err(reason) => judge_unparsed(&live, &packet, reason),
        };
        live.whole().unwrap_or_else(|e| panic!("{e}"));
        decision
    }

    fn api(&self, name: &str) -> u32 {
        api_id(&self.state.ids(), name)
    }

    /// What changed between two readings.
    fn changes(
        &self,
        before: &[Counted],
        after: &[Counted],
    ) -> Vec<(String, Reason, bool, u64, u64)> {
        let ids = self.state.ids();
        let key = |row: &Counted| (row.api, row.reason, row.would);
        let mut changes = Vec::new();
        for row in after {
            let was = before.iter().find(|was| key(was) == key(row));
            let (packets, bytes) = was.map_or((0, 0), |was| (was.packets, was.bytes));
            if (packets, bytes) != (row.packets, row.bytes) {
                changes.push((
                    ids.api_name(row.api).unwrap_or_default().to_owned(),
                    row.reason,
                    row.would,
                    row.packets - packets,
                    row.bytes - bytes,
                ));
            }
        }
        changes
    }
}

fn time(until: Until) -> Option<u64> {
    match until {
        Until::Never => None,
        Until::InAnHour => Some(boot_ns() + 3_600_000_000_000),
        // A host that was just booted has no such time: then it is the first moment.
        Until::AMinuteAgo => Some(boot_ns().saturating_sub(60_000_000_000).max(1)),
    }
}

impl World for Kernel {
    fn judge(&mut self, frame: &[u8], interface: &str) -> Outcome {
        let before = self.counts();
        let foretold = self.foretell(frame, interface);
        assert_eq!(self.counts(), before, "asking counted something");
        let trial = if interface == LOOPBACK {
            self.generation.try_ingress(frame, 1)
        } else {
            let index = interface_index(interface).expect("the interface");
            self.generation.try_ingress_on(frame, index)
        };
        let action = trial.unwrap_or_else(|e| panic!("{e}")).action;
        assert!(action == PASS || action == DROP, "action {action}");
        let found =
            Outcome { passes: action == PASS, counted: self.changes(&before, &self.counts()) };
        let told = found.counted.first().map(|(_, reason, would, ..)| (*reason, *would));
        assert_eq!(Some((foretold.reason, foretold.would)), told, "foretold {foretold:?}");
        found
    }

    fn change(&mut self, change: &Change) {
        match *change {
            Change::Ban { network: text, api, until, automatic } => {
                let (address, length) = network(text);
                let api = Some(self.api(api)).filter(|&api| api != 0);
                let added = self.state.bans.add(address, length, api, time(until), automatic);
                added.unwrap_or_else(|e| panic!("{e}"));
            }
            Change::Unban { network: text, api } => {
                let (address, length) = network(text);
                let api = Some(self.api(api)).filter(|&api| api != 0);
                let removed = self.state.bans.remove(address, length, api);
                assert!(removed.expect("removes").is_some(), "{text} is not banned");
            }
            Change::Order { api, order, group, until } => {
                let order = match order {
                    Order::Lockdown { automatic, .. } => {
                        let group = self.state.ids().find_group(group).expect("a group");
                        Order::Lockdown { group, automatic }
                    }
                    other => other,
                };
                assert!(self.state.orders.set(self.api(api), order, time(until)));
            }
            Change::Lift { api, kind } => {
                assert!(self.state.orders.lift(self.api(api), kind), "nothing to lift at {api}");
            }
            Change::Sent(frame) => {
                let trial = self.generation.try_egress(&frame().bytes());
                trial.unwrap_or_else(|e| panic!("{e}"));
            }
            Change::Own(addresses) => {
                let addresses = addresses.iter().map(|text| network(text).0).collect();
                assert_eq!(self.state.own.set(&addresses).unwrap_or_else(|e| panic!("{e}")), 0);
            }
        }
    }

    fn is_sound(&self) -> bool {
        self.stat(Stat::MissingCell) == 0
    }
}
