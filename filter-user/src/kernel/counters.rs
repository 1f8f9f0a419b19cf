//! Reading the kernel's counters: exact, per API and reason, summed over the CPUs.

use aya::maps::{MapData, PerCpuArray};
use filter_common::reason::{Reason, Verdict};
use filter_common::stat::Stat;
use filter_common::tables::{Count, count_place};

use super::error::{Error, Result};

/// What one reason did to one API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Stable id of the API; 0 for unclaimed traffic.
    pub api: u32,
    /// Why.
    pub reason: Reason,
    /// The drop was not carried out (monitor mode).
    pub would: bool,
    /// Packets.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
}

impl Row {
    /// `pass`, `drop` or `would_drop`.
    pub fn verdict(&self) -> &'static str {
        match (self.reason.verdict(), self.would) {
            (Verdict::Pass, _) => "pass",
            (Verdict::Drop, false) => "drop",
            (Verdict::Drop, true) => "would_drop",
        }
    }
}

/// The kernel's counters.
pub struct Counters {
    counts: PerCpuArray<MapData, Count>,
    egress: PerCpuArray<MapData, Count>,
    stats: PerCpuArray<MapData, u64>,
}

impl Counters {
    pub(super) fn open(
        counts: PerCpuArray<MapData, Count>,
        egress: PerCpuArray<MapData, Count>,
        stats: PerCpuArray<MapData, u64>,
    ) -> Self {
        Self { counts, egress, stats }
    }

    /// Everything counted about an API, by reason; rows without packets are left out.
    ///
    /// # Errors
    /// When the kernel does not give it.
    pub fn of(&self, api: u32) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for &reason in Reason::ALL {
            for would in [false, true] {
                if would && reason.verdict() == Verdict::Pass {
                    continue;
                }
                let count = self.one(api, reason, would)?;
                if count.packets != 0 {
                    let Count { packets, bytes } = count;
                    rows.push(Row { api, reason, would, packets, bytes });
                }
            }
        }
        Ok(rows)
    }

    /// What one reason did to one API; `would` for drops that were not carried out.
    ///
    /// # Errors
    /// When the kernel does not give it.
    pub fn one(&self, api: u32, reason: Reason, would: bool) -> Result<Count> {
        sum(&self.counts, count_place(api, reason as u32, would))
    }

    /// Packets and bytes that an API sent.
    ///
    /// # Errors
    /// When the kernel does not give it.
    pub fn egress(&self, api: u32) -> Result<Count> {
        sum(&self.egress, api)
    }

    /// A counter of the programs about themselves.
    ///
    /// # Errors
    /// When the kernel does not give it.
    pub fn stat(&self, stat: Stat) -> Result<u64> {
        let values = self.stats.get(&(stat as u32), 0).map_err(unreadable)?;
        Ok(values.iter().sum())
    }
}

fn unreadable(cause: aya::maps::MapError) -> Error {
    Error::new("cannot read the kernel's counters").because(cause)
}

fn sum(table: &PerCpuArray<MapData, Count>, place: u32) -> Result<Count> {
    let values = table.get(&place, 0).map_err(unreadable)?;
    Ok(values.iter().fold(Count::default(), |sum, count| Count {
        packets: sum.packets + count.packets,
        bytes: sum.bytes + count.bytes,
    }))
}
