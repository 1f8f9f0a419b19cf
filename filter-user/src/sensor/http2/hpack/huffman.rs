//! The Huffman code of strings (RFC 7541, 5.2 and Appendix B).
//!
//! The code is canonical: the lengths of its words say all. Words of up to [`FAST_BITS`] bits, which
//! is nearly all of text, are looked up at once; longer ones are found by their length.

/// Symbols: all bytes, and the end of the string.
const SYMBOLS: usize = 257;
/// The symbol that ends a string, never written out.
const EOS: u16 = 256;
/// Longest word.
const MAX_BITS: usize = 30;
/// Longest word that is looked up at once.
const FAST_BITS: usize = 10;

/// Length of each symbol's word in bits (RFC 7541, Appendix B).
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/// The words of one length.
#[derive(Clone, Copy)]
struct Words {
    /// Words below this, aligned to [`MAX_BITS`], are of this length or shorter.
    limit: u32,
    /// The first of them.
    first: u32,
    /// Where its symbol is in [`Tables::order`].
    at: u16,
}

struct Tables {
    /// By the next [`FAST_BITS`] bits: a symbol and the length of its word; length 0 for none.
    fast: [(u8, u8); 1 << FAST_BITS],
    /// By length.
    words: [Words; MAX_BITS + 1],
    /// The symbols in the order of their words.
    order: [u16; SYMBOLS],
}

static TABLES: Tables = build();

const fn build() -> Tables {
    let mut tables = Tables {
        fast: [(0, 0); 1 << FAST_BITS],
        words: [Words { limit: 0, first: 0, at: 0 }; MAX_BITS + 1],
        order: [0; SYMBOLS],
    };
    let (mut word, mut placed, mut bits) = (0_u32, 0_usize, 1);
    while bits <= MAX_BITS {
        word <<= 1;
        tables.words[bits].first = word;
        tables.words[bits].at = placed as u16;
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == bits {
                tables.order[placed] = symbol as u16;
                placed += 1;
                if bits <= FAST_BITS {
                    let mut at = (word as usize) << (FAST_BITS - bits);
                    let end = (word as usize + 1) << (FAST_BITS - bits);
                    while at < end {
                        tables.fast[at] = (symbol as u8, bits as u8);
                        at += 1;
                    }
                }
                word += 1;
            }
            symbol += 1;
        }
        tables.words[bits].limit = word << (MAX_BITS - bits);
        bits += 1;
    }
    // The words of a complete code fill all of their space.
    assert!(word == 1 << MAX_BITS && placed == SYMBOLS);
    tables
}

/// Appends what `bytes` say to `out`; false when they are no string.
pub(super) fn decode(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    // The shortest word has five bits.
    out.reserve(bytes.len() * 8 / 5 + 1);
    let mut rest = bytes;
    // What is at hand, at the top.
    let (mut bits, mut have) = (0_u64, 0_u32);
    loop {
        if have < MAX_BITS as u32 {
            if let Some((word, more)) = rest.split_first_chunk::<4>() {
                bits |= u64::from(u32::from_be_bytes(*word)) << (32 - have);
                (have, rest) = (have + 32, more);
            } else {
                while let Some((&byte, more)) = rest.split_first()
                    && have <= 56
                {
                    bits |= u64::from(byte) << (56 - have);
                    (have, rest) = (have + 8, more);
                }
            }
        }
        let (mut symbol, mut length) = TABLES.fast[(bits >> (64 - FAST_BITS)) as usize];
        if length == 0 {
            let Some((found, bits)) = long(bits) else { return false };
            (symbol, length) = (found, bits);
        }
        if u32::from(length) > have {
            // At most seven bits of padding, the beginning of the end's word: all ones.
            return have < 8 && (bits.leading_ones() >= have);
        }
        out.push(symbol);
        bits <<= length;
        have -= u32::from(length);
    }
}

/// The symbol whose long word `bits` begin with, and the word's length; `None` for the end of the
/// string, which is never written. Past the end of what is there the length is what tells.
#[cold]
fn long(bits: u64) -> Option<(u8, u8)> {
    let next = (bits >> (64 - MAX_BITS)) as u32;
    let length = (FAST_BITS + 1..=MAX_BITS).find(|&length| next < TABLES.words[length].limit)?;
    let words = TABLES.words[length];
    let at = usize::from(words.at) + ((next >> (MAX_BITS - length)) - words.first) as usize;
    match *TABLES.order.get(at)? {
        EOS => None,
        symbol => Some((symbol as u8, length as u8)),
    }
}

/// Writes a string with the words that the lengths give, symbol by symbol.
#[cfg(test)]
pub(in crate::sensor) fn encode(text: &[u8]) -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    for &byte in text {
        let length = LENGTHS[usize::from(byte)];
        let words = TABLES.words[usize::from(length)];
        let order = &TABLES.order[usize::from(words.at)..];
        let place = order
            .iter()
            .position(|&symbol| symbol == u16::from(byte))
            .expect("every byte has a word");
        let word = words.first + place as u32;
        bits.extend((0..length).rev().map(|bit| word >> bit & 1 == 1));
    }
    while !bits.len().is_multiple_of(8) {
        bits.push(true);
    }
    bits.chunks(8).map(|bits| bits.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(bytes, &mut out).then_some(out)
    }

    /// Words that RFC 7541 writes out, at the ends of the lengths.
    #[test]
    fn words_of_the_appendix() {
        for (symbol, word, length) in [
            (b'0', 0x0, 5),
            (b't', 0x9, 5),
            (b' ', 0x14, 6),
            (b'u', 0x2d, 6),
            (b':', 0x5c, 7),
            (b'X', 0xfc, 8),
            (b'!', 0x3f8, 10),
            (b'?', 0x3fc, 10),
            (b'\'', 0x7fa, 11),
            (b'|', 0x7fc, 11),
            (b'#', 0xffa, 12),
            (0, 0x1ff8, 13),
            (b'{', 0x7ffe, 15),
            (b'\\', 0x7fff0, 19),
            (249, 0xffffffe, 28),
            (10, 0x3ffffffc, 30),
            (22, 0x3ffffffe, 30),
        ] {
            let words = TABLES.words[length];
            assert_eq!(usize::from(LENGTHS[usize::from(symbol)]), length, "{symbol}");
            let place = (word - words.first) as usize + usize::from(words.at);
            assert_eq!(TABLES.order[place], u16::from(symbol), "{symbol}");
        }
    }

    #[test]
    fn strings() {
        let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        for text in [&b""[..], b"a", b"www.example.com", b"\\\\{}\x00\xff", &all] {
            assert_eq!(decoded(&encode(text)).as_deref(), Some(text), "{text:?}");
        }
        for length in 0..40 {
            for byte in 0..=255 {
                let text = vec![byte; length];
                assert_eq!(decoded(&encode(&text)), Some(text));
            }
        }
    }

    #[test]
    fn what_is_no_string() {
        for (what, bytes) in [
            ("eight bits of padding", &[0b0001_1111, 0xff][..]),
            ("padding of zeros", &[0b0001_1000]),
            ("the end written out", &[0xff, 0xff, 0xff, 0xff]),
            ("a word cut off", &[0xff, 0xff]),
        ] {
            assert_eq!(decoded(bytes), None, "{what}");
        }
        assert_eq!(decoded(&[0b0001_1111]).as_deref(), Some(&b"a"[..]));
    }
}
