//! HPACK (RFC 7541): the fields of HTTP/2's header blocks, also of a connection that is entered
//! late or of which blocks were lost. What refers to an entry that was not seen is unknown; entries
//! that come later are known again (see [`table`]).
//!
//! What SETTINGS_HEADER_TABLE_SIZE allows bounds what an encoder may choose; what it chose stands
//! in the blocks, so that the settings and when they were acknowledged change nothing here.

mod huffman;
mod integer;
mod statics;
mod table;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(in crate::sensor) use self::huffman::encode as huffman;
use self::statics::ENTRIES;
use self::table::{Found, Table, Text};

/// Longest name or value, as it is sent, that is read.
const MAX_TEXT: u32 = 64 * 1024;

/// Why a block cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is none.
    Malformed,
    /// A name or value is too long.
    TooLong,
}

/// A name with its value; `None` for what is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) name: Text<'a>,
    pub(super) value: Text<'a>,
}

/// Where the name of a literal comes from.
enum Name {
    Static(&'static [u8]),
    /// The dynamic table, its newest entry has 0.
    Dynamic(usize),
    /// The block: what is at hand.
    New(Literal),
}

/// A string of the block.
#[derive(Clone, Copy)]
enum Literal {
    /// From here to there, as it stands.
    Plain(usize, usize),
    /// Coded; what it says is in a scratch buffer.
    Coded,
}

/// One direction's decoder.
#[derive(Debug)]
pub(super) struct Decoder {
    table: Table,
    /// What a coded name, and a coded value, say.
    scratch: [Vec<u8>; 2],
}

impl Decoder {
    /// Of a connection seen from its beginning.
    pub(super) fn new() -> Self {
        Self { table: Table::new(), scratch: [Vec::new(), Vec::new()] }
    }

    /// Memory behind it.
    pub(super) fn footprint(&self) -> usize {
        let scratch: usize = self.scratch.iter().map(Vec::capacity).sum();
        self.table.footprint() + scratch
    }

    /// Blocks, or parts of some, were not seen. Lets go of all memory, too.
    pub(super) fn lose(&mut self) {
        self.table.lose();
        self.scratch = [Vec::new(), Vec::new()];
    }

    /// Times that a table was larger than what is kept of it, since it was last asked.
    pub(super) fn take_cut(&mut self) -> u64 {
        self.table.take_cut()
    }

    /// Reads the whole fields that a block, or what is left of one, begins with; how many bytes they
    /// take. What follows them is the beginning of another.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(Field<'_>),
    ) -> Result<usize, Fault> {
        let mut at = 0;
        while let Some(&first) = bytes.get(at) {
            let rest = &bytes[at..];
            let used = if first & 0x80 != 0 {
                self.indexed(rest, &mut take)?
            } else if first & 0xe0 == 0x20 {
                integer::read(rest, 5)?.map(|(size, used)| {
                    self.table.resize(size as usize);
                    used
                })
            } else {
                self.literal(rest, &mut take)?
            };
            match used {
                Some(used) => at += used,
                None => break,
            }
        }
        Ok(at)
    }

    /// RFC 7541, 6.1.
    #[inline]
    fn indexed(
        &self,
        bytes: &[u8],
        take: &mut impl FnMut(Field<'_>),
    ) -> Result<Option<usize>, Fault> {
        let Some((index, used)) = integer::read(bytes, 7)? else { return Ok(None) };
        let field = match index {
            0 => return Err(Fault::Malformed),
            1..=ENTRIES => {
                let (name, value) = statics::TABLE[index as usize - 1];
                Field { name: Some(name), value: Some(value) }
            }
            _ => match self.table.get((index - ENTRIES - 1) as usize) {
                Found::Entry(name, value) => Field { name, value },
                Found::Unknown => Field { name: None, value: None },
                Found::Nothing => return Err(Fault::Malformed),
            },
        };
        take(field);
        Ok(Some(used))
    }

    /// RFC 7541, 6.2: with and without putting it into the table.
    fn literal(
        &mut self,
        bytes: &[u8],
        take: &mut impl FnMut(Field<'_>),
    ) -> Result<Option<usize>, Fault> {
        let indexing = bytes[0] & 0xc0 == 0x40;
        let prefix = if indexing { 6 } else { 4 };
        let Some((index, mut at)) = integer::read(bytes, prefix)? else { return Ok(None) };
        let name = match index {
            0 => {
                let Some(text) = self.string(bytes, &mut at, 0)? else { return Ok(None) };
                Name::New(text)
            }
            1..=ENTRIES => Name::Static(statics::TABLE[index as usize - 1].0),
            _ => Name::Dynamic((index - ENTRIES - 1) as usize),
        };
        let Some(value) = self.string(bytes, &mut at, 1)? else { return Ok(None) };
        let text = |literal: Literal, scratch: usize| match literal {
            Literal::Plain(start, end) => &bytes[start..end],
            Literal::Coded => self.scratch[scratch].as_slice(),
        };
        let value = Some(text(value, 1));
        let name = match name {
            Name::Static(name) => Ok(Some(name)),
            Name::New(name) => Ok(Some(text(name, 0))),
            Name::Dynamic(index) => {
                let name = match self.table.get(index) {
                    Found::Entry(name, _) => name,
                    Found::Unknown => None,
                    Found::Nothing => return Err(Fault::Malformed),
                };
                take(Field { name, value });
                Err(index)
            }
        };
        if let Ok(name) = name {
            take(Field { name, value });
        }
        if indexing {
            self.table.insert(name, value);
        }
        Ok(Some(at))
    }

    /// Reads a string (RFC 7541, 5.2); a coded one goes into a scratch buffer.
    fn string(
        &mut self,
        bytes: &[u8],
        at: &mut usize,
        scratch: usize,
    ) -> Result<Option<Literal>, Fault> {
        let Some(&first) = bytes.get(*at) else { return Ok(None) };
        let Some((length, used)) = integer::read(&bytes[*at..], 7)? else { return Ok(None) };
        if length > MAX_TEXT {
            return Err(Fault::TooLong);
        }
        let start = *at + used;
        let end = start + length as usize;
        let Some(text) = bytes.get(start..end) else { return Ok(None) };
        *at = end;
        if first & 0x80 == 0 {
            return Ok(Some(Literal::Plain(start, end)));
        }
        let scratch = &mut self.scratch[scratch];
        scratch.clear();
        if self::huffman::decode(text, scratch) {
            Ok(Some(Literal::Coded))
        } else {
            Err(Fault::Malformed)
        }
    }
}

/// What can be told of a block without the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// It has a pseudo-header field of requests.
    pub(super) request: bool,
    /// It has the pseudo-header field of responses.
    pub(super) status: bool,
}

/// Looks at a whole block without reading it; `None` when it is none, or empty.
pub(super) fn shape(block: &[u8]) -> Option<Shape> {
    let (mut shape, mut at) = (Shape::default(), 0);
    let mut fields = 0;
    while let Some(&first) = block.get(at) {
        let rest = &block[at..];
        let bits = match first {
            0x80.. => 7,
            0x40..=0x7f => 6,
            0x20..=0x3f => 5,
            _ => 4,
        };
        let (index, used) = integer::read(rest, bits).ok()??;
        at += used;
        if bits == 5 {
            continue;
        }
        if bits != 7 {
            for part in if index == 0 { 0 } else { 1 }..2 {
                let (length, used) = integer::read(block.get(at..)?, 7).ok()??;
                let text = block.get(at + used..at + used + length as usize)?;
                at += used + length as usize;
                if part == 0 {
                    // As it stands; a coded one is not looked at.
                    shape.request |= matches!(text, b":method" | b":path" | b":scheme");
                    shape.status |= text == b":status";
                }
            }
        } else if index == 0 {
            return None;
        }
        fields += 1;
        shape.request |= matches!(index, 1..=7);
        shape.status |= matches!(index, 8..=14);
    }
    (at == block.len() && fields != 0).then_some(shape)
}
