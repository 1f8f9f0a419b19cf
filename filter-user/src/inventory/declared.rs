//! What the policy says of an API, as far as the inventory holds it against what was seen.

use std::sync::Arc;

use crate::detect::ApiProfile;
use crate::policy::{self, Lifecycle};

use super::openapi::Spec;

/// A declared API.
#[derive(Clone, Debug)]
pub struct DeclaredApi {
    /// Stable id, name, criticality.
    pub profile: ApiProfile,
    /// Where it is in its life.
    pub lifecycle: Lifecycle,
    /// What its OpenAPI document says.
    pub spec: Option<Arc<Spec>>,
}

impl DeclaredApi {
    /// The API of a policy with this stable id.
    pub fn of(id: u32, api: &policy::Api) -> Self {
        Self {
            profile: ApiProfile::declared(id, api),
            lifecycle: api.about.lifecycle,
            spec: api.spec.clone(),
        }
    }
}
