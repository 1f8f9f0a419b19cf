//! Orders: what an operator or a detector has decided about an API for now, over its policy.

use serde::{Deserialize, Serialize};

use crate::store::Who;

/// Whether drops happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// They do.
    Enforce,
    /// They are passes, counted as would-drops.
    Monitor,
}

/// An order, by what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Order {
    /// Nothing passes but trusted sources.
    Shutdown,
    /// Only a group passes, and trusted sources.
    Lockdown {
        /// The group; `None`: trusted sources only.
        group: Option<String>,
    },
    /// Another mode than the policy's.
    Mode {
        /// Which.
        mode: Mode,
    },
    /// A packet rate for each source, on top of the policy's limits.
    Limit {
        /// As in a policy: `100/s`.
        packets: String,
    },
}

/// An order without its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderKind {
    /// [`Order::Shutdown`].
    Shutdown,
    /// [`Order::Lockdown`].
    Lockdown,
    /// [`Order::Mode`].
    Mode,
    /// [`Order::Limit`].
    Limit,
}

impl Order {
    /// Which kind it is.
    pub const fn kind(&self) -> OrderKind {
        match self {
            Self::Shutdown => OrderKind::Shutdown,
            Self::Lockdown { .. } => OrderKind::Lockdown,
            Self::Mode { .. } => OrderKind::Mode,
            Self::Limit { .. } => OrderKind::Limit,
        }
    }
}

/// An order to put in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderSet {
    /// The API's name.
    pub api: String,
    /// What is ordered.
    pub order: Order,
    /// Seconds until it ends by itself, more than 0; `None`: when it is lifted.
    #[serde(default)]
    pub ttl_seconds: Option<f64>,
    /// Why, for those who read it later.
    #[serde(default)]
    pub reason: String,
    /// Do it even when it would lock the caller out.
    #[serde(default)]
    pub force: bool,
}

/// Orders to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderLift {
    /// The API's name.
    pub api: String,
    /// Of which kinds; none named: all.
    #[serde(default)]
    pub kinds: Vec<OrderKind>,
}

/// An order in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderInForce {
    /// What is ordered.
    #[serde(flatten)]
    pub order: Order,
    /// Seconds until it ends by itself; `None`: when it is lifted.
    pub remaining_seconds: Option<u64>,
    /// Given by a detector, not by an operator.
    #[serde(default)]
    pub automatic: bool,
    /// Why; empty when the daemon does not know.
    #[serde(default)]
    pub reason: String,
    /// When it was given; `None`: the daemon does not know.
    #[serde(default)]
    pub since: Option<u64>,
    /// Who gave it; `None`: a detector, or the daemon does not know.
    #[serde(default)]
    pub by: Option<Who>,
    /// The playbook it is a step of.
    #[serde(default)]
    pub playbook: Option<String>,
}

/// An API and the orders in force for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiOrders {
    /// The API's name.
    pub api: String,
    /// The mode it is in, orders included.
    pub mode: Mode,
    /// The orders, at most one of a kind.
    pub orders: Vec<OrderInForce>,
}
