//! All tables but those of APIs.

use filter_common::oddity::{Oddity, Treatment};

use super::Default::{Is, Required, Says};
use super::{Key, Section, Takes, number, table, value, word};

/// Times that last, as the reader of times takes them.
pub(super) const TIMES: (&[&str], &[&str]) =
    (&["\"4h\"", "\"1s\"", "\"366d\""], &["\"0s\"", "\"367d\"", "\"4\"", "4"]);
pub(super) const TIME: &str = "duration, 1s to 366d";
pub(super) const TEXTS: (&[&str], &[&str]) =
    (&["[\"pci\", \"pii\"]", "[]"], &["\"pci\"", "[1]", "[\"\"]"]);

/// Those before `[[api]]`.
pub(super) fn before() -> Vec<Section> {
    vec![
        Section {
            title: "policy",
            header: "[policy]",
            about: "What the policy is called.",
            frame: "[policy]\n@\n",
            keys: vec![
                value(
                    "name",
                    "name",
                    (&["\"edge\""], &["\"Edge!\"", "\"\"", "1"]),
                    Says("the file's, or `policy`"),
                    "Shown in metrics and events.",
                ),
                value(
                    "version",
                    "integer",
                    (&["1"], &["2", "\"1\""]),
                    Is("1"),
                    "Of the language; this weir knows 1.",
                ),
            ],
        },
        Section {
            title: "trusted",
            header: "[trusted]",
            about: "Sources that are never judged, neither limited nor banned: the operator's way back in.",
            frame: "[trusted]\ncidrs = [\"192.0.2.10/32\"]\n@\n",
            keys: vec![
                value(
                    "cidrs",
                    "list of prefixes",
                    (
                        &["[\"192.0.2.10/32\", \"2001:db8::7\"]"],
                        &["[\"192.0.2.1/24\"]", "\"192.0.2.1\"", "[1]"],
                    ),
                    Says("nobody"),
                    "Who is trusted.",
                ),
                value(
                    "ports",
                    "list of ports",
                    (
                        &["[\"tcp/22\"]", "[\"udp/65535\"]"],
                        &["[\"tcp/0\"]", "[\"ssh\"]", "[\"tcp/65536\"]"],
                    ),
                    Says("all"),
                    "Trust holds on these only.",
                ),
                value(
                    "interfaces",
                    "list of at most 8 interface names",
                    (
                        &["[\"eth1\"]", "[\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\"]"],
                        &[
                            "[\"longer-than-a-name\"]",
                            "[\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\", \"i\"]",
                        ],
                    ),
                    Says("all"),
                    "Trust holds on these only.",
                ),
            ],
        },
        Section {
            title: "unclaimed",
            header: "[unclaimed]",
            about: "Traffic that no API claims.",
            frame: "[unclaimed]\n@\n",
            keys: vec![word(
                "action",
                "\"pass\"",
                "`drop` refuses new TCP connections and UDP that answers nothing this host sent.",
            )],
        },
        Section {
            title: "packets",
            header: "[packets]",
            about: "Packets that are odd whatever they are for; each kind is counted under a reason of its own.",
            frame: "[packets]\n@\n",
            keys: Oddity::ALL.iter().map(|kind| odd(*kind)).collect(),
        },
        Section {
            title: "groups.GROUP",
            header: "[groups.GROUP]",
            about: "A named set of sources. At most 255 groups; `any` is no name.",
            frame: "[groups.partners]\n@\n",
            keys: vec![
                value(
                    "cidrs",
                    "list of prefixes",
                    (
                        &["[\"198.51.100.0/24\"]", "[]"],
                        &["[\"198.51.100.1/24\"]", "[\"::ffff:192.0.2.1\"]"],
                    ),
                    Says("none"),
                    "Who is in it.",
                ),
                value(
                    "files",
                    "list of paths",
                    (&["[\"partners.txt\"]"], &["[\"missing.txt\"]", "\"partners.txt\""]),
                    Says("none"),
                    "Feeds, relative to the policy, watched while they are in force.",
                ),
            ],
        },
    ]
}

/// A kind of `[packets]`; what it is about is what is said of its reason.
fn odd(kind: Oddity) -> Key {
    let default = match kind.default_treatment() {
        Treatment::Pass => "\"pass\"",
        Treatment::Monitor => "\"monitor\"",
        Treatment::Drop => "\"drop\"",
    };
    word(kind.key(), default, kind.reason().describe())
}

/// Those after `[[api]]` and its tables.
pub(super) fn after() -> Vec<Section> {
    let limit = (&["0.1", "0", "1"][..], &["1.1", "-0.1", "\"5%\""][..]);
    vec![
        Section {
            title: "respond",
            header: "[respond]",
            about: "How far weir may go by itself.",
            frame: "[respond]\n@\n",
            keys: vec![
                word("mode", "\"dry_run\"", "Say what would be done, ask first, or do it."),
                value(
                    "max_share_sources",
                    "number, 0 to 1",
                    limit,
                    Is("0.1"),
                    "Share of the sources that an API served in the last hour that an action may cut off. One always.",
                ),
                value(
                    "max_share_requests",
                    "number, 0 to 1",
                    limit,
                    Is("0.25"),
                    "The same of its requests that were answered well, once there are 100.",
                ),
                number("per_minute", "integer", Is("10"), "Actions within a minute."),
                value(
                    "approve_within",
                    TIME,
                    TIMES,
                    Is("\"1h\""),
                    "How long an action waits to be approved.",
                ),
                number(
                    "shared_credentials",
                    "integer",
                    Is("5"),
                    "Different credentials from which on a source is shared by many and not banned; 0: never.",
                ),
                number("shared_agents", "integer", Is("10"), "The same for user agents."),
            ],
        },
        Section {
            title: "alerts",
            header: "[alerts]",
            about: "How many alerts a day are wanted, for the whole host, when nothing is the matter.",
            frame: "[alerts]\n@\n",
            keys: vec![Key {
                takes: Takes::Table("alerts.per_day", &["{ warning = 2, notice = 10 }", "5"]),
                ..table("per_day", "", &[], Says("as below"), "By severity, or one number for all.")
            }],
        },
        Section {
            title: "alerts.per_day",
            header: "alerts.per_day",
            about: "Alerts a day of each severity; thresholds follow from them.",
            frame: "[alerts.per_day]\n@\n",
            keys: vec![
                number("critical", "number", Is("1"), "Somebody is woken."),
                number("warning", "number", Is("2"), "For working hours."),
                number("notice", "number", Is("10"), "Worth a look."),
                number("info", "number", Is("50"), "For the review."),
            ],
        },
        Section {
            title: "maintenance",
            header: "[[maintenance]]",
            about: "When APIs are being maintained, once (`from`, `until`) or weekly (`from`, `for`, `days`). At most 256.",
            frame: "[[maintenance]]\nfrom = \"22:00\"\nfor = \"4h\"\n@\n",
            keys: vec![
                Key {
                    frame: Some(
                        "[[api]]\nname = \"orders\"\nlisten = [\"tcp/8080\"]\nallow = \"any\"\n\
                         [[maintenance]]\nfrom = \"22:00\"\nfor = \"4h\"\n@\n",
                    ),
                    ..value(
                        "apis",
                        "list of names of APIs",
                        (&["[\"orders\"]"], &["[\"nobody\"]", "\"orders\""]),
                        Says("every API"),
                        "Which.",
                    )
                },
                value(
                    "days",
                    "list of `mon` `tue` `wed` `thu` `fri` `sat` `sun`",
                    (&["[\"sat\", \"sun\"]"], &["[\"saturday\"]", "\"sat\""]),
                    Says("every day"),
                    "Days on which it begins.",
                ),
                value(
                    "from",
                    "`HH:MM`, UTC; with `until` a date with a time (RFC 3339)",
                    (&["\"22:00\""], &["\"24:00\"", "\"10 pm\""]),
                    Required,
                    "From when on.",
                ),
                Key {
                    frame: Some("[[maintenance]]\nfrom = \"2026-12-01T22:00:00Z\"\n@\n"),
                    ..value(
                        "until",
                        "date with a time (RFC 3339), after `from`",
                        (&["\"2026-12-02T02:00:00Z\""], &["\"2026-12-01T21:00:00Z\"", "\"02:00\""]),
                        Says("–"),
                        "Up to when, once; instead of `for`.",
                    )
                },
                value(
                    "for",
                    "duration, 1m to 24h",
                    (&["\"4h\"", "\"1m\""], &["\"59s\"", "\"25h\""]),
                    Says("–"),
                    "For how long, past midnight too; instead of `until`.",
                ),
                value(
                    "reason",
                    "text",
                    (&["\"database moves\""], &["\"\"", "1"]),
                    Says("none"),
                    "Goes with its events.",
                ),
            ],
        },
        Section {
            title: "assess",
            header: "[assess]",
            about: "Posture reports.",
            frame: "[assess]\n@\n",
            keys: vec![
                value(
                    "every",
                    TIME,
                    TIMES,
                    Says("none: only when asked for"),
                    "How often the daemon makes one by itself.",
                ),
                value(
                    "drill_within",
                    TIME,
                    TIMES,
                    Is("\"180d\""),
                    "A playbook that was not drilled for so long is overdue.",
                ),
                value(
                    "finding_within",
                    TIME,
                    TIMES,
                    Is("\"7d\""),
                    "A finding that is open for so long is overdue.",
                ),
            ],
        },
        playbook(),
        Section {
            title: "playbook.PLAYBOOK.steps",
            header: "playbook.PLAYBOOK.steps",
            about: "A step that is a table; a text is its `do`.",
            frame: "[[api]]\nname = \"orders\"\nlisten = [\"tcp/8080\"]\nallow = \"any\"\n\
                    [playbook.leak]\napis = [\"orders\"]\n[[playbook.leak.steps]]\ndo = \"shutdown\"\n@\n",
            keys: vec![
                value(
                    "do",
                    "`shutdown`, `lockdown`, `lockdown GROUP` or `limit RATE`",
                    (
                        &["\"limit 10/s\"", "\"shutdown\"", "\"lockdown\""],
                        &["\"ban 10m\"", "\"lockdown nobody\""],
                    ),
                    Says("– (or `manual`)"),
                    "What weir does.",
                ),
                Key {
                    frame: Some(
                        "[[api]]\nname = \"orders\"\nlisten = [\"tcp/8080\"]\nallow = \"any\"\n\
                         [playbook.leak]\napis = [\"orders\"]\n[[playbook.leak.steps]]\n@\n",
                    ),
                    ..value(
                        "manual",
                        "text",
                        (&["\"call the bank\""], &["\"\"", "1"]),
                        Says("– (or `do`)"),
                        "What a person does.",
                    )
                },
                value("ttl", TIME, TIMES, Says("the playbook's"), "How long the order lasts."),
            ],
        },
    ]
}

fn playbook() -> Section {
    Section {
        title: "playbook.PLAYBOOK",
        header: "[playbook.PLAYBOOK]",
        about: "What is done in a breach. At most 64, of at most 64 steps.",
        frame: "[[api]]\nname = \"orders\"\nlisten = [\"tcp/8080\"]\nallow = \"any\"\n\
                [playbook.leak]\napis = [\"orders\"]\nsteps = [\"shutdown\"]\n@\n",
        keys: vec![
            value(
                "apis",
                "list of names of APIs",
                (&["[\"orders\"]"], &["[\"nobody\"]", "[]"]),
                Required,
                "Which it is about.",
            ),
            table(
                "steps",
                "playbook.PLAYBOOK.steps",
                &["[\"shutdown\", { manual = \"call the bank\" }]"],
                Required,
                "In this order.",
            ),
            value("contacts", "list of texts", TEXTS, Says("none"), "Who is called, and how."),
            value(
                "notify",
                "list of names of receivers",
                (&["[\"pager\"]"], &["\"pager\"", "[\"no name!\"]"]),
                Says("none"),
                "Get its events whatever they want otherwise.",
            ),
            value("ttl", TIME, TIMES, Says("until lifted"), "How long its orders last."),
        ],
    }
}
