//! Which events a receiver gets.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::sink::Wants;
use crate::detect::Severity;
use crate::export::events::Event;

/// Findings that are remembered as told at most; there are at most a few thousand open.
const MOST: usize = 10_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Filter {
    wants: Wants,
    /// Findings that were told and are not over. The end of a finding is of no importance of its
    /// own: it goes where the beginning went.
    told: BTreeSet<Arc<str>>,
}

impl Filter {
    pub(super) fn new(wants: &Wants) -> Self {
        Self { wants: wants.clone(), told: BTreeSet::new() }
    }

    /// Whether a finding of this severity is important enough.
    pub(super) fn matters(&self, severity: Severity) -> bool {
        severity >= self.wants.min_severity
    }

    /// Whether events of this API are wanted.
    pub(super) fn wants_api(&self, api: Option<&str>) -> bool {
        self.wants.apis.is_empty()
            || api.is_some_and(|api| self.wants.apis.iter().any(|wanted| wanted == api))
    }

    /// The findings that it was told of and that are not over.
    pub(super) fn into_told(self) -> BTreeSet<Arc<str>> {
        self.told
    }

    /// A finding that was open before this daemon began.
    pub(super) fn remember(&mut self, id: Arc<str>) {
        if self.told.len() < MOST {
            self.told.insert(id);
        }
    }

    /// Whether the receiver was told of a finding that is muted now, and still goes on.
    pub(super) fn hushes(&self, event: &Event) -> bool {
        event.finding.as_ref().is_some_and(|finding| {
            finding.muted && finding.closed.is_none() && self.told.contains(&finding.id)
        })
    }

    /// Whether the receiver gets this one.
    pub(super) fn wants(&mut self, event: &Event) -> bool {
        let api = event.api.as_ref().map(|api| &*api.name);
        if !self.wants_api(api) {
            return false;
        }
        let matters = match &event.finding {
            Some(finding) if finding.closed.is_some() || finding.state == "closed" => {
                let told = self.told.remove(&finding.id);
                told || (!finding.muted && self.matters(event.severity))
            }
            Some(finding) if finding.muted => false,
            Some(finding) => {
                let known = self.told.contains(&finding.id);
                let matters = known || self.matters(event.severity);
                if matters && !known {
                    self.remember(Arc::clone(&finding.id));
                }
                matters
            }
            None => self.matters(event.severity),
        };
        matters && (self.wants.events.is_empty() || self.wants.events.contains(&event.kind))
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::tests::{closed, finding, opened};
    use super::*;
    use crate::export::events::Kind;

    fn wants(min_severity: Severity, events: &[Kind], apis: &[&str]) -> Filter {
        let apis = apis.iter().map(|api| (*api).to_owned()).collect();
        Filter::new(&Wants { min_severity, events: events.to_vec(), apis })
    }

    #[test]
    fn severity_name_and_api_must_fit() {
        let started = Event::new(Kind::DaemonStarted, 0, "");
        let gap = Event::new(Kind::TelemetryGap, 0, "");
        let found = opened();
        // severity at least, events, APIs, what passes of: started (info), gap (warning), finding
        // (warning, at orders)
        type Row = (Severity, &'static [Kind], &'static [&'static str], [bool; 3]);
        let rows: [Row; 6] = [
            (Severity::Info, &[], &[], [true, true, true]),
            (Severity::Notice, &[], &[], [false, true, true]),
            (Severity::Critical, &[], &[], [false, false, false]),
            (Severity::Info, &[Kind::TelemetryGap], &[], [false, true, false]),
            (Severity::Info, &[], &["orders"], [false, false, true]),
            (Severity::Info, &[], &["other"], [false, false, false]),
        ];
        for (severity, events, apis, expected) in rows {
            let mut filter = wants(severity, events, apis);
            let got = [&started, &gap, &found].map(|event| filter.wants(event));
            assert_eq!(got, expected, "{severity:?} {events:?} {apis:?}");
        }
    }

    #[test]
    fn an_end_goes_where_the_beginning_went() {
        let mut filter = wants(Severity::Warning, &[], &[]);
        assert!(!filter.wants(&closed()), "nobody was told of it");
        assert!(filter.wants(&opened()) && filter.wants(&closed()));
        assert!(!filter.wants(&closed()), "once");
        filter.remember(finding().id);
        assert!(filter.wants(&closed()), "it was open before a restart");
        assert!(wants(Severity::Info, &[], &[]).wants(&closed()), "all of them");
    }

    #[test]
    fn nobody_is_told_of_what_is_muted() {
        let muted = |mut event: Event| {
            if let Some(finding) = &mut event.finding {
                finding.muted = true;
            }
            event
        };
        let mut filter = wants(Severity::Info, &[], &[]);
        assert!(!filter.wants(&muted(opened())) && !filter.wants(&muted(closed())));
        assert!(!filter.hushes(&muted(opened())), "nobody knows of it");
        assert!(filter.wants(&opened()), "it is muted no longer");
        assert!(!filter.wants(&muted(opened())) && filter.hushes(&muted(opened())));
        assert!(filter.wants(&muted(closed())), "who knows of it is told of its end");
    }
}
