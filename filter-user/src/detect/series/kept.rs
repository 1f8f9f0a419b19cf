//! A series as bytes, to go on after a restart.

use super::profile::Profile;
use super::tail::{Deviations, Tail};
use super::{Alarm, Run, Series};
use crate::detect::codec::{Reader, Writer};

impl Series {
    /// Writes all it knows.
    pub(crate) fn write(&self, to: &mut Writer) {
        to.f32(self.unit);
        to.u32(self.steps);
        to.f32(self.mean);
        to.f32(self.drift);
        for side in 0..2 {
            to.f32(self.sums[side]);
            to.f32(self.heights[side]);
            for run in self.runs[side] {
                to.u32(run.at);
                to.f32(run.height);
            }
        }
        to.u8(self.recent);
        to.maybe(self.alarm, |to, alarm| {
            to.u32(alarm.since);
            to.u16(alarm.calm);
            to.u8(alarm.learned);
            to.f32(alarm.off);
        });
        self.deviations.write(to);
        self.values.write(to);
        self.profile.write(to);
    }

    /// What [`Self::write`] wrote; `None` when it is not that.
    pub(crate) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let finite = |from: &mut Reader<'_>| from.f32().filter(|number| number.is_finite());
        let mut series = Self::new();
        series.unit = finite(from)?;
        series.steps = from.u32()?;
        series.mean = finite(from)?;
        series.drift = finite(from)?;
        for side in 0..2 {
            series.sums[side] = finite(from)?;
            series.heights[side] = finite(from)?;
            for run in &mut series.runs[side] {
                *run = Run { at: from.u32()?, height: finite(from)? };
            }
        }
        series.recent = from.u8()? & 7;
        series.alarm = from.maybe(|from| {
            Some(Alarm {
                since: from.u32()?,
                calm: from.u16()?,
                learned: from.u8()?,
                off: finite(from)?,
            })
        })?;
        series.deviations = Deviations::read(from)?;
        series.values = Tail::read(from)?;
        series.profile = Profile::read(from)?;
        Some(series)
    }
}
