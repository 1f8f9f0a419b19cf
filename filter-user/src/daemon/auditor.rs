//! The audit log as the daemon writes it: who did what, and what became of the line.

use std::path::Path;

use serde_json::{Map, Value};

use crate::export::audit::{AuditLog, Change};
use crate::export::events::{Event, Kind};
use crate::store::Who;

use super::core::{Core, lock, unix_ns};

/// The log, and whether it works.
pub(super) struct Auditor {
    /// The file.
    pub(super) log: AuditLog,
    /// Lines that were not written.
    pub(super) failures: u64,
    problem: Option<String>,
}

impl Auditor {
    pub(super) fn new(directory: &Path, max_bytes: u64) -> Self {
        Self { log: AuditLog::new(directory, max_bytes), failures: 0, problem: None }
    }

    /// What is wrong, as a sentence for the status.
    pub(super) fn problem(&self) -> Option<String> {
        let problem = self.problem.as_ref()?;
        Some(format!("{problem}: changes leave no line in the audit log"))
    }
}

/// Arguments of a change.
pub(super) fn about<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    let given = fields.into_iter().filter(|(_, value)| !value.is_null());
    given.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The argument that a guard was overruled, if it was.
pub(super) fn forced(force: bool) -> Value {
    if force { Value::Bool(true) } else { Value::Null }
}

impl Core {
    /// Writes a line of the audit log. When that fails, an event says so.
    pub(super) fn audit(&self, change: &Change) {
        let mut auditor = lock(&self.auditor);
        let path = auditor.log.path().display().to_string();
        match auditor.log.write(unix_ns(), change) {
            Ok(()) => auditor.problem = None,
            Err(error) => {
                let problem = format!("cannot write {path}: {error}");
                tracing::error!(what = change.what, "{problem}");
                auditor.failures += 1;
                auditor.problem = Some(problem.clone());
                drop(auditor);
                self.tell(&Event::new(Kind::StoreFailed, unix_ns(), problem));
            }
        }
    }

    /// The same for a change that leaves the policy as it is.
    pub(super) fn audit_act<const N: usize>(
        &self,
        what: &'static str,
        who: Who,
        fields: [(&str, Value); N],
    ) {
        self.audit(&Change { what, who, about: about(fields), before: None, after: None });
    }
}
