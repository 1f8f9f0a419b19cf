//! Posture reports that are kept.

use serde::{Deserialize, Serialize};

use super::Facts;

/// A report that was kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Assessed {
    /// What it was made of, the report before with it.
    pub facts: Facts,
    /// Its files.
    pub files: Vec<String>,
}
