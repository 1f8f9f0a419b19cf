//! What would happen to a packet, and why.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A packet that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// Source address.
    pub src: IpAddr,
    /// Destination address, of the same family.
    pub dst: IpAddr,
    /// `tcp`, `udp`, `icmp` (ICMPv6 between IPv6 addresses), or a protocol number.
    pub proto: String,
    /// Source port; `None`: an ephemeral one.
    #[serde(default)]
    pub sport: Option<u16>,
    /// Destination port; needed for TCP and UDP.
    #[serde(default)]
    pub dport: Option<u16>,
    /// The interface it comes in by; `None`: the first one weir is attached to.
    #[serde(default)]
    pub interface: Option<String>,
    /// Length on the wire in bytes, from the Ethernet header on; `None`: the shortest.
    #[serde(default)]
    pub length: Option<u32>,
    /// TCP only: a segment of a connection that is there already, not the SYN that opens one.
    #[serde(default)]
    pub established: bool,
}

/// The verdict on a packet, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// `pass`, `drop` or `would_drop`.
    pub verdict: String,
    /// The name of the reason.
    pub reason: String,
    /// The reason in one sentence.
    #[serde(default)]
    pub reason_text: String,
    /// The API that claims the destination.
    pub api: Option<String>,
    /// The generation of the policy that was asked; 0: no policy.
    #[serde(default)]
    pub generation: u32,
    /// What each stage found, in order; the last one decided.
    pub steps: Vec<Step>,
}

/// What one stage found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The stage: `source`, `trusted`, `api`, `ban`, `override`, `rule`, `limit`, `verdict`.
    pub stage: String,
    /// What it found, for a person.
    pub finding: String,
    /// Where the policy says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// A place in the policy or in a file it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}
