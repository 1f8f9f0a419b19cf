//! Targets without their values.
//!
//! Segments and the values of `…id` parameters that are decimal numbers of up to 18 digits are moved
//! by a secret distance, the same for all; other segments that are values (see
//! [`crate::inventory::segment`]), and such parameters, become a keyed hash. Literals stay: they name
//! endpoints. Everything else of the query goes.

use std::hash::{BuildHasher, RandomState};

use crate::inventory::path::Path;
use crate::inventory::segment::placeholder;

/// Numbers stay below this.
const MOST: u64 = 1_000_000_000_000_000_000;
/// Parameters of a query that are looked at.
const PARAMETERS: usize = 16;

/// The key of a recording: random, never told.
#[derive(Debug, Default)]
pub struct Veil {
    key: RandomState,
}

impl Veil {
    /// A target without its values; `*` for one without a path.
    pub fn target(&self, target: &str) -> String {
        let Some(path) = Path::of(target) else { return "*".to_owned() };
        let mut veiled = String::with_capacity(target.len());
        for segment in &path.segments {
            veiled.push('/');
            if placeholder(segment).is_some() {
                self.value(segment, &mut veiled);
            } else {
                veiled.push_str(segment);
            }
        }
        if path.segments.is_empty() {
            veiled.push('/');
        }
        let query = target.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let mut before = '?';
        for pair in query.split('&').take(PARAMETERS) {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let named = name.len() >= 2
                && name.len() <= 32
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && name.as_bytes()[name.len() - 2..].eq_ignore_ascii_case(b"id");
            if named && !value.is_empty() {
                veiled.push(before);
                veiled.push_str(name);
                veiled.push('=');
                self.value(value, &mut veiled);
                before = '&';
            }
        }
        veiled
    }

    fn value(&self, value: &str, out: &mut String) {
        use std::fmt::Write as _;
        let digits = value.len() <= 18 && value.bytes().all(|byte| byte.is_ascii_digit());
        // A string takes whatever is written.
        let _ok = match value.parse::<u64>() {
            Ok(number) if digits => {
                let distance = self.key.hash_one("distance") % MOST;
                write!(out, "{}", (number + distance) % MOST)
            }
            _ => write!(out, "~{:016x}", self.key.hash_one(value)),
        };
    }
}
