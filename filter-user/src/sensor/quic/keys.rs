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
        Self::candidates(version, id).next()
    }

    /// The keys that a version may have; several where it is reserved.
    pub(super) fn candidates(version: QuicVersion, id: &[u8]) -> impl Iterator<Item = Self> {
        constants(version).iter().filter_map(move |constants| Self::make(version, constants, id))
    }

    fn make(version: QuicVersion, constants: &Constants, id: &[u8]) -> Option<Self> {
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
    let Some(constants) = constants(packet.version).first() else { return false };
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

#[cfg(test)]
mod tests {
    use super::super::packet::{self, Kind};
    use super::*;

    /// The connection ID of both documents' examples.
    const ID: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            hex.bytes().map(|digit| (digit as char).to_digit(16).unwrap() as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    /// RFC 9001, A.1, and RFC 9369, A.1: key, IV and header protection key of client and server.
    #[test]
    fn derived_keys() {
        for (version, client, server) in [
            (
                1,
                [
                    "1f369613dd76d5467730efcbe3b1a22d",
                    "fa044b2f42a3fd3b46fb255c",
                    "9f50449e04a0e810283a1e9933adedd2",
                ],
                [
                    "cf3a5331653c364c88f0f379b6067e37",
                    "0ac1493ca1905853b0bba03e",
                    "c206b8d9b9f0f37644430b490eeaa314",
                ],
            ),
            (
                0x6b33_43cf,
                [
                    "8b1a0bc121284290a29e0971b5cd045d",
                    "91f73e2351d8fa91660e909f",
                    "45b95e15235d6f45a6b19cbcb0294ba9",
                ],
                [
                    "82db637861d55e1d011f19ea71d5d2a7",
                    "dd13c276499c0249d3310652",
                    "edf6d05c83121201b436e16877593c3a",
                ],
            ),
        ] {
            let keys = Keys::derive(QuicVersion(version), &ID).unwrap();
            for (derived, [key, iv, header]) in [(keys.client, client), (keys.server, server)] {
                assert_eq!(derived.key[..], bytes(key));
                assert_eq!(derived.iv[..], bytes(iv));
                assert_eq!(derived.header[..], bytes(header));
            }
        }
        assert!(Keys::derive(QuicVersion(7), &ID).is_none());
        assert_eq!(Keys::candidates(QuicVersion(0x1a2a_3a4a), &ID).count(), 2, "reserved");
    }

    /// RFC 9001, A.3: the server's first packet, which acknowledges and carries a ServerHello.
    #[test]
    fn a_packet_is_opened() {
        let packet = bytes(concat!(
            "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c6979",
            "7554780bb38cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f",
            "3bded74b562bfb19fb84022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc421",
            "58407dd074ee",
        ));
        let keys = Keys::derive(QuicVersion(1), &ID).unwrap();
        let mut rest = &packet[..];
        let read = packet::next(&mut rest).unwrap();
        assert_eq!((read.kind, rest.len()), (Kind::Initial, 0));
        let frames = keys.server.open(&read).unwrap();
        assert_eq!(
            frames[..],
            bytes(concat!(
                "02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf73988cfc79825df566dc5430b",
                "9a045a1200130100002e00330024001d00209d3c940d89690b84d08a60993c144eca684d1081287c834d53",
                "11bcf32bb9da1a002b00020304",
            ))
        );
        assert!(keys.client.open(&read).is_none());
        for at in 0..packet.len() {
            let mut forged = packet.clone();
            forged[at] ^= 1;
            let opened = packet::next(&mut &forged[..]).and_then(|read| keys.server.open(&read));
            assert_eq!(opened, None, "byte {at}");
        }
        for length in 0..packet.len() {
            assert!(packet::next(&mut &packet[..length]).is_none(), "{length}");
        }
    }

    /// RFC 9001, A.4, and RFC 9369, A.4.
    #[test]
    fn retries() {
        for retry in [
            "ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba",
            "cf6b3343cf0008f067a5502a4262b5746f6b656ec8646ce8bfe33952d955543665dcc7b6",
        ] {
            let retry = bytes(retry);
            let read = packet::next(&mut &retry[..]).unwrap();
            assert_eq!(read.kind, Kind::Retry);
            assert!(is_retry(&read, &ID));
            assert!(!is_retry(&read, &ID[1..]), "it answers another packet");
            let mut forged = retry.clone();
            forged[20] ^= 1;
            assert!(!is_retry(&packet::next(&mut &forged[..]).unwrap(), &ID));
        }
    }
}
