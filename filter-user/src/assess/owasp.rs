//! The OWASP API Security Top 10 (2023), API by API: what weir does about each risk as the policy
//! stands, and what it cannot see.
//!
//! weir looks at packets, not into programs. Whether the right user got the right object, whether a
//! token was checked well, what a server fetches on behalf of a client: of that it sees traces at best.
//! An entry is [`Coverage::Covered`] only where what weir does is what the risk is about, and is in
//! force.

use serde::{Deserialize, Serialize};

use super::facts::{ApiFacts, Facts, Sight};

/// A risk of the list.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Risk {
    /// Broken Object Level Authorization.
    #[default]
    #[serde(rename = "API1:2023")]
    Api1,
    /// Broken Authentication.
    #[serde(rename = "API2:2023")]
    Api2,
    /// Broken Object Property Level Authorization.
    #[serde(rename = "API3:2023")]
    Api3,
    /// Unrestricted Resource Consumption.
    #[serde(rename = "API4:2023")]
    Api4,
    /// Broken Function Level Authorization.
    #[serde(rename = "API5:2023")]
    Api5,
    /// Unrestricted Access to Sensitive Business Flows.
    #[serde(rename = "API6:2023")]
    Api6,
    /// Server Side Request Forgery.
    #[serde(rename = "API7:2023")]
    Api7,
    /// Security Misconfiguration.
    #[serde(rename = "API8:2023")]
    Api8,
    /// Improper Inventory Management.
    #[serde(rename = "API9:2023")]
    Api9,
    /// Unsafe Consumption of APIs.
    #[serde(rename = "API10:2023")]
    Api10,
}

impl Risk {
    /// Every risk, in the list's order.
    pub const ALL: [Self; 10] = [
        Self::Api1,
        Self::Api2,
        Self::Api3,
        Self::Api4,
        Self::Api5,
        Self::Api6,
        Self::Api7,
        Self::Api8,
        Self::Api9,
        Self::Api10,
    ];

    /// Its number in the list, as findings carry it.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Api1 => "API1:2023",
            Self::Api2 => "API2:2023",
            Self::Api3 => "API3:2023",
            Self::Api4 => "API4:2023",
            Self::Api5 => "API5:2023",
            Self::Api6 => "API6:2023",
            Self::Api7 => "API7:2023",
            Self::Api8 => "API8:2023",
            Self::Api9 => "API9:2023",
            Self::Api10 => "API10:2023",
        }
    }

    /// Its name in the list.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Api1 => "Broken Object Level Authorization",
            Self::Api2 => "Broken Authentication",
            Self::Api3 => "Broken Object Property Level Authorization",
            Self::Api4 => "Unrestricted Resource Consumption",
            Self::Api5 => "Broken Function Level Authorization",
            Self::Api6 => "Unrestricted Access to Sensitive Business Flows",
            Self::Api7 => "Server Side Request Forgery",
            Self::Api8 => "Security Misconfiguration",
            Self::Api9 => "Improper Inventory Management",
            Self::Api10 => "Unsafe Consumption of APIs",
        }
    }
}

/// How far weir covers a risk.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Coverage {
    /// What weir does is what the risk is about, and it is in force.
    Covered,
    /// Some of it is prevented or would be noticed.
    Partly,
    /// Nothing of it is visible to weir here.
    #[default]
    NotVisible,
}

impl Coverage {
    /// The words of a report.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Covered => "covered",
            Self::Partly => "partly",
            Self::NotVisible => "not visible",
        }
    }
}

/// How an API stands with a risk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which.
    pub risk: Risk,
    /// How far it is covered.
    pub coverage: Coverage,
    /// Why.
    pub reason: String,
    /// Open findings of this risk at the API.
    #[serde(default)]
    pub findings: u64,
}

/// Every risk at an API.
pub(super) fn of(facts: &Facts, api: &ApiFacts) -> Vec<Entry> {
    let at = |id: &str| {
        let of_risk = |found: &&crate::control::api::FindingEntry| {
            found.api == api.seen.name && found.owasp.as_ref().is_some_and(|risk| names(risk, id))
        };
        facts.findings.iter().filter(of_risk).count() as u64
    };
    Risk::ALL
        .into_iter()
        .map(|risk| {
            let (coverage, reason) = judge(risk, facts, api);
            Entry { risk, coverage, reason, findings: at(risk.id()) }
        })
        .collect()
}

/// Whether a finding's entry, `API1:2023 Broken …`, is the one of this number.
fn names(entry: &str, id: &str) -> bool {
    entry.strip_prefix(id).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

type Judged = (Coverage, String);

fn judge(risk: Risk, facts: &Facts, api: &ApiFacts) -> Judged {
    match risk {
        Risk::Api1 => objects(api),
        Risk::Api2 => authentication(facts, api),
        Risk::Api3 => properties(api),
        Risk::Api4 => consumption(api),
        Risk::Api5 => functions(api),
        Risk::Api6 => flows(api),
        Risk::Api7 => (
            Coverage::NotVisible,
            "bodies and what the server itself asks for are not looked at".to_owned(),
        ),
        Risk::Api8 => misconfiguration(api),
        Risk::Api9 => inventory(api),
        Risk::Api10 => (
            Coverage::NotVisible,
            "answers of other APIs that this one uses are not looked at".to_owned(),
        ),
    }
}

/// Why requests cannot be judged; `None`: they can.
fn blind(api: &ApiFacts) -> Option<&'static str> {
    match api.sight() {
        Sight::Requests | Sight::Both => None,
        Sight::Encrypted => {
            Some("requests are encrypted: neither paths nor credentials are visible")
        }
        Sight::Opaque => Some("the policy calls it opaque: weir does not look into it"),
        Sight::Foreign => Some("its connections carry neither HTTP nor TLS"),
        Sight::Nothing => Some("no request has been seen yet"),
    }
}

/// Where only some requests can be read, a risk is judged by these.
fn rest(api: &ApiFacts) -> &'static str {
    match api.sight() {
        Sight::Both => "; of encrypted requests nothing of it is visible",
        _ => "",
    }
}

fn objects(api: &ApiFacts) -> Judged {
    match blind(api) {
        Some(why) => (Coverage::NotVisible, why.to_owned()),
        None => (
            Coverage::Partly,
            format!(
                "a source that goes through one object after another is noticed (enumeration); whose an \
                 object is, weir cannot know{}",
                rest(api)
            ),
        ),
    }
}

fn authentication(facts: &Facts, api: &ApiFacts) -> Judged {
    if let Some(why) = blind(api) {
        return (Coverage::NotVisible, why.to_owned());
    }
    let held = super::layers::of(facts, api);
    let acts = held.iter().any(|layer| {
        layer.layer == super::LayerKind::Response && layer.state == super::State::Present
    });
    let answered = ["brute_force", "credential_stuffing"]
        .iter()
        .any(|detector| api.answers.contains_key(*detector));
    let guessing = match (api.login.is_empty(), acts && answered) {
        (true, _) => "the policy names no login, so guessing is not looked for",
        (false, false) => "guessing and stuffing at the login are noticed, and only told",
        (false, true) => "guessing and stuffing at the login are noticed and answered",
    };
    let reason = format!(
        "{guessing}; secrets in queries, in clear text and basic authentication are findings; how tokens \
         are made and checked is not visible{}",
        rest(api)
    );
    (Coverage::Partly, reason)
}

fn properties(api: &ApiFacts) -> Judged {
    match api.sight() {
        Sight::Opaque | Sight::Nothing | Sight::Foreign => {
            (Coverage::NotVisible, blind(api).unwrap_or_default().to_owned())
        }
        _ => (
            Coverage::Partly,
            "a source that takes far more bytes than others is noticed (exfiltration), and so are responses \
             larger than usual; bodies are not looked at"
                .to_owned(),
        ),
    }
}

fn consumption(api: &ApiFacts) -> Judged {
    let each = |limit: &&super::LimitFact| limit.of == "source";
    let rate = api.rates().any(|limit| each(&limit));
    let quota = api.quotas().any(|limit| each(&limit));
    let holds = match (rate, quota) {
        (true, true) => "packets or connections and requests of each source are limited",
        (true, false) => "packets, bytes or connections of each source are limited",
        (false, true) => "requests of each source have a quota, enforced with a delay",
        (false, false) if !api.limits.is_empty() => "not every source has a limit",
        (false, false) if api.seen.declared => "no limit holds any source",
        (false, false) => "no API of the policy claims this port: no limit holds any source",
    };
    let seen = match api.sight() {
        Sight::Requests | Sight::Both => {
            "shifts of rate, latency and size, slow attacks and pressure on limits are noticed"
        }
        Sight::Encrypted => {
            "shifts of latency and size, slow handshakes and pressure on limits are noticed, of rate they are not"
        }
        Sight::Opaque | Sight::Foreign | Sight::Nothing => "only pressure on limits is noticed",
    };
    let coverage = match rate {
        true if !api.monitors() => Coverage::Covered,
        _ => Coverage::Partly,
    };
    let only =
        if api.monitors() && !api.limits.is_empty() { " (monitor mode: only counted)" } else { "" };
    (coverage, format!("{holds}{only}; {seen}; what a request costs the server is not visible"))
}

fn functions(api: &ApiFacts) -> Judged {
    let narrowed = !api.any && api.seen.declared;
    let reached = if narrowed { "only named sources reach the API at all; " } else { "" };
    match (blind(api), &api.seen.openapi) {
        (Some(why), _) if !narrowed => (Coverage::NotVisible, why.to_owned()),
        (Some(why), _) => (Coverage::Partly, format!("{reached}else {why}")),
        (None, Some(_)) => (
            Coverage::Partly,
            format!(
                "{reached}methods and routes that the OpenAPI document lacks are findings, and so is probing; \
                 which user may call which function is not visible{}",
                rest(api)
            ),
        ),
        (None, None) => (
            Coverage::Partly,
            format!(
                "{reached}probing is noticed; without an OpenAPI document an undocumented function is not, and \
                 which user may call which is not visible{}",
                rest(api)
            ),
        ),
    }
}

fn flows(api: &ApiFacts) -> Judged {
    let limited = api.limits.iter().any(|limit| limit.of == "source");
    let held = if limited { "; limits slow a source down" } else { "" };
    match blind(api) {
        None => (
            Coverage::Partly,
            format!(
                "scraping and many sources that act as one are noticed{held}; which flow is worth protecting \
                 is not visible{}",
                rest(api)
            ),
        ),
        Some(why) if limited => {
            (Coverage::Partly, format!("limits slow a source down; else {why}"))
        }
        Some(why) => (Coverage::NotVisible, why.to_owned()),
    }
}

fn misconfiguration(api: &ApiFacts) -> Judged {
    let what = match api.sight() {
        Sight::Encrypted => {
            "versions of TLS below 1.2 are findings; of headers, CORS and patches nothing is visible"
        }
        Sight::Requests => {
            "credentials in clear text and in queries and basic authentication are findings, and probing is \
             noticed; of headers, CORS and patches nothing is visible"
        }
        Sight::Both => {
            "versions of TLS below 1.2, credentials in clear text and in queries are findings; of headers, CORS \
             and patches nothing is visible"
        }
        Sight::Opaque | Sight::Foreign | Sight::Nothing => {
            return (Coverage::NotVisible, blind(api).unwrap_or_default().to_owned());
        }
    };
    (Coverage::Partly, what.to_owned())
}

fn inventory(api: &ApiFacts) -> Judged {
    if !api.seen.declared {
        let reason = "it was noticed, but no API of the policy claims it: nobody owns it";
        return (Coverage::Partly, reason.to_owned());
    }
    let mut lacks: Vec<&str> = Vec::new();
    if api.seen.owner.is_none() {
        lacks.push("nobody owns it");
    }
    if api.seen.openapi.is_none() {
        lacks.push("without an OpenAPI document undocumented endpoints cannot be told");
    }
    if let Some(why) = blind(api) {
        lacks.push(why);
    } else if api.sight() == Sight::Both {
        lacks.push("some requests are encrypted: their endpoints are not visible");
    }
    if lacks.is_empty() {
        let reason = "declared, owned and documented; undocumented, unused and deprecated endpoints and \
                      undeclared ports are findings";
        return (Coverage::Covered, reason.to_owned());
    }
    (Coverage::Partly, format!("declared, and undeclared ports are findings; {}", lacks.join("; ")))
}
