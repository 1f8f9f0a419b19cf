//! Connections to receivers.

pub(super) mod dial;
pub(super) mod http;
pub(super) mod secret;
pub(super) mod syslog;
