//! What is different from the report before.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::facts::ApiFacts;
use super::{Coverage, LayerKind, Point, Report, Risk, State, Topic};
use crate::control::api::Setting;

/// What is different.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Changes {
    /// When the report before was made, seconds since 1970.
    pub since: u64,
    /// Hash of the policy then; `None`: there was none.
    pub policy_before: Option<String>,
    /// APIs and undeclared ports that came.
    pub added: Vec<String>,
    /// APIs and undeclared ports that went.
    pub removed: Vec<String>,
    /// Settings that are others, of APIs that were there before and of the policy.
    pub settings: Vec<Setting>,
    /// Layers that are in another state.
    pub layers: Vec<LayerChange>,
    /// Risks that are covered otherwise.
    pub owasp: Vec<CoverageChange>,
    /// Kinds of credentials that were seen for the first time, as `API: kind`.
    pub credentials: Vec<String>,
    /// Points that were not open before.
    pub opened: Vec<Point>,
    /// Points that are open no longer.
    pub closed: Vec<Point>,
}

/// A layer in another state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerChange {
    /// Of which API.
    pub api: String,
    /// Which.
    pub layer: LayerKind,
    /// The state before.
    pub before: State,
    /// The state now.
    pub after: State,
}

/// A risk that is covered otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageChange {
    /// At which API.
    pub api: String,
    /// Which.
    pub risk: Risk,
    /// How far before.
    pub before: Coverage,
    /// How far now.
    pub after: Coverage,
}

impl Changes {
    /// Whether nothing is different.
    pub fn is_empty(&self) -> bool {
        let Self { since, policy_before, .. } = self;
        *self == Self { since: *since, policy_before: policy_before.clone(), ..Self::default() }
    }
}

/// From one report to the next.
pub(super) fn between(before: &Report, after: &Report) -> Changes {
    let mut changes = Changes {
        since: before.facts.time,
        policy_before: before.facts.policy.as_ref().map(|policy| policy.hash.clone()),
        ..Changes::default()
    };
    let (old, new) = (by_name(&before.facts.apis), by_name(&after.facts.apis));
    changes.added = without(&after.facts.apis, &old);
    changes.removed = without(&before.facts.apis, &new);
    settings(None, &before.facts.settings, &after.facts.settings, &mut changes.settings);
    for api in &after.facts.apis {
        let name = api.seen.name.as_str();
        let Some(then) = old.get(name) else { continue };
        settings(Some(name), &then.settings, &api.settings, &mut changes.settings);
        for (kind, number) in &api.seen.credentials {
            let known = then.seen.credentials.get(kind).is_some_and(|&number| number > 0);
            if kind != "none" && *number > 0 && !known {
                changes.credentials.push(format!("{name}: {kind}"));
            }
        }
    }
    for now in &after.apis {
        let Some(then) = before.apis.iter().find(|api| api.name == now.name) else { continue };
        for layer in &now.layers {
            let was = then.layers.iter().find(|was| was.layer == layer.layer);
            if let Some(was) = was.filter(|was| was.state != layer.state) {
                changes.layers.push(LayerChange {
                    api: now.name.clone(),
                    layer: layer.layer,
                    before: was.state,
                    after: layer.state,
                });
            }
        }
        for entry in &now.owasp {
            let was = then.owasp.iter().find(|was| was.risk == entry.risk);
            if let Some(was) = was.filter(|was| was.coverage != entry.coverage) {
                changes.owasp.push(CoverageChange {
                    api: now.name.clone(),
                    risk: entry.risk,
                    before: was.coverage,
                    after: entry.coverage,
                });
            }
        }
    }
    // Of what came or went as a whole, findings only: that it lacks layers is with the API.
    let whole =
        |names: &[String], point: &Point| point.topic == Topic::Layer && names.contains(&point.api);
    changes.opened = points(&after.points, &before.points);
    changes.opened.retain(|point| !whole(&changes.added, point));
    changes.closed = points(&before.points, &after.points);
    changes.closed.retain(|point| !whole(&changes.removed, point));
    changes
}

fn by_name(apis: &[ApiFacts]) -> BTreeMap<&str, &ApiFacts> {
    apis.iter().map(|api| (api.seen.name.as_str(), api)).collect()
}

fn without(apis: &[ApiFacts], others: &BTreeMap<&str, &ApiFacts>) -> Vec<String> {
    let names = apis.iter().map(|api| &api.seen.name);
    names.filter(|name| !others.contains_key(name.as_str())).cloned().collect()
}

fn settings(
    api: Option<&str>,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
    to: &mut Vec<Setting>,
) {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    to.extend(keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).map(|key| {
        Setting {
            api: api.map(str::to_owned),
            key: key.clone(),
            before: before.get(key).cloned(),
            after: after.get(key).cloned(),
        }
    }));
}

/// Those that the others lack: another text of the same is no other point.
fn points(these: &[Point], others: &[Point]) -> Vec<Point> {
    let about = |point: &Point| (point.topic, point.api.clone(), point.key.clone());
    let known: BTreeSet<_> = others.iter().map(about).collect();
    these.iter().filter(|point| !known.contains(&about(point))).cloned().collect()
}
