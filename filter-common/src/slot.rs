//! A 64-bit word that several CPUs change at once.

use core::cell::UnsafeCell;

/// A shared word in a table. Plain loads, compare-and-swap and add, all relaxed: nothing else is
/// published through it.
#[repr(transparent)]
#[derive(Debug, Default)]
pub struct Slot(UnsafeCell<u64>);

// SAFETY: every access goes through atomic operations or, on the BPF target, through single
// aligned 64-bit instructions.
unsafe impl Sync for Slot {}

#[cfg(not(target_arch = "bpf"))]
impl Slot {
    /// A word with this value.
    pub const fn new(value: u64) -> Self {
        Self(UnsafeCell::new(value))
    }

    fn atomic(&self) -> &core::sync::atomic::AtomicU64 {
        // SAFETY: the word is aligned, lives as long as `self`, and is only accessed atomically.
        unsafe { core::sync::atomic::AtomicU64::from_ptr(self.0.get()) }
    }

    /// The value now.
    pub fn load(&self) -> u64 {
        self.atomic().load(core::sync::atomic::Ordering::Relaxed)
    }

    /// Replaces the value.
    pub fn store(&self, value: u64) {
        self.atomic().store(value, core::sync::atomic::Ordering::Release);
    }

    /// Puts `new` when the value is `old`; returns the value found.
    pub fn swap_if(&self, old: u64, new: u64) -> u64 {
        use core::sync::atomic::Ordering::Relaxed;
        match self.atomic().compare_exchange(old, new, Relaxed, Relaxed) {
            Ok(found) | Err(found) => found,
        }
    }

    /// Adds, wrapping.
    pub fn add(&self, value: u64) {
        self.atomic().fetch_add(value, core::sync::atomic::Ordering::Relaxed);
    }
}

// An atomic load aborts LLVM's BPF backend, and `AtomicU64` has no compare-and-swap there.
#[cfg(target_arch = "bpf")]
impl Slot {
    /// The value now.
    #[inline(always)]
    pub fn load(&self) -> u64 {
        // SAFETY: the word is aligned and valid; a 64-bit load is one instruction.
        unsafe { core::ptr::read_volatile(self.0.get()) }
    }

    /// Replaces the value.
    #[inline(always)]
    pub fn store(&self, value: u64) {
        // SAFETY: as for `load`.
        unsafe { core::ptr::write_volatile(self.0.get(), value) }
    }

    /// Puts `new` when the value is `old`; returns the value found.
    #[inline(always)]
    pub fn swap_if(&self, old: u64, new: u64) -> u64 {
        use core::intrinsics::{AtomicOrdering::SeqCst, atomic_cxchg};
        // SAFETY: the word is aligned and valid.
        unsafe { atomic_cxchg::<u64, { SeqCst }, { SeqCst }>(self.0.get(), old, new).0 }
    }

    /// Adds, wrapping.
    #[inline(always)]
    pub fn add(&self, value: u64) {
        use core::intrinsics::{AtomicOrdering::Relaxed, atomic_xadd};
        // SAFETY: the word is aligned and valid.
        unsafe { atomic_xadd::<u64, u64, { Relaxed }>(self.0.get(), value) };
    }
}
