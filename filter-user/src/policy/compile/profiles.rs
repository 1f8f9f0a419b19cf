//! Limits become profiles: the same limits are one profile, whoever has them.

use std::time::Duration;

use filter_common::gcra::{self as common, MAX_UNITS};
use filter_common::tables::{Profile, feature};

use crate::policy::api::Rates;
use crate::text::Problem;
use crate::text::quantity::{Measure, Rate};

/// The profiles of a policy; number 0 is no limit.
pub(super) struct Profiles {
    pub(super) list: Vec<Profile>,
    pub(super) features: u32,
    /// In ns.
    pub(super) shortest_burst: u64,
}

impl Profiles {
    pub(super) fn new() -> Self {
        Self { list: vec![Profile::default()], features: 0, shortest_burst: u64::MAX }
    }

    /// The number of the profile with these limits.
    pub(super) fn number(&mut self, rates: &Rates) -> Result<u16, Problem> {
        if rates.packets.is_none() && rates.bytes.is_none() && rates.connections.is_none() {
            // A quota is not the kernel's to count.
            return Ok(0);
        }
        let profile = Profile {
            packets: self.rate(rates, Measure::Packets)?,
            bytes: self.rate(rates, Measure::Bytes)?,
            connections: self.rate(rates, Measure::Connections)?,
        };
        self.features |= feature::LIMITS;
        let place = self.list.iter().position(|known| *known == profile);
        let place = place.unwrap_or_else(|| {
            self.list.push(profile);
            self.list.len() - 1
        });
        u16::try_from(place).map_err(|_| {
            Problem::new(
                format!("more than {} different limits in one policy", u16::MAX),
                "give some of them the same rates and burst",
            )
        })
    }

    fn rate(&mut self, rates: &Rates, measure: Measure) -> Result<common::Rate, Problem> {
        let Some(rate) = rates.rate(measure) else { return Ok(common::Rate::NONE) };
        let burst = rates.burst(measure);
        let burst_ns = u64::try_from(burst.as_nanos()).unwrap_or(u64::MAX);
        self.shortest_burst = self.shortest_burst.min(burst_ns);
        self.features |= match measure {
            Measure::Packets | Measure::Requests => 0,
            Measure::Bytes => feature::LIMIT_BYTES,
            Measure::Connections => feature::LIMIT_CONNECTIONS,
        };
        gcra(rate, burst, measure).ok_or_else(|| {
            Problem::new(
                format!("{} cannot be counted precisely", rate.display(measure)),
                "write a rate nearer to those of real links",
            )
        })
    }
}

/// A rate and a burst as the packet path wants them. `None` when their numbers do not fit, which
/// no rate does that the checker accepts.
pub fn gcra(rate: Rate, burst: Duration, measure: Measure) -> Option<common::Rate> {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).ok();
    let most = if measure == Measure::Bytes { MAX_UNITS } else { 1 };
    common::Rate::new(rate.amount, nanos(rate.period)?, nanos(burst)?, most)
}
