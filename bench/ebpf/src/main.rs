//! Programs that `cargo xtask bench` loads beside weir; nothing here is shipped.
//!
//! The senders put packets on a wire from inside the kernel, the rivals are the usual designs
//! reduced to what they cannot do without, the recorder writes down when each packet arrived, and
//! the sink ends and counts what a gate has let in.
#![no_std]
#![no_main]

mod record;
mod rival;
mod send;
mod sink;

/// IPv4 behind Ethernet, without options: all that is ever sent here.
pub(crate) const SOURCE: usize = 14 + 12;
/// Its header's checksum.
pub(crate) const CHECKSUM: usize = 14 + 10;
/// Its protocol.
pub(crate) const PROTOCOL: usize = 14 + 9;
/// Bytes that every packet here has.
pub(crate) const HEADERS: usize = 14 + 20;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier proves that this is never reached.
    loop {}
}

/// What the kernel reads to decide which helpers the object may use.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
