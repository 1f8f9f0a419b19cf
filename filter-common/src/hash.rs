//! Seeded 64-bit mixing, for tables whose keys strangers choose.
//!
//! Multiply and xor-shift rounds with odd constants, which the BPF target does in single
//! instructions (it has no 128-bit product, which rules out the usual folded multiply). The seed is
//! drawn once per boot and never leaves the host, so who sends packets cannot aim at a cell.

use crate::addr::Addr;

const K1: u64 = 0x9e37_79b9_7f4a_7c15;
const K2: u64 = 0xd6e8_feb8_6659_fd93;
const K3: u64 = 0xa076_1d64_78bd_642f;

#[inline(always)]
const fn round(mut x: u64) -> u64 {
    x = (x ^ (x >> 32)).wrapping_mul(K2);
    x = (x ^ (x >> 29)).wrapping_mul(K3);
    x ^ (x >> 32)
}

/// Mixes a word under a seed: different words never give the same.
#[inline(always)]
const fn word(seed: u64, mut x: u64) -> u64 {
    x ^= seed;
    x = (x ^ (x >> 32)).wrapping_mul(K2).wrapping_add(seed.rotate_left(32));
    x = (x ^ (x >> 29)).wrapping_mul(K3);
    x ^ (x >> 32)
}

/// Mixes two words under a seed.
#[inline(always)]
pub const fn pair(seed: u64, a: u64, b: u64) -> u64 {
    word(seed, round(a ^ seed).wrapping_add(b.wrapping_mul(K1)))
}

/// Mixes an address and a small number (below 2^32) under a seed. An IPv4 address and the number fit
/// into one word, which takes half the time.
#[inline(always)]
pub const fn addr(seed: u64, addr: Addr, extra: u64) -> u64 {
    if addr.is_v4() {
        word(seed, addr.lo ^ (extra << 32))
    } else {
        word(seed, round(addr.hi ^ seed).wrapping_add(addr.lo.wrapping_mul(K1)) ^ (extra << 32))
    }
}

/// Secret odd factors of [`source`] and [`source_v4`], none of which tells another.
pub const fn source_keys(seed: u64) -> [u64; 3] {
    [source_key(seed, 0), source_key(seed, 1), source_key(seed, 2)]
}

/// One of [`source_keys`].
pub const fn source_key(seed: u64, which: usize) -> u64 {
    pair(seed, which as u64 + 1, 0) | 1
}

/// A source, its address given by two halves, at an API: multiply-shift hashing of a vector (Dietzfelbinger,
/// Hagerup, Katajainen and Penttonen, J. Algorithms 25, 1997) and one fixed round, whose *high* bits are to be
/// used. Every packet under a limit waits for this before it can ask for its state, hence no more of it.
#[inline(always)]
pub const fn source([first, second, third]: [u64; 3], addr: Addr, api: u32) -> u64 {
    // What differs in high bits alone would differ in few bits of the product.
    let (hi, lo) = (addr.hi ^ (addr.hi >> 32), addr.lo ^ (addr.lo >> 32));
    let sum = hi.wrapping_mul(first).wrapping_add(lo.wrapping_mul(second));
    spread(sum.wrapping_add((api as u64).wrapping_mul(third)))
}

/// The same for an IPv4 address, of which this is the last half: that and the API fit into one word.
#[inline(always)]
pub const fn source_v4(key: u64, lo: u64, api: u32) -> u64 {
    spread((lo ^ ((api as u64) << 32)).wrapping_mul(key))
}

/// Of addresses in a row the products' high bits are in a row as well, a step of the factor apart: under
/// one factor in twenty that piles them up in some cells.
#[inline(always)]
const fn spread(product: u64) -> u64 {
    (product ^ (product >> 32)).wrapping_mul(K2)
}

/// The same value for both directions of a flow.
#[inline(always)]
pub const fn flow(seed: u64, protocol: u8, source: (Addr, u16), destination: (Addr, u16)) -> u64 {
    let a = addr(seed, source.0, source.1 as u64);
    let b = addr(seed, destination.0, destination.1 as u64);
    pair(seed, a.wrapping_add(b), a ^ b ^ protocol as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_hashes_alike_both_ways() {
        let a = (Addr::v4(0x0a00_0001), 40000);
        let b = (Addr::v4(0x0a00_0002), 8080);
        assert_eq!(flow(7, 6, a, b), flow(7, 6, b, a));
        assert_ne!(flow(7, 6, a, b), flow(7, 17, a, b));
        assert_ne!(flow(7, 6, a, b), flow(8, 6, a, b));
    }

    /// One bit of input changes about half the bits of output, whichever bit it is.
    #[test]
    fn every_input_bit_matters() {
        let base = addr(1, Addr { hi: 3, lo: 5 }, 9);
        let mapped = addr(1, Addr::v4(7), 9);
        for bit in 0..32 {
            for changed in [
                addr(1, Addr::v4(7 ^ (1 << bit)), 9),
                addr(1, Addr::v4(7), 9 ^ (1 << bit)),
                addr(1 ^ (1 << bit), Addr::v4(7), 9),
                addr(1 ^ (1 << (bit + 32)), Addr::v4(7), 9),
            ] {
                let flipped = (mapped ^ changed).count_ones();
                assert!((14..=50).contains(&flipped), "bit {bit} flips {flipped} of IPv4");
            }
        }
        for bit in 0..64 {
            for changed in [
                addr(1, Addr { hi: 3 ^ (1 << bit), lo: 5 }, 9),
                addr(1, Addr { hi: 3, lo: 5 ^ (1 << bit) }, 9),
                addr(1, Addr { hi: 3, lo: 5 }, 9 ^ (1 << (bit & 31))),
                addr(1 ^ (1 << bit), Addr { hi: 3, lo: 5 }, 9),
            ] {
                let flipped = (base ^ changed).count_ones();
                assert!((14..=50).contains(&flipped), "bit {bit} flips {flipped}");
            }
        }
    }

    /// Sequential addresses, the common case, spread evenly over the cells of a small table.
    #[test]
    fn sequential_addresses_spread() {
        let mut cells = [0u32; 256];
        for host in 0..65536u32 {
            cells[(addr(99, Addr::v4(0x0a00_0000 + host), 1) & 255) as usize] += 1;
        }
        for (cell, &count) in cells.iter().enumerate() {
            assert!((180..=340).contains(&count), "cell {cell} has {count}, expected about 256");
        }
    }

    /// Sources that lie in rows, as clients and attackers do, find a way of their own in a cell of eight
    /// as often as sources by chance do, under every seed.
    #[test]
    fn sources_in_rows_spread_over_cells() {
        const CELLS: usize = 1 << 12;
        const WAYS: u32 = 8;
        let v4 = |step: u64| move |i: u64| Addr::v4((0x0a00_0000 + i * step) as u32);
        let rows: [(&str, &dyn Fn(u64) -> Addr); 8] = [
            ("neighbours", &v4(1)),
            ("a /24 each", &v4(256)),
            ("a /16 each", &v4(65536)),
            ("odd steps", &v4(0x0101_0101)),
            ("first bits only", &|i| Addr::v4((i as u32).reverse_bits())),
            ("IPv6 in a row", &|i| Addr { hi: 0x2001_0db8 << 32, lo: i }),
            ("a /64 each", &|i| Addr { hi: (0x2001_0db8 << 32) + i, lo: 0 }),
            ("first bits of IPv6 only", &|i| Addr { hi: i.reverse_bits(), lo: i << 50 }),
        ];
        // Two a cell on average: of as many by chance one in 4,220 finds eight before it (Poisson).
        let sources = 2 * CELLS as u64;
        for (what, row) in rows {
            let mut without = 0;
            for seed in 0..64 {
                let keys = source_keys(seed);
                let mut cells = [0u32; CELLS];
                for addr in (0..sources).map(row) {
                    let hash = match addr.is_v4() {
                        true => source_v4(keys[0], addr.lo, 3),
                        false => source(keys, addr, 3),
                    };
                    let cell =
                        &mut cells[crate::limiter::cell_place(hash, CELLS as u32 - 1) as usize];
                    without += u64::from(*cell >= WAYS);
                    *cell += 1;
                }
            }
            let allowed = 64 * sources / 4220 * 3 / 2;
            assert!(without <= allowed, "{what}: {without} of them, {allowed} are allowed");
        }
    }
}
