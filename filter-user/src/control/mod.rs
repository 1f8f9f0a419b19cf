//! The daemon's socket API and the command line's client of it.
//!
//! [`api`] says what can be asked and what is answered; `server` speaks it over HTTP on a
//! Unix socket. What the requests do is the daemon's, behind [`api::Daemon`]; how answers look to
//! a person is `cli/`'s.

pub mod api;
