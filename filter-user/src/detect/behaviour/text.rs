//! The numbers and sentences of findings.

use super::BehaviourConfig;
use super::endpoint::Tally;
use crate::detect::api::ApiProfile;
use crate::detect::finding::{Detector, Measure};
use crate::detect::lifecycle::Subject;
use crate::detect::series::{Judged, Step};

pub(super) fn measure(
    detector: Detector,
    judged: &Judged,
    tally: &Tally,
    subject: &Subject,
    api: &ApiProfile,
    config: &BehaviourConfig,
) -> Measure {
    let window = u64::from(config.series.step);
    let adjusted = match detector {
        Detector::LatencyShift | Detector::SizeShift if subject.endpoint.is_none() => {
            ", each request against its route,"
        }
        _ => "",
    };
    let why = format!(
        "{} {}{adjusted} within {} minutes; {} at this hour of the week, and {} {} counts as a shift",
        said(detector, judged.value),
        place(subject, api),
        window.div_ceil(60),
        usual(detector, judged.usual),
        if judged.up { "more than" } else { "less than" },
        number(detector, judged.threshold),
    );
    Measure {
        unit: unit(detector),
        observed: judged.value,
        baseline: judged.usual,
        threshold: judged.threshold,
        window_seconds: window,
        weight: tally.weight(),
        why,
        owasp: owasp(detector, judged.up),
        evidence_forgeable: tally.forgeable(),
    }
}

pub(super) fn over(
    detector: Detector,
    judged: &Judged,
    step: Step,
    subject: &Subject,
    api: &ApiProfile,
    config: &BehaviourConfig,
) -> String {
    let now = format!("{} {}", said(detector, judged.value), place(subject, api));
    let minutes = |steps: u32| steps.saturating_mul(config.series.step).div_ceil(60);
    match step {
        Step::Adopted => {
            format!(
                "{now} are usual now, after {} hours",
                minutes(config.series.adopt).div_ceil(60)
            )
        }
        _ => format!("{now}: as usual for {} minutes", minutes(config.series.calm.into())),
    }
}

pub(super) fn tail(
    detector: Detector,
    judged: &super::tail::Judged,
    tally: &Tally,
    subject: &Subject,
    api: &ApiProfile,
    config: &BehaviourConfig,
) -> Measure {
    let window = u64::from(config.series.step);
    let threshold = judged.usual * config.tail.ratio;
    let (what, limit) = beyond(detector, judged.limit);
    let why = format!(
        "{:.1} % of answers {} {what} {limit} within {} minutes; {:.1} % is usual, and more than \
         {:.1} % counts as a heavier tail",
        judged.share * 100.0,
        place(subject, api),
        window.div_ceil(60),
        judged.usual * 100.0,
        threshold * 100.0,
    );
    Measure {
        unit: match detector {
            Detector::SizeTail => "share of large answers",
            _ => "share of slow answers",
        },
        observed: judged.share,
        baseline: judged.usual,
        threshold,
        window_seconds: window,
        weight: tally.weight(),
        why,
        owasp: Some("API4:2023 Unrestricted Resource Consumption"),
        evidence_forgeable: tally.forgeable(),
    }
}

pub(super) fn tail_over(
    detector: Detector,
    judged: &super::tail::Judged,
    subject: &Subject,
    api: &ApiProfile,
) -> String {
    let (what, limit) = beyond(detector, judged.limit);
    let share = judged.share * 100.0;
    format!("{share:.1} % of answers {} {what} {limit}, and that is usual", place(subject, api))
}

fn beyond(detector: Detector, limit: f64) -> (&'static str, String) {
    match detector {
        Detector::SizeTail => ("had more than", format!("{limit:.0} bytes")),
        _ => ("took more than", format!("{:.1} ms", limit / 1000.0)),
    }
}

fn place(subject: &Subject, api: &ApiProfile) -> String {
    match &subject.endpoint {
        Some(endpoint) => format!("at {} {} of {}", endpoint.method, endpoint.route, api.name),
        None => format!("at {}", api.name),
    }
}

fn unit(detector: Detector) -> &'static str {
    match detector {
        Detector::ErrorShift => "share of requests that fail",
        Detector::LatencyShift => "milliseconds",
        Detector::SizeShift => "bytes a response",
        _ => "requests a second",
    }
}

fn number(detector: Detector, value: f64) -> String {
    match detector {
        Detector::ErrorShift => format!("{:.1} %", value * 100.0),
        Detector::LatencyShift => format!("{value:.1} ms"),
        Detector::SizeShift => format!("{value:.0} bytes"),
        _ => format!("{value:.1}"),
    }
}

fn said(detector: Detector, value: f64) -> String {
    let number = number(detector, value);
    match detector {
        Detector::ErrorShift => format!("{number} of requests failed (status 500 or more)"),
        Detector::LatencyShift => format!("answers took {number}"),
        Detector::SizeShift => format!("responses had {number}"),
        _ => format!("{number} requests a second"),
    }
}

fn usual(detector: Detector, value: f64) -> String {
    let number = number(detector, value);
    match detector {
        Detector::ErrorShift | Detector::LatencyShift => format!("{number} is usual"),
        _ => format!("{number} are usual"),
    }
}

fn owasp(detector: Detector, up: bool) -> Option<&'static str> {
    match detector {
        Detector::RateShift | Detector::LatencyShift if up => {
            Some("API4:2023 Unrestricted Resource Consumption")
        }
        Detector::SizeShift if up => Some("API3:2023 Broken Object Property Level Authorization"),
        _ => None,
    }
}
