//! The recorder: when each packet arrived, then the gate itself by a tail call, so that what it
//! admits can be held against an exact limiter over the same times.

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::helpers::bpf_get_smp_processor_id;
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, PerCpuArray, ProgramArray};
use aya_ebpf::programs::XdpContext;

/// Packets that each CPU can write down.
pub const ROOM: u32 = 1 << 23;
/// BPF_F_MMAPABLE.
const MMAP: u32 = 1 << 10;

/// CLOCK_MONOTONIC in ns, a part of the array for each CPU. Sized by the loader; userspace reads it
/// through memory.
#[map]
pub static TIMES: Array<u64> = Array::with_max_entries(1, MMAP);
/// How many each CPU has written. Userspace resets it between runs.
#[map]
pub static WRITTEN: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);
/// When a CPU's next packet is due; 0 before the first. Userspace resets it between runs.
#[map]
pub static DUE: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);
/// When packets are due, in ns. Userspace writes it before a run.
#[map]
pub static PACE: Array<Pace> = Array::with_max_entries(1, 0);
/// The gate.
#[map]
pub static GATE: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// When packets are due.
#[repr(C)]
pub struct Pace {
    /// Between two packets of one CPU.
    pub interval: u64,
    /// A CPU that is later than this leaves out what it missed.
    pub late: u64,
    /// CLOCK_MONOTONIC of the first packet.
    pub start: u64,
    /// From here on there are none.
    pub end: u64,
    /// The CPU whose packets come in the middle between those of the other.
    pub second: u64,
}

/// Waits by doing nothing: run over and over, it writes down the time of each packet that is due and
/// hands it to the gate. Without room, no packet gets there.
#[xdp(frags)]
pub fn bench_record(ctx: XdpContext) -> u32 {
    if write().is_some() {
        // SAFETY: nothing of this program is needed any more.
        unsafe { GATE.tail_call(&ctx, 0) };
    }
    xdp_action::XDP_DROP
}

#[inline(always)]
fn write() -> Option<()> {
    // SAFETY: no arguments.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let pace = PACE.get(0)?;
    let place = DUE.get_ptr_mut(0)?;
    // SAFETY: the cell is this CPU's own.
    let mut due = unsafe { *place };
    if due == 0 {
        due = pace.start;
        if pace.second == cpu as u64 {
            due += pace.interval >> 1;
        }
    }
    // SAFETY: no arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    if now < due || now >= pace.end {
        return None;
    }
    let next = due + pace.interval;
    // SAFETY: as above.
    unsafe { *place = if next + pace.late < now { now + pace.interval } else { next } };

    let written = WRITTEN.get_ptr_mut(0)?;
    // SAFETY: as above.
    let number = unsafe { *written };
    if number >= ROOM as u64 {
        return None;
    }
    let slot = TIMES.get_ptr_mut(cpu.wrapping_mul(ROOM).wrapping_add(number as u32))?;
    // SAFETY: this CPU's part of the array, and its own cell.
    unsafe {
        slot.write(now);
        *written = number + 1;
    }
    Some(())
}
