//! What would happen to a packet, and why.

use std::net::IpAddr;

use filter_common::packet::tcp_flags;
use serde::{Deserialize, Serialize};

/// Bytes of a frame that can be explained: jumbo frames, not what segmentation offload puts together.
pub const MAX_FRAME: usize = 16 * 1024;

/// A packet that does not exist: described by its addresses, or as the bytes of its frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExplainRequest {
    /// Source address; needed unless there is `packet`.
    pub src: Option<IpAddr>,
    /// Destination address, of the same family; needed unless there is `packet`.
    pub dst: Option<IpAddr>,
    /// `tcp`, `udp`, `icmp` (ICMPv6 between IPv6 addresses), or a protocol number; empty: `tcp`.
    pub proto: String,
    /// Source port; `None`: an ephemeral one.
    pub sport: Option<u16>,
    /// Destination port; needed for TCP and UDP.
    pub dport: Option<u16>,
    /// The interface it comes in by; `None`: the first one weir is attached to.
    pub interface: Option<String>,
    /// Length on the wire in bytes, from the Ethernet header on; `None`: the shortest, or that of
    /// `packet`.
    pub length: Option<u32>,
    /// TCP only: a segment of a connection that is there already, not the SYN that opens one.
    pub established: bool,
    /// TCP only: the flags it has, as [`parse_flags`] reads them; `None`: as `established` says.
    pub flags: Option<String>,
    /// The frame in hexadecimal digits, instead of all but `interface` and `length`: at most
    /// [`MAX_FRAME`] bytes from the Ethernet header on.
    pub packet: Option<String>,
}

/// The verdict on a packet, and how it came about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// `pass`, `drop` or `would_drop`.
    pub verdict: String,
    /// The name of the reason.
    pub reason: String,
    /// The reason in one sentence.
    #[serde(default)]
    pub reason_text: String,
    /// The packet in one line.
    #[serde(default)]
    pub packet: String,
    /// The API that claims the destination.
    pub api: Option<String>,
    /// The generation of the policy whose tables were asked.
    #[serde(default)]
    pub generation: u32,
    /// The interface it comes in by.
    #[serde(default)]
    pub interface: String,
    /// Kernel id of the program that judges there.
    #[serde(default)]
    pub program: u32,
    /// The headers of a frame, from the outermost on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Layer>,
    /// What each stage found, in the order of the packet path; the last one decided.
    pub steps: Vec<Step>,
    /// What makes the answer worth less, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A header of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Which: `ethernet`, `vlan`, `ipv4`, `ipv6`, `extension`, `tcp`, `udp`, `icmp`, `payload` …
    pub name: String,
    /// Where it begins, in bytes from the start of the frame.
    pub offset: usize,
    /// What it says, for a person.
    pub text: String,
}

/// What one stage found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The stage: `parse`, `source`, `api`, `trusted`, `ban`, `fragment`, `unclaimed`, `orders`,
    /// `rule`, `limit`, `verdict`.
    pub stage: String,
    /// What it found, for a person.
    pub finding: String,
    /// Where the policy says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// How a limit stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitState>,
}

/// How a limit stands, before the packet is charged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitState {
    /// `packets`, `bytes` or `connections`.
    pub measure: String,
    /// Whose budget it is: `source`, `group`, `api`, `overflow` (of sources for which there is no
    /// room), `order` (a tighter limit of the source that is ordered).
    pub whose: String,
    /// The rate, as in a policy.
    pub rate: String,
    /// What could be admitted at once with nothing spent.
    pub burst: u64,
    /// What could be admitted at once now.
    pub left: u64,
    /// Seconds until something is admitted again; 0 when it is now.
    pub wait_seconds: f64,
}

/// A place in the policy or in a file it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

/// TCP flags as they are written, in the order of the bits.
const FLAGS: [(&str, u8); 8] = [
    ("fin", tcp_flags::FIN),
    ("syn", tcp_flags::SYN),
    ("rst", tcp_flags::RST),
    ("psh", 0x08),
    ("ack", tcp_flags::ACK),
    ("urg", 0x20),
    ("ece", 0x40),
    ("cwr", 0x80),
];

/// Reads TCP flags: names with commas between them, or `none`.
///
/// # Errors
/// Which name is none of them.
pub fn parse_flags(text: &str) -> Result<u8, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(0);
    }
    text.split(',').try_fold(0, |bits, name| {
        let flag = FLAGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.trim()));
        let (_, bit) = flag.ok_or_else(|| {
            format!("`{name}` is not a TCP flag: write fin, syn, rst, psh, ack, urg, ece, cwr, with commas between them, or none")
        })?;
        Ok(bits | bit)
    })
}

/// TCP flags as [`parse_flags`] reads them.
pub fn show_flags(bits: u8) -> String {
    let set: Vec<_> =
        FLAGS.iter().filter(|(_, bit)| bits & bit != 0).map(|(name, _)| *name).collect();
    if set.is_empty() { "none".to_owned() } else { set.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_as_they_are_shown() {
        for (text, bits) in
            [("syn", 2), ("SYN,ack", 0x12), ("none", 0), ("cwr, ece, syn", 0xc2), ("fin,psh", 9)]
        {
            assert_eq!(parse_flags(text), Ok(bits), "{text}");
            assert_eq!(parse_flags(&show_flags(bits)), Ok(bits), "{text}");
        }
        for text in ["", "sin", "syn ack", "syn,"] {
            assert!(parse_flags(text).is_err(), "{text}");
        }
    }
}
