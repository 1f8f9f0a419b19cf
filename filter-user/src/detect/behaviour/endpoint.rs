//! What is counted and known of an API or of one of its routes.

use std::sync::Arc;

use super::reference::Reference;
use super::tail::{self, TailState};
use super::{BehaviourConfig, DETECTORS, TAILS, text};
use crate::detect::api::ApiProfile;
use crate::detect::codec::{Reader, Writer};
use crate::detect::detector::Tick;
use crate::detect::finding::{Detector, Endpoint};
use crate::detect::lifecycle::Subject;
use crate::detect::series::{Kind, Sampling, Series, Step};

/// What a request, or a turn, adds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// How many it stands for.
    pub(super) weight: f64,
    pub(super) handshake: bool,
    pub(super) status: Option<u16>,
    pub(super) latency: Option<Measured>,
    pub(super) size: Option<Measured>,
}

impl Sample {
    fn measured(&self) -> [Option<Measured>; 2] {
        [self.latency, self.size]
    }
}

/// A value as it is added to a mean and to a tail: worked out once for a route and for its API.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// Its logarithm.
    log: f64,
    /// Its bucket in a tail.
    place: usize,
}

impl Measured {
    /// ns. An answer takes a microsecond at least.
    pub(super) fn latency(ns: u64) -> Self {
        let log = (ns as f64 / 1e3).max(1.0).ln();
        // A mean is of milliseconds, a tail of microseconds.
        Self { log: log - 1e3_f64.ln(), place: tail::place(log) }
    }

    /// Bytes.
    pub(super) fn size(bytes: u64) -> Self {
        let log = (bytes as f64 + 1.0).ln();
        Self { log, place: tail::place(log) }
    }
}

/// Sums of logarithms and of their squares.
#[derive(Clone, Copy, Debug, Default)]
struct Logs {
    count: u32,
    sum: f64,
    squares: f64,
}

impl Logs {
    fn add(&mut self, log: f64) {
        self.count = self.count.saturating_add(1);
        self.sum += log;
        self.squares += log * log;
    }

    /// The geometric mean, of at least so many.
    fn mean(&self, least: u32) -> Option<f64> {
        (self.count >= least.max(1)).then(|| (self.sum / f64::from(self.count)).exp())
    }

    /// How far chance alone takes that mean.
    fn sampling(&self) -> Sampling {
        let count = f64::from(self.count.max(2));
        let variance = (self.squares - self.sum * self.sum / count).max(0.0) / (count - 1.0);
        Sampling::Mean { count: self.count, error: (variance / count).sqrt() }
    }
}

/// What was counted in a step. Of an API as a whole `latency` and `size` are adjusted, see
/// [`super::reference`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    weighted: f64,
    pub(super) seen: u32,
    verified: u32,
    answered: u32,
    errors: u32,
    latency: Logs,
    size: Logs,
    /// Latency and size as they were: how many, and the sum of their logarithms.
    raw: [(u32, f64); 2],
}

impl Tally {
    /// Counts a sample; `moved` is what to add to the logarithms of its latency and of its size,
    /// `None` where it is compared with nothing yet.
    fn add(&mut self, sample: &Sample, moved: [Option<f64>; 2]) {
        self.weighted += sample.weight;
        self.seen = self.seen.saturating_add(1);
        self.verified = self.verified.saturating_add(u32::from(sample.handshake));
        if let Some(status) = sample.status {
            self.answered = self.answered.saturating_add(1);
            self.errors = self.errors.saturating_add(u32::from(status >= 500));
        }
        let logs = [&mut self.latency, &mut self.size];
        for (place, (logs, measured)) in logs.into_iter().zip(sample.measured()).enumerate() {
            let Some(Measured { log, .. }) = measured else { continue };
            if let Some(moved) = moved[place] {
                logs.add(log + moved);
            }
            let (count, sum) = &mut self.raw[place];
            *count = count.saturating_add(1);
            *sum += log;
        }
    }

    /// The values of the step, as [`DETECTORS`], and what each is made of.
    fn values(&self, completeness: f64, config: &BehaviourConfig) -> [Option<(f64, Sampling)>; 4] {
        let seconds = f64::from(config.series.step.max(1));
        let errors = f64::from(self.errors) / f64::from(self.answered.max(1));
        let share = Sampling::Share { count: self.answered };
        let mean = |logs: &Logs| logs.mean(config.samples).map(|mean| (mean, logs.sampling()));
        [
            // What people ask for together is no matter of chance: the series knows how rates jump.
            Some((self.weighted / completeness.max(0.01) / seconds, Sampling::Exact)),
            (self.answered >= config.statuses.max(1)).then_some((errors, share)),
            mean(&self.latency),
            mean(&self.size).map(|(mean, sampling)| (mean - 1.0, sampling)),
        ]
    }

    /// How many each one seen stands for.
    pub(super) fn weight(&self) -> f64 {
        if self.seen == 0 { 1.0 } else { (self.weighted / f64::from(self.seen)).max(1.0) }
    }

    /// Most of it came without a handshake in both directions.
    pub(super) fn forgeable(&self) -> bool {
        self.verified.saturating_mul(2) <= self.seen
    }
}

/// What is measured, as [`DETECTORS`]: requests a second, a share, milliseconds, bytes.
const KINDS: [Kind; 4] = [
    Kind { least_unit: 0.05, least_change: 0.5 },
    Kind { least_unit: 0.01, least_change: 0.02 },
    Kind { least_unit: 0.1, least_change: 1.0 },
    Kind { least_unit: 64.0, least_change: 64.0 },
];

/// See the module.
#[derive(Debug)]
pub(super) struct EndpointState {
    name: Option<Endpoint>,
    /// The step of `now`.
    step: u64,
    now: Tally,
    before: Tally,
    /// The step of `before` is to be judged.
    whole: bool,
    /// It began within the first step.
    partial: bool,
    /// Steps judged.
    age: u32,
    series: [Option<Box<Series>>; 4],
    tails: [Option<Box<TailState>>; 2],
    /// Of latency and of size.
    references: [Reference; 2],
}

impl EndpointState {
    pub(super) fn new(name: Option<(&str, &str)>, step: u64) -> Self {
        let name = name
            .map(|(method, route)| Endpoint { method: Arc::from(method), route: Arc::from(route) });
        Self {
            name,
            step,
            now: Tally::default(),
            before: Tally::default(),
            whole: false,
            partial: true,
            age: 0,
            series: [const { None }; 4],
            tails: [const { None }; 2],
            references: [Reference::default(); 2],
        }
    }

    /// What its latency and its size are on average, as logarithms; `None` while hardly any was seen.
    pub(super) fn typical(&self) -> [Option<f64>; 2] {
        self.references.map(|reference| reference.typical())
    }

    pub(super) fn name(&self) -> Option<(&str, &str)> {
        self.name.as_ref().map(|name| (&*name.method, &*name.route))
    }

    pub(super) fn is(&self, method: &str, route: &str) -> bool {
        self.name() == Some((method, route))
    }

    /// Which series and tails it has.
    pub(super) fn held(&self) -> impl Iterator<Item = bool> {
        let tails = self.tails.iter().map(Option::is_some);
        self.series.iter().map(Option::is_some).chain(tails)
    }

    /// Counts a sample, `moved` as in [`Tally::add`]; of tails only where it `learns`.
    pub(super) fn add(
        &mut self,
        step: u64,
        sample: &Sample,
        moved: [Option<f64>; 2],
        learns: bool,
    ) {
        self.roll(step);
        self.now.add(sample, moved);
        if !learns {
            return;
        }
        for (tail, value) in self.tails.iter_mut().zip(sample.measured()) {
            if let Some(value) = value {
                tail.get_or_insert_with(|| Box::new(TailState::new())).add(value.place);
            }
        }
    }

    /// Ends a step without judging it.
    pub(super) fn skip(&mut self) {
        self.tails.iter_mut().flatten().for_each(|tail| tail.skip());
    }

    fn roll(&mut self, step: u64) {
        if step > self.step {
            // After a gap nothing is known of the step before: nobody looked.
            let next = step == self.step + 1;
            self.before = std::mem::take(&mut self.now);
            self.whole = next && !self.partial;
            self.partial = !next;
            self.step = step;
        }
    }

    /// What was counted in the step before this one, once.
    pub(super) fn close(&mut self, step: u64) -> Option<Tally> {
        self.roll(step);
        std::mem::take(&mut self.whole).then(|| std::mem::take(&mut self.before))
    }

    pub(super) fn judge(
        &mut self,
        tally: &Tally,
        minute: u16,
        completeness: f64,
        api: &ApiProfile,
        config: &BehaviourConfig,
        tick: &mut Tick<'_>,
    ) {
        self.age = self.age.saturating_add(1);
        for (reference, (count, sum)) in self.references.iter_mut().zip(tally.raw) {
            reference.learn(count, sum, config.series.days(7));
        }
        self.judge_tails(tally, completeness, api, config, tick);
        let values = tally.values(completeness, config);
        for (place, (value, kind)) in values.into_iter().zip(&KINDS).enumerate() {
            let (Some((value, sampling)), Some(detector)) = (value, DETECTORS.get(place).copied())
            else {
                continue;
            };
            // Most routes never fail: what they have of errors is that there were none.
            if self.series[place].is_none() {
                if self.name.is_some() && detector == Detector::ErrorShift && value == 0.0 {
                    continue;
                }
                self.series[place] = Some(self.begin(detector, minute, config));
            }
            let Some(series) = &mut self.series[place] else { continue };
            let budget = &mut *tick.budget;
            let mut enough = |evidence| budget.exceeds(detector, evidence);
            let Some((judged, step)) =
                series.step(minute, value, sampling, kind, &config.series, &mut enough)
            else {
                continue;
            };
            let subject = Subject { endpoint: self.name.clone(), ..Subject::api(detector, api.id) };
            let measure = || text::measure(detector, &judged, tally, &subject, api, config);
            let (seen, now) = (completeness, tick.now);
            match step {
                Step::Open => {
                    if !tick.findings.open(&subject, api, measure(), seen, now) {
                        series.give_up();
                    }
                }
                Step::Goes => {
                    let forgeable = tally.forgeable();
                    tick.findings.update(&subject, measure, forgeable, seen, now);
                }
                Step::Calm | Step::Adopted => {
                    let why = text::over(detector, &judged, step, &subject, api, config);
                    tick.findings.close(&subject, why, now);
                }
                Step::Usual => {}
            }
        }
    }

    fn judge_tails(
        &mut self,
        tally: &Tally,
        completeness: f64,
        api: &ApiProfile,
        config: &BehaviourConfig,
        tick: &mut Tick<'_>,
    ) {
        for (tail, detector) in self.tails.iter_mut().zip(TAILS) {
            let Some(tail) = tail else { continue };
            let budget = &mut *tick.budget;
            let judged = tail.step(&config.tail, |evidence| budget.exceeds(detector, evidence));
            let Some((judged, step)) = judged else { continue };
            let subject = Subject { endpoint: self.name.clone(), ..Subject::api(detector, api.id) };
            let measure = || text::tail(detector, &judged, tally, &subject, api, config);
            let (seen, now) = (completeness, tick.now);
            match step {
                tail::Step::Open => {
                    if !tick.findings.open(&subject, api, measure(), seen, now) {
                        tail.give_up();
                    }
                }
                tail::Step::Goes => {
                    tick.findings.update(&subject, measure, tally.forgeable(), seen, now);
                }
                tail::Step::Over => {
                    let why = text::tail_over(detector, &judged, &subject, api);
                    tick.findings.close(&subject, why, now);
                }
                tail::Step::Usual => {}
            }
        }
    }

    /// A new series; of errors, one that knows that there were none so far.
    fn begin(&self, detector: Detector, minute: u16, config: &BehaviourConfig) -> Box<Series> {
        let mut series = Box::new(Series::new());
        if detector != Detector::ErrorShift || self.name.is_none() {
            return series;
        }
        let step = (config.series.step / 60).max(1);
        let past = (self.age - 1).min(config.series.warm_up());
        for ago in (1..=past).rev() {
            let back = ago.saturating_mul(step) % 10_080;
            let then = (u32::from(minute) + 10_080 - back) % 10_080;
            let then = u16::try_from(then).unwrap_or_default();
            series.step(then, 0.0, Sampling::Exact, &KINDS[1], &config.series, &mut |_| false);
        }
        series
    }

    pub(super) fn open_subjects(&self, api: u32, each: &mut dyn FnMut(Subject)) {
        for (series, detector) in self.series.iter().zip(DETECTORS) {
            if series.as_ref().is_some_and(|series| series.is_open()) {
                each(Subject { endpoint: self.name.clone(), ..Subject::api(detector, api) });
            }
        }
        for (tail, detector) in self.tails.iter().zip(TAILS) {
            if tail.as_ref().is_some_and(|tail| tail.is_open()) {
                each(Subject { endpoint: self.name.clone(), ..Subject::api(detector, api) });
            }
        }
    }

    pub(super) fn write(&self, to: &mut Writer) {
        to.maybe(self.name.as_ref(), |to, name| {
            to.text(&name.method);
            to.text(&name.route);
        });
        to.u32(self.age);
        for series in &self.series {
            to.maybe(series.as_ref(), |to, series| series.write(to));
        }
        for tail in &self.tails {
            to.maybe(tail.as_ref(), |to, tail| tail.write(to));
        }
        self.references.iter().for_each(|reference| reference.write(to));
    }

    pub(super) fn read(from: &mut Reader<'_>, step: u64) -> Option<Self> {
        let name = from.maybe(|from| {
            let (method, route) = (from.text()?, from.text()?);
            Some(Endpoint { method: Arc::from(method), route: Arc::from(route) })
        })?;
        let mut state = Self { name, age: from.u32()?, ..Self::new(None, step) };
        for series in &mut state.series {
            *series = from.maybe(Series::read)?.map(Box::new);
        }
        for tail in &mut state.tails {
            *tail = from.maybe(TailState::read)?.map(Box::new);
        }
        for reference in &mut state.references {
            *reference = Reference::read(from)?;
        }
        Some(state)
    }
}
