//! The two hellos (RFC 8446, 4.1; RFC 5246, 7.4.1): what is said in the clear.

use super::ja4::{self, Carrier, Parts};
use crate::sensor::encrypted::{Cipher, TlsVersion};
use crate::sensor::reader::{Reader, numbers};

/// Extension: server_name (RFC 6066, 3).
pub(super) const SERVER_NAME: u16 = 0;
/// Extension: application_layer_protocol_negotiation (RFC 7301).
pub(super) const ALPN: u16 = 16;
/// Extension: signature_algorithms (RFC 8446, 4.2.3).
const SIGNATURE_ALGORITHMS: u16 = 13;
/// Extension: early_data (RFC 8446, 4.2.10).
const EARLY_DATA: u16 = 42;
/// Extension: supported_versions (RFC 8446, 4.2.1).
const SUPPORTED_VERSIONS: u16 = 43;

/// Most protocol names that are kept.
const MAX_PROTOCOLS: usize = 32;

/// The random of a ServerHello that asks for another ClientHello (RFC 8446, 4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// What a client offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientHello {
    /// The highest version; `None` when what would say it was not seen.
    pub(crate) version: Option<TlsVersion>,
    pub(crate) sni: Option<String>,
    pub(crate) alpn: Vec<String>,
    /// `None` when the hello was not seen to its end.
    pub(crate) ja4: Option<String>,
    /// It sends application data before the server has answered.
    pub(crate) early_data: bool,
}

impl ClientHello {
    /// Memory behind it, its own size included.
    pub(crate) fn footprint(&self) -> usize {
        let names: usize = self.alpn.iter().map(|name| size_of::<String>() + name.len()).sum();
        size_of::<Self>() + names + self.sni.as_ref().map_or(0, String::len)
    }

    /// Reads the body of a ClientHello. `whole` says that it is all there; if it is not, what there
    /// is of it counts. `None` when it is no ClientHello.
    pub(crate) fn parse(body: &[u8], whole: bool, carrier: Carrier) -> Option<Self> {
        let mut reader = Reader::new(body);
        let legacy = reader.u16()?;
        if legacy >> 8 != 3 {
            return None;
        }
        reader.take(32)?;
        reader.vector8()?;
        let mut ciphers: Vec<u16> = numbers(reader.vector16()?).collect();
        let mut extensions = Extensions::default();
        let read = extensions.read(&mut reader, whole);
        if whole {
            read?;
        }
        let ja4 = whole.then(|| {
            ja4::fingerprint(&mut Parts {
                carrier,
                version: extensions.version.unwrap_or(legacy),
                ciphers: &mut ciphers,
                extensions: &mut extensions.types,
                alpn: extensions.alpn.first().copied(),
                signatures: &extensions.signatures,
            })
        });
        Some(Self {
            version: extensions.version.or(whole.then_some(legacy)).map(TlsVersion),
            sni: extensions.sni,
            alpn: extensions.alpn.into_iter().map(text).collect(),
            ja4,
            early_data: extensions.early_data,
        })
    }
}

/// What the extensions of a ClientHello say.
#[derive(Debug, Default)]
struct Extensions<'a> {
    types: Vec<u16>,
    version: Option<u16>,
    sni: Option<String>,
    alpn: Vec<&'a [u8]>,
    signatures: Vec<u16>,
    early_data: bool,
}

impl<'a> Extensions<'a> {
    /// Reads what is behind the cipher suites. `None` when it is broken, or ends too early; what is
    /// before that counts.
    fn read(&mut self, reader: &mut Reader<'a>, whole: bool) -> Option<()> {
        reader.vector8()?;
        if reader.is_empty() {
            // SSL 3 and the first clients of TLS 1.0 have none.
            return Some(());
        }
        let length = reader.u16()?;
        let mut reader = Reader::new(match reader.take(usize::from(length)) {
            Some(all) => all,
            None if whole => return None,
            None => reader.rest(),
        });
        let mut seen = 0u64;
        while !reader.is_empty() {
            let kind = reader.u16()?;
            let mut content = Reader::new(reader.vector16()?);
            self.types.push(kind);
            // What comes twice is not allowed; the first counts.
            let bit = 1u64.checked_shl(u32::from(kind)).unwrap_or(0);
            if seen & bit == 0 {
                seen |= bit;
                self.take(kind, &mut content);
            }
        }
        Some(())
    }

    fn take(&mut self, kind: u16, content: &mut Reader<'a>) {
        match kind {
            SERVER_NAME => self.sni = server_name(content),
            ALPN => self.alpn = protocols(content).take(MAX_PROTOCOLS).collect(),
            SIGNATURE_ALGORITHMS => {
                self.signatures = numbers(content.vector16().unwrap_or_default()).collect();
            }
            EARLY_DATA => self.early_data = true,
            SUPPORTED_VERSIONS => {
                let versions = numbers(content.vector8().unwrap_or_default());
                self.version = versions.filter(|&value| !ja4::is_grease(value)).max();
            }
            _ => {}
        }
    }
}

/// What a server chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerHello {
    pub(crate) version: TlsVersion,
    pub(crate) cipher: Cipher,
    pub(crate) alpn: Option<String>,
    /// It is a HelloRetryRequest.
    pub(crate) retry: bool,
}

impl ServerHello {
    /// Reads the body of a ServerHello, all of it. `None` when it is none.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let legacy = reader.u16()?;
        if legacy >> 8 != 3 && !TlsVersion(legacy).is_1_3() {
            return None;
        }
        let retry = reader.take(32)? == RETRY;
        // The first drafts of TLS 1.3 have neither a session nor a compression method.
        let early_draft = matches!(legacy, 0x7f00..0x7f16);
        if !early_draft {
            reader.vector8()?;
        }
        let cipher = Cipher(reader.u16()?);
        if !early_draft {
            reader.u8()?;
        }
        let mut hello = Self { version: TlsVersion(legacy), cipher, alpn: None, retry };
        if reader.is_empty() {
            return Some(hello);
        }
        let mut reader = Reader::new(reader.vector16()?);
        while !reader.is_empty() {
            let kind = reader.u16()?;
            let mut content = Reader::new(reader.vector16()?);
            match kind {
                ALPN => hello.alpn = protocols(&mut content).next().map(text),
                SUPPORTED_VERSIONS => {
                    hello.version = content.u16().map_or(hello.version, TlsVersion);
                }
                _ => {}
            }
        }
        Some(hello)
    }
}

/// The first host name of a server_name extension.
fn server_name(content: &mut Reader<'_>) -> Option<String> {
    const HOST_NAME: u8 = 0;
    let mut list = Reader::new(content.vector16()?);
    while !list.is_empty() {
        let kind = list.u8()?;
        let name = list.vector16()?;
        if kind == HOST_NAME {
            return (!name.is_empty()).then(|| text(&name[..name.len().min(255)]));
        }
    }
    None
}

/// The names in an ALPN extension, as far as they can be told apart.
fn protocols<'a>(content: &mut Reader<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let mut list = Reader::new(content.vector16().unwrap_or_default());
    std::iter::from_fn(move || list.vector8())
}

/// Bytes as text; what is not UTF-8 is replaced.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
