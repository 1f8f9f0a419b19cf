//! What APIs and endpoints exist, as far as traffic shows. Pure: no aya, no tokio, no clock.
//!
//! It names routes: everything that keeps a series or a state per endpoint
//! names it through [`route::Routes`]. [`catalog::Catalog`] keeps what was seen of each;
//! [`drift`], [`findings`] and [`skeleton`] say what that means. Keeping it over restarts is the
//! store's and the daemon's.

pub mod catalog;
pub mod declared;
pub mod drift;
pub mod findings;
pub mod openapi;
pub mod path;
pub mod route;
pub mod samples;
pub mod segment;
pub mod skeleton;
pub mod sources;
pub mod usage;
