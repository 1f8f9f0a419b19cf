//! Integers with a prefix (RFC 7541, 5.1).

use super::Fault;

/// Largest integer that is read: an index, a size or a length beyond it is nonsense.
const MAX: u32 = 1 << 28;

/// Reads an integer of which the first byte's low `bits` are the prefix: its value, and how many
/// bytes it takes. `None` when its end is not there yet.
#[inline]
pub(super) fn read(bytes: &[u8], bits: u8) -> Result<Option<(u32, usize)>, Fault> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let prefix = (1_u32 << bits) - 1;
    let value = u32::from(first) & prefix;
    if value < prefix {
        return Ok(Some((value, 1)));
    }
    let mut value = u64::from(value);
    // Four more bytes reach beyond MAX.
    for (at, &byte) in rest.iter().take(5).enumerate() {
        value += u64::from(byte & 0x7f) << (7 * at);
        if value > u64::from(MAX) {
            return Err(Fault::Malformed);
        }
        if byte & 0x80 == 0 {
            return Ok(Some((value as u32, at + 2)));
        }
    }
    if rest.len() >= 5 { Err(Fault::Malformed) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7541, C.1, and the bounds.
    #[test]
    fn integers() {
        for (bytes, bits, expected) in [
            (&[0b1110_1010][..], 5, Ok(Some((10, 1)))),
            (&[0b0001_1111, 0x9a, 0x0a], 5, Ok(Some((1337, 3)))),
            (&[42], 8, Ok(Some((42, 1)))),
            (&[0x1f, 0x00], 5, Ok(Some((31, 2)))),
            (&[0xff, 0x80, 0x80, 0x80, 0x80, 0x00], 7, Ok(Some((127, 6)))),
            (&[0x1f, 0x9a], 5, Ok(None)),
            (&[], 5, Ok(None)),
            (&[0xff, 0x81, 0xff, 0xff, 0x7f], 7, Ok(Some((1 << 28, 5)))),
            (&[0xff, 0x82, 0xff, 0xff, 0x7f], 7, Err(Fault::Malformed)),
            (&[0xff, 0x80, 0x80, 0x80, 0x80, 0x80], 7, Err(Fault::Malformed)),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0x0f], 7, Err(Fault::Malformed)),
        ] {
            assert_eq!(read(bytes, bits), expected, "{bytes:x?}");
        }
    }
}
