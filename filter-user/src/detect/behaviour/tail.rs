//! The tail of latency and of size: more answers than usual that are slower, or larger, than nearly
//! all were.
//!
//! **Formula.** A sketch of logarithmic buckets (each 1.25 times the one before: a quantile is known
//! to within 12 %, as in C. Masson et al., "DDSketch", 2019, with fixed buckets) holds what was seen,
//! halved when it is full. From it comes the limit that one value in a hundred lies above. Of the `n`
//! values of a step `k` lie above the limit; `q` is the share of all that is held that does. The
//! chance of `k` or more is at most (H. Chernoff, 1952)
//!
//! ```text
//! exp(-n D),  D = s ln(s / q) + (1 - s) ln((1 - s) / (1 - q)),  s = k / n
//! ```
//!
//! and `n D` the evidence, where `s` is at least `ratio` times `q` and `k` at least `values`. Two such
//! steps of the last three, and evidence that the alert budget calls enough, open a finding. While it
//! is open nothing is learned; `calm` steps without close it, or `adopt` steps after which what is
//! seen is usual.
//!
//! **Assumptions.** Values of a step are independent. They are not where a server is slow as a whole;
//! that is evidence too, and what recurs raises the threshold of the budget.
//!
//! **Memory.** 0.3 KiB for each measure of an endpoint.

use crate::detect::codec::{Reader, Writer};

const BUCKETS: usize = 96;
const RATIO: f64 = 1.25;
/// Values that the sketch holds at most: halved then.
const FULL: u32 = 50_000;
/// The share that lies above the limit.
const ABOVE: f64 = 0.01;

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TailConfig {
    /// Values seen before anything is judged.
    pub warm_up: u32,
    /// Steps seen before anything is judged.
    pub steps: u32,
    /// Factor by which the share above the limit must have grown.
    pub ratio: f64,
    /// Values above the limit without which there is no evidence.
    pub values: u32,
    /// Steps without evidence after which a finding closes.
    pub calm: u16,
    /// Steps after which a new tail is usual.
    pub adopt: u16,
}

impl Default for TailConfig {
    fn default() -> Self {
        Self { warm_up: 2000, steps: 288, ratio: 3.0, values: 10, calm: 6, adopt: 144 }
    }
}

/// A step against what is usual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Judged {
    /// Share of the step's values above the limit.
    pub(super) share: f64,
    /// The usual one.
    pub(super) usual: f64,
    /// What one in a hundred usually exceeds.
    pub(super) limit: f64,
    pub(super) evidence: f64,
}

/// What a step led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Usual,
    Open,
    Goes,
    Over,
}

/// The bucket of a value, given by its logarithm; values below 1 are in the first.
pub(super) fn place(log: f64) -> usize {
    const WIDTH: f64 = 0.223_143_551_314_209_76;
    // As `as` has it: below nothing is nothing.
    (log * const { 1.0 / WIDTH }) as usize
}

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TailState {
    buckets: [u16; BUCKETS],
    held: u32,
    seen: u32,
    steps: u32,
    /// The bucket above which a value counts.
    limit: u8,
    /// Values of this step, and of them those above the limit.
    now: [u32; 2],
    recent: u8,
    /// Since how many steps there is an alarm, and how many of the last were calm.
    alarm: Option<[u16; 2]>,
}

impl TailState {
    pub(super) const fn new() -> Self {
        Self {
            buckets: [0; BUCKETS],
            held: 0,
            seen: 0,
            steps: 0,
            limit: BUCKETS as u8,
            now: [0; 2],
            recent: 0,
            alarm: None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.alarm.is_some()
    }

    pub(super) fn give_up(&mut self) {
        self.alarm = None;
    }

    /// A value, by its bucket.
    pub(super) fn add(&mut self, place: usize) {
        let place = place.min(BUCKETS - 1);
        self.now[0] = self.now[0].saturating_add(1);
        self.now[1] = self.now[1].saturating_add(u32::from(place >= usize::from(self.limit)));
        if self.alarm.is_none() {
            self.seen = self.seen.saturating_add(1);
            self.buckets[place] = self.buckets[place].saturating_add(1);
            self.held += 1;
            if self.held >= FULL {
                self.buckets.iter_mut().for_each(|count| *count /= 2);
                self.held = self.buckets.iter().map(|&count| u32::from(count)).sum();
            }
        }
    }

    /// Ends a step without judging it.
    pub(super) fn skip(&mut self) {
        self.now = [0; 2];
    }

    /// Ends a step; `enough` is asked once whether its evidence is. `None` while too little is known.
    pub(super) fn step(
        &mut self,
        config: &TailConfig,
        enough: impl FnOnce(f64) -> bool,
    ) -> Option<(Judged, Step)> {
        let [values, above] = std::mem::take(&mut self.now);
        self.steps = self.steps.saturating_add(1);
        let known = self.seen >= config.warm_up && self.steps > config.steps;
        let judged = (known && usize::from(self.limit) < BUCKETS).then(|| {
            let usual = self.usual();
            let share = f64::from(above) / f64::from(values.max(1));
            let counts = above >= config.values && share >= usual * config.ratio;
            let evidence = if counts { f64::from(values) * divergence(share, usual) } else { 0.0 };
            let limit = RATIO.powi(i32::from(self.limit));
            Judged { share, usual, limit, evidence }
        });
        if self.alarm.is_none() {
            self.limit = self.find_limit();
        }
        let judged = judged?;
        self.recent = (self.recent << 1 | u8::from(judged.evidence > 0.0)) & 7;
        let step = match &mut self.alarm {
            None => {
                let two = self.recent & 1 == 1 && self.recent.count_ones() >= 2;
                if enough(if two { judged.evidence } else { 0.0 }) {
                    self.alarm = Some([0; 2]);
                    Step::Open
                } else {
                    Step::Usual
                }
            }
            Some([since, calm]) => {
                *since = since.saturating_add(1);
                *calm = if judged.evidence > 0.0 { 0 } else { calm.saturating_add(1) };
                if *calm >= config.calm || *since >= config.adopt {
                    if *since >= config.adopt {
                        // What was usual does not come back: a tenth of it is kept.
                        self.buckets.iter_mut().for_each(|count| *count /= 10);
                        self.held = self.buckets.iter().map(|&count| u32::from(count)).sum();
                        self.seen = config.warm_up / 2;
                    }
                    self.alarm = None;
                    self.recent = 0;
                    Step::Over
                } else if judged.evidence > 0.0 {
                    Step::Goes
                } else {
                    Step::Usual
                }
            }
        };
        Some((judged, step))
    }

    /// The share of what is held that lies above the limit; neither 0 nor 1.
    fn usual(&self) -> f64 {
        let above = self.buckets[usize::from(self.limit).min(BUCKETS)..].iter();
        let above: u32 = above.map(|&count| u32::from(count)).sum();
        ((f64::from(above) + 0.5) / (f64::from(self.held) + 1.0)).clamp(1e-6, 0.5)
    }

    fn find_limit(&self) -> u8 {
        let most = f64::from(self.held) * ABOVE;
        let mut above = 0.0;
        for place in (0..BUCKETS).rev() {
            above += f64::from(self.buckets[place]);
            if above > most {
                return place as u8 + 1;
            }
        }
        BUCKETS as u8
    }

    pub(super) fn write(&self, to: &mut Writer) {
        self.buckets.iter().for_each(|&count| to.u16(count));
        to.u32(self.seen);
        to.u32(self.steps);
        to.u8(self.limit);
        to.u8(self.recent);
        to.maybe(self.alarm, |to, [since, calm]| {
            to.u16(since);
            to.u16(calm);
        });
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let mut tail = Self::new();
        for count in &mut tail.buckets {
            *count = from.u16()?;
        }
        tail.held = tail.buckets.iter().map(|&count| u32::from(count)).sum();
        tail.seen = from.u32()?;
        tail.steps = from.u32()?;
        tail.limit = from.u8()?.min(BUCKETS as u8);
        tail.recent = from.u8()? & 7;
        tail.alarm = from.maybe(|from| Some([from.u16()?, from.u16()?]))?;
        Some(tail)
    }
}

/// Kullback and Leibler's divergence of two coins; 0 when the first is not the larger.
fn divergence(share: f64, usual: f64) -> f64 {
    if share <= usual {
        return 0.0;
    }
    let other =
        if share < 1.0 { (1.0 - share) * ((1.0 - share) / (1.0 - usual)).ln() } else { 0.0 };
    share * (share / usual).ln() + other
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::simulation::Random;

    /// Steps of 200 values, 1 of `one_in` of which is slow.
    fn run(
        tail: &mut TailState,
        random: &mut Random,
        steps: u32,
        slow: f64,
    ) -> Vec<(u32, Step, Judged)> {
        let mut seen = Vec::new();
        for step in 0..steps {
            for _ in 0..200 {
                let fast = 1000.0 * (1.0 + random.share());
                let value: f64 = if random.share() < slow { fast * 20.0 } else { fast };
                tail.add(place(value.ln()));
            }
            if let Some((judged, what)) = tail.step(&TailConfig::default(), |e| e >= 10.0)
                && what != Step::Usual
            {
                seen.push((step, what, judged));
            }
        }
        seen
    }

    #[test]
    fn buckets_are_a_ratio_wide() {
        for value in [0.5_f64, 1.0, 1.2, 1.3, 50.0, 1e6, 1e9] {
            let wanted = (value.max(1.0).ln() / RATIO.ln()) as usize;
            assert_eq!(place(value.ln()), wanted, "{value}");
        }
    }

    #[test]
    fn more_slow_ones_than_usual() {
        let mut random = Random::new(31);
        let mut tail = TailState::new();
        assert_eq!(run(&mut tail, &mut random, 1000, 0.005), []);
        let found = run(&mut tail, &mut random, 20, 0.15);
        let (at, what, judged) = found[0];
        assert_eq!((at, what), (1, Step::Open));
        assert!((0.08..0.25).contains(&judged.share) && judged.usual < 0.02, "{judged:?}");
        assert!((1900.0..30_000.0).contains(&judged.limit), "{judged:?}");
        let over = run(&mut tail, &mut random, 20, 0.005);
        assert_eq!(
            over.iter().map(|(at, what, _)| (*at, *what)).collect::<Vec<_>>(),
            [(5, Step::Over)]
        );
        // The median moves, the tail does not.
        assert_eq!(run(&mut tail, &mut random, 50, 0.008), []);
    }

    #[test]
    fn a_new_tail_is_adopted() {
        let mut random = Random::new(32);
        let mut tail = TailState::new();
        run(&mut tail, &mut random, 600, 0.005);
        let found = run(&mut tail, &mut random, 600, 0.1);
        let opened = found.iter().filter(|(_, what, _)| *what == Step::Open).count();
        assert_eq!(opened, 1);
        assert!(!tail.is_open());
    }

    #[test]
    fn chances() {
        for (share, usual, expected) in [
            (0.01, 0.01, 0.0),
            (0.5, 0.5, 0.0),
            (0.005, 0.01, 0.0),
            (1.0, 0.5, std::f64::consts::LN_2),
            (0.1, 0.01, 0.1444),
        ] {
            let found: f64 = divergence(share, usual);
            assert!((found - expected).abs() < 1e-3, "{share} {usual}: {found}");
        }
    }

    #[test]
    fn written_and_read() {
        let mut random = Random::new(33);
        let mut tail = TailState::new();
        run(&mut tail, &mut random, 400, 0.005);
        run(&mut tail, &mut random, 3, 0.5);
        let mut writer = Writer::default();
        tail.write(&mut writer);
        assert_eq!(TailState::read(&mut Reader(&writer.0)), Some(tail));
        assert_eq!(TailState::read(&mut Reader(&writer.0[1..])), None);
    }
}
