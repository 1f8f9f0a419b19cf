//! What detectors, answers and events need to know of a policy.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::detect::{ApiProfile, Detector, Source};
use crate::export::events::ApiField;
use crate::image::Ids;
use crate::inventory::declared::DeclaredApi;
use crate::inventory::path::Path;
use crate::inventory::route::Declared;
use crate::policy::{Addresses, Api, Policy, RespondMode};
use crate::respond::{Guard, PolicyGuard, Served, Wanted, Watch};
use crate::text::quantity::Measure;

use super::quota::Rules;

/// The name of what no API claims.
pub(crate) const UNCLAIMED: &str = "__unclaimed__";

/// One policy, as the pipeline sees it.
#[derive(Debug)]
pub(crate) struct Profile {
    /// The policy.
    pub(crate) policy: Arc<Policy>,
    by_id: HashMap<u32, usize>,
    fields: HashMap<u32, ApiField>,
    /// Quotas of requests.
    pub(super) quotas: Rules,
    /// Of the APIs that have any.
    proxies: HashMap<u32, Addresses>,
}

impl Profile {
    pub(crate) fn new(policy: Arc<Policy>, ids: &Ids) -> Self {
        let mut by_id = HashMap::new();
        let mut fields = HashMap::new();
        let mut proxies = HashMap::new();
        for (place, api) in policy.apis.iter().enumerate() {
            if let Some(id) = ids.find_api(&api.name) {
                by_id.insert(id, place);
                fields.insert(id, ApiField::of(api));
                proxies.extend(policy.proxies_of(api).map(|addresses| (id, addresses)));
            }
        }
        let apis = by_id.iter().filter_map(|(&id, &place)| Some((id, policy.apis.get(place)?)));
        let quotas = Rules::of(&policy, apis);
        Self { policy, by_id, fields, quotas, proxies }
    }

    /// The API of a stable id.
    pub(crate) fn api(&self, id: u32) -> Option<&Api> {
        self.by_id.get(&id).and_then(|&place| self.policy.apis.get(place))
    }

    /// Stable ids of its APIs.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> {
        self.by_id.keys().copied()
    }

    /// The API as events show it.
    pub(crate) fn field(&self, id: u32) -> ApiField {
        self.fields.get(&id).cloned().unwrap_or_else(ApiField::unclaimed)
    }

    /// The APIs as detectors want them.
    pub(crate) fn for_detectors(&self) -> Vec<ApiProfile> {
        let ids = self.by_id.keys();
        let profile = |&id: &u32| {
            let api = self.api(id)?;
            let crawlers = self.policy.crawlers_of(api).map(Arc::new);
            Some(ApiProfile { crawlers, ..ApiProfile::declared(id, api) })
        };
        ids.filter_map(profile).collect()
    }

    /// The APIs that the policy has in maintenance at a time, seconds since 1970.
    pub(crate) fn maintained(&self, time: u64) -> Vec<u32> {
        let names = self.policy.maintained(time);
        if names.is_empty() {
            return Vec::new();
        }
        let is = |id: &u32| self.api(*id).is_some_and(|api| names.contains_key(api.name.as_str()));
        self.ids().filter(is).collect()
    }

    /// The APIs as the inventory wants them.
    pub(crate) fn for_inventory(&self) -> Vec<DeclaredApi> {
        let ids = self.by_id.keys();
        ids.filter_map(|&id| Some(DeclaredApi::of(id, self.api(id)?))).collect()
    }

    /// What the policy says of the routes of each API.
    pub(crate) fn declared(&self) -> Vec<(u32, Declared)> {
        let declared = |&id: &u32| {
            let api = self.api(id)?;
            let logins = api.login.iter().flat_map(|login| &login.routes);
            let named = logins.filter_map(|route| Some(Path::of(&route.path)?.into_owned()));
            Some((id, Declared { spec: api.spec.clone(), named: named.collect() }))
        };
        self.by_id.keys().filter_map(declared).collect()
    }

    /// The APIs that want networks banned when enough of their sources are.
    pub(crate) fn watched(&self) -> Vec<Watch> {
        let watch = |&id: &u32| {
            let api = self.api(id)?;
            Some(Watch { api: id, lengths: api.source, escalate: api.escalate? })
        };
        self.by_id.keys().filter_map(watch).collect()
    }

    /// What the policy answers to a finding; `stopped`: an operator has stopped all answers.
    pub(super) fn wanted(&self, api: u32, detector: Detector, stopped: bool) -> Wanted {
        let answer = self.api(api).map(|api| api.respond.to(detector)).unwrap_or_default();
        let per_minute = self.policy.responses.per_minute;
        Wanted { answer, mode: self.respond_mode(api), per_minute, stopped }
    }

    /// How far weir may go by itself at an API.
    pub(super) fn respond_mode(&self, api: u32) -> RespondMode {
        let own = self.api(api).and_then(|api| api.respond.mode);
        own.unwrap_or(self.policy.responses.mode)
    }

    /// The stable id of an API.
    pub(super) fn id_of(&self, name: &str) -> Option<u32> {
        self.by_id.keys().copied().find(|&id| self.api(id).is_some_and(|api| api.name == name))
    }

    /// What keeps an answer from hitting the wrong one.
    pub(crate) fn guard<'a>(
        &'a self,
        behind_proxy: impl Fn(&Source) -> bool + 'a,

        traffic: Option<(&'a Served, u64)>,
    ) -> impl Guard + 'a {
        PolicyGuard::new(&self.policy, |id| self.api(id), behind_proxy, traffic)
    }

    /// The proxies of an API, where it has any.
    pub(crate) fn proxies(&self, api: u32) -> Option<&Addresses> {
        self.proxies.get(&api)
    }
}

/// An order's or a response's packet rate as the kernel wants it, with a burst of a second or, for
/// slow rates, of one packet.
pub(crate) fn packet_rate(rate: crate::text::quantity::Rate) -> Option<filter_common::gcra::Rate> {
    let burst = crate::policy::DEFAULT_BURST.max(rate.time_for(1));
    crate::policy::compile::gcra(rate, burst, Measure::Packets)
}
