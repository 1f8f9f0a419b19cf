//! IP addresses of both families as one 128-bit value.

/// An IPv6 address, or an IPv4 address in its mapped form `::ffff:a.b.c.d` (RFC 4291, 2.5.5.2).
///
/// The two halves are in host byte order: bit 63 of `hi` is the first bit on the wire.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Addr {
    /// The first 64 bits.
    pub hi: u64,
    /// The last 64 bits.
    pub lo: u64,
}

/// What the last half of a mapped IPv4 address looks like above its 32 bits.
const MAPPED: u64 = 0x0000_ffff_0000_0000;

impl Addr {
    /// An IPv4 address from its 32 bits in host byte order.
    #[inline(always)]
    pub const fn v4(bits: u32) -> Self {
        Self { hi: 0, lo: MAPPED | bits as u64 }
    }

    /// An IPv6 address from its 16 bytes in network order.
    #[inline(always)]
    pub const fn v6(octets: [u8; 16]) -> Self {
        let bits = u128::from_be_bytes(octets);
        Self { hi: (bits >> 64) as u64, lo: bits as u64 }
    }

    /// The address as 16 bytes in network order, IPv4 in its mapped form.
    pub const fn octets(self) -> [u8; 16] {
        (((self.hi as u128) << 64) | self.lo as u128).to_be_bytes()
    }

    /// Whether this is an IPv4 address, or an IPv6 one that claims to be.
    #[inline(always)]
    pub const fn is_v4(self) -> bool {
        self.hi == 0 && self.lo >> 32 == MAPPED >> 32
    }

    /// The 32 bits of an IPv4 address in host byte order; meaningless for others.
    #[inline(always)]
    pub const fn v4_bits(self) -> u32 {
        self.lo as u32
    }

    /// The first `len` bits, the rest zero. For an IPv4 address /24 is `len` 120.
    #[inline(always)]
    pub const fn masked(self, len: u32) -> Self {
        let (hi, lo) = masks(len);
        Self { hi: self.hi & hi, lo: self.lo & lo }
    }
}

/// The two halves of a netmask of `len` bits, 0 to 128.
#[inline(always)]
pub const fn masks(len: u32) -> (u64, u64) {
    if len == 0 {
        (0, 0)
    } else if len <= 64 {
        (u64::MAX << (64 - len), 0)
    } else if len < 128 {
        (u64::MAX, u64::MAX << (128 - len))
    } else {
        (u64::MAX, u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_at_every_boundary() {
        let all = Addr { hi: u64::MAX, lo: u64::MAX };
        for len in 0..=128u32 {
            let bits = u128::from_be_bytes(all.masked(len).octets());
            assert_eq!(bits.leading_ones(), len, "/{len}");
            assert_eq!(bits.count_ones(), len, "/{len}");
        }
    }

    #[test]
    fn v4_is_mapped() {
        let addr = Addr::v4(0xc000_0201);
        assert!(addr.is_v4());
        assert_eq!(addr.v4_bits(), 0xc000_0201);
        assert_eq!(addr.octets()[10..], [0xff, 0xff, 192, 0, 2, 1]);
        assert!(!Addr::v6([0x20; 16]).is_v4());
    }
}
