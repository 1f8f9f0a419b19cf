//! Traffic for tests: repeatable, without a clock.

use std::net::{IpAddr, Ipv4Addr};

use super::{ApiProfile, Engine, Finding, Login, Observation, SECOND};

/// Shares and counts out of random bits.
pub(crate) struct Random(crate::text::Random);

impl Random {
    /// The same numbers for the same seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(crate::text::Random::new(seed))
    }

    /// In [0, 1).
    pub(crate) fn share(&mut self) -> f64 {
        (self.0.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Poisson's, by counting exponential gaps.
    pub(crate) fn poisson(&mut self, mean: f64) -> u32 {
        let mut left = mean;
        let mut count = 0;
        loop {
            left += (1.0 - self.share()).ln();
            if left < 0.0 {
                return count;
            }
            count += 1;
        }
    }
}

/// An API with a login, under id 1.
pub(crate) fn orders() -> ApiProfile {
    ApiProfile {
        id: 1,
        name: "orders".into(),
        login: Some(Login::new([("POST", "/login")], &[401, 403])),
        ..ApiProfile::unclaimed()
    }
}

/// The address of a numbered client.
pub(crate) fn client(number: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + number).into()
}

/// A login at API 1.
pub(crate) fn login(time: u64, source: IpAddr, status: u16) -> Observation<'static> {
    Observation {
        time,
        source,
        method: "POST",
        target: "/login",
        route: "/login",
        status: Some(status),
        ..Observation::example()
    }
}

/// Sends `rate` requests in every second from `from` to `to` (seconds), spread by Poisson, and ticks.
pub(crate) fn traffic(
    engine: &mut Engine,
    random: &mut Random,
    seconds: std::ops::Range<u64>,
    mut rate: impl FnMut(u64) -> f64,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for second in seconds {
        for _ in 0..random.poisson(rate(second)) {
            engine.observe(&Observation {
                method: "GET",
                target: "/",
                ..login(second * SECOND, client(1), 200)
            });
        }
        findings.extend(engine.tick((second + 1) * SECOND, 0, 1.0));
    }
    findings
}
