//! Header blocks: what the sensor takes from the fields of one (RFC 9113, 8.3).

use super::frame::{self, Head};
use super::hpack::{Decoder, Fault, Field};
use crate::sensor::credentials::Secrets;
use crate::sensor::fields::{MAX_HOST, MAX_TARGET, RequestFields, media_type, text};

/// Most bytes of fields that are looked at in one block: a byte can refer to a large one, again and
/// again.
const MAX_FIELDS: usize = 128 * 1024;
/// Longest method that is kept.
const MAX_METHOD: usize = 32;

/// What is kept of a block's fields. What is absent was not there, or not known: [`Self::unknown`].
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) method: Option<String>,
    pub(super) path: Option<String>,
    pub(super) authority: Option<String>,
    pub(super) status: Option<u16>,
    /// Of a response.
    pub(super) content_type: Option<String>,
    pub(super) content_length: Option<u64>,
    pub(super) grpc_status: Option<u32>,
    /// Of a request.
    pub(super) request: RequestFields,
    /// It begins a message: there is a pseudo-header field.
    pub(super) begins: bool,
    /// Something of it is not known.
    pub(super) unknown: bool,
    /// Bytes of its names and values.
    size: usize,
}

impl Fields {
    /// Whether a block has more fields than are looked at.
    pub(super) fn too_many(&self) -> bool {
        self.size > MAX_FIELDS
    }

    /// Takes a field.
    fn take(&mut self, field: Field<'_>, from_client: bool, secrets: &Secrets) {
        let length = |text: Option<&[u8]>| text.map_or(0, <[u8]>::len);
        self.size += length(field.name) + length(field.value) + 1;
        if self.too_many() {
            self.unknown = true;
            return;
        }
        self.begins |= field.name.is_some_and(|name| name.first() == Some(&b':'));
        match (field.name, field.value) {
            (Some(name), Some(value)) if from_client => self.request(name, value, secrets),
            (Some(name), Some(value)) => self.response(name, value),
            _ => self.unknown = true,
        }
    }

    /// Takes a field of a request.
    fn request(&mut self, name: &[u8], value: &[u8], secrets: &Secrets) {
        match name {
            b":method" if self.method.is_none() => self.method = Some(text(value, MAX_METHOD)),
            b":path" if self.path.is_none() => {
                self.path = Some(text(value, MAX_TARGET));
                self.request.note_target(value, secrets);
            }
            b":authority" if self.authority.is_none() => {
                self.authority = Some(text(value, MAX_HOST));
            }
            b"content-length" => self.content_length = number(value),
            _ => {
                self.request.note(name, value, secrets);
            }
        }
    }

    /// Takes a field of a response.
    fn response(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b":status" if self.status.is_none() => self.status = status(value),
            b"content-type" => self.content_type = media_type(value),
            b"content-length" => self.content_length = number(value),
            b"grpc-status" => {
                self.grpc_status = number(value).and_then(|code| code.try_into().ok());
            }
            _ => {}
        }
    }
}

/// Three digits, the first of them not zero.
fn status(value: &[u8]) -> Option<u16> {
    match value {
        [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] => number(value).and_then(|n| n.try_into().ok()),
        _ => None,
    }
}

/// Nothing but digits.
fn number(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    digits.then(|| str::from_utf8(value).ok()?.parse().ok()).flatten()
}

/// A header block that is being read: one HEADERS or PUSH_PROMISE frame, and the CONTINUATION
/// frames behind it.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// The frame it began with.
    pub(super) head: Head,
    /// When the first byte of that was seen.
    pub(super) time: u64,
    pub(super) fields: Fields,
    /// The beginning of a field.
    rest: Vec<u8>,
    /// It cannot be read on.
    pub(super) broken: bool,
}

impl Block {
    pub(super) fn new(head: Head, time: u64) -> Self {
        Self { head, time, ..Self::default() }
    }

    /// Memory behind it.
    pub(super) fn footprint(&self) -> usize {
        self.rest.capacity() + self.fields.request.footprint()
    }

    /// Nothing of this direction of the stream follows it.
    pub(super) fn ends_stream(&self) -> bool {
        self.head.kind == frame::HEADERS && self.head.has(frame::END_STREAM)
    }

    /// Part of it is missing; what is kept of it stays.
    pub(super) fn break_off(&mut self) {
        (self.broken, self.rest) = (true, Vec::new());
    }

    /// Takes the next part of it; `last` says that there are no more.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        last: bool,
        decoder: &mut Decoder,
        from_client: bool,
        secrets: &Secrets,
    ) -> Result<(), Fault> {
        if self.broken {
            return Ok(());
        }
        let fields = &mut self.fields;
        let take = |field: Field<'_>| fields.take(field, from_client, secrets);
        let left = if self.rest.is_empty() {
            let used = decoder.read(bytes, take)?;
            self.rest.extend_from_slice(&bytes[used..]);
            self.rest.len()
        } else {
            self.rest.extend_from_slice(bytes);
            let used = decoder.read(&self.rest, take)?;
            self.rest.drain(..used);
            self.rest.len()
        };
        if last && left != 0 { Err(Fault::Malformed) } else { Ok(()) }
    }
}
