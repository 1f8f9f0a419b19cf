//! What a gate is held against: programs that look at nothing, and the usual designs reduced to
//! what they cannot do without.

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{LpmTrie, LruHashMap, PerCpuArray};
use aya_ebpf::programs::XdpContext;

use crate::{HEADERS, PROTOCOL, SOURCE};

/// BPF_F_NO_PREALLOC.
const LAZY: u32 = 1;
/// UDP's number in an IP header.
const UDP: u8 = 17;

/// Prefixes in network byte order. Filled by userspace.
#[map]
pub static PREFIXES: LpmTrie<[u8; 4], u32> = LpmTrie::with_max_entries(1, LAZY);
/// When a source came last; the one that was longest away makes room.
#[map]
pub static SOURCES: LruHashMap<u32, u64> = LruHashMap::with_max_entries(1 << 18, 0);
/// Packets counted, so that no rival is spared that.
#[map]
pub static RIVALS: PerCpuArray<u64> = PerCpuArray::with_max_entries(2, 0);

/// Looks at nothing and drops.
#[xdp(frags)]
pub fn bench_drop(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_DROP
}

/// Looks at nothing and passes.
#[xdp(frags)]
pub fn bench_pass(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Drops IPv4 datagrams of UDP and passes the rest.
#[xdp(frags)]
pub fn bench_drop_udp(ctx: XdpContext) -> u32 {
    let (data, end) = (ctx.data(), ctx.data_end());
    if data + HEADERS > end {
        return xdp_action::XDP_PASS;
    }
    // SAFETY: within the headers that are there.
    let (kind, protocol) = unsafe {
        (((data + 12) as *const u16).read_unaligned(), ((data + PROTOCOL) as *const u8).read())
    };
    if kind == 0x0800_u16.to_be() && protocol == UDP {
        xdp_action::XDP_DROP
    } else {
        xdp_action::XDP_PASS
    }
}

/// Looks for the source in a trie of prefixes, counts, and drops what is in it and what is not.
#[xdp(frags)]
pub fn bench_lpm(ctx: XdpContext) -> u32 {
    if let Some(source) = source(&ctx) {
        let found = PREFIXES.get(Key::new(32, source.to_ne_bytes())).is_some();
        count(u32::from(found));
    }
    xdp_action::XDP_DROP
}

/// Keeps the time of every source in a hash map that forgets the oldest, counts, and passes.
#[xdp(frags)]
pub fn bench_lru(ctx: XdpContext) -> u32 {
    if let Some(source) = source(&ctx) {
        // SAFETY: no arguments.
        let now = unsafe { bpf_ktime_get_ns() };
        match SOURCES.get_ptr_mut(source) {
            // SAFETY: one aligned word; the map keeps it alive while this program runs.
            Some(last) => unsafe { last.write(now) },
            None => {
                if SOURCES.insert(source, now, 0).is_err() {
                    count(1);
                }
            }
        }
        count(0);
    }
    xdp_action::XDP_PASS
}

/// The source, in network byte order.
#[inline(always)]
fn source(ctx: &XdpContext) -> Option<u32> {
    let (data, end) = (ctx.data(), ctx.data_end());
    if data + HEADERS > end {
        return None;
    }
    // SAFETY: within the headers that are there.
    Some(unsafe { ((data + SOURCE) as *const u32).read_unaligned() })
}

#[inline(always)]
fn count(what: u32) {
    if let Some(counter) = RIVALS.get_ptr_mut(what) {
        // SAFETY: the cell is this CPU's own.
        unsafe { *counter += 1 };
    }
}
