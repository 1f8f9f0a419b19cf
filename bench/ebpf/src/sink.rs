//! The sink: ends every packet that came past the gate, before the network stack spends time on it.

use aya_ebpf::Global;
use aya_ebpf::bindings::TC_ACT_SHOT;
use aya_ebpf::macros::{classifier, map};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::TcContext;

use crate::SOURCE;

/// The sources to count apart, written by the loader: first and how many.
#[unsafe(no_mangle)]
pub static KNOWN: Global<[u32; 2]> = Global::new([0, 0]);

/// Packets of other sources, and of the known ones. Userspace reads.
#[map]
pub static ARRIVED: PerCpuArray<u64> = PerCpuArray::with_max_entries(2, 0);

/// Does nothing: the floor of what watches the way out.
#[classifier]
pub fn bench_watch(_ctx: TcContext) -> i32 {
    aya_ebpf::bindings::TC_ACT_UNSPEC
}

/// Counts and drops what comes in; anything but IPv4 goes on.
#[classifier]
pub fn bench_sink(ctx: TcContext) -> i32 {
    let Ok(kind) = ctx.load::<u16>(12) else { return TC_ACT_SHOT };
    if kind != 0x0800_u16.to_be() {
        return aya_ebpf::bindings::TC_ACT_UNSPEC;
    }
    let Ok(source) = ctx.load::<u32>(SOURCE) else { return TC_ACT_SHOT };
    let [first, count] = KNOWN.load();
    let known = u32::from_be(source).wrapping_sub(first) < count;
    if let Some(counter) = ARRIVED.get_ptr_mut(u32::from(known)) {
        // SAFETY: the cell is this CPU's own.
        unsafe { *counter += 1 };
    }
    TC_ACT_SHOT
}
