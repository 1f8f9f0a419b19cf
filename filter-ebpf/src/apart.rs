//! Parts of the verdict that are functions to the kernel too: its verifier checks such a function
//! once, for any numbers it could be given, and not again for every way that leads to its call. They
//! are the rare and the long parts, because a call costs what several look-ups do.

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::programs::XdpContext;
use filter_common::addr::Addr;
use filter_common::packet::options;
use filter_common::reason::Reason;
use filter_common::turn::Turn;
use filter_common::verdict::{self, Summary};
use filter_common::verifier::bound;

use crate::bytes::Frame;
use crate::gate::{Gate, Place};
use crate::{OPTIONS_ROOM, sample, work};

/// No packet is at hand: never, but the verifier asks.
const NOTHING: u32 = 0;

/// See [`verdict::follow_chain`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn weir_follow_chain(hi: u64, lo: u64, first: u32) -> u32 {
    verdict::follow_chain(&Gate::new(Place::Nowhere), Addr { hi, lo }, first)
}

/// See [`verdict::search_bans`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn weir_search_bans(api: u32) -> u32 {
    match work() {
        Some(work) => verdict::search_bans(&Gate::new(Place::Nowhere), &work.packet, api),
        None => NOTHING,
    }
}

/// See [`verdict::claim_way`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn weir_claim_way(cell: u32, fingerprint: u64, now: u64, cost: u64) -> u32 {
    verdict::claim_way(&Gate::new(Place::Nowhere), cell, fingerprint, now, cost)
}

/// See [`verdict::many_limits`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn weir_many_limits(slot: u32, rule: u32, now: u64) -> u32 {
    match work() {
        Some(work) => {
            verdict::many_limits(&Gate::new(Place::Nowhere), &work.packet, slot, rule, now)
        }
        None => NOTHING,
    }
}

/// See [`verdict::operator_refuses`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn weir_operator_refuses() -> u32 {
    match work() {
        Some(work) => verdict::operator_refuses(&Gate::new(Place::Nowhere), &work.packet),
        None => NOTHING,
    }
}

/// Walks the options that lie in this CPU's work: see [`options::walk`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn weir_walk_options(length: u32) -> u32 {
    let Some(work) = work() else { return options::UNREADABLE };
    let held = &work.options;
    let length = length as usize & (OPTIONS_ROOM - 1);
    // The verifier of 6.1 learns nothing from comparing a place with a length that it does not know.
    let within = |at| bound::<{ OPTIONS_ROOM - 1 }>(at) & (OPTIONS_ROOM - 1);
    options::walk(length, work.packet.source.lo, |at| Some(held[within(at)]))
}

/// See [`verdict::source_oddities`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn weir_source_oddities() -> u32 {
    match work() {
        Some(work) => verdict::source_oddities(&Gate::new(Place::Nowhere), &work.packet),
        None => NOTHING,
    }
}

/// See [`verdict::odd_reason`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn weir_odd_reason(kinds: u32) -> u32 {
    verdict::odd_reason(kinds)
}

/// See [`verdict::summary_of_unparsed`]; gives its bits. `reason` is a number.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn weir_judge_unparsed(reason: u32) -> u64 {
    let summary = match (work(), Reason::from_number(reason as u8)) {
        (Some(work), Some(reason)) => {
            let gate = Gate::new(Place::Nowhere);
            verdict::summary_of_unparsed(&gate, &work.packet, reason)
        }
        _ => Summary::BROKEN,
    };
    summary.bits()
}

/// See [`sample::segment`]; `summary` in bits. Apart, or what it keeps in registers would cost every
/// packet, sampled or not.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn weir_sample(ctx: *mut xdp_md, summary: u64) -> u32 {
    if let Some(work) = work() {
        let (ctx, place) = (XdpContext::new(ctx), Place::Incoming(ctx));
        let summary = Summary::from_bits(summary);
        sample::segment(&Gate::new(place), &Frame::new(&ctx), &work.packet, summary);
    }
    0
}

/// See [`Turn::note_opening`]; takes and gives the cell's word.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn weir_note_opening(cell: u64, first: u32, ship: u32) -> u64 {
    let mut turn = Turn::from_cell(cell);
    turn.note_opening(first, ship);
    turn.cell()
}

/// See [`sample::notice`]; `summary` in bits.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn weir_notice(ctx: *mut xdp_md, summary: u64) -> u32 {
    if let Some(work) = work() {
        let gate = Gate::new(Place::Incoming(ctx));
        sample::notice(&gate, &work.packet, Summary::from_bits(summary));
    }
    0
}
