//! Kinds of packets that a host may not want whatever they are for: what each is called in a policy,
//! what becomes of it unless the policy says otherwise, and under which reason it is counted.
//!
//! The parser and the verdict tell the kinds apart; what a policy says of them travels as two masks,
//! see [`crate::tables::Config`].

use crate::reason::Reason;

/// What becomes of packets of a kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Treatment {
    /// They are judged like all others; what cannot be read goes on unjudged.
    Pass,
    /// They are judged like all others, and counted as a would-drop when they pass.
    Monitor,
    /// They are dropped.
    Drop,
}

macro_rules! oddities {
    ($($(#[doc = $doc:literal])+ $number:literal $variant:ident $key:literal $default:ident $reason:ident;)+) => {
        /// A kind of packets. The number is that of its bit in masks.
        #[repr(u8)]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Oddity { $($(#[doc = $doc])+ $variant = $number,)+ }

        impl Oddity {
            /// Every kind, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The key under `[packets]` in a policy.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$variant => $key,)+ }
            }

            /// What becomes of it unless the policy says otherwise.
            pub const fn default_treatment(self) -> Treatment {
                match self { $(Self::$variant => Treatment::$default,)+ }
            }

            /// Why it is dropped, or would be.
            #[inline(always)]
            pub const fn reason(self) -> Reason {
                match self { $(Self::$variant => Reason::$reason,)+ }
            }

            /// The kind that a reason is about; `None` for reasons that are not about one.
            #[inline(always)]
            pub const fn of(reason: Reason) -> Option<Self> {
                match reason { $(Reason::$reason => Some(Self::$variant),)+ _ => None }
            }
        }

        /// The reason of the first kind in a mask; `None` when there is none.
        #[inline(always)]
        pub const fn first_reason(kinds: u32) -> Option<Reason> {
            $(if kinds & Oddity::$variant.bit() != 0 { return Some(Reason::$reason); })+
            None
        }
    };
}

oddities! {
    /// One or two VLAN tags (IEEE 802.1Q, 802.1ad).
    0 VlanTags "vlan_tags" Pass VlanTag;
    /// More than two VLAN tags, behind which is not looked.
    1 VlanDepth "vlan_depth" Drop VlanDepth;
    /// An IPv4 header with options (RFC 791, 3.1).
    2 Ipv4Options "ipv4_options" Pass Ipv4Options;
    /// A route chosen by the sender: IPv4's loose or strict source route (RFC 791, 3.1), or IPv6's
    /// routing header of type 0 with hops left (RFC 5095).
    3 SourceRoutes "source_routes" Drop SourceRoute;
    /// IPv6 extension headers other than a fragment's, before anything but ICMPv6: multicast
    /// listener reports, on which neighbour discovery rests, always have one (RFC 3810, 5).
    4 Ipv6Extensions "ipv6_extensions" Pass Ipv6Extensions;
    /// More IPv6 extension headers than are looked at.
    5 ExtensionDepth "extension_depth" Drop ExtensionDepth;
    /// The first fragment of a datagram, which has the ports.
    6 FirstFragments "first_fragments" Pass FirstFragment;
    /// A later fragment, which has none.
    7 LaterFragments "later_fragments" Pass LaterFragment;
    /// A fragment made to hide ports (RFC 1858, 3).
    8 EvilFragments "evil_fragments" Drop EvilFragment;
    /// A frame that ends inside its Ethernet, VLAN or IP header.
    9 Truncated "truncated" Drop Truncated;
    /// An IP header that lies about its version or a length.
    10 BadIp "bad_ip" Drop BadIp;
    /// A TCP, UDP or ICMP header that is cut or lies about a length.
    11 BadTransport "bad_transport" Drop BadTransport;
    /// TCP flags that no TCP sends together, see [`crate::packet::tcp_flags::never_sent`].
    12 TcpFlags "tcp_flags" Drop TcpFlags;
    /// An IPv6 packet with an IPv4-mapped source (RFC 4942, 2.2).
    13 MappedSources "mapped_sources" Drop MappedSource;
    /// A loopback address as the source, on an interface that is not the loopback's (RFC 1122,
    /// 3.2.1.3; RFC 4291, 2.5.3).
    14 LoopbackSources "loopback_sources" Drop LoopbackSource;
    /// A multicast or broadcast address as the source (RFC 1122, 3.2.1.3; RFC 4291, 2.7), on an
    /// interface that is not the loopback's.
    15 MulticastSources "multicast_sources" Drop MulticastSource;
    /// An address of this host as the source, on an interface that is not the loopback's.
    16 OwnSources "own_sources" Drop OwnSource;
}

/// Kinds there can be in a mask.
pub const ODDITIES: usize = 32;

/// Kinds that the source address alone tells.
pub const SOURCES: u32 = MARTIANS | Oddity::MappedSources.bit();
/// Those of [`SOURCES`] that are right on the loopback interface.
pub const MARTIANS: u32 =
    Oddity::LoopbackSources.bit() | Oddity::MulticastSources.bit() | Oddity::OwnSources.bit();

impl Oddity {
    /// Its bit in masks.
    #[inline(always)]
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Whether such packets cannot be read to their end, so that what lets them pass lets them
    /// pass unjudged.
    pub const fn is_unreadable(self) -> bool {
        matches!(
            self,
            Self::VlanDepth
                | Self::ExtensionDepth
                | Self::EvilFragments
                | Self::Truncated
                | Self::BadIp
                | Self::BadTransport
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Verdict;

    #[test]
    fn each_kind_has_a_key_and_a_reason_of_its_own() {
        for (index, &kind) in Oddity::ALL.iter().enumerate() {
            assert!((kind as usize) < ODDITIES);
            assert_eq!(Oddity::of(kind.reason()), Some(kind));
            assert_eq!(kind.reason().verdict(), Verdict::Drop, "{kind:?}");
            for &other in &Oddity::ALL[index + 1..] {
                assert!((kind as u8) < other as u8, "{kind:?} and {other:?} are out of order");
                assert_ne!(kind.key(), other.key());
            }
            assert_eq!(first_reason(kind.bit() | 1 << 31), Some(kind.reason()));
        }
        assert_eq!(first_reason(0), None);
        assert_eq!(Oddity::of(Reason::Allowed), None);
    }
}
