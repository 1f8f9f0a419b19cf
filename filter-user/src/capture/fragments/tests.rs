use super::{Counts, Datagram, MAX_BYTES, PATIENCE, Reassembly, TIMEOUT};
use crate::capture::{Frame, Link};

const SECOND: u64 = 1_000_000_000;

/// A fragment of the datagram `id`: which bytes of its payload it holds, and whether more follow.
#[derive(Clone, Copy, Debug)]
struct Part {
    id: u16,
    start: usize,
    end: usize,
    more: bool,
    /// Added to each byte, to say otherwise than the others.
    twist: u8,
}

/// The bytes of any datagram here.
fn payload(from: usize, to: usize) -> Vec<u8> {
    (from..to).map(|at| (at * 7 + at / 256) as u8).collect()
}

fn part(start: usize, end: usize, more: bool) -> Part {
    Part { id: 1, start, end, more, twist: 0 }
}

fn twisted(part: Part) -> Part {
    Part { twist: 1, ..part }
}

fn v4(part: Part) -> Vec<u8> {
    // Four bytes of options: they are in each fragment.
    let mut packet = vec![0x46, 0];
    packet.extend((24 + (part.end - part.start) as u16).to_be_bytes());
    packet.extend(part.id.to_be_bytes());
    let place = (part.start / 8) as u16 | if part.more { 0x2000 } else { 0 };
    packet.extend(place.to_be_bytes());
    packet.extend([64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, 1, 1, 0]);
    packet.extend(payload(part.start, part.end).iter().map(|byte| byte.wrapping_add(part.twist)));
    packet
}

/// The header of a whole datagram of `v4`.
fn whole_v4(length: usize) -> Vec<u8> {
    let mut packet = v4(part(0, length, false));
    packet[6..8].fill(0);
    packet
}

const HOP_BY_HOP: [u8; 8] = [44, 0, 5, 2, 0, 0, 1, 0];

fn v6(part: Part) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(16_u16.wrapping_add((part.end - part.start) as u16).to_be_bytes());
    packet.extend([0, 64]);
    packet.extend([0x20; 16]);
    packet.extend([0x21; 16]);
    packet.extend(HOP_BY_HOP);
    packet.extend([17, 0]);
    packet.extend((part.start as u16 & !7 | u16::from(part.more)).to_be_bytes());
    packet.extend(u32::from(part.id).to_be_bytes());
    packet.extend(payload(part.start, part.end).iter().map(|byte| byte.wrapping_add(part.twist)));
    packet
}

fn whole_v6(length: usize) -> Vec<u8> {
    let mut packet = v6(part(0, length, false));
    packet.drain(48..56);
    packet[4..6].copy_from_slice(&(8 + length as u16).to_be_bytes());
    packet[40] = 17;
    packet
}

fn push(to: &mut Reassembly<usize>, time: u64, data: &[u8], note: usize) -> Vec<Datagram<usize>> {
    let mut out = Vec::new();
    let frame = Frame { time, link: Link::Raw, data, wire_len: data.len() };
    to.push(&frame, note, &mut |datagram| out.push(datagram));
    out
}

#[test]
fn fragments_become_datagrams() {
    let none = Counts::default();
    let whole = Counts { reassembled: 1, ..none };
    let overlapping = Counts { overlapping: 1, ..none };
    let rows: &[(&str, &[Part], Counts, Counts)] = &[
        ("in order", &[part(0, 16, true), part(16, 21, false)], whole, whole),
        ("the last first", &[part(16, 21, false), part(0, 16, true)], whole, whole),
        (
            "the middle last",
            &[part(0, 8, true), part(16, 24, false), part(8, 16, true)],
            whole,
            whole,
        ),
        (
            "a duplicate",
            &[part(0, 8, true), part(0, 8, true), part(8, 9, false)],
            Counts { duplicates: 1, ..whole },
            Counts { duplicates: 1, ..whole },
        ),
        (
            "a duplicate of what is whole",
            &[part(0, 8, true), part(8, 9, false), part(0, 8, true)],
            Counts { duplicates: 1, ..whole },
            Counts { duplicates: 1, ..whole },
        ),
        (
            "an overlap that says the same",
            &[part(0, 16, true), part(8, 24, true), part(24, 25, false)],
            whole,
            overlapping,
        ),
        (
            "one across two that are there, and the gap between",
            &[part(0, 8, true), part(16, 24, true), part(0, 32, true), part(32, 40, false)],
            whole,
            overlapping,
        ),
        (
            "an overlap that says otherwise",
            &[part(0, 16, true), twisted(part(8, 24, true)), part(24, 25, false)],
            overlapping,
            overlapping,
        ),
        (
            "a duplicate that says otherwise, and what comes behind",
            &[part(0, 8, true), twisted(part(0, 8, true)), part(0, 8, true), part(8, 9, false)],
            overlapping,
            overlapping,
        ),
        (
            "two ends",
            &[part(8, 16, false), part(16, 24, false), part(0, 8, true)],
            overlapping,
            overlapping,
        ),
        (
            "an end before what is there",
            &[part(16, 24, true), part(8, 16, false), part(0, 8, true)],
            overlapping,
            overlapping,
        ),
        (
            "beyond the end",
            &[part(8, 16, false), part(16, 24, true), part(0, 8, true)],
            overlapping,
            overlapping,
        ),
        (
            "not the last, and no multiple of eight",
            &[part(0, 9, true)],
            Counts { malformed: 1, ..none },
            Counts { malformed: 1, ..none },
        ),
        (
            "without a byte",
            &[part(0, 8, true), part(8, 8, false)],
            Counts { malformed: 1, incomplete: 1, ..none },
            Counts { malformed: 1, incomplete: 1, ..none },
        ),
        (
            "longer than a datagram can be",
            &[part(0, 65_488, true), part(65_488, 65_536, false)],
            Counts { oversize: 1, ..none },
            Counts { oversize: 1, ..none },
        ),
        (
            "the longest of IPv6",
            &[part(0, 65_480, true), part(65_480, 65_527, false)],
            Counts { oversize: 1, ..none },
            whole,
        ),
    ];
    for (what, parts, of_v4, of_v6) in rows {
        for (is_v4, expected) in [(true, of_v4), (false, of_v6)] {
            let mut fragments = Reassembly::default();
            let mut told = Vec::new();
            for (place, part) in parts.iter().enumerate() {
                let data = if is_v4 { v4(*part) } else { v6(*part) };
                told.extend(push(&mut fragments, place as u64, &data, part.start));
            }
            fragments.finish(&mut |datagram| told.push(datagram));
            assert_eq!(fragments.counts(), expected, "{what}, IPv4: {is_v4}");
            assert_eq!((fragments.held, fragments.pending.len()), (0, 0), "{what}");
            let whole: Vec<_> = told.iter().filter(|datagram| datagram.whole).collect();
            assert_eq!(whole.len() as u64, expected.reassembled, "{what}");
            for datagram in whole {
                let length = parts.iter().map(|part| part.end).max().unwrap();
                let data = if is_v4 { whole_v4(length) } else { whole_v6(length) };
                assert!(datagram.data == data, "{what}, IPv4: {is_v4}");
                assert_eq!((datagram.wire_len, datagram.note), (data.len(), 0), "{what}");
            }
        }
    }
}

#[test]
fn other_datagrams_are_other_datagrams() {
    let mut fragments = Reassembly::default();
    let first = v4(part(0, 8, true));
    assert_eq!(push(&mut fragments, 0, &first, 0), []);
    let mut others = vec![v4(Part { id: 2, ..part(8, 9, false) }), v6(part(8, 9, false))];
    // Another protocol, source, destination.
    for place in [9, 15, 19] {
        let mut other = v4(part(8, 9, false));
        other[place] ^= 1;
        others.push(other);
    }
    for other in &others {
        assert_eq!(push(&mut fragments, 0, other, 0), [], "{other:x?}");
    }
    assert_eq!(push(&mut fragments, 0, &v4(part(8, 9, false)), 0).len(), 1);
}

#[test]
fn what_was_cut_is_known_as_missing() {
    let mut fragments = Reassembly::default();
    let (first, last) = (v4(part(0, 800, true)), v4(part(800, 1000, false)));
    let mut told = Vec::new();
    for (data, wire_len) in [(&first[..124], first.len()), (&last[..124], last.len())] {
        let frame = Frame { time: 7, link: Link::Raw, data, wire_len };
        fragments.push(&frame, 3, &mut |datagram| told.push(datagram));
    }
    let [datagram] = &told[..] else { panic!("{told:?}") };
    assert_eq!(datagram.data[24..], payload(0, 100));
    assert_eq!(datagram.data[2..4], 1024_u16.to_be_bytes());
    assert_eq!((datagram.wire_len, datagram.fragments), (1024, 2));
    assert_eq!(datagram.frame_bytes, 2 * 24 + 1000);
}

#[test]
fn a_beginning_is_handed_out_and_the_rest_may_still_come() {
    let mut fragments = Reassembly::default();
    assert_eq!(push(&mut fragments, 0, &v4(part(0, 16, true)), 5), []);
    assert_eq!(push(&mut fragments, 1, &v4(part(24, 25, false)), 6), []);
    let mut told = Vec::new();
    fragments.tick(PATIENCE - 1, &mut |datagram| told.push(datagram));
    assert_eq!(told, []);
    fragments.tick(PATIENCE, &mut |datagram| told.push(datagram));
    let [beginning] = &told[..] else { panic!("{told:?}") };
    assert_eq!((beginning.whole, beginning.note, beginning.wire_len), (false, 5, 24 + 25));
    assert_eq!(beginning.data[24..], payload(0, 16));
    assert_eq!(beginning.data[6..8], [0x20, 0], "it says that more follows");
    let rest = push(&mut fragments, 3 * SECOND, &v4(part(16, 24, true)), 0);
    assert_eq!((rest.len(), rest[0].whole, rest[0].data == whole_v4(25)), (1, true, true));
    // Its number is free again at once.
    assert_eq!(push(&mut fragments, 4 * SECOND, &v4(part(0, 8, true)), 0), []);
    assert_eq!(push(&mut fragments, 4 * SECOND, &v4(part(8, 9, false)), 0).len(), 1);
    assert_eq!(fragments.counts(), &Counts { reassembled: 2, ..Counts::default() });

    // Of a datagram of IPv6 the fragment header stays, of one without a beginning there is nothing.
    let mut told = Vec::new();
    push(&mut fragments, 5 * SECOND, &v6(part(0, 8, true)), 0);
    push(&mut fragments, 5 * SECOND, &v6(Part { id: 9, ..part(8, 16, true) }), 0);
    fragments.tick(5 * SECOND + TIMEOUT, &mut |datagram| told.push(datagram));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].data, v6(part(0, 8, true)));
    assert_eq!(fragments.counts(), &Counts { reassembled: 2, incomplete: 2, ..Counts::default() });
    assert_eq!((fragments.held, fragments.pending.len()), (0, 0));
}

#[test]
fn time_ends_what_is_incomplete_or_dead() {
    for parts in [&[part(0, 8, true)][..], &[part(0, 8, true), twisted(part(0, 8, true))]] {
        let mut fragments = Reassembly::default();
        for part in parts {
            push(&mut fragments, 0, &v6(*part), 0);
        }
        // A minute later the number is another datagram's.
        let told = push(&mut fragments, TIMEOUT, &v6(part(0, 8, true)), 0);
        assert!(told.iter().all(|datagram| !datagram.whole), "{told:?}");
        let whole = push(&mut fragments, TIMEOUT, &v6(part(8, 9, false)), 0);
        assert_eq!((whole.len(), fragments.counts().reassembled), (1, 1), "{parts:?}");
        assert_eq!(fragments.counts().incomplete + fragments.counts().overlapping, 1);
    }
}

#[test]
fn memory_is_bounded_and_what_goes_is_counted() {
    let mut fragments = Reassembly { limit: 64 << 10, ..Reassembly::default() };
    let mut told = 0;
    for id in 0..200 {
        told += push(&mut fragments, 0, &v4(Part { id, ..part(0, 1000, true) }), 0).len();
        assert!(fragments.held <= fragments.limit, "{} bytes", fragments.held);
        let held: usize = fragments.pending.values().map(|pending| pending.footprint).sum();
        assert_eq!(fragments.held, held);
    }
    let gone = fragments.counts().no_room;
    assert_eq!(gone as usize, told, "each leaves its beginning");
    assert!((150..160).contains(&gone), "{gone} had to go");
    // Those that stayed get whole.
    for id in gone as u16..200 {
        push(&mut fragments, 0, &v4(Part { id, ..part(1000, 1001, false) }), 0);
    }
    assert_eq!(fragments.counts().reassembled, 200 - gone);
    // The queues do not grow with what is over.
    for round in 0..10_000 {
        let id = round as u16;
        push(&mut fragments, 0, &v4(Part { id, ..part(0, 8, true) }), 0);
    }
    assert!(fragments.young.len() < 1000, "{}", fragments.young.len());
    assert_eq!(Reassembly::<()>::default().limit, MAX_BYTES);
}

#[test]
fn any_cut_in_any_order_is_the_same_datagram() {
    let mut random = 1_u64;
    let mut below = |limit: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        ((random >> 33) as usize) % limit
    };
    for round in 0..500 {
        let length = 9 + below(4000);
        let mut cuts: Vec<usize> = (0..below(12)).map(|_| below(length.div_ceil(8)) * 8).collect();
        cuts.extend([0, length]);
        cuts.sort_unstable();
        cuts.dedup();
        let mut parts: Vec<Part> =
            cuts.windows(2).map(|ends| part(ends[0], ends[1], ends[1] != length)).collect();
        for place in (1..parts.len()).rev() {
            parts.swap(place, below(place + 1));
        }
        for (build, whole) in [(v4 as fn(Part) -> _, whole_v4(length)), (v6, whole_v6(length))] {
            let mut fragments = Reassembly::default();
            let told: Vec<_> =
                parts.iter().flat_map(|part| push(&mut fragments, 0, &build(*part), 0)).collect();
            let [datagram] = &told[..] else { panic!("round {round}: {parts:?}") };
            assert!(datagram.data == whole, "round {round}: {parts:?}");
            assert_eq!(datagram.fragments as usize, parts.len());
        }
    }
}

#[test]
fn frames_of_any_link_and_nonsense() {
    let whole = [v4(part(0, 8, true)), v4(part(8, 9, false))];
    for (link, head) in [
        (Link::Raw, vec![]),
        (Link::Loopback, vec![2, 0, 0, 0]),
        (Link::Ethernet, [&[0; 12][..], &[8, 0]].concat()),
        (Link::Ethernet, [&[0; 12][..], &[0x88, 0xa8, 0, 1, 0x81, 0, 0, 2, 8, 0]].concat()),
        (Link::Cooked, [&[0; 14][..], &[8, 0]].concat()),
        (Link::Cooked2, [&[8, 0][..], &[0; 18]].concat()),
    ] {
        let mut fragments = Reassembly::default();
        let mut told = Vec::new();
        for packet in &whole {
            // With padding behind, as Ethernet does.
            let data = [&head[..], packet, &[0; 20]].concat();
            let frame = Frame { time: 0, link, data: &data, wire_len: data.len() };
            fragments.push(&frame, (), &mut |datagram| told.push(datagram));
        }
        assert_eq!(told.len(), 1, "{link:?}");
        assert_eq!(told[0].data, whole_v4(9), "{link:?}");
    }
    for data in [v4(part(0, 8, true)), v6(part(0, 8, true))] {
        for length in 0..data.len() {
            let mut fragments = Reassembly::default();
            assert_eq!(push(&mut fragments, 0, &data[..length], 0), []);
        }
    }
}
