//! What `policy/` and `config/` share: text with positions, diagnostics, a reader of spanned TOML
//! that reports instead of failing, and quantities with units.
//!
//! Nothing here knows a key of either language. Reading files, and what a value means, is left to
//! the two modules that use this one.

mod diagnostic;
mod file;
pub mod quantity;
#[cfg(test)]
mod random;
mod report;
mod source;
mod suggest;
mod table;
mod words;

pub use diagnostic::{Diagnostic, Severity, render, sort};
pub use file::{read_regular, read_text, reason};
pub use quantity::Problem;
#[cfg(test)]
pub(crate) use random::Random;
pub use report::Report;
pub use source::{Location, Source};
pub use suggest::nearest;
pub use table::{Item, Table, read};
pub use words::{interface, name};
