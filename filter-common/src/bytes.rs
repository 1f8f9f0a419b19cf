//! Where packet bytes come from. All bounds checks of the parser are behind this trait.

use core::marker::PhantomData;

/// A value that may be read from any bytes: every bit pattern is valid and there is no padding.
///
/// # Safety
/// Implementors must uphold just that.
pub unsafe trait Plain: Copy {}

// SAFETY: integers and arrays of bytes have no invalid patterns and no padding.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for u16 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl<const N: usize> Plain for [u8; N] {}

/// Declares headers as they lie in a packet, in network order, so that one bounds check covers all
/// of one. Those of up to 8 bytes are better loaded as one number: the compiler puts such a struct
/// together from its parts. Fields that nobody reads keep their place under a name with an underscore.
macro_rules! headers {
    ($($(#[doc = $doc:literal])+ $name:ident, $bytes:literal { $($field:ident: $type:ty,)+ })+) => {
        $(
            $(#[doc = $doc])+
            #[repr(C)]
            #[derive(Clone, Copy)]
            pub(crate) struct $name { $(pub(crate) $field: $type,)+ }

            const _: () = assert!(size_of::<$name>() == $bytes && $bytes == 0 $(+ size_of::<$type>())+);

            // SAFETY: integers only, and as long as its fields together: no padding.
            unsafe impl $crate::bytes::Plain for $name {}
        )+
    };
}
pub(crate) use headers;

/// The first `N` bytes of a packet, whose presence was checked once.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a, const N: usize> {
    start: *const u8,
    packet: PhantomData<&'a [u8]>,
}

impl<const N: usize> Head<'_, N> {
    /// The first `N` bytes from `start` on.
    ///
    /// # Safety
    /// They can be read for as long as the packet lives.
    #[inline(always)]
    pub const unsafe fn new(start: *const u8) -> Self {
        Self { start, packet: PhantomData }
    }

    #[inline(always)]
    fn load<T: Plain, const OFFSET: usize>(&self) -> T {
        const { assert!(OFFSET + size_of::<T>() <= N) };
        let at = self.start.wrapping_add(OFFSET).cast::<T>();
        // SAFETY: within the first N bytes, and T accepts any bytes. BPF loads have the alignment
        // rules of the host, which all supported ones relax; an unaligned read in Rust would be taken
        // apart into bytes there.
        unsafe { if cfg!(target_arch = "bpf") { at.read() } else { at.read_unaligned() } }
    }

    /// The 64 bits at `OFFSET`, network order turned to host order.
    #[inline(always)]
    pub fn be64<const OFFSET: usize>(&self) -> u64 {
        u64::from_be(self.load::<u64, OFFSET>())
    }

    /// The 32 bits at `OFFSET`, network order turned to host order.
    #[inline(always)]
    pub fn be32<const OFFSET: usize>(&self) -> u32 {
        u32::from_be(self.load::<u32, OFFSET>())
    }

    /// The 16 bits at `OFFSET`, network order turned to host order.
    #[inline(always)]
    pub fn be16<const OFFSET: usize>(&self) -> u16 {
        u16::from_be(self.load::<u16, OFFSET>())
    }
}

/// A packet, readable from its start.
pub trait Bytes {
    /// The value at `offset`, as it lies in the packet; `None` when any of it is out of reach.
    fn load<T: Plain>(&self, offset: usize) -> Option<T>;

    /// The first `N` bytes; `None` when any of them is out of reach.
    fn head<const N: usize>(&self) -> Option<Head<'_, N>>;

    /// Bytes on the wire from the first to the last, readable here or not. May be dear to ask.
    fn wire_len(&self) -> usize;

    /// Bytes that are surely on the wire, cheap to ask: at most [`Self::wire_len`].
    #[inline(always)]
    fn least_len(&self) -> usize {
        self.wire_len()
    }

    /// Walks the IPv4 options at `offset`, `length` bytes of 1 to 40: see
    /// [`crate::packet::options::walk`]. Rare and long: the kernel does it apart.
    #[inline(always)]
    fn walk_options(&self, offset: usize, length: usize) -> u32 {
        crate::packet::options::walk(length, 0, |at| self.load(offset + at))
    }

    /// The 64 bits at `offset`, network order turned to host order.
    #[inline(always)]
    fn be64(&self, offset: usize) -> Option<u64> {
        Some(u64::from_be(self.load(offset)?))
    }

    /// The 32 bits at `offset`, network order turned to host order.
    #[inline(always)]
    fn be32(&self, offset: usize) -> Option<u32> {
        Some(u32::from_be(self.load(offset)?))
    }

    /// The 16 bits at `offset`, network order turned to host order.
    #[inline(always)]
    fn be16(&self, offset: usize) -> Option<u16> {
        Some(u16::from_be(self.load(offset)?))
    }
}

/// A packet in memory, possibly cut by the capture.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    /// What was captured.
    pub data: &'a [u8],
    /// Bytes there were on the wire; at least `data.len()`.
    pub wire_len: usize,
}

impl<'a> Slice<'a> {
    /// A packet captured whole.
    pub fn whole(data: &'a [u8]) -> Self {
        Self { data, wire_len: data.len() }
    }
}

impl Bytes for Slice<'_> {
    fn load<T: Plain>(&self, offset: usize) -> Option<T> {
        let bytes = self.data.get(offset..offset.checked_add(size_of::<T>())?)?;
        // SAFETY: `bytes` has exactly the size of T, and T accepts any bytes at any alignment here.
        Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
    }

    fn head<const N: usize>(&self) -> Option<Head<'_, N>> {
        let bytes = self.data.get(..N)?;
        // SAFETY: just that many, borrowed as long as the packet is.
        Some(unsafe { Head::new(bytes.as_ptr()) })
    }

    fn wire_len(&self) -> usize {
        self.wire_len
    }
}
