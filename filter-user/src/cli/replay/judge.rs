//! The verdict over a policy in memory, as `weir replay` asks for it.

use std::path::Path;
use std::sync::Arc;

use filter_common::gcra::GRAINS_PER_NS;
use filter_common::packet::Packet;
use filter_common::reason::Reason;
use filter_common::tables::{API_OPAQUE, UNCLAIMED};
use filter_common::verdict::{Decision, claim_destination, claim_source, judge, judge_unparsed};

use crate::image::view::{LOOPBACK, State, View};
use crate::image::{Ids, Image};
use crate::policy::{self, Policy};
use crate::sensor::transaction::ip;
use crate::text::render;

/// APIs a policy may have here.
const MAX_APIS: u32 = 4096;
/// Cells of the limiter, as many as the daemon's default.
const LIMITER_CELLS: u32 = 65_536;
/// The verdict's clocks begin here, ns: zero is for what has never been.
const EPOCH: u64 = 3_600_000_000_000;

/// Judges the packets of a capture as the kernel would, by the capture's clock. Bans and orders are
/// none; limits begin full; which addresses are the host's own is not known.
pub(super) struct Judge {
    image: Image,
    ids: Ids,
    policy: Arc<Policy>,
    state: State,
    first: Option<u64>,
}

/// What was decided about a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    /// The verdict, its reason and the API that the packet is for.
    pub(super) decision: Decision,
    /// Stable id of the API at either end, 0 for none.
    pub(super) api: u32,
    /// Whether the packet comes from that API's server.
    pub(super) answers: bool,
    /// Whether that API's payload is never looked at.
    pub(super) opaque: bool,
}

/// Whether a packet was captured on the loopback interface, which a capture does not always say:
/// nowhere else does one loopback address write to another.
fn is_loopback(packet: &Packet) -> bool {
    ip(packet.source).is_loopback() && ip(packet.destination).is_loopback()
}

impl Judge {
    /// Reads and compiles a policy; without one everything passes.
    ///
    /// # Errors
    /// What is wrong with the policy, for a person.
    pub(super) fn new(path: Option<&Path>) -> Result<Self, String> {
        let policy = match path {
            Some(path) => {
                let loaded = policy::load(path);
                loaded.policy.ok_or_else(|| render(&loaded.diagnostics))?
            }
            None => Policy::observe(),
        };
        let mut ids = Ids::new(MAX_APIS);
        let image = policy::compile(&policy, &mut ids)
            .map_err(|problem| format!("{}\nhint: {}\n", problem.message, problem.hint))?;
        let policy = Arc::new(policy);
        Ok(Self { image, ids, policy, state: State::new(MAX_APIS, LIMITER_CELLS), first: None })
    }

    /// The decision on a packet captured at `time`, or on one that the parser gave up on.
    pub(super) fn judge(
        &mut self,
        time: u64,
        packet: &Packet,
        parsed: Result<(), Reason>,
    ) -> Judged {
        let elapsed = time.saturating_sub(*self.first.get_or_insert(time));
        let boot_ns = EPOCH.saturating_add(elapsed);
        let now = boot_ns.saturating_mul(GRAINS_PER_NS);
        let interface = if is_loopback(packet) { LOOPBACK } else { "" };
        let view = View { now, boot_ns, interface, ..View::new(&self.image, &self.state) };
        if let Err(reason) = parsed {
            let decision = judge_unparsed(&view, packet, reason);
            return Judged { decision, api: UNCLAIMED, answers: false, opaque: false };
        }
        let decision = judge(&view, packet);
        let asked = claim_destination(&view, packet);
        let (api, flags) = asked.or_else(|| claim_source(&view, packet)).unwrap_or((UNCLAIMED, 0));
        let answers = asked.is_none() && api != UNCLAIMED;
        Judged { decision, api, answers, opaque: flags & API_OPAQUE != 0 }
    }

    /// The policy, and the numbers of its APIs.
    pub(super) fn policy(&self) -> (Arc<Policy>, &Ids) {
        (Arc::clone(&self.policy), &self.ids)
    }

    /// The name of an API.
    pub(super) fn api_name(&self, id: u32) -> Option<&str> {
        self.ids.api_name(id)
    }
}
