//! What stands between an API and its abuse: each layer there, in part, or missing.

use serde::{Deserialize, Serialize};

use super::facts::{ApiFacts, Facts, Sight};
use super::words::{date, percent, prefixes};

/// What protects an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// Only named sources reach it.
    Allowlist,
    /// Packets, bytes or connections are limited.
    RateLimit,
    /// Requests are limited.
    Quota,
    /// TLS was seen.
    Tls,
    /// Credentials were seen.
    Authentication,
    /// The policy names its login, so that guessing is seen.
    Login,
    /// Something more than an alert follows a finding.
    Response,
    /// An OpenAPI document is given.
    Openapi,
    /// Owner and responder are named.
    People,
    /// A playbook names it, and was drilled.
    Playbook,
}

impl LayerKind {
    /// Every layer, in the order of a report.
    pub const ALL: [Self; 10] = [
        Self::Allowlist,
        Self::RateLimit,
        Self::Quota,
        Self::Tls,
        Self::Authentication,
        Self::Login,
        Self::Response,
        Self::Openapi,
        Self::People,
        Self::Playbook,
    ];

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowlist => "allowlist",
            Self::RateLimit => "rate_limit",
            Self::Quota => "quota",
            Self::Tls => "tls",
            Self::Authentication => "authentication",
            Self::Login => "login",
            Self::Response => "response",
            Self::Openapi => "openapi",
            Self::People => "people",
            Self::Playbook => "playbook",
        }
    }

    /// Its name in a report.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Allowlist => "Allowlist",
            Self::RateLimit => "Rate limit",
            Self::Quota => "Quota",
            Self::Tls => "TLS",
            Self::Authentication => "Authentication",
            Self::Login => "Login",
            Self::Response => "Response",
            Self::Openapi => "OpenAPI",
            Self::People => "Owner, responder",
            Self::Playbook => "Playbook",
        }
    }
}

/// Whether a layer is there.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is.
    Present,
    /// It is, but does less than it could.
    Partly,
    /// It is not.
    Missing,
    /// weir cannot tell.
    #[default]
    Unseen,
    /// It would mean nothing here.
    NotApplicable,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::Present, Self::Partly, Self::Missing, Self::Unseen, Self::NotApplicable];

    /// The words of a report.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Partly => "partly",
            Self::Missing => "missing",
            Self::Unseen => "not seen",
            Self::NotApplicable => "does not apply",
        }
    }
}

/// A layer of an API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Which.
    pub layer: LayerKind,
    /// Whether it is there.
    pub state: State,
    /// What was found, in a sentence.
    pub found: String,
}

/// Every layer of an API.
pub(super) fn of(facts: &Facts, api: &ApiFacts) -> Vec<Layer> {
    LayerKind::ALL
        .into_iter()
        .map(|layer| {
            let (state, found) = look(layer, facts, api);
            Layer { layer, state, found }
        })
        .collect()
}

type Found = (State, String);

fn found(state: State, text: impl Into<String>) -> Found {
    (state, text.into())
}

fn look(layer: LayerKind, facts: &Facts, api: &ApiFacts) -> Found {
    let policys = !matches!(layer, LayerKind::Tls | LayerKind::Authentication);
    if policys && !api.seen.declared {
        return found(State::Missing, "no API of the policy claims this port");
    }
    match layer {
        LayerKind::Allowlist => allowlist(api),
        LayerKind::RateLimit => rate_limit(api),
        LayerKind::Quota => quota(api),
        LayerKind::Tls => tls(api),
        LayerKind::Authentication => authentication(api),
        LayerKind::Login => login(api),
        LayerKind::Response => response(facts, api),
        LayerKind::Openapi => openapi(api),
        LayerKind::People => people(api),
        LayerKind::Playbook => playbook(facts, api),
    }
}

/// What monitor mode leaves of a layer that the gate enforces.
fn enforced(api: &ApiFacts, text: String) -> Found {
    if api.monitors() {
        return (State::Partly, format!("{text}; monitor mode: only counted, nothing is refused"));
    }
    (State::Present, text)
}

fn allowlist(api: &ApiFacts) -> Found {
    if api.any {
        let but = match &api.deny[..] {
            [] => String::new(),
            denied => format!(" but {}", denied.join(", ")),
        };
        return (State::Missing, format!("any source may reach it{but}"));
    }
    let prefixes = prefixes(api.sources.prefixes);
    enforced(api, format!("{} ({prefixes})", api.allow.join(", ")))
}

fn limits<'a>(limits: impl Iterator<Item = &'a super::LimitFact>) -> (String, bool, bool) {
    let (mut each, mut all) = (false, false);
    let texts: Vec<String> = limits
        .map(|limit| {
            each |= limit.of == "source";
            all |= limit.of == "all";
            let whose = match limit.of.as_str() {
                "source" => "a source".to_owned(),
                "all" => "for all together".to_owned(),
                other => format!("for {other}"),
            };
            format!("{} {} {whose}", limit.measure, limit.rate)
        })
        .collect();
    (texts.join(", "), each, all)
}

fn rate_limit(api: &ApiFacts) -> Found {
    let (text, each, all) = limits(api.rates());
    match (text.is_empty(), each, all) {
        (true, ..) => found(State::Missing, "packets, bytes and connections are not limited"),
        (false, true, _) => enforced(api, text),
        (false, false, true) => {
            (State::Partly, format!("{text}; no limit for each source: one can use up all of it"))
        }
        (false, false, false) => (State::Partly, format!("{text}; other sources are not limited")),
    }
}

fn quota(api: &ApiFacts) -> Found {
    let (text, each, _) = limits(api.quotas());
    match (text.is_empty(), api.sight()) {
        (_, Sight::Opaque) => found(State::NotApplicable, "opaque: requests are not looked at"),
        (true, Sight::Encrypted) => {
            found(State::NotApplicable, "encrypted requests cannot be counted: limit connections")
        }
        (false, Sight::Encrypted) => {
            (State::Partly, format!("{text}; encrypted requests cannot be counted"))
        }
        (true, _) => found(State::Missing, "requests are not limited"),
        (false, _) if each => enforced(api, text),
        (false, _) => (State::Partly, format!("{text}; other sources have no quota")),
    }
}

/// Versions that RFC 8996 deprecates, and those before them.
fn is_old(version: &str) -> bool {
    matches!(version, "1.1" | "1.0" | "ssl3" | "ssl2")
}

fn tls(api: &ApiFacts) -> Found {
    let versions: Vec<String> =
        api.seen.tls.iter().map(|(version, number)| format!("TLS {version}: {number}")).collect();
    let versions = versions.join(", ");
    match api.sight() {
        Sight::Opaque => found(State::NotApplicable, "opaque: connections are not looked into"),
        Sight::Nothing => found(State::Unseen, "nothing has been seen yet"),
        Sight::Foreign => found(State::Unseen, "its connections carry neither HTTP nor TLS"),
        Sight::Requests => {
            let requests = api.plain_requests();
            (State::Missing, format!("clear text: {requests} requests could be read here"))
        }
        Sight::Both => (State::Partly, format!("{versions}; other requests came in clear text")),
        Sight::Encrypted if versions.is_empty() => {
            found(State::Present, "encrypted; no handshake was seen whole")
        }
        Sight::Encrypted if api.seen.tls.keys().any(|version| is_old(version)) => {
            (State::Partly, format!("{versions}; below 1.2 is deprecated (RFC 8996)"))
        }
        Sight::Encrypted => (State::Present, versions),
    }
}

fn authentication(api: &ApiFacts) -> Found {
    let Some(share) = api.authenticated() else {
        let why = match api.sight() {
            Sight::Opaque => {
                return found(State::NotApplicable, "opaque: requests are not looked at");
            }
            Sight::Encrypted => "encrypted: credentials cannot be seen",
            _ => "no request has been read yet",
        };
        return found(State::Unseen, why);
    };
    let requests = api.plain_requests();
    if share <= 0.0 {
        return (State::Missing, format!("none of {requests} requests carried a credential"));
    }
    let kinds: Vec<&str> = api
        .seen
        .credentials
        .iter()
        .filter(|(kind, number)| *kind != "none" && **number > 0)
        .map(|(kind, _)| kind.as_str())
        .collect();
    let text = format!("{} of {requests} requests: {}", percent(share), kinds.join(", "));
    if share >= 1.0 { (State::Present, text) } else { (State::Partly, text) }
}

fn login(api: &ApiFacts) -> Found {
    match (api.sight(), &api.login[..]) {
        (Sight::Opaque, _) => found(State::NotApplicable, "opaque: requests are not looked at"),
        (Sight::Encrypted, []) => found(State::NotApplicable, "encrypted: logins cannot be seen"),
        (Sight::Encrypted, routes) => {
            (State::Partly, format!("{}; encrypted: logins cannot be seen", routes.join(", ")))
        }
        (_, []) => found(State::Missing, "guessing of credentials is not looked for: no `login`"),
        (_, routes) => (State::Present, routes.join(", ")),
    }
}

fn response(facts: &Facts, api: &ApiFacts) -> Found {
    if api.answers.is_empty() {
        return found(State::Missing, "every finding is only an alert");
    }
    let answers: Vec<String> =
        api.answers.iter().map(|(detector, answer)| format!("{detector}: {answer}")).collect();
    let answers = answers.join(", ");
    if facts.actions_stopped {
        return (
            State::Partly,
            format!("{answers}; an operator has stopped all automatic actions"),
        );
    }
    match api.respond_mode.as_str() {
        "act" => (State::Present, answers),
        "approve" => (State::Present, format!("{answers}; an operator approves each")),
        _ => (State::Partly, format!("{answers}; dry run: only said, not done")),
    }
}

fn openapi(api: &ApiFacts) -> Found {
    match (&api.seen.openapi, api.sight()) {
        (_, Sight::Opaque) => found(State::NotApplicable, "opaque: requests are not looked at"),
        (None, _) => found(State::Missing, "what is undocumented cannot be told"),
        (Some(file), Sight::Encrypted) => {
            (State::Partly, format!("{file}; encrypted: requests cannot be held against it"))
        }
        (Some(file), _) => (State::Present, file.clone()),
    }
}

fn people(api: &ApiFacts) -> Found {
    match (&api.seen.owner, &api.seen.responder) {
        (Some(owner), Some(responder)) => {
            (State::Present, format!("owner {owner}, responder {responder}"))
        }
        (Some(owner), None) => {
            (State::Partly, format!("owner {owner}; nobody is named to be called"))
        }
        (None, Some(responder)) => (State::Partly, format!("responder {responder}; no owner")),
        (None, None) => found(State::Missing, "nobody is named to decide or to be called"),
    }
}

fn playbook(facts: &Facts, api: &ApiFacts) -> Found {
    let name = &api.seen.name;
    let books = facts.playbooks_of(name).map(|book| {
        let passed = book.drill_passed.unwrap_or(false);
        (format!("playbook {}", book.name), book.drilled.map(|time| (time, passed)))
    });
    let own = facts.drills.get(name);
    let own = own.map(|drill| ("its shutdown".to_owned(), Some((drill.time, drill.passed))));
    // The best of them counts: never drilled, failed, long ago, passed.
    let grade = |drilled: Option<(u64, bool)>| match drilled {
        None => 0,
        Some((_, false)) => 1,
        Some((time, true)) if facts.older(time, facts.terms.drill_seconds) => 2,
        Some(_) => 3,
    };
    let best = books.chain(own).max_by_key(|(_, drilled)| (grade(*drilled), *drilled));
    let Some((what, drilled)) = best else {
        return found(State::Missing, "no playbook names it, and its shutdown was never drilled");
    };
    match drilled {
        None => (State::Partly, format!("{what} was never drilled")),
        Some((time, false)) => {
            (State::Partly, format!("the drill of {what} failed, {}", date(time)))
        }
        Some((time, true)) if grade(drilled) == 2 => {
            (State::Partly, format!("{what} was last drilled {}", date(time)))
        }
        Some((time, true)) => (State::Present, format!("{what} was drilled {}", date(time))),
    }
}
