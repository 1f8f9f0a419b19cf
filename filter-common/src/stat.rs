//! Counters of the kernel half about itself, one 64-bit word a CPU each. Append-only, as reasons.

macro_rules! stats {
    ($($(#[doc = $doc:literal])+ $number:literal $variant:ident $name:literal;)+) => {
        /// A counter of the kernel half about itself.
        #[repr(u32)]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Stat { $($(#[doc = $doc])+ $variant = $number,)+ }

        impl Stat {
            /// Every counter, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in output.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

/// Room for counters in the table.
pub const STATS: u32 = 32;

stats! {
    /// Segments the sensor was to see: attempted = submitted + dropped + sampled out.
    0 Attempted "attempted";
    /// Segments that went into the ring.
    1 Submitted "submitted";
    /// Segments for which the ring had no room, or whose bytes could not be read.
    2 Dropped "dropped";
    /// Segments of flows that are not in the sample.
    3 SampledOut "sampled_out";
    /// Notices of refusals that went into the ring.
    4 NoticeSubmitted "notice_submitted";
    /// Notices for which the ring had no room.
    5 NoticeDropped "notice_dropped";
    /// Refusals that gave no notice: the source had one in this window, or the budget was spent.
    6 NoticeSuppressed "notice_suppressed";
    /// Limiter ways taken that nobody had.
    8 LimiterClaimed "limiter_claimed";
    /// Limiter ways taken from idle sources.
    9 LimiterEvicted "limiter_evicted";
    /// Look-ups that found every way of their cell in use.
    10 LimiterFull "limiter_full";
    /// Charges made without a check because of contention.
    11 LimiterContended "limiter_contended";
    /// Ban bits that were set for another source.
    12 BanBitShared "ban_bit_shared";
    /// Packets leaving the host that came in through another gated interface, counted there.
    13 EgressForwarded "egress_forwarded";
    /// Packets leaving the host that the parser does not follow.
    14 EgressUnparsed "egress_unparsed";
    /// Table cells that were not there: a bug, and never a pass by accident.
    15 MissingCell "missing_cell";
    /// UDP flows sent on that made room for another before their answer was out of time.
    16 SeenEvicted "seen_evicted";
}
