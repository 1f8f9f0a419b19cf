//! Events: lines of JSON whose schema is `export/`'s.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

/// One event: a JSON object on one line, without the newline.
pub type Line = Arc<str>;

/// Which events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventQuery {
    /// The latest so many of those already written, oldest first.
    pub limit: usize,
    /// None before this time.
    pub since: Option<u64>,
    /// Then the ones to come, as they come, until the client hangs up.
    pub follow: bool,
}

impl Default for EventQuery {
    fn default() -> Self {
        Self { limit: 100, since: None, follow: false }
    }
}

/// Events asked for.
#[derive(Debug)]
pub struct Feed {
    /// Those already written, oldest first.
    pub past: Vec<Line>,
    /// Those that come after the last of `past`; used only when [`EventQuery::follow`] is set.
    pub live: Option<broadcast::Receiver<Line>>,
}
