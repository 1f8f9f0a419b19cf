//! Evidence: what is known of a source, or of an API, in a span of time; sealed by hashes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest as _, Sha256};

use crate::store::Who;

/// Version of the file: raised when a field changes its meaning or goes away.
pub const EVIDENCE: u32 = 1;

/// What is asked for: a source or an API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceQuery {
    /// An address, or a network as `address/length`.
    #[serde(default)]
    pub source: Option<String>,
    /// An API; or a port that nobody declared, as `tcp/9000`.
    #[serde(default)]
    pub api: Option<String>,
    /// From when on, seconds since 1970.
    pub since: u64,
    /// Until when; `None`: now.
    #[serde(default)]
    pub until: Option<u64>,
}

/// The file. What is hashed are the bytes of each section as they stand in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Evidence {
    /// [`EVIDENCE`].
    pub evidence: u32,
    /// What it is about: an [`EvidenceHead`].
    pub head: Box<RawValue>,
    /// Its sections by name.
    pub sections: BTreeMap<String, Box<RawValue>>,
    /// SHA-256 of the head and of each section, in hex, by name.
    pub hashes: BTreeMap<String, String>,
    /// SHA-256 over the lines `NAME HASH` of all of these in the order of their names, in hex.
    pub hash: String,
}

/// What evidence is about, and when and by whom it was taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EvidenceHead {
    /// The source, if that is what it is about.
    pub source: Option<String>,
    /// The API, if that is.
    pub api: Option<String>,
    /// The span, seconds since 1970.
    pub since: u64,
    /// Its end.
    pub until: u64,
    /// When it was taken.
    pub taken: u64,
    /// By whom.
    pub by: Who,
    /// Version of weir.
    pub weir: String,
    /// Hash of the policy in force then.
    pub policy: String,
    /// Number and hash of the last line of the audit log then: the line that says that this evidence was
    /// taken.
    pub audit_number: u64,
    /// See [`Self::audit_number`].
    pub audit_hash: String,
}

/// Section `reached`: requests, out of the stored sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reached {
    /// All of it together.
    pub total: Sum,
    /// By endpoint and status, those with most requests first.
    pub endpoints: Vec<EndpointSum>,
    /// By source, likewise; the first hundred.
    pub sources: Vec<SourceSum>,
    /// Different sources.
    pub different_sources: u64,
    /// Kept requests by the kind of credential they carried; `none`.
    pub credentials: BTreeMap<String, u64>,
    /// Kept requests whose source is not forged: a handshake was seen.
    pub handshakes: u64,
    /// Kept requests of which nothing was lost.
    pub complete: u64,
}

/// Requests and what went out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sum {
    /// Requests that were kept.
    pub kept: u64,
    /// How many they stand for.
    pub estimated: u64,
    /// Standard error of that, from the choice of those that were kept.
    pub standard_error: u64,
    /// When the first of them began, ms since 1970.
    pub first_ms: u64,
    /// And the last.
    pub last_ms: u64,
    /// Bytes of bodies that came in with the kept ones.
    pub request_bytes: u64,
    /// Bytes of bodies that went out with the kept ones.
    pub response_bytes: u64,
    /// Bytes of bodies that went out with all they stand for.
    pub response_bytes_estimated: u64,
    /// Kept ones the size of whose answer is not known.
    pub sizes_unknown: u64,
}

/// An endpoint with one status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointSum {
    /// The API.
    pub api: String,
    /// The method.
    pub method: String,
    /// The route.
    pub route: String,
    /// The status; `None`: no answer was seen.
    pub status: Option<u16>,
    /// How much.
    #[serde(flatten)]
    pub sum: Sum,
}

/// A source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceSum {
    /// Its address.
    pub source: String,
    /// How much.
    #[serde(flatten)]
    pub sum: Sum,
}

/// Section `completeness`: how much of what was is here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Completeness {
    /// Share of flows that are sampled now.
    pub sample_share: f64,
    /// Share of the sampled telemetry of the last minute that was not lost.
    pub telemetry: f64,
    /// The oldest request that is kept at all, ms since 1970; `None`: none is.
    pub oldest_ms: Option<u64>,
    /// Whether requests of the whole span are kept.
    pub covers_span: bool,
    /// Records that events say were lost in the span.
    pub lost_records: u64,
    /// When the daemon began and ended in the span, as events say.
    pub daemon: Vec<String>,
    /// The most requests that a kept one stands for.
    pub most_weight: u64,
}

/// SHA-256 in hex.
fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What checking evidence found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceVerified {
    /// Every section is as it was written, and none is missing.
    pub intact: bool,
    /// The hash of the whole, as it is written in it.
    pub hash: String,
    /// What is wrong; empty when it is intact.
    pub problems: Vec<String>,
}

impl Evidence {
    /// Seals a head and sections.
    ///
    /// # Errors
    /// Something that cannot be written as JSON.
    pub fn seal(
        head: &EvidenceHead,
        sections: Vec<(&str, serde_json::Value)>,
    ) -> serde_json::Result<Self> {
        let head = to_raw_value(head)?;
        let mut named = BTreeMap::new();
        for (name, value) in sections {
            named.insert(name.to_owned(), to_raw_value(&value)?);
        }
        let mut evidence = Self {
            evidence: EVIDENCE,
            head,
            sections: named,
            hashes: BTreeMap::new(),
            hash: String::new(),
        };
        evidence.hashes = evidence.digests();
        evidence.hash = whole(&evidence.hashes);
        Ok(evidence)
    }

    fn digests(&self) -> BTreeMap<String, String> {
        let head = std::iter::once(("head", &self.head));
        let sections = self.sections.iter().map(|(name, raw)| (name.as_str(), raw));
        head.chain(sections)
            .map(|(name, raw)| (name.to_owned(), digest(raw.get().as_bytes())))
            .collect()
    }

    /// Checks every hash.
    pub fn verify(&self) -> EvidenceVerified {
        let mut problems = Vec::new();
        if self.evidence != EVIDENCE {
            problems.push(format!("version {} is not known", self.evidence));
        }
        let found = self.digests();
        for (name, hash) in &self.hashes {
            match found.get(name) {
                None => problems.push(format!("{name} is missing")),
                Some(digest) if digest != hash => problems.push(format!("{name} was changed")),
                Some(_) => {}
            }
        }
        for name in found.keys().filter(|name| !self.hashes.contains_key(*name)) {
            problems.push(format!("{name} was put in"));
        }
        if whole(&self.hashes) != self.hash {
            problems.push("the hashes themselves were changed".to_owned());
        }
        EvidenceVerified { intact: problems.is_empty(), hash: self.hash.clone(), problems }
    }
}

fn whole(hashes: &BTreeMap<String, String>) -> String {
    let lines: String = hashes.iter().map(|(name, hash)| format!("{name} {hash}\n")).collect();
    digest(lines.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_changed_shows() {
        let head = EvidenceHead { source: Some("192.0.2.1".to_owned()), ..EvidenceHead::default() };
        let sections = vec![
            ("reached", serde_json::json!({ "share": 0.1 + 0.2, "text": "a\"b\u{1f600}" })),
            ("actions", serde_json::json!([1, 2, 3])),
        ];
        let evidence = Evidence::seal(&head, sections).expect("JSON");
        let text = serde_json::to_string_pretty(&evidence).expect("JSON");
        let check = |text: &str| serde_json::from_str::<Evidence>(text).map(|read| read.verify());
        let verified = check(&text).expect("reads");
        assert!(verified.intact, "{verified:?}");
        let hash = verified.hash.as_str();
        // What is replaced by what, and a word of what is told.
        let rows = [
            ("192.0.2.1", "192.0.2.2", "head was changed"),
            ("[1,2,3]", "[1,2,4]", "actions was changed"),
            ("[1,2,3]", "[1, 2,3]", "actions was changed"),
            ("\"actions\": [1,2,3],", "", "actions is missing"),
            ("\"actions\": [1,2,3],", "\"actions\": [1,2,3], \"more\": 1,", "more was put in"),
            ("\"evidence\": 1", "\"evidence\": 2", "version 2"),
            (hash, "00", "hashes themselves"),
        ];
        for (from, to, word) in rows {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            let verified = check(&changed).expect("reads");
            assert!(!verified.intact, "{from} → {to}");
            assert!(verified.problems.iter().any(|problem| problem.contains(word)), "{verified:?}");
        }
        assert!(check("{}").is_err());
    }
}
