//! From sampled segments to transactions.

pub mod transaction;
