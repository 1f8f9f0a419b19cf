//! What APIs and endpoints exist, as far as traffic shows. Pure: no aya, no tokio, no clock.
//!
//! It names routes: everything that keeps a series or a state per endpoint
//! names it through [`route::Routes`]. [`catalog::Catalog`] keeps what was seen of each.

pub mod catalog;
pub mod openapi;
pub mod path;
pub mod route;
pub mod segment;
pub mod sources;
pub mod usage;
