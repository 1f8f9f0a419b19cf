//! What was lost between the kernel and the pipeline.

use std::collections::VecDeque;

use filter_common::stat::Stat;

use crate::kernel::counters::Counters;
use crate::kernel::error::Result;

/// Seconds of losses that completeness speaks of.
const MEMORY: usize = 60;

/// Records of flows that were to be sampled, and those of them for which there was no room: since the
/// state was made.
pub(super) fn wanted_and_lost(counters: &Counters) -> Result<(u64, u64)> {
    let attempted = counters.stat(Stat::Attempted)?;
    let wanted = attempted.saturating_sub(counters.stat(Stat::SampledOut)?);
    Ok((wanted, counters.stat(Stat::Dropped)?))
}

/// Records that were to come and those that were lost, second by second.
#[derive(Debug)]
pub(super) struct Losses {
    last: (u64, u64),
    seconds: VecDeque<(u64, u64)>,
}

impl Losses {
    /// From a first look at [`wanted_and_lost`] on.
    pub(super) fn since(first: (u64, u64)) -> Self {
        Self { last: first, seconds: VecDeque::new() }
    }

    /// Takes a look at [`wanted_and_lost`]; returns how many were lost since the last one.
    pub(super) fn note(&mut self, (wanted, lost): (u64, u64)) -> u64 {
        let (wanted_before, lost_before) = std::mem::replace(&mut self.last, (wanted, lost));
        let newly = (wanted.saturating_sub(wanted_before), lost.saturating_sub(lost_before));
        self.seconds.push_back(newly);
        if self.seconds.len() > MEMORY {
            self.seconds.pop_front();
        }
        newly.1
    }

    /// Share of the records of the last minute that were not lost; 1 when there were none.
    pub(super) fn completeness(&self) -> f64 {
        let (wanted, lost) =
            self.seconds.iter().fold((0, 0), |sum, second| (sum.0 + second.0, sum.1 + second.1));
        if wanted == 0 { 1.0 } else { 1.0 - lost as f64 / wanted.max(lost) as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completeness_is_of_the_last_minute() {
        let mut losses = Losses::since((1_000, 500));
        assert_eq!(losses.completeness(), 1.0);
        assert_eq!(losses.note((1_000, 500)), 0, "what was before is not this daemon's loss");
        assert_eq!(losses.completeness(), 1.0);
        assert_eq!(losses.note((2_000, 600)), 100);
        assert_eq!(losses.completeness(), 0.9);
        for _ in 0..MEMORY {
            losses.note((2_000, 600));
        }
        assert_eq!(losses.completeness(), 1.0);
    }
}
