//! One line of the audit log, and its seal.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::store::Who;

/// What the first line has in place of the hash of a line before.
pub(super) const BEGIN: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What stands between the sealed part of a line and its seal.
const SEAL: &[u8] = b",\"hash\":\"";

/// A line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// Its number, counted from 1.
    pub number: u64,
    /// When, RFC 3339 in UTC with milliseconds.
    pub time: String,
    /// What happened, in a word.
    pub what: String,
    /// By whom.
    #[serde(flatten)]
    pub who: Who,
    /// The arguments.
    pub about: serde_json::Map<String, serde_json::Value>,
    /// Hash of the policy in force before; `None`: there was none.
    pub before: Option<String>,
    /// Hash of the policy in force after.
    pub after: Option<String>,
    /// Lines before this one that could not be written.
    pub lost: u64,
    /// Hash of the line before.
    pub previous: String,
    /// SHA-256 over this line up to here, in hex.
    pub hash: String,
}

/// The text of a line with its newline, and its hash.
pub(super) fn seal(entry: &Entry) -> serde_json::Result<(String, String)> {
    let unsealed = Entry { hash: String::new(), ..entry.clone() };
    let text = serde_json::to_string(&unsealed)?;
    // The hash is the last field: it covers the very bytes before it, however JSON is written.
    let sealed = text.strip_suffix(",\"hash\":\"\"}").unwrap_or(&text);
    let hash = digest(sealed.as_bytes());
    Ok((format!("{sealed},\"hash\":\"{hash}\"}}\n"), hash))
}

/// Reads a line without a look at its seal.
pub(super) fn read(line: &[u8]) -> Result<Entry, &'static str> {
    serde_json::from_slice(line).map_err(|_| "it is not a line of the audit log")
}

/// Reads a line whose seal is right.
pub(super) fn open(line: &[u8]) -> Result<Entry, &'static str> {
    let entry = read(line)?;
    let at = line.windows(SEAL.len()).rposition(|part| part == SEAL);
    let sealed = at.and_then(|at| line.get(..at)).ok_or("it has no hash")?;
    let expected = [SEAL, digest(sealed).as_bytes(), b"\"}"].concat();
    if line[sealed.len()..] != expected {
        return Err("it was changed: its hash is not that of its text");
    }
    Ok(entry)
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 3339 in UTC with milliseconds of a time in ns since 1970.
pub(super) fn rfc3339(time: u64) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(time))
        .ok()
        .and_then(|time| time.format(format).ok())
        // 64 bits of ns reach to the year 2554, which this format can say.
        .unwrap_or_default()
}
