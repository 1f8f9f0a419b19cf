//! The rows, a file a topic.

pub(crate) mod bans;
pub(crate) mod extensions;
pub(crate) mod fragments;
pub(crate) mod lengths;
pub(crate) mod limits;
pub(crate) mod observe;
pub(crate) mod oddities;
pub(crate) mod orders;
pub(crate) mod overflow;
pub(crate) mod parse;
pub(crate) mod rules;
pub(crate) mod trusted;
pub(crate) mod unclaimed;

/// A client of each family, in the group `partners` where there is one.
pub(crate) const CLIENT: &str = "198.51.100.7";
pub(crate) const CLIENT6: &str = "2001:db8:1::7";
/// Somebody else of each family.
pub(crate) const STRANGER: &str = "192.0.2.77";
pub(crate) const STRANGER6: &str = "2001:db8:bad::77";

/// One API that everybody may reach.
pub(crate) const OPEN: &str = r#"
[[api]]
name = "web"
listen = ["tcp/8080", "udp/8080"]
allow = "any"
"#;

/// The same, and nothing else is let in.
pub(crate) const CLOSED: &str = r#"
[unclaimed]
action = "drop"
[[api]]
name = "web"
listen = ["tcp/8080", "udp/8080"]
allow = "any"
"#;
