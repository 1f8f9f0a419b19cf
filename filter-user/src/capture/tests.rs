use filter_common::addr::Addr;
use filter_common::bytes::Slice;
use filter_common::packet::Packet;
use filter_common::reason::Reason;

use super::{CaptureError, End, Link, read};

/// An IPv4 packet with a UDP datagram of one byte to port 53.
const V4: &[u8] = &[
    0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x30, 0x39, 0, 53, 0, 9, 0,
    0, b'x',
];

fn v6() -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 9, 17, 64];
    packet.extend_from_slice(&[0x20; 16]);
    packet.extend_from_slice(&[0x21; 16]);
    packet.extend_from_slice(&V4[20..]);
    packet
}

/// Numbers in one byte order.
#[derive(Clone, Copy)]
struct Order {
    big: bool,
}

impl Order {
    fn u16(self, value: u16) -> [u8; 2] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u32(self, value: u32) -> [u8; 4] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u64(self, value: u64) -> [u8; 8] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    /// A pcap file with these packets: seconds, fraction, captured bytes, length on the wire.
    fn pcap(self, magic: u32, link: u32, packets: &[(u32, u32, &[u8], u32)]) -> Vec<u8> {
        let mut file = self.u32(magic).to_vec();
        file.extend(self.u16(2));
        file.extend(self.u16(4));
        for word in [0, 0, 65_535, link] {
            file.extend(self.u32(word));
        }
        for &(seconds, fraction, data, length) in packets {
            for word in [seconds, fraction, data.len() as u32, length] {
                file.extend(self.u32(word));
            }
            file.extend_from_slice(data);
        }
        file
    }

    /// A pcapng block.
    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padded = body.len().next_multiple_of(4);
        let length = self.u32(padded as u32 + 12);
        let mut block = self.u32(kind).to_vec();
        block.extend(length);
        block.extend_from_slice(body);
        block.resize(8 + padded, 0);
        block.extend(length);
        block
    }

    fn section(self) -> Vec<u8> {
        let mut body = self.u32(0x1a2b_3c4d).to_vec();
        body.extend(self.u16(1));
        body.extend(self.u16(0));
        body.extend(self.u64(u64::MAX));
        self.block(0x0a0d_0d0a, &body)
    }

    /// An interface with options: code and value.
    fn interface(self, link: u16, snap: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = self.u16(link).to_vec();
        body.extend(self.u16(0));
        body.extend(self.u32(snap));
        for &(code, value) in options {
            body.extend(self.u16(code));
            body.extend(self.u16(value.len() as u16));
            body.extend_from_slice(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        if !options.is_empty() {
            body.extend([0; 4]);
        }
        self.block(1, &body)
    }

    fn enhanced(self, interface: u32, stamp: u64, data: &[u8], length: u32) -> Vec<u8> {
        let mut body = Vec::new();
        for word in [interface, (stamp >> 32) as u32, stamp as u32, data.len() as u32, length] {
            body.extend(self.u32(word));
        }
        body.extend_from_slice(data);
        self.block(6, &body)
    }

    fn simple(self, data: &[u8], length: u32) -> Vec<u8> {
        let mut body = self.u32(length).to_vec();
        body.extend_from_slice(data);
        self.block(3, &body)
    }
}

const LITTLE: Order = Order { big: false };
const BIG: Order = Order { big: true };

/// Time, captured bytes and length on the wire of each frame, and how the file ended.
type Frames = (Vec<(u64, usize, usize)>, Result<End, CaptureError>);

fn frames(file: &[u8]) -> Frames {
    let mut found = Vec::new();
    let end = read(file, |frame| {
        found.push((frame.time, frame.data.len(), frame.wire_len));
        true
    });
    (found, end)
}

#[test]
fn pcap() {
    for (what, order, magic, time) in [
        ("microseconds", LITTLE, 0xa1b2_c3d4, 7_000_005_000),
        ("microseconds, big-endian", BIG, 0xa1b2_c3d4, 7_000_005_000),
        ("nanoseconds", LITTLE, 0xa1b2_3c4d, 7_000_000_005),
        ("nanoseconds, big-endian", BIG, 0xa1b2_3c4d, 7_000_000_005),
    ] {
        let file = order.pcap(magic, 101, &[(7, 5, V4, 29), (7, 5, &V4[..20], 1500)]);
        let whole = vec![(time, 29, 29), (time, 20, 1500)];
        assert_eq!(frames(&file), (whole.clone(), Ok(End::Whole)), "{what}");
        // Cut anywhere in the last packet, the first is still there.
        for cut in 1..36 {
            let (found, end) = frames(&file[..file.len() - cut]);
            assert_eq!((found.as_slice(), end), (&whole[..1], Ok(End::Truncated)), "{what} {cut}");
        }
        assert_eq!(frames(&file[..file.len() - 36]), (whole[..1].to_vec(), Ok(End::Whole)));
    }
}

#[test]
fn pcapng() {
    for order in [LITTLE, BIG] {
        let mut file = order.section();
        file.extend(order.interface(101, 0, &[]));
        file.extend(order.interface(1, 0, &[(9, &[9]), (14, &order.u64(100))]));
        file.extend(order.interface(1, 0, &[(9, &[0x80 | 10])]));
        file.extend(order.enhanced(0, 7_000_005, V4, 29));
        file.extend(order.enhanced(1, 7_000_000_005, &V4[..21], 1500));
        file.extend(order.enhanced(2, 512, V4, 29));
        file.extend(order.block(0x0bad, b"not known"));
        file.extend(order.simple(V4, 29));
        // Another section, of its own interfaces.
        file.extend(order.section());
        file.extend(order.interface(101, 10, &[]));
        file.extend(order.simple(&V4[..10], 29));
        let expected = vec![
            (7_000_005_000, 29, 29),
            (107_000_000_005, 21, 1500),
            (500_000_000, 29, 29),
            (0, 29, 29),
            (0, 10, 29),
        ];
        assert_eq!(frames(&file), (expected.clone(), Ok(End::Whole)));
        let (found, end) = frames(&file[..file.len() - 3]);
        assert_eq!((found.as_slice(), end), (&expected[..4], Ok(End::Truncated)));
    }
}

#[test]
fn what_cannot_be_read() {
    let unknown = LITTLE.pcap(0xa1b2_c3d4, 105, &[]);
    let mut described = LITTLE.section();
    described.extend(LITTLE.enhanced(3, 0, V4, 29));
    let mut broken = LITTLE.section();
    broken.extend(LITTLE.interface(101, 0, &[]));
    broken.extend(LITTLE.enhanced(0, 0, V4, 29));
    // The length behind a block contradicts the one before it.
    let mut block = LITTLE.enhanced(0, 0, V4, 29);
    let last = block.len() - 4;
    block[last] ^= 0xff;
    broken.extend(block);
    broken.extend([0; 64]);
    let huge = LITTLE.pcap(0xa1b2_c3d4, 1, &[(0, 0, V4, 29)]);
    let huge = [&huge[..], &[0; 8], &[0xff; 8], &[0; 99]].concat();
    for (what, file, expected) in [
        ("empty", vec![], CaptureError::Empty),
        ("text", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), CaptureError::Format),
        ("half a header", LITTLE.pcap(0xa1b2_c3d4, 1, &[])[..10].to_vec(), CaptureError::Empty),
        ("link type", unknown, CaptureError::Link(105)),
        ("interface", described, CaptureError::Interface(3)),
        ("block", broken, CaptureError::Broken(1)),
        ("length", huge, CaptureError::Broken(1)),
    ] {
        let (_, end) = frames(&file);
        assert_eq!(end, Err(expected), "{what}");
    }
}

#[test]
fn ends_when_told() {
    let file = LITTLE.pcap(0xa1b2_c3d4, 101, &[(7, 5, V4, 29), (7, 5, V4, 29)]);
    let mut frames = 0;
    let end = read(&file[..], |_| {
        frames += 1;
        false
    });
    assert_eq!((frames, end), (1, Ok(End::Whole)));
}

#[test]
fn link_types() {
    let mac = [0u8; 12];
    let v6 = v6();
    let with = |head: &[&[u8]], packet: &[u8]| [&head.concat(), packet].concat();
    let sll = [0u8; 14];
    type Row = (&'static str, i32, Vec<u8>, Result<(), Reason>);
    let rows: &[Row] = &[
        ("ethernet", 1, with(&[&mac, &[8, 0]], V4), Ok(())),
        ("ethernet, IPv6", 1, with(&[&mac, &[0x86, 0xdd]], &v6), Ok(())),
        ("ARP", 1, with(&[&mac, &[8, 6]], V4), Err(Reason::NotIp)),
        ("null, little-endian", 0, with(&[&[2, 0, 0, 0]], V4), Ok(())),
        ("null, big-endian", 0, with(&[&[0, 0, 0, 30]], &v6), Ok(())),
        ("loop", 108, with(&[&[0, 0, 0, 2]], V4), Ok(())),
        ("loop, IPv6 of Linux", 108, with(&[&[0, 0, 0, 10]], &v6), Ok(())),
        ("loop, other", 108, with(&[&[0, 0, 0, 7]], V4), Err(Reason::NotIp)),
        ("raw", 101, V4.to_vec(), Ok(())),
        ("raw, IPv6", 12, v6.clone(), Ok(())),
        ("raw, other", 14, vec![0x10; 40], Err(Reason::BadIp)),
        ("raw, empty", 228, Vec::new(), Err(Reason::Truncated)),
        ("IPv6 only", 229, v6.clone(), Ok(())),
        ("cooked", 113, with(&[&sll, &[8, 0]], V4), Ok(())),
        ("cooked, tagged", 113, with(&[&sll, &[0x81, 0, 0, 5, 8, 0]], V4), Ok(())),
        ("cooked 2", 276, with(&[&[0x86, 0xdd], &[0; 18]], &v6), Ok(())),
        (
            "cooked 2, tagged twice",
            276,
            with(&[&[0x88, 0xa8], &[0; 18], &[0, 5, 0x81, 0, 0, 6, 8, 0]], V4),
            Ok(()),
        ),
        ("cooked 2, cut", 276, vec![0], Err(Reason::Truncated)),
    ];
    for (what, number, frame, expected) in rows {
        let mut packet = Packet::default();
        let link = Link::from_number(*number).unwrap();
        assert_eq!(link.parse(&Slice::whole(frame), &mut packet), *expected, "{what}");
        if expected.is_ok() {
            assert_eq!((packet.destination_port, packet.payload_len), (53, 1), "{what}");
            assert_eq!(packet.wire_len as usize, frame.len(), "{what}");
            assert_eq!(&frame[packet.payload_offset as usize..], b"x", "{what}");
            assert_eq!(packet.is_v4, packet.source == Addr::v4(0x0a00_0001), "{what}");
        }
    }
    assert_eq!(Link::from_number(105), None);
}
