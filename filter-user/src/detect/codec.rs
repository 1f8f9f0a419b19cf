//! State as bytes: little-endian, read back with every length checked.

use std::net::IpAddr;

/// Writes.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

macro_rules! numbers {
    ($($name:ident)*) => {
        impl Writer {
            $(pub(crate) fn $name(&mut self, value: $name) {
                self.0.extend_from_slice(&value.to_le_bytes());
            })*
        }

        impl Reader<'_> {
            $(pub(crate) fn $name(&mut self) -> Option<$name> {
                Some($name::from_le_bytes(*self.take()?))
            })*
        }
    };
}

numbers! { u8 u16 u32 u64 i16 i128 f32 f64 }

impl Writer {
    /// Text of up to 65,535 bytes; what is longer is cut at a character.
    pub(crate) fn text(&mut self, text: &str) {
        let mut end = text.len().min(usize::from(u16::MAX));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.u16(end as u16);
        self.0.extend_from_slice(&text.as_bytes()[..end]);
    }

    /// An address: the number of its protocol, then its octets as they are sent.
    pub(crate) fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => {
                self.u8(4);
                self.0.extend_from_slice(&v4.octets());
            }
            IpAddr::V6(v6) => {
                self.u8(6);
                self.0.extend_from_slice(&v6.octets());
            }
        }
    }

    /// What may be missing.
    pub(crate) fn maybe<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }
}

/// Reads; everything is `None` when it is not there.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    /// What [`Writer::text`] wrote.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = usize::from(self.u16()?);
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(taken).ok()
    }

    /// What [`Writer::address`] wrote.
    pub(crate) fn address(&mut self) -> Option<IpAddr> {
        match self.u8()? {
            4 => Some(IpAddr::from(*self.take::<4>()?)),
            6 => Some(IpAddr::from(*self.take::<16>()?)),
            _ => None,
        }
    }

    /// What [`Writer::maybe`] wrote: `None` when it cannot be read.
    pub(crate) fn maybe<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.u8()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }

    /// Everything was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
