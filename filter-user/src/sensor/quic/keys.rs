//! Keys of Initial packets (RFC 9001, 5.2), which everyone can derive from the connection ID that the
//! client made up, and what they open. A packet whose tag is wrong is not believed.

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use aes_gcm::aead::AeadInOut as _;
use aes_gcm::{Aes128Gcm, Nonce, Tag};
use hkdf::Hkdf;
use sha2::Sha256;

use super::packet::Packet;
use super::version::{Constants, constants};
use crate::sensor::encrypted::QuicVersion;

/// Bytes of the tag behind each packet.
const TAG: usize = 16;
/// Bytes of what is encrypted that the protection of the header is made from (RFC 9001, 5.4.2).
const SAMPLE: usize = 16;

/// Keys of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Protection {
    key: [u8; 16],
    iv: [u8; 12],
    header: [u8; 16],
}

/// Keys of both.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    pub(super) version: QuicVersion,
    pub(super) client: Protection,
    pub(super) server: Protection,
}

impl Keys {
    /// The keys of a version and the first destination connection ID of the client's.
    pub(super) fn derive(version: QuicVersion, id: &[u8]) -> Option<Self> {
        let constants = constants(version)?;
        let initial = Hkdf::<Sha256>::new(Some(&constants.salt), id);
        let client = Protection::derive(constants, &initial, b"\x00\x20\x0ftls13 client in\x00")?;
        let server = Protection::derive(constants, &initial, b"\x00\x20\x0ftls13 server in\x00")?;
        Some(Self { version, client, server })
    }
}

impl Protection {
    fn derive(constants: &Constants, initial: &Hkdf<Sha256>, label: &[u8]) -> Option<Self> {
        let mut secret = [0; 32];
        initial.expand(label, &mut secret).ok()?;
        let secret = Hkdf::<Sha256>::from_prk(&secret).ok()?;
        let mut out = Self::default();
        let [key, iv, header] = constants.labels;
        secret.expand(key, &mut out.key).ok()?;
        secret.expand(iv, &mut out.iv).ok()?;
        secret.expand(header, &mut out.header).ok()?;
        Some(out)
    }

    /// The frames in a packet, or `None` when its tag is wrong.
    pub(super) fn open(&self, packet: &Packet<'_>) -> Option<Vec<u8>> {
        let (bytes, at) = (packet.bytes, packet.number_at);
        let sample = bytes.get(at + 4..at + 4 + SAMPLE)?;
        let mut mask = aes::Block::try_from(sample).ok()?;
        Aes128::new(&self.header.into()).encrypt_block(&mut mask);
        let first = bytes[0] ^ mask[0] & 0x0f;
        let number_bytes = usize::from(first & 3) + 1;
        let mut header = bytes[..at + number_bytes].to_vec();
        header[0] = first;
        let mut nonce = self.iv;
        for (place, byte) in header[at..].iter_mut().enumerate() {
            *byte ^= mask[1 + place];
            // Initial packets are few: their numbers are sent whole.
            nonce[12 - number_bytes + place] ^= *byte;
        }
        let (content, tag) =
            bytes[header.len()..].split_at_checked(bytes.len().checked_sub(header.len() + TAG)?)?;
        let mut content = content.to_vec();
        let opened = Aes128Gcm::new(&self.key.into()).decrypt_inout_detached(
            &Nonce::from(nonce),
            &header,
            content.as_mut_slice().into(),
            &Tag::try_from(tag).ok()?,
        );
        opened.is_ok().then_some(content)
    }
}

/// Whether a Retry packet answers to a packet of the client's with this destination connection ID
/// (RFC 9001, 5.8).
pub(super) fn is_retry(packet: &Packet<'_>, id: &[u8]) -> bool {
    let Some(constants) = constants(packet.version) else { return false };
    let Some((bytes, tag)) = packet.bytes.split_last_chunk::<TAG>() else { return false };
    let (key, nonce) = constants.retry;
    if key == [0; 16] {
        return false;
    }
    let pseudo = [&[id.len() as u8], id, bytes].concat();
    let nothing: &mut [u8] = &mut [];
    Aes128Gcm::new(&key.into())
        .decrypt_inout_detached(&Nonce::from(nonce), &pseudo, nothing.into(), &Tag::from(*tag))
        .is_ok()
}
