//! The daemon and the command line of weir, as a library: the binary is one call of it, and the
//! tests and fuzz targets reach each part.

pub mod assess;
pub mod capture;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod detect;
pub mod export;
pub mod geo;
pub mod image;
pub mod inventory;
pub mod kernel;
pub mod lockout;
pub mod policy;
pub mod recording;
pub mod respond;
pub mod sensor;
pub mod store;
pub mod text;
