//! Why a packet passed or was dropped. Every decision has exactly one reason; each is a counter.
//!
//! The numbers are append-only: a retired reason keeps its number, and a new one takes the next.

/// Room for reasons in the counter tables.
pub const REASONS: u32 = 64;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $number:literal $variant:ident $name:literal $verdict:ident;)+) => {
        /// Why a packet got its verdict.
        #[repr(u8)]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Reason { $($(#[doc = $doc])+ $variant = $number,)+ }

        impl Reason {
            /// Every reason, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The reason of this number; `None` for a number this version does not know.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }

            /// The name in metrics, events and output.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// One sentence for a person.
            pub const fn describe(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc,)+),)+ }
            }

            /// What happens to a packet with this reason, outside monitor mode.
            #[inline(always)]
            pub const fn verdict(self) -> Verdict {
                match self { $(Self::$variant => Verdict::$verdict,)+ }
            }
        }
    };
}

/// What happens to a packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// It goes on to the host.
    Pass,
    /// It ends here.
    Drop,
}

reasons! {
    /// An API's rule admits the source.
    0 Allowed "allowed" Pass;
    /// No API listens on the destination, and unclaimed traffic passes.
    1 Unclaimed "unclaimed" Pass;
    /// The source is trusted.
    2 Trusted "trusted" Pass;
    /// Not IPv4 or IPv6: ARP, LLDP and the like always pass.
    3 NotIp "not_ip" Pass;
    /// Neighbour discovery or path-MTU discovery, which always passes.
    4 Essential "essential" Pass;
    /// A later fragment: it has no ports, and is useless without its first one, which is judged.
    5 Fragment "fragment" Pass;
    /// A UDP packet that answers one this host sent, or DHCP.
    6 Reply "reply" Pass;
    /// It could not be read to its end, and the policy lets such packets pass.
    7 Unjudged "unjudged" Pass;
    /// The source, or a network around it, is banned.
    8 Banned "banned" Drop;
    /// The source is in a group the API denies.
    9 Denied "denied" Drop;
    /// The source is in none of the groups the API allows.
    10 NotAllowed "not_allowed" Drop;
    /// No API listens on the destination, and unclaimed traffic is refused.
    11 UnclaimedRefused "unclaimed_refused" Drop;
    /// The API is shut down.
    12 Shutdown "shutdown" Drop;
    /// The API is locked down to a group the source is not in.
    13 Lockdown "lockdown" Drop;
    /// Over the packet limit of its source or group.
    16 LimitPackets "limit_packets" Drop;
    /// Over the byte limit of its source or group.
    17 LimitBytes "limit_bytes" Drop;
    /// Over the new-connection limit of its source or group.
    18 LimitConnections "limit_connections" Drop;
    /// Over the packet limit of the API as a whole.
    19 TotalPackets "total_packets" Drop;
    /// Over the byte limit of the API as a whole.
    20 TotalBytes "total_bytes" Drop;
    /// Over the new-connection limit of the API as a whole.
    21 TotalConnections "total_connections" Drop;
    /// The limiter has no room for this source, and the API's overflow budget is spent or refuses.
    22 LimitOverflow "limit_overflow" Drop;
    /// Ends inside the Ethernet, VLAN or IP header.
    32 Truncated "truncated" Drop;
    /// More than two VLAN tags.
    33 VlanDepth "vlan_depth" Drop;
    /// An IP header whose version, header length or total length cannot be.
    34 BadIp "bad_ip" Drop;
    /// A TCP, UDP or ICMP header that is cut, or whose length cannot be.
    35 BadTransport "bad_transport" Drop;
    /// More IPv6 extension headers than are looked at.
    36 ExtensionDepth "extension_depth" Drop;
    /// A fragment made to hide ports: a first one without them, or one that overlays them (RFC 1858).
    37 EvilFragment "evil_fragment" Drop;
    /// An IPv6 packet with an IPv4-mapped source, which no host sends (RFC 4942, 2.2).
    38 MappedSource "mapped_source" Drop;
    /// It has VLAN tags, which the policy refuses.
    39 VlanTag "vlan_tag" Drop;
    /// It has IPv4 options, which the policy refuses.
    40 Ipv4Options "ipv4_options" Drop;
    /// The sender chose its route: an IPv4 source route, or an IPv6 routing header of type 0.
    41 SourceRoute "source_route" Drop;
    /// It has IPv6 extension headers, which the policy refuses.
    42 Ipv6Extensions "ipv6_extensions" Drop;
    /// The first fragment of a datagram, which the policy refuses.
    43 FirstFragment "first_fragment" Drop;
    /// A later fragment of a datagram, which the policy refuses.
    44 LaterFragment "later_fragment" Drop;
    /// TCP flags that no TCP sends together: none at all, SYN with FIN, and the like.
    45 TcpFlags "tcp_flags" Drop;
    /// A loopback address as the source, on another interface than the loopback's.
    46 LoopbackSource "loopback_source" Drop;
    /// A multicast or broadcast address as the source.
    47 MulticastSource "multicast_source" Drop;
    /// An address of this host as the source, on another interface than the loopback's.
    48 OwnSource "own_source" Drop;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip_and_names_are_unique() {
        for (index, &reason) in Reason::ALL.iter().enumerate() {
            assert!((reason as u32) < REASONS);
            assert_eq!(Reason::from_number(reason as u8), Some(reason));
            for &other in &Reason::ALL[index + 1..] {
                assert!((reason as u8) < other as u8, "{reason:?} and {other:?} are out of order");
                assert_ne!(reason.name(), other.name());
            }
        }
        assert_eq!(Reason::from_number(63), None);
    }
}
