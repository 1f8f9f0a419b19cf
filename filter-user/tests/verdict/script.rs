//! What the rows are made of, and running them in any world that judges packets.

use filter_common::reason::Reason;
use filter_user::kernel::orders::{Kind, Order};

use crate::frame::Frame;

/// The interface that the kernel's packets come in by unless a row says otherwise.
pub(crate) const LOOPBACK: &str = "lo";
/// An interface that the kernel's tests make in a namespace of their own.
pub(crate) const OTHER_INTERFACE: &str = "weirt0";

/// A policy and what happens under it, in order.
pub(crate) struct Script {
    /// What it is about.
    pub(crate) about: &'static str,
    /// The text of the policy; none: the host has none and observes.
    pub(crate) policy: Option<String>,
    /// Sources whose limits are kept exactly.
    pub(crate) sources: u32,
    pub(crate) steps: Vec<Step>,
}

/// A script under a policy.
pub(crate) fn script(about: &'static str, policy: &str, steps: Vec<Step>) -> Script {
    Script { about, policy: Some(policy.to_owned()), sources: 4096, steps }
}

/// One thing that happens.
pub(crate) enum Step {
    /// A packet comes in.
    Row(Row),
    /// Somebody decides something, or a packet goes out.
    Change(Change),
}

/// A packet with what has to become of it.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) frame: Vec<u8>,
    pub(crate) interface: &'static str,
    pub(crate) expected: Verdict,
}

/// What becomes of a packet. Exactly one counter changes: that of `api`, `reason` and `would`, by
/// one packet and the bytes of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) passes: bool,
    pub(crate) reason: Reason,
    pub(crate) would: bool,
    /// The API's name; empty when none claims the packet.
    pub(crate) api: &'static str,
}

pub(crate) const fn pass(reason: Reason, api: &'static str) -> Verdict {
    Verdict { passes: true, reason, would: false, api }
}

pub(crate) const fn dropped(reason: Reason, api: &'static str) -> Verdict {
    Verdict { passes: false, reason, would: false, api }
}

pub(crate) const fn would_drop(reason: Reason, api: &'static str) -> Verdict {
    Verdict { passes: true, reason, would: true, api }
}

/// A row on the loopback interface.
pub(crate) fn row(what: impl Into<String>, frame: &Frame, expected: Verdict) -> Step {
    row_on(LOOPBACK, what, frame, expected)
}

/// A row on an interface.
pub(crate) fn row_on(
    interface: &'static str,
    what: impl Into<String>,
    frame: &Frame,
    expected: Verdict,
) -> Step {
    Step::Row(Row { what: what.into(), frame: frame.bytes(), interface, expected })
}

/// The same packet so many times.
pub(crate) fn rows(times: usize, what: &str, frame: &Frame, expected: Verdict) -> Vec<Step> {
    let of = |number| row(format!("{what}, {number} of {times}"), frame, expected);
    (1..=times).map(of).collect()
}

/// When something ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Never,
    InAnHour,
    AMinuteAgo,
}

/// What changes between packets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Ban {
        network: &'static str,
        api: &'static str,
        until: Until,
        automatic: bool,
    },
    Unban {
        network: &'static str,
        api: &'static str,
    },
    /// The group of a lockdown is named apart, because only the world knows its number.
    Order {
        api: &'static str,
        order: Order,
        group: &'static str,
        until: Until,
    },
    Lift {
        api: &'static str,
        kind: Kind,
    },
    /// A packet leaves the host.
    Sent(fn() -> Frame),
    /// The host's own addresses are these from now on.
    Own(&'static [&'static str]),
}

/// An operator's ban of the whole host for good.
pub(crate) fn ban(network: &'static str) -> Step {
    ban_with(network, "", Until::Never, false)
}

pub(crate) fn ban_with(
    network: &'static str,
    api: &'static str,
    until: Until,
    automatic: bool,
) -> Step {
    Step::Change(Change::Ban { network, api, until, automatic })
}

pub(crate) fn unban(network: &'static str) -> Step {
    Step::Change(Change::Unban { network, api: "" })
}

pub(crate) fn order(api: &'static str, order: Order, until: Until) -> Step {
    Step::Change(Change::Order { api, order, group: "", until })
}

pub(crate) fn lockdown(
    api: &'static str,
    group: &'static str,
    automatic: bool,
    until: Until,
) -> Step {
    let order = Order::Lockdown { group: 0, automatic };
    Step::Change(Change::Order { api, order, group, until })
}

pub(crate) fn lift(api: &'static str, kind: Kind) -> Step {
    Step::Change(Change::Lift { api, kind })
}

pub(crate) fn sent(frame: fn() -> Frame) -> Step {
    Step::Change(Change::Sent(frame))
}

pub(crate) fn own(addresses: &'static [&'static str]) -> Step {
    Step::Change(Change::Own(addresses))
}

/// What a world did to a packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) passes: bool,
    /// The counters that changed: API, reason, would, packets, bytes.
    pub(crate) counted: Vec<(String, Reason, bool, u64, u64)>,
}

impl Row {
    fn outcome(&self) -> Outcome {
        let Verdict { passes, reason, would, api } = self.expected;
        let bytes = self.frame.len() as u64;
        Outcome { passes, counted: vec![(api.to_owned(), reason, would, 1, bytes)] }
    }
}

/// Where packets are judged: in memory or in the kernel.
pub(crate) trait World {
    fn judge(&mut self, frame: &[u8], interface: &str) -> Outcome;
    fn change(&mut self, change: &Change);
    /// Whether nothing went wrong that no packet showed.
    fn is_sound(&self) -> bool;
}

/// Runs scripts, each in a world of its own, and tells every row that is not as expected.
pub(crate) fn run<W: World>(scripts: Vec<Script>, mut open: impl FnMut(&Script) -> W) {
    let mut wrong = Vec::new();
    let mut packets = 0;
    for script in scripts {
        let mut world = open(&script);
        for step in &script.steps {
            match step {
                Step::Change(change) => world.change(change),
                Step::Row(row) => {
                    packets += 1;
                    keep_seed(&row.frame);
                    let (expected, found) = (row.outcome(), world.judge(&row.frame, row.interface));
                    if found != expected {
                        let (about, what) = (script.about, &row.what);
                        wrong.push(format!(
                            "{about}: {what}\n  expected {expected:?}\n  found    {found:?}"
                        ));
                    }
                }
            }
        }
        assert!(world.is_sound(), "{}: a table was read beyond its end", script.about);
    }
    assert!(packets != 0, "no rows");
    assert!(wrong.is_empty(), "{} of {packets} rows:\n{}", wrong.len(), wrong.join("\n"));
}

/// Writes a row's frame where `WEIR_SEEDS` says: what `cargo xtask fuzz packet` begins with.
fn keep_seed(frame: &[u8]) {
    let Ok(directory) = std::env::var("WEIR_SEEDS") else { return };
    let mut hasher = std::hash::DefaultHasher::new();
    std::hash::Hasher::write(&mut hasher, frame);
    let name = format!("{:016x}", std::hash::Hasher::finish(&hasher));
    std::fs::write(std::path::Path::new(&directory).join(name), frame).expect("writes a seed");
}
