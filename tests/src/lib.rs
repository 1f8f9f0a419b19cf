//! The laboratory that weir is tried in: hosts in network namespaces on one switch, with a real
//! web server, real clients, Prometheus, a packet generator and the `weir` binary itself.
//!
//! The end-to-end tests (`tests/`) and `cargo xtask demo` use it. It needs root. Everything it makes
//! carries the laboratory's name, goes when the value that stands for it is dropped, and is swept
//! by the next run when a run was killed before that. Every wait has a deadline, and an error that
//! shows what the process that was waited for had to say.

pub mod alertmanager;
pub mod connect;
pub mod curl;
pub mod frame;
pub mod generator;
pub mod h2load;
pub mod haproxy;
pub mod interrupt;
pub mod lab;
pub mod metrics;
pub mod mmdb;
pub mod netns;
pub mod nft;
pub mod nginx;
pub mod ocsf;
pub mod process;
pub mod prometheus;
pub mod pty;
pub mod reading;
pub mod receiver;
pub mod rotel;
pub mod rsyslog;
pub mod services;
pub mod soak;
pub mod ssh;
pub mod stream;
pub mod swaps;
pub mod sweep;
pub mod wait;
pub mod weir;
pub mod wrk;
