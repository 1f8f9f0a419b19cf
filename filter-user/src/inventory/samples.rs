//! A sample of the transactions between two writings of the store: of each API as many as there is
//! room for, each as likely as any other (reservoir sampling, Vitter's algorithm R), with the weight
//! of those it stands for.

use std::collections::HashMap;
use std::sync::Arc;

use crate::store::Exchange;

/// Of each API.
const PER_API: usize = 250;
/// Of all together.
const MOST: usize = 4_000;

/// See the module.
#[derive(Debug)]
pub struct Samples {
    apis: HashMap<Arc<str>, Reservoir>,
    kept: usize,
    /// Numbers for choosing (xorshift64, Marsaglia 2003); what is chosen is no secret.
    state: u64,
}

#[derive(Debug, Default)]
struct Reservoir {
    seen: u64,
    kept: Vec<Exchange>,
}

impl Samples {
    /// None yet. `seed` may be anything.
    pub fn new(seed: u64) -> Self {
        Self { apis: HashMap::new(), kept: 0, state: seed | 1 }
    }

    /// Takes a transaction of an API, or not; `make` is only called when it is.
    pub fn add(&mut self, api: &Arc<str>, make: impl FnOnce() -> Exchange) {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let room = self.kept < MOST;
        let reservoir = match self.apis.get_mut(api) {
            Some(known) => known,
            None if room => self.apis.entry(Arc::clone(api)).or_default(),
            None => return,
        };
        reservoir.seen += 1;
        if reservoir.kept.len() < PER_API && room {
            reservoir.kept.push(make());
            self.kept += 1;
            return;
        }
        let chosen = usize::try_from(self.state % reservoir.seen).unwrap_or(usize::MAX);
        if let Some(slot) = reservoir.kept.get_mut(chosen) {
            *slot = make();
        }
    }

    /// Calls routes of an API by their names of now.
    pub fn rename(&mut self, api: &str, name: impl Fn(&str) -> Option<Arc<str>>) {
        for exchange in self.apis.get_mut(api).into_iter().flat_map(|of| &mut of.kept) {
            if let Some(now) = name(&exchange.route) {
                exchange.route = now;
            }
        }
    }

    /// Those of an API that are not taken yet, in no particular order.
    pub fn of(&self, api: &str) -> impl Iterator<Item = &Exchange> {
        self.apis.get(api).into_iter().flat_map(|of| &of.kept)
    }

    /// What was taken since this was asked last, oldest first.
    pub fn take(&mut self) -> Vec<Exchange> {
        let mut taken = Vec::with_capacity(self.kept);
        self.kept = 0;
        for (_, Reservoir { seen, kept }) in self.apis.drain() {
            let of_each = seen as f64 / kept.len().max(1) as f64;
            taken.extend(kept.into_iter().map(|exchange| Exchange {
                weight: (exchange.weight as f64 * of_each).round() as u64,
                ..exchange
            }));
        }
        taken.sort_by_key(|exchange| exchange.time);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_fair_and_weighted_share() {
        let mut samples = Samples::new(7);
        let (busy, quiet): (Arc<str>, Arc<str>) = ("busy".into(), "quiet".into());
        let exchange = |api: &Arc<str>, time: u64| Exchange {
            time,
            api: Arc::clone(api),
            route: "/a".into(),
            method: "GET",
            source: [192, 0, 2, 1].into(),
            status: None,
            latency: None,
            request_bytes: None,
            response_bytes: None,
            facts: 0,
            weight: 1 << 16,
        };
        for time in 0..10_000 {
            samples.add(&busy, || exchange(&busy, time));
            if time % 1_000 == 0 {
                samples.add(&quiet, || exchange(&quiet, time));
            }
        }
        samples.rename("quiet", |_| Some("/b".into()));
        let taken = samples.take();
        assert!(taken.is_sorted_by_key(|exchange| exchange.time));
        let of = |api: &'static str| taken.iter().filter(move |exchange| &*exchange.api == api);
        assert_eq!((of("busy").count(), of("quiet").count()), (PER_API, 10));
        assert!(of("quiet").all(|e| e.weight == 1 << 16 && &*e.route == "/b"));
        assert!(of("busy").all(|e| e.weight == 40 << 16));
        let late = of("busy").filter(|exchange| exchange.time >= 5_000).count();
        assert!((90..160).contains(&late), "{late} of 250 are of the second half");
        assert!(samples.take().is_empty());
        for n in 0..100 {
            let api: Arc<str> = format!("api{n}").into();
            for time in 0..250 {
                samples.add(&api, || exchange(&api, time));
            }
        }
        assert_eq!(samples.take().len(), MOST);
    }
}
