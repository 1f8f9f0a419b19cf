//! Packet bytes as the two hooks give them: the linear part by direct access, the payload, which
//! may lie in fragments, by helper.

use core::arch::asm;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{__sk_buff, xdp_md};
use aya_ebpf::helpers::{bpf_skb_load_bytes, bpf_xdp_get_buff_len, bpf_xdp_load_bytes};
use aya_ebpf::programs::{TcContext, XdpContext};
use filter_common::bytes::{Bytes, Head, Plain};
use filter_common::packet::options::UNREADABLE;
use filter_common::verifier::bound;

use crate::{OPTIONS_ROOM, apart, work};

/// Headers that surely lie in the linear part of an skb, or are pulled there: Ethernet, IPv4 and TCP
/// without options. What the stack makes has all of its headers there.
const HEADER_ROOM: u32 = 54;

/// Copies payload out of a packet.
pub trait Payload {
    /// Copies `length` bytes at `offset` to `to`; whether it could.
    ///
    /// # Safety
    /// `to` has room for `length` bytes.
    unsafe fn copy(&self, offset: u32, to: *mut u8, length: u32) -> bool;
}

/// Copies IPv4 options to where a function apart can walk them.
#[inline(always)]
fn walk_options<P: Payload>(payload: &P, offset: usize, length: usize) -> u32 {
    let Some(work) = work() else { return UNREADABLE };
    // 1 to 64, in a form whose bounds the verifier follows: that there are options at all, the one of 6.1
    // does not learn from their header's not being the shortest.
    let length = bound::<{ OPTIONS_ROOM - 1 }>(length.wrapping_sub(1)) as u32 + 1;
    // SAFETY: there is room for 64 bytes.
    if !unsafe { payload.copy(offset as u32, work.options.as_mut_ptr(), length) } {
        return UNREADABLE;
    }
    apart::weir_walk_options(length)
}

#[inline(always)]
fn load<T: Plain>(start: usize, end: usize, offset: usize) -> Option<T> {
    let mut at = start;
    // The verifier ties a bounds check to the very register that was checked. Were the compiler to
    // see this sum, it would compute it once for the check and once more for the load.
    // SAFETY: adds two registers.
    unsafe {
        asm!("{0} += {1}", inout(reg) at, in(reg) offset, options(pure, nomem, nostack));
    }
    if at + size_of::<T>() > end {
        return None;
    }
    // SAFETY: the verifier holds the check above against this access, and T accepts any bytes. BPF
    // loads have the alignment rules of the host, which all supported ones relax; an unaligned read
    // in Rust would be taken apart into bytes.
    Some(unsafe { (at as *const T).read() })
}

/// The first bytes, whose places are fixed: there is nothing for the compiler to compute twice.
#[inline(always)]
fn head<'a, const N: usize>(start: usize, end: usize) -> Option<Head<'a, N>> {
    if start + N > end {
        return None;
    }
    // SAFETY: the verifier holds the check above against every access.
    Some(unsafe { Head::new(start as *const u8) })
}

/// A frame at the XDP hook.
pub struct Frame<'a> {
    ctx: &'a XdpContext,
    start: usize,
    end: usize,
}

impl<'a> Frame<'a> {
    #[inline(always)]
    pub fn new(ctx: &'a XdpContext) -> Self {
        Self { ctx, start: ctx.data(), end: ctx.data_end() }
    }
}

impl Bytes for Frame<'_> {
    #[inline(always)]
    fn load<T: Plain>(&self, offset: usize) -> Option<T> {
        load(self.start, self.end, offset)
    }

    #[inline(always)]
    fn head<const N: usize>(&self) -> Option<Head<'_, N>> {
        head(self.start, self.end)
    }

    #[inline(always)]
    fn walk_options(&self, offset: usize, length: usize) -> u32 {
        walk_options(self, offset, length)
    }

    #[inline(always)]
    fn wire_len(&self) -> usize {
        // SAFETY: the context is this program's own.
        unsafe { bpf_xdp_get_buff_len(self.ctx.as_ptr().cast::<xdp_md>()) as usize }
    }

    #[inline(always)]
    fn least_len(&self) -> usize {
        self.end - self.start
    }
}

impl Payload for Frame<'_> {
    #[inline(always)]
    unsafe fn copy(&self, offset: u32, to: *mut u8, length: u32) -> bool {
        // SAFETY: the context is this program's own; `to` is the caller's promise.
        unsafe { bpf_xdp_load_bytes(self.ctx.as_ptr().cast(), offset, to.cast(), length) == 0 }
    }
}

/// A packet at the TC hook.
pub struct Skb<'a> {
    ctx: &'a TcContext,
    start: usize,
    end: usize,
}

impl<'a> Skb<'a> {
    #[inline(always)]
    pub fn new(ctx: &'a TcContext) -> Self {
        Self { ctx, start: ctx.data(), end: ctx.data_end() }
    }

    #[inline(always)]
    fn raw(&self) -> *mut __sk_buff {
        self.ctx.as_ptr().cast()
    }

    /// The interface the packet came in by; 0 when this host made it.
    #[inline(always)]
    pub fn came_in_by(&self) -> u32 {
        // SAFETY: the context is this program's own.
        unsafe { (*self.raw()).ingress_ifindex }
    }

    /// Packets on the wire that this one stands for.
    #[inline(always)]
    pub fn segments(&self) -> u32 {
        // SAFETY: as above.
        let segments = unsafe { (*self.raw()).gso_segs };
        if segments == 0 { 1 } else { segments }
    }

    /// Brings the headers into the linear part where they may not lie there: the stack leaves just
    /// them of a segmentation-offload packet, which is enough.
    #[inline(always)]
    pub fn pull_headers(&mut self) {
        let whole = self.ctx.len();
        let want = if whole < HEADER_ROOM { whole } else { HEADER_ROOM };
        if self.end - self.start < want as usize {
            // The pointers are void afterwards, whether it could or not.
            let _as_much_as_there_is = self.ctx.pull_data(want);
            self.start = self.ctx.data();
            self.end = self.ctx.data_end();
        }
    }
}

impl Bytes for Skb<'_> {
    #[inline(always)]
    fn load<T: Plain>(&self, offset: usize) -> Option<T> {
        load(self.start, self.end, offset)
    }

    #[inline(always)]
    fn head<const N: usize>(&self) -> Option<Head<'_, N>> {
        head(self.start, self.end)
    }

    #[inline(always)]
    fn walk_options(&self, offset: usize, length: usize) -> u32 {
        walk_options(self, offset, length)
    }

    #[inline(always)]
    fn wire_len(&self) -> usize {
        self.ctx.len() as usize
    }
}

impl Payload for Skb<'_> {
    #[inline(always)]
    unsafe fn copy(&self, offset: u32, to: *mut u8, length: u32) -> bool {
        // SAFETY: the context is this program's own; `to` is the caller's promise.
        unsafe { bpf_skb_load_bytes(self.raw().cast(), offset, to.cast(), length) == 0 }
    }
}
