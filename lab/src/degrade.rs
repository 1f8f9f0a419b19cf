//! A recording as a daemon would have made it that samples flows, or loses some.

use crate::plan::{Plan, Request};
use crate::random::mix;

/// What is lost of a recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Degraded {
    /// Nothing.
    Whole,
    /// One flow in so many is sampled, and weighs as much.
    Sampled(u32),
    /// This share of the requests is lost, and weir knows.
    Lost(f64),
}

impl Degraded {
    /// How complete the telemetry is: what is sampled out is not lost.
    pub fn completeness(self) -> f64 {
        match self {
            Self::Lost(share) => 1.0 - share,
            _ => 1.0,
        }
    }

    /// How many a request stands for; 0: it is not there.
    pub fn weight(self, seed: u64, place: usize, request: &Request) -> u32 {
        let draw = |number: u64| mix(mix(seed ^ 0x5eed) ^ number);
        match self {
            Self::Whole => 1,
            Self::Sampled(one_in) => {
                let kept = draw(u64::from(request.flow)).is_multiple_of(u64::from(one_in.max(1)));
                if kept { one_in } else { 0 }
            }
            Self::Lost(share) => {
                let drawn = (draw(place as u64) >> 11) as f64 / (1_u64 << 53) as f64;
                u32::from(drawn >= share)
            }
        }
    }

    /// What it is, for people.
    pub fn name(self) -> String {
        match self {
            Self::Whole => "everything".to_owned(),
            Self::Sampled(one_in) => format!("1 flow in {one_in}"),
            Self::Lost(share) => format!("{:.0} % lost", share * 100.0),
        }
    }

    /// How many requests of a plan are left.
    pub fn left(self, seed: u64, plan: &Plan) -> usize {
        let kept = |(place, request): &(usize, &Request)| self.weight(seed, *place, request) > 0;
        plan.requests.iter().enumerate().filter(kept).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Client, Scene};
    use crate::world::{Ask, ORDERS};

    #[test]
    fn shares() {
        let mut scene = Scene::new(1);
        for number in 0..2000_u32 {
            let mut client = Client::new(number.into(), 1);
            for time in 0..5 {
                client.ask(&mut scene, f64::from(time), ORDERS, (Ask::Health, 0), 200);
            }
        }
        let plan = scene.plan(0.0, 10.0);
        for (degraded, expected) in [
            (Degraded::Whole, 10_000),
            (Degraded::Sampled(1), 10_000),
            (Degraded::Sampled(10), 1000),
            (Degraded::Lost(0.3), 7000),
        ] {
            let left = degraded.left(7, &plan);
            assert!(left.abs_diff(expected) <= expected / 5, "{degraded:?}: {left}");
        }
        // A flow is there as a whole or not at all.
        let sampled = Degraded::Sampled(10);
        for (place, request) in plan.requests.iter().enumerate() {
            let first = plan.requests.iter().position(|one| one.flow == request.flow);
            let first = first.expect("itself at least");
            let weights = [first, place].map(|at| sampled.weight(7, at, &plan.requests[at]));
            assert_eq!(weights[0], weights[1]);
            if place > 500 {
                break;
            }
        }
    }
}
