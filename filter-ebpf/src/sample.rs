//! From a packet to a record in the ring.
//!
//! Sampling is by flow: a hash that is the same for both directions against a threshold, so that a
//! sampled connection is whole. Of each side's turn the first bytes are shipped, of the rest its length
//! ([`filter_common::turn`]). Records are submitted without a wake-up each; the reader drains on
//! a timer.

use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
use aya_ebpf::helpers::bpf_get_smp_processor_id;
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_log_ebpf::warn;
use filter_common::gcra::Charge;
use filter_common::hash;
use filter_common::packet::{Packet, tcp_flags};
use filter_common::reason::Reason;
use filter_common::record::{
    CONTINUED, EGRESS, HEADER_BYTES, Header, MAX_SNAP, NOTICE, WOULD, wanted,
};
use filter_common::stat::Stat;
use filter_common::tables::{
    API_OPAQUE, NOTICE_BUDGET, NOTICE_CELLS, NOTICE_WINDOW_SHIFT, UNCLAIMED,
};
use filter_common::turn::{PARTS, Turn};
use filter_common::verdict::{self, Summary, Tables};

use crate::bytes::Payload;
use crate::gate::Gate;
use crate::{apart, maps};

/// Samples a segment that was let in.
#[inline(always)]
pub fn segment<P: Payload>(gate: &Gate, bytes: &P, packet: &Packet, decision: Summary) {
    let mut api = decision.api();
    if api != UNCLAIMED || decision.is(Reason::Trusted) {
        match verdict::claim_destination(gate, packet) {
            Some((_, flags)) if flags & API_OPAQUE != 0 => return,
            Some((id, _)) => api = id,
            None => {}
        }
    }
    let would = if decision.would() { WOULD } else { 0 };
    take(gate, bytes, packet, api, decision.reason_number(), would, 1);
}

/// Samples a segment that leaves.
#[inline(always)]
pub fn sent<P: Payload>(gate: &Gate, bytes: &P, packet: &Packet, api: u32, segments: u32) {
    take(gate, bytes, packet, api, 0, EGRESS, segments);
}

#[inline(always)]
fn take<P: Payload>(
    gate: &Gate,
    bytes: &P,
    packet: &Packet,
    api: u32,
    reason: u8,
    flags: u8,
    segments: u32,
) {
    if !wanted(packet) {
        return;
    }
    let below = gate.control().map_or(0, |control| control.sample_below.load());
    let hash = verdict::flow_hash(gate.seed(), packet);
    if hash >> 32 >= below {
        gate.bump(Stat::Attempted);
        gate.bump(Stat::SampledOut);
        return;
    }
    let Some(cell) = gate.turn(hash) else { return };
    let mut turn = Turn::of(cell.load(), hash, flags & EGRESS != 0);
    let ship = turn.ship(packet.payload_len, gate.snap(), gate.turn_budget());
    let Some(header) = fresh(gate, packet) else { return };
    header.api = api;
    header.reason = reason;
    header.flags |= flags;
    header.segments = segments as u16;
    // 2^32 / below flows, in 16 fractional bits; `below` is never 0 here.
    header.weight = if below >= 1 << 32 { 1 << 16 } else { ((1u64 << 48) / (below | 1)) as u32 };
    if turn.is_whole() && packet.payload_len > MAX_SNAP {
        parts(gate, bytes, packet, header);
    } else {
        gate.bump(Stat::Attempted);
        match fetch(gate, bytes, packet.payload_offset, ship, header) {
            Some(0) => hand_over(gate, header, 0),
            Some(captured) => {
                // SAFETY: the payload lies behind the header, where there is room for more than this.
                let first = unsafe { payload_of(header).cast::<u32>().read_unaligned() };
                let charged = turn;
                turn = Turn::from_cell(apart::weir_note_opening(turn.cell(), first, captured));
                // At most what was fetched, in a form whose bounds the verifier follows.
                let captured = turn.shipped_since(charged, captured);
                hand_over(gate, header, (captured.wrapping_sub(1) & (MAX_SNAP - 1)) + 1);
            }
            None => gate.bump(Stat::Dropped),
        }
    }
    cell.store(turn.cell());
}

/// Ships a segment that is longer than a record as several.
#[inline(always)]
fn parts<P: Payload>(gate: &Gate, bytes: &P, packet: &Packet, header: &mut Header) {
    let whole = packet.payload_len;
    let ends = header.tcp_flags & tcp_flags::FIN;
    for part in 0..PARTS {
        let from = part * MAX_SNAP;
        if from >= whole {
            return;
        }
        let rest = whole - from;
        let last = part == PARTS - 1 || rest <= MAX_SNAP;
        header.tcp_flags &= !ends;
        header.payload_len = if last { rest } else { MAX_SNAP };
        if last {
            header.tcp_flags |= ends;
        }
        if part != 0 {
            header.tcp_seq = header.tcp_seq.wrapping_add(MAX_SNAP);
            header.flags |= CONTINUED;
            header.segments = 0;
            header.wire_len = 0;
            number(header);
        }
        let ship = if rest < MAX_SNAP { rest } else { MAX_SNAP };
        submit(gate, bytes, packet.payload_offset + from, ship, header);
    }
}

/// Whether to tell userspace of a source that is refused: once a window for each source and reason (and,
/// where no API has the port, for the last four bits of the port), and within a budget for all.
#[inline(always)]
pub fn is_news(gate: &Gate, packet: &Packet, decision: Summary) -> bool {
    let now = gate.now();
    let Some(control) = gate.control() else { return false };
    // Asked first: under a flood from everywhere the cell would be one more word to wait for.
    if !NOTICE_BUDGET.admits(&control.notices, now) {
        gate.bump(Stat::NoticeSuppressed);
        return false;
    }
    let mut source = packet.source;
    if !packet.is_v4 {
        source.lo = 0;
    }
    let mut what = ((decision.api() as u64) << 8) | decision.reason_number() as u64;
    if decision.is(Reason::UnclaimedRefused) {
        // Sixteen ports of a source within a window are told apart, or a scan would be one port. The
        // number of no API leaves these bits free; those above 32 the hash does not take.
        what |= (packet.destination_port as u64 & 15) << 24;
    }
    let hash = hash::addr(gate.seed(), source, what);
    let Some(last) = gate.notice(hash as u32 & (NOTICE_CELLS - 1)) else { return false };
    let mark = (hash & !0xffff_ffff) | (now >> NOTICE_WINDOW_SHIFT & 0xffff_ffff);
    if last.load() == mark || NOTICE_BUDGET.charge(&control.notices, 1, now) == Charge::Refused {
        gate.bump(Stat::NoticeSuppressed);
        return false;
    }
    last.store(mark);
    true
}

/// Tells it.
#[inline(always)]
pub fn notice(gate: &Gate, packet: &Packet, decision: Summary) {
    let Some(header) = fresh(gate, packet) else { return };
    header.kind = NOTICE;
    header.api = decision.api();
    header.reason = decision.reason_number();
    header.flags |= if decision.would() { WOULD } else { 0 };
    if output(header, 0) {
        gate.bump(Stat::NoticeSubmitted);
    } else {
        gate.bump(Stat::NoticeDropped);
    }
}

/// A header in this CPU's scratch, filled from the packet, stamped and numbered.
#[inline(always)]
fn fresh(gate: &Gate, packet: &Packet) -> Option<&'static mut Header> {
    let scratch = maps::SCRATCH.get_ptr_mut(0)?;
    // SAFETY: the scratch is this CPU's own, aligned, and begins with room for a header.
    let header = unsafe { &mut *scratch.cast::<Header>() };
    header.fill(packet);
    // SAFETY: no arguments.
    header.time = unsafe { bpf_ktime_get_ns() };
    header.interface = gate.interface();
    header.generation = gate.generation();
    // SAFETY: no arguments.
    header.cpu = unsafe { bpf_get_smp_processor_id() };
    number(header).then_some(header)
}

/// Numbers a record.
#[inline(always)]
fn number(header: &mut Header) -> bool {
    let Some(sequence) = maps::SEQUENCE.get_ptr_mut(0) else { return false };
    // SAFETY: the cell is this CPU's own.
    unsafe {
        header.sequence = *sequence;
        *sequence += 1;
    }
    true
}

/// Copies `want` bytes of payload behind the header, hands both over, and counts what became of them.
#[inline(always)]
fn submit<P: Payload>(gate: &Gate, bytes: &P, offset: u32, want: u32, header: &mut Header) {
    gate.bump(Stat::Attempted);
    match fetch(gate, bytes, offset, want, header) {
        Some(captured) => hand_over(gate, header, captured),
        None => gate.bump(Stat::Dropped),
    }
}

/// Copies `want` bytes of payload behind the header; how many these are, at most [`MAX_SNAP`].
#[inline(always)]
fn fetch<P: Payload>(
    gate: &Gate,
    bytes: &P,
    offset: u32,
    want: u32,
    header: &mut Header,
) -> Option<u32> {
    if want == 0 {
        return Some(0);
    }
    // 1 to MAX_SNAP, in a form whose bounds the verifier follows.
    let captured = ((want - 1) & (MAX_SNAP - 1)) + 1;
    // SAFETY: the header is the scratch's, which has MAX_SNAP bytes behind it.
    if unsafe { bytes.copy(offset, payload_of(header), captured) } {
        return Some(captured);
    }
    warn!(gate, "payload of {} bytes at {} cannot be read", want, offset);
    None
}

/// Hands the header over with so many bytes behind it, and counts what became of them.
#[inline(always)]
fn hand_over(gate: &Gate, header: &mut Header, captured: u32) {
    header.captured = captured;
    gate.bump(if output(header, captured) { Stat::Submitted } else { Stat::Dropped });
}

#[inline(always)]
fn payload_of(header: &mut Header) -> *mut u8 {
    (&raw mut *header).cast::<u8>().wrapping_add(HEADER_BYTES)
}

#[inline(always)]
fn output(header: &mut Header, captured: u32) -> bool {
    // SAFETY: the header is the scratch's, with at least `captured` bytes behind it.
    let record = unsafe {
        core::slice::from_raw_parts(
            (&raw const *header).cast::<u8>(),
            HEADER_BYTES + captured as usize,
        )
    };
    maps::RING.output::<[u8]>(record, u64::from(BPF_RB_NO_WAKEUP)).is_ok()
}
