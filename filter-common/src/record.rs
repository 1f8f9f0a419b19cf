//! What the kernel puts into the ring: a header, and for segments the first bytes of the payload.

use crate::addr::Addr;

/// Version of the records, in each of them.
pub const VERSION: u8 = 2;
/// Most payload bytes a record can carry.
pub const MAX_SNAP: u32 = 16 * 1024;

/// [`Header::kind`]: a segment of a sampled flow.
pub const SEGMENT: u8 = 1;
/// [`Header::kind`]: a packet was dropped, or would have been; the first of its source and reason in
/// this window.
pub const NOTICE: u8 = 2;

/// [`Header::flags`]: the packet left the host.
pub const EGRESS: u8 = 1 << 0;
/// [`Header::flags`]: the decision was not carried out (monitor mode).
pub const WOULD: u8 = 1 << 1;
/// [`Header::flags`]: the first fragment of a datagram; the payload goes on elsewhere.
pub const FRAGMENT: u8 = 1 << 2;
/// [`Header::flags`]: IPv4.
pub const V4: u8 = 1 << 3;

/// [`Header::flags`]: more of the segment that the record before began; it stands for no packet of
/// its own.
pub const CONTINUED: u8 = 1 << 4;

/// The head of every record; the payload's first `captured` bytes follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// CLOCK_MONOTONIC in ns; in a capture, the time since 1970.
    pub time: u64,
    /// Counts the records of a CPU, submitted or not: a gap is a loss.
    pub sequence: u64,
    /// Source address.
    pub source: Addr,
    /// Destination address.
    pub destination: Addr,
    /// TCP sequence number.
    pub tcp_seq: u32,
    /// TCP acknowledgement number.
    pub tcp_ack: u32,
    /// Transport payload on the wire.
    pub payload_len: u32,
    /// Payload bytes that follow; the rest, if any, was cut.
    pub captured: u32,
    /// Frame bytes on the wire.
    pub wire_len: u32,
    /// Stable id of the API, 0 for none.
    pub api: u32,
    /// Interface index.
    pub interface: u32,
    /// Generation of the policy that judged.
    pub generation: u32,
    /// How many flows this one stands for, times 2^16.
    pub weight: u32,
    /// CPU that wrote it.
    pub cpu: u32,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// TCP window, not scaled.
    pub tcp_window: u16,
    /// Packets on the wire this stands for (segmentation offload), at least 1; 0 when
    /// [`CONTINUED`].
    pub segments: u16,
    /// [`VERSION`].
    pub version: u8,
    /// [`SEGMENT`] or [`NOTICE`].
    pub kind: u8,
    /// Bits, see [`EGRESS`].
    pub flags: u8,
    /// Number of the [`crate::reason::Reason`].
    pub reason: u8,
    /// IP protocol.
    pub protocol: u8,
    /// TCP flags.
    pub tcp_flags: u8,
    /// Zero.
    pub reserved: [u8; 2],
}

/// Bytes of a header.
pub const HEADER_BYTES: usize = size_of::<Header>();

const _: () = assert!(HEADER_BYTES == 104 && align_of::<Header>() == 8);

impl Header {
    /// Writes all fields: what a packet says of itself, and zero for what the caller adds (when,
    /// where and why). In place, because the kernel's stack is small.
    #[inline(always)]
    pub fn fill(&mut self, packet: &crate::packet::Packet) {
        use crate::packet::Fragment;
        self.time = 0;
        self.sequence = 0;
        self.source = packet.source;
        self.destination = packet.destination;
        self.tcp_seq = packet.tcp_seq;
        self.tcp_ack = packet.tcp_ack;
        self.payload_len = packet.payload_len;
        self.captured = 0;
        self.wire_len = packet.wire_len;
        self.api = 0;
        self.interface = 0;
        self.generation = 0;
        self.weight = 1 << 16;
        self.cpu = 0;
        self.source_port = packet.source_port;
        self.destination_port = packet.destination_port;
        self.tcp_window = packet.tcp_window;
        self.segments = 1;
        self.version = VERSION;
        self.kind = SEGMENT;
        self.flags = if packet.is_v4 { V4 } else { 0 };
        if packet.fragment as u8 == Fragment::First as u8 {
            self.flags |= FRAGMENT;
        }
        self.reason = 0;
        self.protocol = packet.protocol;
        self.tcp_flags = packet.tcp_flags;
        self.reserved = [0; 2];
    }

    /// The header of a packet, see [`Self::fill`].
    pub fn of(packet: &crate::packet::Packet) -> Self {
        let mut header = Self::default();
        header.fill(packet);
        header
    }

    /// Reads a record: the header, and the payload bytes behind it.
    ///
    /// # Errors
    /// What is wrong with the record: too short, another version, a kind or length that cannot be.
    pub fn decode(record: &[u8]) -> Result<(Self, &[u8]), &'static str> {
        let Some((head, rest)) = record.split_at_checked(HEADER_BYTES) else {
            return Err("shorter than its header");
        };
        // SAFETY: `head` has the size of a header; every field accepts any bits, and there is no
        // padding (asserted by the sum of the fields above).
        let header = unsafe { head.as_ptr().cast::<Self>().read_unaligned() };
        if header.version != VERSION {
            return Err("of another version");
        }
        if !matches!(header.kind, SEGMENT | NOTICE) {
            return Err("of an unknown kind");
        }
        match rest.get(..header.captured as usize) {
            Some(payload) if header.captured <= header.payload_len => Ok((header, payload)),
            _ => Err("shorter than it says"),
        }
    }
}

/// Whether the sensor wants a packet: a TCP segment with payload, one that opens or ends a
/// connection, or one that says that its sender has no room; a UDP datagram with payload; not the pieces of a fragmented one.
#[inline(always)]
pub const fn wanted(packet: &crate::packet::Packet) -> bool {
    use crate::packet::{Fragment, protocol, tcp_flags};
    if packet.fragment as u8 == Fragment::Later as u8 {
        return false;
    }
    match packet.protocol {
        protocol::TCP => {
            packet.payload_len != 0
                || packet.tcp_flags & (tcp_flags::SYN | tcp_flags::FIN | tcp_flags::RST) != 0
                || packet.tcp_window == 0
        }
        protocol::UDP => packet.payload_len != 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(header: &Header) -> [u8; HEADER_BYTES] {
        // SAFETY: same size, no padding.
        unsafe { core::mem::transmute(*header) }
    }

    #[test]
    fn decodes_only_what_is_whole() {
        let good = Header {
            version: VERSION,
            kind: SEGMENT,
            payload_len: 10,
            captured: 4,
            ..Header::default()
        };
        let mut record = [0u8; HEADER_BYTES + 8];
        record[..HEADER_BYTES].copy_from_slice(&bytes_of(&good));
        record[HEADER_BYTES..].copy_from_slice(b"abcdpad!");
        assert_eq!(Header::decode(&record).unwrap(), (good, &b"abcd"[..]));
        for (what, header, length) in [
            ("cut header", good, HEADER_BYTES - 1),
            ("cut payload", good, HEADER_BYTES + 3),
            ("version", Header { version: 9, ..good }, HEADER_BYTES + 8),
            ("kind", Header { kind: 9, ..good }, HEADER_BYTES + 8),
            ("captured", Header { captured: 8, payload_len: 4, ..good }, HEADER_BYTES + 8),
        ] {
            record[..HEADER_BYTES].copy_from_slice(&bytes_of(&header));
            assert!(Header::decode(&record[..length]).is_err(), "{what}");
        }
    }
}
