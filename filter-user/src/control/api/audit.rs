//! The audit log: lines whose schema is `export/`'s.

use serde::{Deserialize, Serialize};

pub use crate::export::audit::{Entry as AuditEntry, Verified as AuditVerified};

/// Which lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditQuery {
    /// The latest so many.
    pub limit: usize,
}

impl Default for AuditQuery {
    fn default() -> Self {
        Self { limit: 100 }
    }
}
