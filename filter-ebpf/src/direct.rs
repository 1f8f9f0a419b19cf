//! Tables that the program addresses directly: a look-up in an array takes its key from the stack,
//! and costs a dozen instructions more than what it finds.
//!
//! Each is a section of its own, which the loader makes into a map of one value. The loader gives the
//! section the size that the policy's table has, so that the one cell here stands for all of them.

use core::arch::asm;
use core::cell::UnsafeCell;
use core::hint::assert_unchecked;

/// A table of the policy. Written by the loader before the program is attached, then only read by it.
#[repr(transparent)]
pub struct Direct<T>(UnsafeCell<T>);

// SAFETY: no program writes to it.
unsafe impl<T> Sync for Direct<T> {}

impl<T> Direct<T> {
    /// A table whose cells are all zeros, whatever the first one is said to be.
    pub const fn new(zero: T) -> Self {
        Self(UnsafeCell::new(zero))
    }

    /// A cell, which is there: the verifier asks for proof.
    #[inline(always)]
    #[expect(
        clippy::pointers_in_nomem_asm_block,
        reason = "nothing is read or written through it there"
    )]
    pub fn at(&'static self, index: usize) -> &'static T {
        let mut start = self.0.get().cast_const();
        // SAFETY: does nothing, but that the compiler does not know any more what it points to, and so
        // neither that it is one cell nor that it is zero. Not `pure`: it would be done before the index is
        // looked at, and its outcome then asked whether it is null.
        unsafe { asm!("/* {0} */", inout(reg) start, options(nomem, nostack, preserves_flags)) };
        // SAFETY: the verifier holds the index against the size of the section, which is nowhere near 0.
        unsafe {
            let cell = start.wrapping_add(index);
            assert_unchecked(!cell.is_null());
            &*cell
        }
    }

    /// A cell, if it is among so many.
    #[inline(always)]
    pub fn get(&'static self, index: u32, cells: u32) -> Option<&'static T> {
        if index < cells { Some(self.at(index as usize)) } else { None }
    }
}
