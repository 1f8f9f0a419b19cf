//! The daemon's socket API, the command line's client of it, and the scrape address.
//!
//! [`api`] says what can be asked and what is answered; [`server`] speaks it over HTTP on a Unix
//! socket, [`client`] asks. [`metrics_http`] serves /metrics and the health checks on TCP, and
//! [`notify`] tells systemd how the daemon does. [`peer`] and
//! [`identity`] are about who asks. What the requests do is the daemon's, behind
//! [`api::Daemon`]; how answers look to a person is `cli/`'s.

pub mod api;
pub mod client;
mod http;
pub mod identity;
pub mod metrics_http;
pub mod notify;
mod patience;
pub mod peer;
mod routes;
pub mod server;
pub mod ssh;
