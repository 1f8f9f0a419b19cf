//! The daemon and the command line of weir, as a library: the binary is one call of it, and the
//! tests and fuzz targets reach each part.

pub mod detect;
pub mod export;
pub mod inventory;
pub mod respond;
pub mod sensor;
