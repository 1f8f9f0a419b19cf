//! Open findings as bytes, to go on after a restart.

use std::sync::Arc;

use super::codec::{Reader, Writer};
use super::examples::{Example, MOST};
use super::finding::{Detector, Endpoint, Finding, Measure, Severity, State};
use super::lifecycle::Subject;
use super::source::Source;

/// What measures may hold; a text of a version that says otherwise is left out.
const TEXTS: [&str; 12] = [
    "requests a second",
    "share of requests that fail",
    "milliseconds",
    "bytes a response",
    "share of slow answers",
    "share of large answers",
    "share of attempts that fail",
    "API1:2023 Broken Object Level Authorization",
    "API2:2023 Broken Authentication",
    "API3:2023 Broken Object Property Level Authorization",
    "API4:2023 Unrestricted Resource Consumption",
    "API6:2023 Unrestricted Access to Sensitive Business Flows",
];

fn text(text: &str) -> Option<&'static str> {
    TEXTS.into_iter().find(|known| *known == text)
}

/// Writes a finding; times become wall time by `epoch`.
pub(super) fn write(finding: &Finding, epoch: i128, to: &mut Writer) {
    to.text(&finding.id);
    to.text(finding.detector.name());
    to.text(finding.severity.name());
    to.maybe(finding.source, |to, source| source.write(to));
    to.maybe(finding.credential, Writer::u64);
    to.maybe(finding.endpoint.as_ref(), |to, endpoint| {
        to.text(&endpoint.method);
        to.text(&endpoint.route);
    });
    let measure = &finding.measure;
    to.text(measure.unit);
    let numbers = [measure.observed, measure.baseline, measure.threshold, measure.weight];
    numbers.into_iter().chain([finding.completeness]).for_each(|number| to.f64(number));
    to.u64(measure.window_seconds);
    to.text(&measure.why);
    to.maybe(measure.owasp, Writer::text);
    to.u8(u8::from(measure.evidence_forgeable));
    to.i128(i128::from(finding.opened) + epoch);
    to.i128(i128::from(finding.updated) + epoch);
    // At most five.
    to.u8(finding.examples.len() as u8);
    finding.examples.iter().for_each(|example| example.write(epoch, to));
}

/// What [`write`] wrote, of an API; times before the clock began are its beginning.
pub(super) fn read(
    from: &mut Reader<'_>,
    api: u32,
    name: &Arc<str>,
    epoch: i128,
) -> Option<(Subject, Finding)> {
    let time = |from: &mut Reader<'_>| {
        let time = from.i128()?.checked_sub(epoch)?.max(0);
        u64::try_from(time).ok()
    };
    let id = from.text()?;
    let detector = from.text()?;
    let detector = Detector::ALL.into_iter().find(|known| known.name() == detector)?;
    let severity = from.text()?;
    let severity = Severity::ALL.into_iter().find(|known| known.name() == severity)?;
    let source = from.maybe(Source::read)?;
    let credential = from.maybe(Reader::u64)?;
    let endpoint = from.maybe(|from| {
        let (method, route) = (from.text()?, from.text()?);
        Some(Endpoint { method: Arc::from(method), route: Arc::from(route) })
    })?;
    let measure = Measure {
        unit: text(from.text()?).unwrap_or_default(),
        observed: from.f64()?,
        baseline: from.f64()?,
        threshold: from.f64()?,
        weight: from.f64()?,
        window_seconds: 0,
        why: String::new(),
        owasp: None,
        evidence_forgeable: false,
    };
    let completeness = from.f64()?;
    let measure = Measure {
        window_seconds: from.u64()?,
        why: from.text()?.to_owned(),
        owasp: from.maybe(Reader::text)?.and_then(text),
        evidence_forgeable: from.u8()? != 0,
        ..measure
    };
    let (opened, updated) = (time(from)?, time(from)?);
    let examples: Option<Vec<_>> =
        (0..from.u8()?).map(|_| Example::read(from, epoch)).take(MOST).collect();
    let finding = Finding {
        id: Arc::from(id),
        state: State::Update,
        detector,
        severity,
        api,
        api_name: Arc::clone(name),
        source,
        credential,
        endpoint: endpoint.clone(),
        measure,
        examples: examples?.into(),
        completeness,
        opened,
        updated,
        closed: None,
    };
    Some((Subject { detector, api, source, credential, endpoint, part: 0 }, finding))
}
