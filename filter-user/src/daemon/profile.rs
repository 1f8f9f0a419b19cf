//! What detectors, answers and events need to know of a policy.

use std::collections::HashMap;
use std::sync::Arc;

use crate::detect::{self, ApiProfile, Source, SourceLengths};
use crate::export::events::ApiField;
use crate::image::Ids;
use crate::policy::{Api, Criticality, Policy, Response};
use crate::respond::{Answer, Guard};
use crate::text::quantity::Measure;

/// The name of what no API claims.
pub(super) const UNCLAIMED: &str = "__unclaimed__";

/// One policy, as the pipeline sees it.
#[derive(Debug)]
pub(super) struct Profile {
    /// The policy.
    pub(super) policy: Arc<Policy>,
    by_id: HashMap<u32, usize>,
    fields: HashMap<u32, ApiField>,
}

impl Profile {
    pub(super) fn new(policy: Arc<Policy>, ids: &Ids) -> Self {
        let mut by_id = HashMap::new();
        let mut fields = HashMap::new();
        for (place, api) in policy.apis.iter().enumerate() {
            if let Some(id) = ids.find_api(&api.name) {
                by_id.insert(id, place);
                fields.insert(id, field(api));
            }
        }
        Self { policy, by_id, fields }
    }

    /// The API of a stable id.
    pub(super) fn api(&self, id: u32) -> Option<&Api> {
        self.by_id.get(&id).and_then(|&place| self.policy.apis.get(place))
    }

    /// The API as events show it.
    pub(super) fn field(&self, id: u32) -> ApiField {
        self.fields
            .get(&id)
            .cloned()
            .unwrap_or_else(|| ApiField { name: Arc::from(UNCLAIMED), ..ApiField::default() })
    }

    /// The APIs as detectors want them.
    pub(super) fn for_detectors(&self) -> Vec<ApiProfile> {
        let known = self.by_id.iter().filter_map(|(&id, &place)| {
            let api = self.policy.apis.get(place)?;
            Some(ApiProfile {
                id,
                name: Arc::from(api.name.as_str()),
                criticality: match api.about.criticality {
                    Criticality::Low => detect::Criticality::Low,
                    Criticality::Medium => detect::Criticality::Medium,
                    Criticality::High => detect::Criticality::High,
                    Criticality::Critical => detect::Criticality::Critical,
                },
                sources: SourceLengths { v4: api.source.v4, v6: api.source.v6 },
                login: api.login.as_ref().map(|login| {
                    let routes = login.routes.iter();
                    detect::Login::new(
                        routes.map(|route| (route.method.as_str(), route.path.as_str())),
                        &login.failed,
                    )
                }),
            })
        });
        known.collect()
    }

    /// What the policy answers to a finding.
    pub(super) fn answer(&self, api: u32, detector: detect::Detector) -> Answer {
        let Some(api) = self.api(api) else { return Answer::Alert };
        let response = match detector {
            detect::Detector::BruteForce => api.respond.brute_force,
            detect::Detector::RateShift => api.respond.rate_shift,
        };
        match response {
            Response::Alert => Answer::Alert,
            Response::Limit(rate) => Answer::Limit { packets: rate.amount, period: rate.period },
            Response::Ban(ttl) => Answer::Ban { ttl },
            Response::Lockdown(group) => match self.policy.group(group) {
                Some(group) => Answer::Lockdown { group: group.name.clone() },
                None => Answer::Alert,
            },
        }
    }
}

impl Guard for Profile {
    fn is_trusted(&self, source: &Source) -> bool {
        self.policy.trusted_by(source.address).is_some()
    }

    fn is_proxy(&self, api: u32, source: &Source) -> bool {
        let proxies = |api| self.policy.proxy_of(api, source.address).is_some();
        self.api(api).is_some_and(proxies)
    }
}

fn field(api: &Api) -> ApiField {
    let text = |value: &Option<String>| value.as_deref().map(Arc::from);
    ApiField {
        name: Arc::from(api.name.as_str()),
        owner: text(&api.about.owner),
        responder: text(&api.about.responder),
        criticality: Some(criticality(api.about.criticality)),
    }
}

/// The word of the policy language.
pub(super) const fn criticality(value: Criticality) -> &'static str {
    match value {
        Criticality::Low => "low",
        Criticality::Medium => "medium",
        Criticality::High => "high",
        Criticality::Critical => "critical",
    }
}

/// An order's or a response's packet rate as the kernel wants it, with a burst of a second or, for
/// slow rates, of one packet.
pub(super) fn packet_rate(rate: crate::text::quantity::Rate) -> Option<filter_common::gcra::Rate> {
    let burst = crate::policy::DEFAULT_BURST.max(rate.time_for(1));
    crate::policy::compile::gcra(rate, burst, Measure::Packets)
}
