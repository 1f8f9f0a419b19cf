//! When the posture is to be reported, and when what is overdue.

use std::time::Duration;

use crate::text::quantity::DAY;

/// `[assess]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assess {
    /// How often the daemon writes a report by itself; `None`: never.
    pub every: Option<Duration>,
    /// A playbook that was not drilled for so long is overdue.
    pub drill_within: Duration,
    /// A finding that is open for so long is.
    pub finding_within: Duration,
}

impl Default for Assess {
    fn default() -> Self {
        Self {
            every: None,
            drill_within: DAY.saturating_mul(180),
            finding_within: DAY.saturating_mul(7),
        }
    }
}
