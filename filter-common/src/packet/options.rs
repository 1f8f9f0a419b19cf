//! IPv4 options (RFC 791, 3.1): whether they are whole, and whether one chooses the packet's route.

use super::{Packet, odd};
use crate::bytes::Bytes;
use crate::oddity::Oddity;
use crate::reason::Reason;
use crate::verifier::forget;

/// End of the options.
const END: u8 = 0;
/// One byte of padding between options.
const NOTHING: u8 = 1;
/// Loose source and record route.
const LOOSE_ROUTE: u8 = 131;
/// Strict source and record route.
const STRICT_ROUTE: u8 = 137;

/// Most bytes of options in a header.
const MOST: usize = 40;
/// Where a step can lead from within them, as a mask.
const ROOM: usize = 0x1ff;

/// What [`walk`] gives: nothing of note.
const WHOLE: u32 = 0;
/// What [`walk`] gives: a source route.
const ROUTE: u32 = 1;
/// What [`walk`] gives: a length that cannot be.
const BAD: u32 = 2;
/// What [`walk`] and [`Bytes::walk_options`] give: bytes that cannot be read.
pub const UNREADABLE: u32 = 3;

/// Takes note of the `length` bytes of options at `offset`.
#[inline(always)]
pub(super) fn parse<B: Bytes>(
    bytes: &B,
    offset: usize,
    length: usize,
    packet: &mut Packet,
) -> Result<(), Reason> {
    packet.odd |= const { odd(Oddity::Ipv4Options) };
    match bytes.walk_options(offset, length) {
        WHOLE => Ok(()),
        ROUTE => {
            packet.odd |= const { odd(Oddity::SourceRoutes) };
            Ok(())
        }
        UNREADABLE => Err(Reason::Truncated),
        _ => Err(Reason::BadIp),
    }
}

/// Walks `length` bytes of options, at most 40, one of which `byte` gives. The answer is for
/// [`Bytes::walk_options`]. `salt` is as in [`forget`].
#[inline(always)]
pub fn walk(length: usize, salt: u64, byte: impl Fn(usize) -> Option<u8>) -> u32 {
    let mut found = WHOLE;
    let mut at = 0;
    for _ in 0..MOST {
        if at >= length {
            break;
        }
        let Some(kind) = byte(at) else { return UNREADABLE };
        let step = match kind {
            END => break,
            NOTHING => 1,
            _ => {
                if at + 1 >= length {
                    return BAD;
                }
                let Some(own) = byte(at + 1) else { return UNREADABLE };
                let own = own as usize;
                if own < 2 || at + own > length {
                    return BAD;
                }
                if matches!(kind, LOOSE_ROUTE | STRICT_ROUTE) {
                    found = ROUTE;
                }
                own
            }
        };
        at = forget::<ROOM>(at + step, salt);
    }
    found
}
