//! What detectors need to know of an API.

use std::sync::Arc;

use crate::inventory::path::Path;
use crate::policy::{self, Criticality, SourceLengths};

use super::finding::{Detector, Severity};
use super::observation::Observation;

/// An API, as the policy declares it.
#[derive(Clone, Debug)]
pub struct ApiProfile {
    /// Stable id.
    pub id: u32,
    /// Its name.
    pub name: Arc<str>,
    /// What an incident would cost.
    pub criticality: Criticality,
    /// How a source is told from another.
    pub sources: SourceLengths,
    /// How a login is told; `None`: every request counts as an attempt.
    pub login: Option<Login>,
    /// Who is meant to fetch everything.
    pub crawlers: Option<Arc<policy::Addresses>>,
    /// What it may do, whatever is usual.
    pub alert: Option<policy::AlertLimits>,
}

/// Status codes that mean a failed attempt where the policy names none (RFC 9110, 15.5.2 and
/// 15.5.4).
pub const FAILED: [u16; 2] = [401, 403];

/// How an attempt to log in is told, and its failure.
#[derive(Clone, Debug)]
pub struct Login {
    routes: Vec<(String, Path<'static>)>,
    failed: Vec<u16>,
}

impl Login {
    /// Requests of these (method, path) that end with one of these status codes are failures.
    /// `{anything}` in a path stands for any one segment. A path that does not begin with a slash
    /// matches nothing; no status codes means [`FAILED`].
    pub fn new<'a>(routes: impl IntoIterator<Item = (&'a str, &'a str)>, failed: &[u16]) -> Self {
        let own = |(method, path): (&str, &'a str)| {
            Path::of(path).map(|path| (method.to_owned(), path.into_owned()))
        };
        Self {
            routes: routes.into_iter().filter_map(own).collect(),
            failed: if failed.is_empty() { FAILED.to_vec() } else { failed.to_vec() },
        }
    }
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Refused for its credentials.
    Failed,
    /// Accepted.
    Succeeded,
}

impl From<&policy::Login> for Login {
    fn from(login: &policy::Login) -> Self {
        let routes = login.routes.iter();
        Self::new(routes.map(|route| (&*route.method, &*route.path)), &login.failed)
    }
}

impl ApiProfile {
    /// The profile of a declared API with this stable id.
    pub fn declared(id: u32, api: &policy::Api) -> Self {
        Self {
            id,
            name: Arc::from(api.name.as_str()),
            criticality: api.about.criticality,
            sources: api.source,
            login: api.login.as_ref().map(Login::from),
            crawlers: None,
            alert: api.alert,
        }
    }

    /// The profile of what no API claims.
    pub fn unclaimed() -> Self {
        Self {
            id: filter_common::tables::UNCLAIMED,
            name: Arc::from("__unclaimed__"),
            criticality: Criticality::Medium,
            sources: SourceLengths::default(),
            login: None,
            crawlers: None,
            alert: None,
        }
    }

    /// Whether a transaction is an attempt to log in, and what became of it. Statuses that are
    /// neither a failure nor 2xx or 3xx say nothing about credentials: a missing page, a server in
    /// trouble, an application's own limit.
    pub fn attempt(&self, observation: &Observation<'_>) -> Option<Attempt> {
        let status = observation.status?;
        let failed = self.login.as_ref().map_or(&FAILED[..], |login| &login.failed);
        let outcome = if failed.contains(&status) {
            Attempt::Failed
        } else if (200..400).contains(&status) {
            Attempt::Succeeded
        } else {
            return None;
        };
        let Some(login) = &self.login else { return Some(outcome) };
        let mut routes = login.routes.iter().filter(|(method, _)| method == observation.method);
        let first = routes.next()?;
        let path = Path::of(observation.target)?;
        let named = path.matches(&first.1) || routes.any(|(_, pattern)| path.matches(pattern));
        named.then_some(outcome)
    }

    /// How much a detector's finding matters at this API.
    pub fn severity(&self, detector: Detector) -> Severity {
        use Criticality::{Critical, High, Low, Medium};
        match (detector, self.criticality) {
            // Somebody is at it.
            (
                Detector::BruteForce
                | Detector::CredentialStuffing
                | Detector::Exfiltration
                | Detector::Enumeration
                | Detector::SlowAttack,
                criticality,
            ) => match criticality {
                Low => Severity::Notice,
                Medium | High => Severity::Warning,
                Critical => Severity::Critical,
            },
            // It is as an operator said that it must not be.
            (Detector::AbsoluteLimit, Low) => Severity::Notice,
            (Detector::AbsoluteLimit, Medium | High) => Severity::Warning,
            (Detector::AbsoluteLimit, Critical) => Severity::Critical,
            // Something is other than usual.
            (
                Detector::RateShift
                | Detector::ErrorShift
                | Detector::LatencyShift
                | Detector::SizeShift
                | Detector::LatencyTail
                | Detector::SizeTail
                | Detector::Dispersion
                | Detector::NewOrigin
                | Detector::Scraping
                | Detector::Probing
                | Detector::LimitPressure
                | Detector::BanPressure,
                criticality,
            ) => match criticality {
                Low => Severity::Info,
                Medium => Severity::Notice,
                High | Critical => Severity::Warning,
            },
            (Detector::PortScan, _) => Severity::Notice,
            (Detector::Enforcement, _) => Severity::Critical,
            (Detector::UnusedRoute, _) => Severity::Info,
            (Detector::UndocumentedRoute | Detector::DeprecatedUse, Low | Medium) => {
                Severity::Notice
            }
            (Detector::UndocumentedRoute | Detector::DeprecatedUse, High | Critical) => {
                Severity::Warning
            }
            (Detector::QueryCredentials | Detector::CleartextCredentials, Low)
            | (Detector::BasicAuthentication | Detector::OldTls, Low | Medium) => Severity::Notice,
            (Detector::QueryCredentials | Detector::CleartextCredentials, _)
            | (Detector::BasicAuthentication | Detector::OldTls, High | Critical)
            | (Detector::UndeclaredPort, _) => Severity::Warning,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts() {
        let with = |login| ApiProfile { login, ..ApiProfile::unclaimed() };
        let any = with(None);
        let login =
            with(Some(Login::new([("POST", "/login"), ("PUT", "/{tenant}/session")], &[401, 422])));
        let failed = Some(Attempt::Failed);
        let succeeded = Some(Attempt::Succeeded);
        for (api, method, target, status, expected) in [
            (&any, "GET", "/a", Some(401), failed),
            (&any, "GET", "/a", Some(403), failed),
            (&any, "GET", "/a", Some(200), succeeded),
            (&any, "GET", "/a", Some(302), succeeded),
            (&any, "GET", "/a", Some(404), None),
            (&any, "GET", "/a", Some(429), None),
            (&any, "GET", "/a", Some(503), None),
            (&any, "GET", "/a", None, None),
            (&login, "POST", "/login", Some(401), failed),
            (&login, "POST", "/login?next=/", Some(422), failed),
            (&login, "POST", "//%6cogin", Some(401), failed),
            (&login, "POST", "/login", Some(403), None),
            (&login, "POST", "/login", Some(204), succeeded),
            (&login, "GET", "/login", Some(401), None),
            (&login, "POST", "/other", Some(401), None),
            (&login, "PUT", "/acme/session", Some(401), failed),
            (&login, "POST", "*", Some(401), None),
        ] {
            let observation =
                Observation { time: 0, api: 0, method, target, status, ..Observation::example() };
            assert_eq!(api.attempt(&observation), expected, "{method} {target} {status:?}");
        }
    }

    #[test]
    fn declared_by_a_policy() {
        let text = r#"
            [policy]
            name = "edge"
            version = 1
            [[api]]
            name = "orders"
            listen = ["tcp/8080"]
            allow = "any"
            owner = "team"
            criticality = "critical"
            lifecycle = "deprecated"
            source = { v4 = 24, v6 = 48 }
            login = { routes = ["POST /login"], failed = [422] }
            respond = { brute_force = "ban 10m" }
        "#;
        let loaded = policy::parse(text, std::path::Path::new("."), "edge.toml");
        let policy = loaded.policy.expect("a good policy");
        let api = &policy.apis[0];
        let profile = ApiProfile::declared(7, api);
        assert_eq!((profile.id, &*profile.name), (7, "orders"));
        assert_eq!(profile.sources, SourceLengths { v4: 24, v6: 48 });
        let observation = Observation {
            time: 0,
            api: 7,
            method: "POST",
            target: "/login",
            status: Some(422),
            ..Observation::example()
        };
        assert_eq!(profile.attempt(&observation), Some(Attempt::Failed));
        assert_eq!(profile.severity(Detector::BruteForce), Severity::Critical);
        let wanted = |detector| api.respond.to(detector).response;
        let ban = policy::Response::Ban(std::time::Duration::from_secs(600));
        assert_eq!(wanted(Detector::BruteForce), ban);
        assert_eq!(wanted(Detector::RateShift), policy::Response::Alert);
        let info = crate::export::metrics::ApiInfo::of(api);
        assert_eq!((&*info.criticality, &*info.lifecycle), ("critical", "deprecated"));
        let field = crate::export::events::ApiField::of(api);
        assert_eq!((field.owner.as_deref(), field.criticality), (Some("team"), Some("critical")));
    }
}
