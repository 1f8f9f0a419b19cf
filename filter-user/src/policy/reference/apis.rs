//! `[[api]]` and the tables in it.

use super::Default::{Is, Required, Says};
use super::sections::{TEXTS, TIME, TIMES};
use super::{Key, Section, Takes, number, table, value, word};
use crate::detect::Detector;

const GROUPS: &str = "list of groups";
const LISTED: (&[&str], &[&str]) = (&["[\"partners\"]", "[]"], &["[\"nobody\"]", "\"partners\""]);
const TEXT: (&[&str], &[&str]) = (&["\"team-orders\""], &["\"\"", "1", "\"a\\nb\""]);
const ANSWERS: &[&str] = &[
    "\"ban 10m\"",
    "\"alert\"",
    "\"limit 10/s\"",
    "\"lockdown partners\"",
    "{ do = \"limit 10/s\", ttl = \"15m\" }",
];

macro_rules! frame {
    ($inside:literal) => {
        concat!(
            "[groups.partners]\ncidrs = [\"198.51.100.0/24\"]\n[respond]\nmode = \"act\"\n",
            "[[api]]\nname = \"orders\"\nlisten = [\"tcp/8080\"]\nallow = [\"partners\"]\n",
            $inside
        )
    };
}

pub(super) fn sections() -> Vec<Section> {
    let mut all = vec![Section {
        title: "api",
        header: "[[api]]",
        about: "An API: where it is reached, by whom, and what becomes of those who misuse it.",
        frame: frame!("@\n"),
        keys: api(),
    }];
    all.extend(limits());
    all.extend(rest());
    all
}

fn api() -> Vec<Key> {
    vec![
        value(
            "name",
            "name",
            (&["\"orders\""], &["\"Orders!\"", "\"__orders\"", "1"]),
            Required,
            "Unique; counters, limits and bans follow it from policy to policy.",
        ),
        value(
            "listen",
            "list of listens",
            (
                &["[\"tcp/8080\", \"203.0.113.5:tcp/8443\", \"[2001:db8::5]:tcp/8443\"]"],
                &["[]", "[\"8080\"]", "[\"tcp/0\"]", "\"tcp/8080\""],
            ),
            Required,
            "Where it is reached.",
        ),
        value(
            "allow",
            "`\"any\"`, or list of groups",
            (&["[\"partners\"]", "\"any\""], &["[]", "\"partners\"", "[\"nobody\"]"]),
            Required,
            "Who may reach it.",
        ),
        value("deny", GROUPS, LISTED, Says("none"), "Who may not; wins over `allow`."),
        value(
            "proxies",
            GROUPS,
            LISTED,
            Says("none"),
            "Sources that speak for others: never limited as one source, never banned by weir itself.",
        ),
        value(
            "crawlers",
            GROUPS,
            LISTED,
            Says("none"),
            "Who is meant to fetch everything: neither scraping nor enumeration.",
        ),
        word("mode", "\"enforce\"", "`monitor` counts drops and lets the packets pass."),
        word("kind", "\"auto\"", "What is spoken; `opaque` is gated and counted, never parsed."),
        word("criticality", "\"medium\"", "What an incident would cost."),
        word(
            "lifecycle",
            "\"active\"",
            "Where it is in its life; `deprecated` and `retired` ones should not be used.",
        ),
        value("owner", "text", TEXT, Says("none"), "Who decides."),
        value("maintainer", "text", TEXT, Says("none"), "Who changes it."),
        value("responder", "text", TEXT, Says("none"), "Who is called."),
        value("version", "text", TEXT, Says("none"), "In the owner's words."),
        value("environment", "text", TEXT, Says("none"), "In the owner's words."),
        value("data", "list of texts", TEXTS, Says("none"), "Kinds of data it has."),
        value(
            "openapi",
            "path",
            (&["\"orders.yaml\""], &["\"missing.yaml\"", "1"]),
            Says("none"),
            "An OpenAPI document (3.0, 3.1), relative to the policy.",
        ),
        table(
            "limit",
            "api.limit",
            &["{ packets = \"2000/s\", connections = \"50/s\" }"],
            Says("none"),
            "Of each source.",
        ),
        table(
            "limit_for",
            "api.limit_for.GROUP",
            &["{ partners = { packets = \"20000/s\" } }"],
            Says("none"),
            "Of the members of a group, instead of `limit`.",
        ),
        table(
            "limit_total",
            "api.limit_total",
            &["{ packets = \"200000/s\" }"],
            Says("none"),
            "Of all sources together.",
        ),
        table(
            "source",
            "api.source",
            &["{ v4 = 32, v6 = 64 }"],
            Is("{ v4 = 32, v6 = 64 }"),
            "How a source is told from another.",
        ),
        word(
            "overflow",
            "\"aggregate\"",
            "What becomes of sources that find no room in the limit table: share one limit, pass, or be dropped.",
        ),
        table(
            "login",
            "api.login",
            &["{ routes = [\"POST /login\"] }"],
            Says("none"),
            "Which requests log in.",
        ),
        table(
            "respond",
            "api.respond",
            &["{ brute_force = \"ban 10m\" }"],
            Says("alert"),
            "What follows a finding.",
        ),
        word_without_default(
            "respond_mode",
            "as `[respond]` says",
            "How far weir may go at this API.",
        ),
        table(
            "escalate",
            "api.escalate",
            &["{ sources = 20 }", "{}"],
            Says("none"),
            "When so many sources of one network are banned, ban the network.",
        ),
        table(
            "alert",
            "api.alert",
            &["{ error_ratio = \"5%\" }"],
            Says("none"),
            "Limits of what the API does, whatever is usual.",
        ),
    ]
}

fn word_without_default(name: &'static str, default: &'static str, about: &'static str) -> Key {
    Key { name, takes: Takes::Word, default: Says(default), about, frame: None }
}

const COUNTED: (&[&str], &[&str]) = (
    &["\"2000/s\"", "\"90/min\"", "\"1000000000/s\""],
    &["\"0/s\"", "\"1000000001/s\"", "2000", "\"1.5/s\""],
);
const BYTES: (&[&str], &[&str]) =
    (&["\"10MB/s\"", "\"1000GB/s\""], &["\"0MB/s\"", "\"1001GB/s\"", "\"10/s\""]);
const QUOTA: (&[&str], &[&str]) = (&["\"10000/day\"", "\"60/min\""], &["\"10/s\"", "\"0/day\""]);
const BURST: (&[&str], &[&str]) = (&["\"1s\"", "\"24h\""], &["\"0s\"", "\"25h\"", "1"]);

fn rates(quota: Key) -> Vec<Key> {
    vec![
        value("packets", "rate, up to 1,000,000,000/s", COUNTED, Says("none"), "Packets."),
        value("bytes", "rate of bytes, up to 1000GB/s", BYTES, Says("none"), "Bytes on the wire."),
        value(
            "connections",
            "rate, up to 1,000,000,000/s",
            COUNTED,
            Says("none"),
            "New connections: SYNs.",
        ),
        quota,
        value(
            "burst",
            "duration, above 0 to 24h",
            BURST,
            Says("`\"1s\"`, longer for rates that need it"),
            "What may come at once is the rate times the burst.",
        ),
    ]
}

fn quota() -> Key {
    value(
        "requests",
        "rate, /min, /h or /day",
        QUOTA,
        Says("none"),
        "A quota: who goes over it is banned at this API until the window ends.",
    )
}

fn limits() -> [Section; 3] {
    let mut of_groups = rates(quota());
    of_groups.push(word(
        "per",
        "\"source\"",
        "Each source its own, or all members together (at most 14 of an API).",
    ));
    let none = value(
        "requests",
        "nothing",
        (&[], &["\"10000/day\""]),
        Says("none"),
        "An error here: a quota is one source's.",
    );
    [
        Section {
            title: "api.limit",
            header: "api.limit",
            about: "What each source may send. At least one rate.",
            frame: frame!("[api.limit]\nconnections = \"50/s\"\n@\n"),
            keys: rates(quota()),
        },
        Section {
            title: "api.limit_for.GROUP",
            header: "api.limit_for.GROUP",
            about: "The same for the members of a group, which `allow` names; the first of their groups counts, and replaces `limit` whole.",
            frame: frame!("[api.limit_for.partners]\nconnections = \"50/s\"\n@\n"),
            keys: of_groups,
        },
        Section {
            title: "api.limit_total",
            header: "api.limit_total",
            about: "What all sources together may send.",
            frame: frame!("[api.limit_total]\nconnections = \"50/s\"\n@\n"),
            keys: rates(none),
        },
    ]
}

fn rest() -> Vec<Section> {
    let answer = |detector: Detector| {
        let good = if detector == Detector::Enforcement {
            &["\"alert\""][..]
        } else if !detector.names_a_source() {
            // There is nobody to ban.
            &ANSWERS[1..]
        } else {
            ANSWERS
        };
        table(detector.name(), "api.respond.DETECTOR", good, Is("\"alert\""), "")
    };
    vec![
        Section {
            title: "api.source",
            header: "api.source",
            about: "Prefix lengths at which sources are told apart.",
            frame: frame!("[api.source]\n@\n"),
            keys: vec![
                number("v4", "integer", Is("32"), "Of IPv4."),
                number("v6", "integer", Is("64"), "Of IPv6."),
            ],
        },
        Section {
            title: "api.login",
            header: "api.login",
            about: "Requests that log in, and what means failure.",
            frame: frame!("[api.login]\nroutes = [\"POST /login\"]\n@\n"),
            keys: vec![
                value(
                    "routes",
                    "list of `METHOD /path`",
                    (&["[\"POST /login\"]"], &["[]", "[\"/login\"]", "\"POST /login\""]),
                    Required,
                    "Without a query.",
                ),
                value(
                    "failed",
                    "list of status codes, 100 to 599",
                    (&["[401, 403]", "[100, 599]"], &["[]", "[99]", "[600]"]),
                    Is("[401, 403]"),
                    "What means failure.",
                ),
            ],
        },
        Section {
            title: "api.respond",
            header: "api.respond",
            about: "What follows a finding, by [detector](detectors.md): `\"alert\"`, `\"limit RATE\"`, `\"ban TIME\"` (1s to 30d), `\"lockdown GROUP\"`, or a \
                    table with a time of its own. A detector that names no source bans nobody; `enforcement` only alerts.",
            frame: frame!("[api.respond]\n@\n"),
            keys: Detector::ALL.into_iter().map(answer).collect(),
        },
        Section {
            title: "api.respond.DETECTOR",
            header: "api.respond.DETECTOR",
            about: "An answer with a time of its own.",
            frame: frame!("[api.respond.brute_force]\ndo = \"limit 10/s\"\n@\n"),
            keys: vec![
                value(
                    "do",
                    "`alert`, `limit RATE`, `ban` or `lockdown GROUP`",
                    (
                        &["\"limit 10/s\"", "\"lockdown partners\"", "\"ban 10m\""],
                        &["\"kick\"", "1"],
                    ),
                    Required,
                    "What is done.",
                ),
                value(
                    "ttl",
                    TIME,
                    TIMES,
                    Says("10m"),
                    "How long. Of a ban 30d at most; a `ban` has one of its own or none here.",
                ),
            ],
        },
        Section {
            title: "api.escalate",
            header: "api.escalate",
            about: "When so many sources of one network are banned at the same time, the network is, at this API.",
            frame: frame!("[api.escalate]\n@\n"),
            keys: vec![
                number(
                    "v4",
                    "integer",
                    Is("24"),
                    "Length of an IPv4 network; not narrower than `source`.",
                ),
                number(
                    "v6",
                    "integer",
                    Is("48"),
                    "Length of an IPv6 network; not narrower than `source`.",
                ),
                number("sources", "integer", Is("20"), "So many of one network."),
            ],
        },
        Section {
            title: "api.alert",
            header: "api.alert",
            about: "Limits of what the API does: two of three minutes beyond one is a finding.",
            frame: frame!("[api.alert]\n@\n"),
            keys: vec![
                value(
                    "error_ratio",
                    "share, 0.01% to below 100%",
                    (&["\"5%\"", "\"0.01%\""], &["\"100%\"", "\"0%\"", "0.05"]),
                    Says("none"),
                    "Of answers of 500 and more.",
                ),
                value(
                    "latency_p99",
                    "duration, 1ms to 100s",
                    (&["\"500ms\"", "\"1ms\"", "\"100s\""], &["\"101s\"", "\"0s\"", "500"]),
                    Says("none"),
                    "What 99 of 100 answers may take.",
                ),
                table(
                    "requests_per_second",
                    "api.alert.requests_per_second",
                    &["{ min = 1, max = 2000 }"],
                    Says("none"),
                    "Of the API as a whole.",
                ),
            ],
        },
        Section {
            title: "api.alert.requests_per_second",
            header: "api.alert.requests_per_second",
            about: "At least one of both; `min` is below `max`. The least there is, is one a day.",
            frame: frame!("[api.alert.requests_per_second]\nmax = 2000\n@\n"),
            keys: vec![
                Key {
                    frame: Some(frame!("[api.alert.requests_per_second]\nmax = 2000\n@\n")),
                    ..number("min", "number", Says("none"), "Fewer is a finding.")
                },
                Key {
                    frame: Some(frame!("[api.alert.requests_per_second]\nmin = 1\n@\n")),
                    ..number("max", "number", Says("none"), "More is a finding.")
                },
            ],
        },
    ]
}
