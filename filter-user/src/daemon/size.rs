//! What a policy takes and costs, in numbers beside those of the one in force.

use std::collections::HashMap;
use std::sync::Arc;

use crate::control::api::{Change, CostOf, Footprint, PacketCost, Size};
use crate::image::Image;
use crate::kernel::forecast::Forecast;
use crate::kernel::generation::Generation;
use crate::kernel::memory::Memory;
use crate::policy::Policy;
use crate::policy::examples::{Example, examples};

use super::gate::Gate;

/// What packets cost by what decides about it: the features of the programs, and which packets.
pub(super) type Costs = HashMap<(u32, Vec<Example>), Forecast>;

impl Gate {
    /// What a packet will cost under a compiled policy, tried out beside what is in force unless that
    /// was done before for one that is like it; `None` when it may not be tried, or cannot, which is
    /// logged.
    pub(super) fn forecast(
        &mut self,
        policy: &Policy,
        image: &Image,
        may_try: bool,
    ) -> Option<PacketCost> {
        let key = (image.features, examples(policy));
        if !self.costs.contains_key(&key) && may_try {
            match self.state.forecast(image, &key.1) {
                Ok(forecast) => drop(self.costs.insert(key.clone(), forecast)),
                Err(error) => tracing::warn!(%error, "the policy was not tried out"),
            }
        }
        self.costs.get(&key).map(cost)
    }

    /// The size of a policy beside that of the one in force: of what is `loaded`, or worked out from
    /// the tables.
    pub(super) fn size(&mut self, image: &Image, loaded: Option<&mut Generation>) -> Size {
        let before = Arc::clone(&self.now.image);
        let change = |of: fn(&Image) -> usize| Change {
            before: of(&before) as u64,
            after: of(image) as u64,
        };
        let now = told(&mut self.generation);
        let after = match loaded {
            Some(generation) => told(generation),
            None => now.map(|now| {
                let beside = now.tables.saturating_sub(before.table_bytes() as u64);
                Memory { tables: image.table_bytes() as u64 + beside, ..now }
            }),
        };
        let waiting = self.waiting.as_mut();
        let held = waiting.and_then(|waiting| told(&mut waiting.generation));
        let footprint = |(after, now): (Memory, Memory)| Footprint {
            tables: after.tables,
            programs: after.programs,
            state: after.state,
            limiter: after.limiter,
            ring: after.ring,
            total: after.total(),
            peak: after.total() + now.own() + held.map_or(0, |held| held.own()),
        };
        Size {
            apis: change(|image| image.apis.len()),
            prefixes_v4: change(|image| image.prefixes.0),
            prefixes_v6: change(|image| image.prefixes.1),
            rules: change(|image| image.rules.len()),
            memory: after.zip(now).map(footprint),
            cost: None,
        }
    }
}

fn told(generation: &mut Generation) -> Option<Memory> {
    let memory = generation.memory();
    memory.inspect_err(|error| tracing::warn!(%error, "memory is not known")).ok()
}

fn cost(forecast: &Forecast) -> PacketCost {
    let ns = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let packets = forecast.costs.iter().map(|cost| CostOf {
        family: if cost.is_v4 { "ipv4" } else { "ipv6" }.to_owned(),
        reason: cost.reason.name().to_owned(),
        ns: ns(cost.time),
    });
    PacketCost { empty_ns: ns(forecast.empty), packets: packets.collect() }
}
