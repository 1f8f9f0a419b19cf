//! Capture files: pcap and pcapng, from the file to frames, and from a frame to what the packet
//! parser makes of it.
//!
//! Reading the formats is pcap-parser's; what time a stamp means, where a frame's network header
//! begins and what to do with a file that ends in the middle of a packet is decided here.

pub mod fragments;
pub mod hex;
mod link;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Read;

use pcap_parser::pcapng::{Block, InterfaceDescriptionBlock, OptionCode};
use pcap_parser::{PcapBlockOwned, PcapError, create_reader};

pub use self::link::Link;

/// Room for the largest block: packets of segmentation offload have up to 512 KiB.
const BUFFER: usize = 4 << 20;
/// Time stamps are in microseconds unless the interface says otherwise.
const MICROSECONDS: u64 = 1_000_000;
const NS: u64 = 1_000_000_000;

/// A captured frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When it was captured, ns since 1970; 0 when the file does not say.
    pub time: u64,
    /// What it begins with.
    pub link: Link,
    /// What was captured of it.
    pub data: &'a [u8],
    /// Bytes on the wire, at least those captured.
    pub wire_len: usize,
}

/// How a file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With its last packet.
    Whole,
    /// In the middle of a packet, as a capture does that was killed.
    Truncated,
}

/// Why a file cannot be read, or not on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaptureError {
    /// It is neither pcap nor pcapng.
    Format,
    /// It ends before its first packet could begin.
    Empty,
    /// Reading failed.
    Read,
    /// Frames begin with something that is not known here: the link type's number.
    Link(i32),
    /// A packet names an interface that the file has not described.
    Interface(u32),
    /// A block is broken; so many packets came before it.
    Broken(u64),
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => f.write_str("neither a pcap nor a pcapng file"),
            Self::Empty => f.write_str("ends before its first packet"),
            Self::Read => f.write_str("reading failed"),
            Self::Link(number) => write!(
                f,
                "its link type {number} cannot be read; those that can are {}: capture with one of \
                 them (tcpdump -y), or convert the file",
                Link::SUPPORTED
            ),
            Self::Interface(number) => {
                write!(f, "a packet is of interface {number}, which the file does not describe")
            }
            Self::Broken(packets) => write!(f, "broken after {packets} packets"),
        }
    }
}

impl std::error::Error for CaptureError {}

/// An interface of a pcapng section, or the one of a pcap file.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link: i32,
    /// Units of a stamp in a second.
    units: u64,
    /// Seconds to add.
    offset: i64,
    /// Longest capture; 0 for no limit.
    snap: u32,
}

impl Interface {
    fn described(block: &InterfaceDescriptionBlock<'_>, big_endian: bool) -> Self {
        let value = |code| {
            block
                .options
                .iter()
                .find(|option| option.code == code)
                .and_then(|option| option.as_bytes().ok())
        };
        let units = match value(OptionCode::IfTsresol) {
            // The first bit tells powers of two from powers of ten.
            Some(&[bits]) if bits & 0x80 != 0 => 1u64.checked_shl(u32::from(bits & 0x7f)),
            Some(&[digits]) => 10u64.checked_pow(u32::from(digits)),
            _ => Some(MICROSECONDS),
        };
        let offset =
            value(OptionCode::IfTsoffset).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        let read = if big_endian { i64::from_be_bytes } else { i64::from_le_bytes };
        Self {
            link: block.linktype.0,
            units: units.unwrap_or(MICROSECONDS),
            offset: offset.map_or(0, read),
            snap: block.snaplen,
        }
    }

    /// A stamp in ns since 1970.
    fn time(&self, stamp: u64) -> u64 {
        let units = u128::from(self.units);
        let ns = u128::from(stamp) * u128::from(NS) / units.max(1);
        let ns = i128::try_from(ns).unwrap_or(i128::MAX);
        let ns = ns.saturating_add(i128::from(self.offset) * i128::from(NS));
        u64::try_from(ns.max(0)).unwrap_or(u64::MAX)
    }

    fn frame<'a>(
        &self,
        time: u64,
        data: &'a [u8],
        wire_len: u32,
    ) -> Result<Frame<'a>, CaptureError> {
        let link = Link::from_number(self.link).ok_or(CaptureError::Link(self.link))?;
        Ok(Frame { time, link, data, wire_len: data.len().max(wire_len as usize) })
    }
}

/// What a file has said so far of its packets.
#[derive(Default)]
struct Section {
    interfaces: Vec<Interface>,
    big_endian: bool,
}

impl Section {
    fn interface(&self, number: u32) -> Result<&Interface, CaptureError> {
        self.interfaces.get(number as usize).ok_or(CaptureError::Interface(number))
    }

    /// The frame in a block, if it is one that carries a frame.
    fn block<'a>(
        &mut self,
        block: &'a PcapBlockOwned<'_>,
    ) -> Result<Option<Frame<'a>>, CaptureError> {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                let units = if header.is_nanosecond_precision() { NS } else { MICROSECONDS };
                // The upper half says how long a frame check sequence is.
                let link = header.network.0 & 0xffff;
                self.interfaces = vec![Interface { link, units, offset: 0, snap: 0 }];
                self.interface(0)?.frame(0, &[], 0)?;
                Ok(None)
            }
            PcapBlockOwned::Legacy(packet) => {
                let interface = self.interface(0)?;
                let fraction = u64::from(packet.ts_usec) * (NS / interface.units);
                let time = (u64::from(packet.ts_sec) * NS).saturating_add(fraction);
                interface.frame(time, packet.data, packet.origlen).map(Some)
            }
            PcapBlockOwned::NG(Block::SectionHeader(header)) => {
                *self = Self { interfaces: Vec::new(), big_endian: header.big_endian() };
                Ok(None)
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(block)) => {
                self.interfaces.push(Interface::described(block, self.big_endian));
                Ok(None)
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                let interface = self.interface(packet.if_id)?;
                let stamp = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                // The block pads the data to four bytes.
                let data = packet.data.get(..packet.caplen as usize).unwrap_or(packet.data);
                interface.frame(interface.time(stamp), data, packet.origlen).map(Some)
            }
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                let interface = self.interface(0)?;
                let snap = if interface.snap == 0 { u32::MAX } else { interface.snap };
                let captured = packet.origlen.min(snap) as usize;
                let data = packet.data.get(..captured).unwrap_or(packet.data);
                interface.frame(0, data, packet.origlen).map(Some)
            }
            PcapBlockOwned::NG(_) => Ok(None),
        }
    }
}

/// Reads a capture and calls `take` with every frame, in the order of the file. `take` ends the
/// reading by returning false.
///
/// # Errors
/// When the file is no capture, of a link type that is not known, or broken. What came before a
/// broken block was handed out.
pub fn read<R: Read + Send>(
    source: R,
    mut take: impl FnMut(Frame<'_>) -> bool,
) -> Result<End, CaptureError> {
    let mut reader = create_reader(BUFFER, Patient(source)).map_err(|error| match error {
        PcapError::Eof | PcapError::Incomplete(_) | PcapError::UnexpectedEof => CaptureError::Empty,
        PcapError::ReadError => CaptureError::Read,
        _ => CaptureError::Format,
    })?;
    let mut section = Section::default();
    let mut packets = 0;
    loop {
        let used = match reader.next() {
            Ok((used, block)) => {
                if let Some(frame) = section.block(&block)? {
                    packets += 1;
                    if !take(frame) {
                        return Ok(End::Whole);
                    }
                }
                used
            }
            Err(PcapError::Eof) => return Ok(End::Whole),
            Err(PcapError::UnexpectedEof) => return Ok(End::Truncated),
            Err(PcapError::Incomplete(_)) => {
                let before = reader.data().len();
                reader.refill().map_err(|_| CaptureError::Read)?;
                if reader.data().len() == before && !reader.reader_exhausted() {
                    return Err(CaptureError::Broken(packets));
                }
                continue;
            }
            Err(PcapError::ReadError) => return Err(CaptureError::Read),

            Err(_) => return Err(CaptureError::Broken(packets)),
        };
        reader.consume(used);
    }
}

/// Fills a buffer as far as it goes: the reader takes its first bytes for all of a file's head.
struct Patient<R>(R);

impl<R: Read> Read for Patient<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}
