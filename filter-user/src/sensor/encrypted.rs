//! What the sensor makes of encrypted connections: the handshake, and turns, whose sizes and times
//! can be seen though their content cannot.

use std::net::IpAddr;

use super::tls::cipher;
use super::transaction::Flow;

/// A version of TLS as it goes over the wire (RFC 8446, 4.2.1): 0x0304 is TLS 1.3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TlsVersion(pub u16);

impl TlsVersion {
    /// TLS 1.3.
    pub const V1_3: Self = Self(0x0304);
    /// TLS 1.2.
    pub const V1_2: Self = Self(0x0303);

    /// `1.3`, `1.2`, `1.1`, `1.0`, `ssl3`, `ssl2`, `1.3-draft28`, or the number in hexadecimal.
    pub fn name(self) -> String {
        match self.0 {
            0x7f00..=0x7fff => format!("1.3-draft{}", self.0 & 0xff),
            number => match self.known() {
                Some(name) => name.to_owned(),
                None => format!("0x{number:04x}"),
            },
        }
    }

    /// [`Self::name`] where it is one of the released versions.
    pub const fn known(self) -> Option<&'static str> {
        match self.0 {
            0x0304 => Some("1.3"),
            0x0303 => Some("1.2"),
            0x0302 => Some("1.1"),
            0x0301 => Some("1.0"),
            0x0300 => Some("ssl3"),
            0x0002 => Some("ssl2"),
            _ => None,
        }
    }

    /// Whether it is TLS 1.3 or one of its drafts: what follows the ServerHello is encrypted.
    pub const fn is_1_3(self) -> bool {
        // The second: drafts of Facebook's.
        self.0 == 0x0304 || matches!(self.0 >> 8, 0x7f | 0xfb)
    }

    /// Whether it is a version that ought not to be used any more (RFC 8996): below TLS 1.2.
    pub const fn is_old(self) -> bool {
        self.0 < 0x0303
    }
}

/// A version of QUIC as it goes over the wire (RFC 9000, 15).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct QuicVersion(pub u32);

impl QuicVersion {
    /// `1`, `2`, `draft-29`, or the number in hexadecimal.
    pub fn name(self) -> String {
        match self.0 {
            1 => "1".to_owned(),
            0x6b33_43cf => "2".to_owned(),
            draft @ 0xff00_0000..=0xff00_00ff => format!("draft-{}", draft & 0xff),
            number => format!("0x{number:08x}"),
        }
    }
}

/// A cipher suite by its number in IANA's registry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cipher(pub u16);

impl Cipher {
    /// The registered name, or the number in hexadecimal.
    pub fn name(self) -> String {
        cipher::name(self.0).map_or_else(|| format!("0x{:04x}", self.0), str::to_owned)
    }
}

/// A TLS handshake, of a TCP connection or inside QUIC, as far as it was seen.
#[derive(Clone, PartialEq, Debug)]
pub struct Handshake {
    /// When the first byte of the ClientHello was seen, or of what was seen in its place; ns, as
    /// [`crate::sensor::transaction::Transaction::time`].
    pub time: u64,
    /// Between whom.
    pub flow: Flow,
    /// Stable id of the API, 0 when none claims the server's address and port.
    pub api: u32,
    /// Whether the connection came into this host; true in a capture.
    pub inbound: bool,
    /// The client that a PROXY header before the handshake names.
    pub announced: Option<IpAddr>,
    /// The version of QUIC it was made in: the server's, or the client's when the server was not
    /// seen. `None` for TLS over TCP.
    pub quic: Option<QuicVersion>,
    /// The version the server chose. `None` when no ServerHello was seen.
    pub version: Option<TlsVersion>,
    /// The highest version the client offers. `None` when its hello was not seen.
    pub offered: Option<TlsVersion>,
    /// The server name the client asks for (RFC 6066, 3), at most 255 bytes; what is not UTF-8 is
    /// replaced.
    pub sni: Option<String>,
    /// The protocols the client offers (RFC 7301), in its order, at most 32.
    pub alpn: Vec<String>,
    /// The protocol the server chose; seen in TLS 1.2 and before only.
    pub alpn_selected: Option<String>,
    /// The cipher suite the server chose.
    pub cipher: Option<Cipher>,
    /// JA4 of the ClientHello; `None` when not all of it was seen.
    pub ja4: Option<String>,
    /// When the server's certificate ends, seconds since 1970; seen in TLS 1.2 and before only.
    pub not_after: Option<i64>,
    /// From the first byte of the ClientHello to the later of the two Finished messages, ns.
    /// `None` when either was not seen, and in QUIC.
    pub duration: Option<u64>,
    /// The server asked for another ClientHello (RFC 8446, 4.1.4), or, in QUIC, for a token.
    pub retried: bool,
    /// Both hellos were seen whole.
    pub complete: bool,
    /// Segments of the client and of the server acknowledged each other: the source address is not
    /// forged.
    pub handshake: bool,
    /// How many handshakes this one stands for, times 2^16 (sampling by flow).
    pub weight: u32,
}

impl Handshake {
    /// The version that is known: what the server chose, or else the highest the client offers.
    pub fn best_version(&self) -> Option<TlsVersion> {
        self.version.or(self.offered)
    }
}

/// What a client sends inside TLS, and what the server sends until the client sends again.
#[derive(Clone, PartialEq, Debug)]
pub struct Turn {
    /// When its first byte was seen, ns, as [`Handshake::time`].
    pub time: u64,
    /// Between whom.
    pub flow: Flow,
    /// Stable id of the API, 0 when none claims the server's address and port.
    pub api: u32,
    /// Whether the connection came into this host; true in a capture.
    pub inbound: bool,
    /// Bytes of the client's records that carry application data, headers and padding included.
    pub request_bytes: u64,
    /// Bytes of the server's, likewise.
    pub response_bytes: u64,
    /// From the first byte of the client's to the first byte of the server's, ns; `None` when the
    /// server sent nothing.
    pub latency: Option<u64>,
    /// As [`Handshake::handshake`].
    pub handshake: bool,
    /// How many turns this one stands for, times 2^16 (sampling by flow).
    pub weight: u32,
    /// Nothing of it was lost, and its records could be told apart.
    pub complete: bool,
}

#[cfg(test)]
impl Handshake {
    /// One of TLS 1.3 at port 80, to start from in tests.
    pub(crate) fn example() -> Self {
        let Turn { time, flow, api, inbound, handshake, weight, .. } = Turn::example();
        Self {
            time,
            flow,
            api,
            inbound,
            announced: None,
            quic: None,
            version: Some(TlsVersion::V1_3),
            offered: Some(TlsVersion::V1_3),
            sni: Some("lab.test".to_owned()),
            alpn: vec!["h2".to_owned(), "http/1.1".to_owned()],
            alpn_selected: None,
            cipher: Some(Cipher(0x1301)),
            ja4: Some("t13d1516h2_8daaf6152771_e5627efa2ab1".to_owned()),
            not_after: None,
            duration: Some(20_000_000),
            retried: false,
            complete: true,
            handshake,
            weight,
        }
    }
}

#[cfg(test)]
impl Turn {
    /// One that was answered after 3 ms, to start from in tests.
    pub(crate) fn example() -> Self {
        let example = crate::sensor::transaction::Transaction::example();
        Self {
            time: 1,
            flow: example.flow,
            api: 1,
            inbound: true,
            request_bytes: 100,
            response_bytes: 1000,
            latency: Some(3_000_000),
            handshake: true,
            weight: 1 << 16,
            complete: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (number, name, is_1_3, is_old) in [
            (0x0304, "1.3", true, false),
            (0x0303, "1.2", false, false),
            (0x0302, "1.1", false, true),
            (0x0301, "1.0", false, true),
            (0x0300, "ssl3", false, true),
            (0x0002, "ssl2", false, true),
            (0x7f1c, "1.3-draft28", true, false),
            (0x0305, "0x0305", false, false),
        ] {
            let version = TlsVersion(number);
            assert_eq!(version.name(), name);
            assert_eq!((version.is_1_3(), version.is_old()), (is_1_3, is_old), "{name}");
        }
        for (number, name) in
            [(1, "1"), (0x6b33_43cf, "2"), (0xff00_001d, "draft-29"), (0xface_b002, "0xfaceb002")]
        {
            assert_eq!(QuicVersion(number).name(), name);
        }
        assert_eq!(Cipher(0x1301).name(), "TLS_AES_128_GCM_SHA256");
        assert_eq!(Cipher(0xc02f).name(), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
        assert_eq!(Cipher(0x5a5a).name(), "0x5a5a");
    }
}
