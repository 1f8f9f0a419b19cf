//! weir in the kernel: XDP judges what comes in, TCX watches what goes out.
//!
//! Only the shell is here: entry points, maps, and the traits of filter-common over them. What a
//! packet is and what becomes of it is decided in filter-common, once for kernel and userspace.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod apart;
mod bytes;
mod direct;
mod gate;
mod maps;
mod sample;

use core::arch::asm;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::xdp_action;
use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_ns};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use filter_common::packet::{self, Packet};
use filter_common::reason::{Reason, Verdict};
use filter_common::stat::Stat;
use filter_common::tables::{API_OPAQUE, META_JIFFIES, META_MONOTONIC, UNCLAIMED, feature};
use filter_common::verdict::{self, Summary, Tables};
use filter_common::verifier::forget_all;

use crate::bytes::{Frame, Skb};
use crate::gate::{Gate, Place};

/// Hands a packet on to the next program at this hook, and in the end to the stack.
const TCX_NEXT: i32 = -1;

/// Every packet that comes in: judged, counted, sampled.
#[xdp(frags)]
pub fn weir_ingress(ctx: XdpContext) -> u32 {
    match ingress(&ctx) {
        Verdict::Pass => xdp_action::XDP_PASS,
        Verdict::Drop => xdp_action::XDP_DROP,
    }
}

/// Every packet that goes out: counted and sampled, never stopped.
#[classifier]
pub fn weir_egress(ctx: TcContext) -> i32 {
    egress(&ctx);
    TCX_NEXT
}

/// Reads both clocks at one moment, for the loader, which cannot read jiffies; never attached.
#[xdp]
pub fn weir_clock(_ctx: XdpContext) -> u32 {
    // SAFETY: no arguments.
    let (jiffies, ns) = unsafe { (bpf_jiffies64(), bpf_ktime_get_ns()) };
    for (index, value) in [(META_JIFFIES, jiffies), (META_MONOTONIC, ns)] {
        if let Some(cell) = maps::META.get_ptr_mut(index) {
            // SAFETY: one aligned word, read by userspace after this run.
            unsafe { cell.write(value) };
        }
    }
    xdp_action::XDP_PASS
}

/// Does nothing: what `cargo xtask bench` measures others against; never attached.
#[xdp(frags)]
pub fn weir_empty_pass(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// As [`weir_empty_pass`], but drops.
#[xdp(frags)]
pub fn weir_empty_drop(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_DROP
}

/// What is known of the packet at hand.
///
/// It lies in a map and not on the stack for two reasons: the stack is small, and of what it reads
/// back from a map the verifier knows nothing, so that the paths of the parser end in one.
#[repr(C)]
pub struct Work {
    packet: Packet,
    /// The packet's IPv4 options, while they are walked.
    options: [u8; OPTIONS_ROOM],
}

/// Room for IPv4 options: 40 bytes, rounded up to a mask.
const OPTIONS_ROOM: usize = 64;

/// This CPU's work. Never absent: the map has one cell.
#[inline(always)]
fn work() -> Option<&'static mut Work> {
    // SAFETY: the cell is this CPU's own, and no other program runs on it until this one ends.
    maps::WORK.get_ptr_mut(0).map(|work| unsafe { &mut *work })
}

/// The same place, of whose contents the compiler knows nothing any more.
#[inline(always)]
fn look_again<T>(place: &'static mut T) -> &'static mut T {
    let mut pointer = &raw mut *place;
    // SAFETY: moves a register to itself; the memory clobber is the point.
    unsafe { asm!("{0} = {0}", inout(reg) pointer, options(nostack)) };
    // SAFETY: the pointer that came in, whose reference has ended.
    unsafe { &mut *pointer }
}

#[inline(always)]
fn ingress(ctx: &XdpContext) -> Verdict {
    let Some(mut work) = work() else { return Verdict::Drop };
    let frame = Frame::new(ctx);
    let Some(mut gate) = Gate::with_control(Place::Incoming(ctx.ctx)) else { return Verdict::Drop };
    let parsed = packet::parse_known(&frame, &mut work.packet);
    work = look_again(work);
    // In one register, because a packet would wait for what it has just written to memory.
    let summary = match parsed {
        Ok(known) => {
            gate.note(known);
            verdict::summary_of(&gate, &work.packet).bits()
        }
        Err(reason) => apart::weir_judge_unparsed(reason as u32),
    };
    let summary = Summary::from_bits(forget_all(summary, work.packet.source.lo));
    gate.count(summary.place(), work.packet.wire_len);
    if summary.refuses() {
        work = look_again(work);
        if sample::is_news(&gate, &work.packet, summary) {
            apart::weir_notice(ctx.ctx, summary.bits());
        }
        if summary.drops() {
            return Verdict::Drop;
        }
    }
    if gate.features() & feature::SENSOR != 0 {
        apart::weir_sample(ctx.ctx, summary.bits());
    }
    Verdict::Pass
}

#[inline(always)]
fn egress(ctx: &TcContext) {
    let Some(mut work) = work() else { return };
    let mut skb = Skb::new(ctx);
    let gate = Gate::new(Place::Outgoing(ctx.as_ptr().cast()));
    if gate.is_gated(skb.came_in_by()) {
        gate.bump(Stat::EgressForwarded);
        return;
    }
    skb.pull_headers();
    if let Err(reason) = packet::parse(&skb, &mut work.packet) {
        if reason as u8 != Reason::NotIp as u8 {
            gate.bump(Stat::EgressUnparsed);
        }
        return;
    }
    work = look_again(work);
    let packet = &work.packet;
    verdict::note_sent(&gate, packet);
    let (api, flags) = verdict::claim_source(&gate, packet).unwrap_or((UNCLAIMED, 0));
    let segments = skb.segments();
    gate.count_egress(api, segments, packet.wire_len, packet.payload_offset);
    if flags & API_OPAQUE == 0 && gate.features() & feature::SENSOR != 0 {
        sample::sent(&gate, &skb, packet, api, segments);
    }
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier proves that this is never reached.
    loop {}
}

/// What the kernel reads to decide which helpers the object may use.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
