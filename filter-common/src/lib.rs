//! The vocabulary that the kernel half and the userspace half of weir share: packet parser,
//! verdict pipeline, limiter arithmetic, table layouts, sample records, reasons.
//!
//! Nothing here allocates, reads a clock or draws a random number: bytes, tables, `now` and seeds
//! are arguments. That is why the same code judges a packet in the kernel, in `weir explain`, in
//! `weir replay` and in the tests. Maps, helpers and entry points are `filter-ebpf`'s; turning a
//! policy into these tables is `filter-user`'s.
#![no_std]
#![cfg_attr(
    target_arch = "bpf",
    feature(asm_experimental_arch, core_intrinsics),
    expect(internal_features, reason = "compare-and-swap is only an intrinsic on this target")
)]

pub mod addr;
pub mod bytes;
pub mod classify;
pub mod gcra;
pub mod hash;
pub mod limiter;
pub mod oddity;
pub mod packet;
pub mod reason;
pub mod record;
pub mod seen;
pub mod slot;
pub mod stat;
pub mod tables;
#[cfg(feature = "user")]
mod user;
pub mod verdict;
pub mod verifier;

/// Schema of everything pinned: it is part of the pin path, so that a layout is never read as
/// another. Raise it when the size or meaning of a pinned table or of a record changes.
pub const SCHEMA: u32 = 4;
