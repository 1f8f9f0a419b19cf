//! The senders, run with live frames: each sends the frame it is given, from a source of its own
//! choice, out of the interface it is said to have come in by.

use aya_ebpf::Global;
use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::XdpContext;

use crate::{CHECKSUM, HEADERS, SOURCE};

/// What the loader decides about a sender.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Plan {
    /// First of the sources.
    pub base: u32,
    /// How many there are; 0: all unicast addresses.
    pub span: u32,
    /// One packet of so many is of a known source instead; 0: none.
    pub every: u32,
    /// First of the known sources.
    pub known: u32,
    /// How many there are.
    pub knowns: u32,
    /// Sum of the IPv4 header's 16-bit words without source and checksum.
    pub sum: u32,
}

/// Written by the loader before the program is.
#[unsafe(no_mangle)]
pub static PLAN: Global<Plan> =
    Global::new(Plan { base: 0, span: 0, every: 0, known: 0, knowns: 0, sum: 0 });

/// Where a CPU is in its sequence.
#[repr(C)]
pub struct Sequence {
    /// Of the random numbers; 0 before the first.
    pub state: u64,
    /// Packets of known sources that were sent.
    pub known: u64,
    /// Packets since the last of those.
    pub since: u64,
}

/// The senders write, userspace reads.
#[map]
pub static SEQUENCES: PerCpuArray<Sequence> = PerCpuArray::with_max_entries(1, 0);

/// Sends the frame as it is.
#[xdp]
pub fn bench_send(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_TX
}

/// Sends the frame from a random source.
#[xdp]
pub fn bench_send_random(ctx: XdpContext) -> u32 {
    if forge(&ctx).is_some() { xdp_action::XDP_TX } else { xdp_action::XDP_ABORTED }
}

#[inline(always)]
fn forge(ctx: &XdpContext) -> Option<()> {
    let sequence = SEQUENCES.get_ptr_mut(0)?;
    // SAFETY: the cell is this CPU's own.
    let source = source(unsafe { &mut *sequence });
    let (data, end) = (ctx.data(), ctx.data_end());
    if data + HEADERS > end {
        return None;
    }
    let sum = PLAN.load().sum + (source >> 16) + (source & 0xffff);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    // SAFETY: both fields are within the headers that are there; they need no alignment.
    unsafe {
        ((data + SOURCE) as *mut u32).write_unaligned(source.to_be());
        ((data + CHECKSUM) as *mut u16).write_unaligned(sum.to_be());
    }
    Some(())
}

#[inline(always)]
fn source(sequence: &mut Sequence) -> u32 {
    let plan = PLAN.load();
    if plan.every != 0 {
        sequence.since += 1;
        if sequence.since >= plan.every as u64 {
            sequence.since = 0;
            // Unchecked, a remainder would have room for a panic, and a panic none in the kernel.
            let number = sequence.known.checked_rem(plan.knowns as u64).unwrap_or(0) as u32;
            sequence.known += 1;
            return plan.known + number;
        }
    }
    let random = next(&mut sequence.state);
    if plan.span != 0 {
        // 0 to span - 1: the upper half of a product of 32 and 32 bits.
        return plan.base + ((random as u64 * plan.span as u64) >> 32) as u32;
    }
    unicast(random)
}

/// Marsaglia's xorshift with three shifts, of which the upper half is used.
#[inline(always)]
fn next(state: &mut u64) -> u32 {
    let mut x = *state;
    if x == 0 {
        x = 0x9e37_79b9_7f4a_7c15;
    }
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    (x >> 32) as u32
}

/// Moves what no host has (0/8, 127/8, 224/3) to where hosts are.
#[inline(always)]
fn unicast(address: u32) -> u32 {
    match address >> 24 {
        224.. => address & 0x7fff_ffff,
        0 | 127 => address ^ 0x0500_0000,
        _ => address,
    }
}
