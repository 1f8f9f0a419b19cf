//! The text of a policy, with a feed: read, and compiled when it is good.
#![no_main]

use filter_user::image::Ids;
use filter_user::policy::{self, ReadFile};
use filter_user::text::{Problem, render};
use libfuzzer_sys::fuzz_target;

/// Every file that a policy names is this one.
struct Feed<'a>(&'a [u8]);

impl ReadFile for Feed<'_> {
    fn read(&self, _name: &str) -> Result<Vec<u8>, Problem> {
        Ok(self.0.to_vec())
    }
}

fuzz_target!(|bytes: &[u8]| {
    // The feed is what follows the first zero byte.
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (text, feed) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let Ok(text) = std::str::from_utf8(text) else { return };
    let loaded = policy::parse_with(text, "policy.toml", &Feed(feed));
    let shown = render(&loaded.diagnostics);
    match loaded.policy {
        // The tables of a good one; what cannot be compiled says why.
        Some(policy) => drop(policy::compile(&policy, &mut Ids::new(64))),
        None => assert!(!shown.is_empty(), "refused without a word: {text:?}"),
    }
});
