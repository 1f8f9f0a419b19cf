//! Findings against labels.
//!
//! **Found.** A label is found when one of its detectors opens a finding at its API, of one of its
//! sources where it has any and the finding has one, from its beginning until [`GRACE`] after its end.
//!
//! **Belongs.** A finding that finds no label still belongs to one when it is about the same API within
//! that time, or for shifts and tails within [`AFTERMATH`], and about none but the label's sources: one
//! cause often has several findings (a flood is a shift of rate, too).
//!
//! **False.** Every other finding.

use crate::plan::{Label, Plan};
use crate::replay::Found;
use crate::world::APIS;

/// Seconds after its end in which a label may still be found: three steps of the slowest detectors.
pub const GRACE: f64 = 900.0;
/// Seconds after its end in which shifts and tails may still follow from it: as long as they take to
/// close, and to open the other way.
pub const AFTERMATH: f64 = 7200.0;

/// What is said of one label.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Seconds from its beginning to its first finding; `None` when it was missed.
    pub after: Option<f64>,
}

/// What is said of all.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// As the plan's labels.
    pub outcomes: Vec<Outcome>,
    /// Places of the findings that nothing is the matter with.
    pub wrong: Vec<usize>,
    /// Findings that belong to a label without being what it asks for.
    pub beside: usize,
}

const BEHAVIOUR: [&str; 6] =
    ["rate_shift", "error_shift", "latency_shift", "size_shift", "latency_tail", "size_tail"];

/// Holds findings against a plan's labels.
pub fn judge(plan: &Plan, found: &[Found]) -> Judgement {
    let mut judgement = Judgement::default();
    let mut claimed = vec![false; found.len()];
    for label in &plan.labels {
        let mut after: Option<f64> = None;
        for (found, claimed) in found.iter().zip(&mut claimed) {
            if belongs(label, found, GRACE) && label.detectors.contains(&&*found.detector) {
                *claimed = true;
                let delay = found.opened - label.begin;
                after = Some(after.map_or(delay, |least| least.min(delay)));
            }
        }
        judgement.outcomes.push(Outcome { after });
    }
    for (place, (found, claimed)) in found.iter().zip(claimed).enumerate() {
        let aftermath = if BEHAVIOUR.contains(&&*found.detector) { AFTERMATH } else { GRACE };
        if claimed {
            continue;
        }
        if plan.labels.iter().any(|label| belongs(label, found, aftermath)) {
            judgement.beside += 1;
        } else {
            judgement.wrong.push(place);
        }
    }
    judgement
}

fn belongs(label: &Label, found: &Found, grace: f64) -> bool {
    let api = APIS[usize::from(label.api)].name;
    let its = found.source.is_none_or(|source| label.sources.iter().any(|one| *one == source));
    found.api == api && its && (label.begin..label.end + grace).contains(&found.opened)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Scene;
    use crate::world::ORDERS;

    fn found(detector: &str, source: Option<&str>, opened: f64) -> Found {
        Found {
            detector: detector.to_owned(),
            severity: String::new(),
            api: "orders".to_owned(),
            source: source.map(|text| text.parse().expect("an address")),
            endpoint: String::new(),
            opened,
            closed: None,
            why: String::new(),
            id: String::new(),
        }
    }

    #[test]
    fn rows() {
        let mut scene = Scene::new(1);
        scene.labels.push(Label {
            detectors: vec!["enumeration"],
            strength: String::new(),
            must: true,
            api: ORDERS,
            sources: vec!["198.19.0.1".parse().expect("an address")],
            begin: 1000.0,
            end: 2000.0,
        });
        let plan = scene.plan(0.0, 1e6);
        let (its, other) = (Some("198.19.0.1"), Some("198.19.0.2"));
        // Finding; found after, false, beside.
        for (name, one, expected) in [
            ("found", found("enumeration", its, 1010.0), (Some(10.0), 0, 0)),
            ("late, but found", found("enumeration", its, 2800.0), (Some(1800.0), 0, 0)),
            ("too late", found("enumeration", its, 2901.0), (None, 1, 0)),
            ("too early", found("enumeration", its, 999.0), (None, 1, 0)),
            ("somebody else", found("enumeration", other, 1010.0), (None, 1, 0)),
            ("beside", found("probing", its, 1010.0), (None, 0, 1)),
            ("a shift beside", found("rate_shift", None, 9000.0), (None, 0, 1)),
            ("a shift too late", found("rate_shift", None, 9300.0), (None, 1, 0)),
            (
                "elsewhere",
                Found { api: "batch".to_owned(), ..found("enumeration", its, 1010.0) },
                (None, 1, 0),
            ),
        ] {
            let judged = judge(&plan, &[one]);
            let got = (judged.outcomes[0].after, judged.wrong.len(), judged.beside);
            assert_eq!(got, expected, "{name}");
        }
    }
}
