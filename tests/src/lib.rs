//! End-to-end tests of weir.
