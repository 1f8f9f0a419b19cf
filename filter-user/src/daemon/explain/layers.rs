//! The headers of a frame for people, as far as its bytes reach. What they mean to the verdict is the
//! packet parser's to say.

use std::net::{Ipv4Addr, Ipv6Addr};

use filter_common::packet::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, protocol};

use crate::control::api::{Layer, show_flags};

/// Tags and extension headers that are shown of each; the parser follows fewer.
const MOST: usize = 10;

/// The headers of a frame, from the Ethernet header on.
pub(super) fn of(frame: &[u8]) -> Vec<Layer> {
    let mut walk = Walk { frame, at: 0, layers: Vec::new() };
    let _cut = walk.ethernet();
    walk.layers
}

/// Goes from header to header; `None` where the frame ends too soon, which is told.
struct Walk<'f> {
    frame: &'f [u8],
    at: usize,
    layers: Vec<Layer>,
}

impl Walk<'_> {
    fn tell(&mut self, name: &str, text: String) {
        self.layers.push(Layer { name: name.to_owned(), offset: self.at, text });
    }

    /// The first `N` bytes of the header at hand.
    fn head<const N: usize>(&mut self, name: &str) -> Option<[u8; N]> {
        let rest = self.frame.get(self.at..).unwrap_or_default();
        if let Some(head) = rest.first_chunk::<N>() {
            return Some(*head);
        }
        self.tell(name, format!("cut off: {} of {N} bytes are here", rest.len()));
        None
    }

    fn rest(&self) -> usize {
        self.frame.len().saturating_sub(self.at)
    }

    fn ethernet(&mut self) -> Option<()> {
        let head: [u8; 14] = self.head("ethernet")?;
        let [to, from] = [0, 6].map(|at| {
            let octets = head[at..at + 6].iter().map(|octet| format!("{octet:02x}"));
            octets.collect::<Vec<_>>().join(":")
        });
        let mut kind = be16(&head, 12);
        self.tell("ethernet", format!("{from} → {to}, type {kind:#06x}"));
        self.at += 14;
        for _ in 0..MOST {
            if !matches!(kind, 0x8100 | 0x88a8 | 0x9100) {
                break;
            }
            let tag: [u8; 4] = self.head("vlan")?;
            let control = be16(&tag, 0);
            kind = be16(&tag, 2);
            self.tell(
                "vlan",
                format!("{}, priority {}, type {kind:#06x}", control & 0xfff, control >> 13),
            );
            self.at += 4;
        }
        match kind {
            ETHERTYPE_IPV4 => self.ipv4(),
            ETHERTYPE_IPV6 => self.ipv6(),
            _ => {
                self.payload();
                Some(())
            }
        }
    }

    fn ipv4(&mut self) -> Option<()> {
        let head: [u8; 20] = self.head("ipv4")?;
        let [from, to] =
            [12, 16].map(|at| Ipv4Addr::from([head[at], head[at + 1], head[at + 2], head[at + 3]]));
        let length = usize::from(head[0] & 15) * 4;
        let mut text = format!("{from} → {to}, protocol {}, ttl {}", head[9], head[8]);
        text += &self.says(usize::from(be16(&head, 2)), 0);
        if head[0] >> 4 != 4 || length < 20 {
            text += &format!(", but version {} and a header of {length} bytes", head[0] >> 4);
            self.tell("ipv4", text);
            return None;
        }
        if length > 20 {
            text += &format!(", {} bytes of options", length - 20);
        }
        let fragment = be16(&head, 6);
        let place = usize::from(fragment & 0x1fff) * 8;
        if fragment & 0x3fff != 0 {
            let more = if fragment & 0x2000 != 0 { ", more follow" } else { ", the last" };
            text += &format!(", fragment at {place}{more}");
        }
        self.tell("ipv4", text);
        self.at += length;
        if place == 0 {
            return self.transport(head[9]);
        }
        self.payload();
        Some(())
    }

    /// What a length field says, and how that fits what is here.
    fn says(&self, length: usize, header: usize) -> String {
        match self.rest().checked_sub(header) {
            Some(here) if here < length => format!(", {length} bytes of which {here} are here"),
            _ => format!(", {length} bytes"),
        }
    }

    fn ipv6(&mut self) -> Option<()> {
        let head: [u8; 40] = self.head("ipv6")?;
        let [from, to] = [8, 24].map(|at| {
            let octets = head[at..at + 16].iter();
            Ipv6Addr::from(octets.fold(0, |bits: u128, octet| bits << 8 | u128::from(*octet)))
        });
        let mut text = format!("{from} → {to}, next header {}, hop limit {}", head[6], head[7]);
        text += &self.says(usize::from(be16(&head, 4)), 40);
        let version = head[0] >> 4;
        if version != 6 {
            self.tell("ipv6", format!("{text}, but version {version}"));
            return None;
        }
        self.tell("ipv6", text);
        self.at += 40;
        let mut next = head[6];
        for _ in 0..MOST {
            let Some(name) = extension(next) else { return self.transport(next) };
            let head: [u8; 4] = self.head("extension")?;
            let units = usize::from(head[1]);
            let length = match next {
                44 => 8,
                51 => (units + 2) * 4,
                _ => (units + 1) * 8,
            };
            let place = if next == 44 { be16(&head, 2) } else { 0 };
            let fragment = match (next, place >> 3) {
                (44, 0) if place & 1 == 0 => ", of a whole packet".to_owned(),
                (44, units) => format!(" at {}", usize::from(units) * 8),
                _ => String::new(),
            };
            let text = format!("{name}{fragment}, {length} bytes, next header {}", head[0]);
            self.tell("extension", text);
            self.at += length;
            if place >> 3 != 0 {
                self.payload();
                return Some(());
            }
            next = head[0];
        }
        None
    }

    fn transport(&mut self, number: u8) -> Option<()> {
        match number {
            protocol::TCP => {
                let head: [u8; 20] = self.head("tcp")?;
                let flags = show_flags(head[13]).to_uppercase();
                let [seq, ack] = [4, 8]
                    .map(|at| u32::from(be16(&head, at)) << 16 | u32::from(be16(&head, at + 2)));
                let (from, to) = (be16(&head, 0), be16(&head, 2));
                let window = be16(&head, 14);
                let length = usize::from(head[12] >> 4) * 4;
                self.tell(
                    "tcp",
                    format!(
                        "{from} → {to}, {flags}, seq {seq}, ack {ack}, window {window}, header of \
                         {length} bytes"
                    ),
                );
                self.at += length.max(20);
            }
            protocol::UDP => {
                let head: [u8; 8] = self.head("udp")?;
                let (from, to) = (be16(&head, 0), be16(&head, 2));
                let length = self.says(usize::from(be16(&head, 4)), 0);
                self.tell("udp", format!("{from} → {to}{length}"));
                self.at += 8;
            }
            protocol::ICMP | protocol::ICMPV6 => {
                let head: [u8; 4] = self.head("icmp")?;
                self.tell("icmp", format!("type {}, code {}", head[0], head[1]));
                self.at += 4;
            }
            _ => {}
        }
        self.payload();
        Some(())
    }

    fn payload(&mut self) {
        let rest = self.rest();
        if rest > 0 {
            self.tell("payload", format!("{rest} bytes"));
        }
    }
}

fn be16<const N: usize>(head: &[u8; N], at: usize) -> u16 {
    let [high, low] = [at, at + 1].map(|at| head.get(at).copied().unwrap_or(0));
    u16::from_be_bytes([high, low])
}

/// The name of an extension header (RFC 8200, 4; RFC 4302).
const fn extension(number: u8) -> Option<&'static str> {
    match number {
        0 => Some("hop-by-hop options"),
        43 => Some("routing"),
        44 => Some("fragment"),
        51 => Some("authentication"),
        60 => Some("destination options"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_reach_as_far_as_the_bytes() {
        let frame: Vec<u8> = [
            &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0][..],
            &[0x20, 7, 8, 0],
            &[0x46, 0, 0, 46, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 1, 1, 1, 1],
            &[0x9c, 0x40, 0x1f, 0x90, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 1, 0, 0, 0, 0, 0],
            &[1, 2],
        ]
        .concat();
        let names = |bytes: &[u8]| -> Vec<String> {
            of(bytes).into_iter().map(|layer| format!("{}@{}", layer.name, layer.offset)).collect()
        };
        let all = ["ethernet@0", "vlan@14", "ipv4@18", "tcp@42", "payload@62"];
        assert_eq!(names(&frame), all);
        for (length, layers, last) in [
            (0, 1, "0 of 14 bytes"),
            (17, 2, "3 of 4 bytes"),
            (37, 3, "19 of 20 bytes"),
            (50, 4, "8 of 20 bytes"),
            (62, 4, "40000 → 8080, SYN, seq 1, ack 0, window 256, header of 20 bytes"),
            (64, 5, "2 bytes"),
        ] {
            let found = of(&frame[..length]);
            assert_eq!(found.len(), layers, "{length}: {found:?}");
            assert!(found[layers - 1].text.contains(last), "{length}: {found:?}");
        }
        let cut = &of(&frame[..62])[2];
        assert!(cut.text.contains("46 bytes of which 44 are here, 4 bytes of options"), "{cut:?}");
        // Every prefix of frames that lie is taken.
        for kind in [0x0800u16, 0x86dd, 0x88a8] {
            let mut bytes = vec![0xff; 12];
            bytes.extend(kind.to_be_bytes());
            for filler in [0u8, 0x2c, 0x45, 0x60, 0xff] {
                bytes.resize(14, 0);
                bytes.resize(200, filler);
                (0..200).for_each(|length| drop(of(&bytes[..length])));
            }
        }
    }
}
