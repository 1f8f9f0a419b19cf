//! The daemon and the command line of weir, as a library: the binary is one call of it, and the
//! tests and fuzz targets reach each part.

pub mod cli;
pub mod config;
pub mod control;
pub mod image;
pub mod policy;
pub mod sensor;
pub mod text;
