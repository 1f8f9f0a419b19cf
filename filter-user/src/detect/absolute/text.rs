//! How its findings are told.

use super::{Judged, Part};
use crate::detect::api::ApiProfile;

pub(super) fn unit(part: Part) -> &'static str {
    match part {
        Part::Errors => "share of requests that fail",
        Part::Latency => "milliseconds",
        Part::Least | Part::Most => "requests a second",
    }
}

pub(super) fn why(part: Part, judged: &Judged, api: &ApiProfile, window: u64) -> String {
    let Judged { observed, limit, .. } = judged;
    let name = &api.name;
    match part {
        Part::Errors => format!(
            "{:.1} % of the requests to {name} failed within {window} seconds; the policy wants {:.1} % at most",
            100.0 * observed,
            100.0 * limit,
        ),
        Part::Latency => format!(
            "one answer of {name} in a hundred took more than {observed:.1} ms within {window} seconds; \
             the policy wants {limit:.1} ms at most"
        ),
        Part::Least => format!(
            "{observed:.2} requests a second to {name} within {window} seconds; the policy wants {limit} at least"
        ),
        Part::Most => format!(
            "{observed:.1} requests a second to {name} within {window} seconds; the policy wants {limit} at most"
        ),
    }
}

pub(super) fn over(part: Part, judged: Option<Judged>, api: &ApiProfile) -> String {
    let name = &api.name;
    let Some(Judged { observed, .. }) = judged else {
        return format!("{name} has too few requests to say more");
    };
    match part {
        Part::Errors => {
            format!("{:.1} % of the requests to {name} fail: within the limit", 100.0 * observed)
        }
        Part::Latency => {
            format!("99 of 100 answers of {name} take {observed:.1} ms at most: within the limit")
        }
        Part::Least | Part::Most => {
            format!("requests to {name} are at {observed:.1} a second: within the limit")
        }
    }
}
