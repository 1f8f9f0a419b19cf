//! What the arguments mean, and what people see, on fixed data.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::Parser;

use super::style::Style;
use super::{Cli, Verb, apply, ban, breach, detach, doctor, events, explain, grammar};
use crate::config::{Egress, OnExit, XdpMode};
use crate::control::api::*;

mod status;

/// As on a terminal of the usual width, without its colours.
const TERMINAL: Style = Style { colour: false, width: Some(80), unicode: true };

fn parse(line: &str) -> Result<Verb, clap::Error> {
    let words = std::iter::once("weir").chain(line.split_whitespace()).map(OsString::from);
    Cli::try_parse_from(words).map(|cli| cli.verb)
}

#[test]
fn the_grammar_is_sound() {
    grammar().debug_assert();
}

#[test]
fn every_verb_and_argument_is_explained() {
    let page = include_str!("../../../docs/cli.md");
    let mut grammar = grammar();
    grammar.build();
    let mut left: Vec<&clap::Command> = grammar.get_subcommands().collect();
    while let Some(verb) = left.pop() {
        let name = verb.get_bin_name().unwrap_or_default();
        if verb.get_name() == "help" || verb.is_hide_set() {
            continue;
        }
        assert!(verb.get_about().is_some(), "{name} says nothing about itself");
        for argument in verb.get_arguments() {
            assert!(argument.get_help().is_some(), "{name}: {argument} is not explained");
        }
        if verb.has_subcommands() {
            left.extend(verb.get_subcommands());
        } else {
            assert!(page.contains(name), "docs/cli.md lacks {name}");
            let examples = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(name == "weir version" || examples.contains(name), "{name} has no example");
        }
    }
}

#[test]
fn the_readme_has_every_verb_and_no_other() {
    let page = include_str!("../../../README.md");
    let table = page.split("## The verbs").nth(1).and_then(|rest| rest.split("\n## ").next());
    let rows = table.unwrap_or_default().lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    // What is in quotes, and of it the first word.
    let spans = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let named: BTreeSet<&str> = spans.filter_map(|span| span.split(' ').next()).collect();
    let grammar = grammar();
    let verbs = grammar.get_subcommands().filter(|verb| !verb.is_hide_set());
    assert_eq!(named, verbs.map(clap::Command::get_name).collect::<BTreeSet<_>>());
}

#[test]
fn arguments() {
    let good = [
        "run --interface eth0",
        "run -i eth0 -i eth1 -p policy.toml --xdp-mode native --egress clsact --sample 0.5",
        "run --config weir.toml --instance edge --metrics [::1]:9720 --log-format json --log debug",
        "check policy.toml --json",
        "apply policy.toml --instance edge",
        "apply policy.toml --confirm 60s",
        "diff policy.toml --json",
        "confirm --json",
        "rollback",
        "rollback 7",
        "history --json",
        "audit --limit 5",
        "audit verify",
        "audit verify /var/lib/weir/audit.jsonl --json",
        "status --json --socket /tmp/x.sock",
        "explain 192.0.2.1 192.0.2.2 --dport 80",
        "explain 192.0.2.1 192.0.2.2 --proto TCP --dport 80 --sport 5 --interface eth0",
        "explain ::1 ::2 --proto icmp",
        "explain ::1 ::2 --proto 132",
        "explain ::1 ::2 --dport 80 --flags syn,ACK",
        "explain --packet 00:11 --interface eth0 --length 1514",
        "explain --packet -",
        "ban add 192.0.2.1 --ttl 30s",
        "ban add 192.0.2.0/24 --forever --api orders --reason x",
        "ban del 192.0.2.1",
        "ban remove 192.0.2.1 --api orders",
        "ban list --json",
        "monitor on orders",
        "monitor off orders --ttl 10m",
        "breach shutdown orders --ttl 1h",
        "breach lockdown orders --group partners",
        "breach lockdown orders",
        "breach limit orders 20/s --ttl 1h",
        "breach limit orders 5000/day --reason x --force",
        "breach lift orders",
        "breach status",
        "breach run leak --ttl 2h --reason x --force",
        "breach drill leak --output reports --json",
        "breach playbooks",
        "evidence --source 192.0.2.1 --since 24h --output e.json",
        "evidence --api orders --since 2026-03-01T00:00:00Z --until 2026-03-02T00:00:00Z --json",
        "evidence verify e.json --json",
        "actions",
        "actions list --all --json",
        "actions approve 12",
        "actions reject 12 --json",
        "actions undo 12",
        "actions stop --ttl 1h --reason x",
        "actions start",
        "events -f -n 5 --since 1h",
        "replay web.pcap --policy p.toml --verdicts --json",
        "detach --pins /sys/fs/bpf/weir",
        "doctor --interface eth0 --policy p.toml",
        "completions zsh",
        "man /usr/local/share/man/man1",
        "version",
    ];
    for line in good {
        assert!(parse(line).is_ok(), "{line}: {}", parse(line).expect_err("wrong"));
    }
    let bad = [
        "evidence --source 192.0.2.1 --api orders",
        "evidence --source 192.0.2.1 --since yesterday",
        "run --xdp-mode fast",
        "apply policy.toml --confirm 60",
        "rollback before",
        "audit --limit 5 verify",
        "run --sample 2",
        "run --metrics localhost",
        "run --instance ../x",
        "check",
        "explain 192.0.2.1 192.0.2.2 --proto quic --dport 1",
        "explain 192.0.2.1 192.0.2.2 --dport 65536",
        "explain host 192.0.2.2 --dport 1",
        "explain ::1 ::2 --dport 1 --length 5",
        "explain ::1 --dport 1",
        "explain ::1 ::2 --packet 00",
        "explain ::1 ::2 --dport 1 --flags syn --established",
        "explain ::1 ::2 --dport 1 --flags sin",
        "ban add 192.0.2.1",
        "ban add 192.0.2.1 --ttl 30",
        "ban add 192.0.2.1 --ttl 0s",
        "ban add 192.0.2.1 --ttl 30s --forever",
        "monitor orders",
        "breach shutdown",
        "breach limit orders",
        "breach limit orders 20",
        "breach limit orders 10MB/s",
        "breach limit orders 0/s",
        "breach limit orders 20/s --ttl 0s",
        "events --limit -1",
        "completions cmd",
    ];
    for line in bad {
        assert_eq!(parse(line).expect_err(line).exit_code(), 2, "{line}");
    }
}

#[test]
fn run_arguments_arrive() {
    let settings = |line: &str| match parse(line) {
        Ok(Verb::Run(run)) => run.request().map(|request| request.config),
        other => panic!("it is run: {other:?}"),
    };
    let line = "run -i a -i b --sample 0 --instance edge --socket /s --metrics 127.0.0.1:1 \
                --xdp-mode generic --egress off --policy p.toml --log-kernel --on-exit open";
    let config = settings(line).expect("settings");
    assert_eq!((config.interfaces.join(" "), config.sensor.sample), ("a b".to_owned(), 0.0));
    assert_eq!((config.xdp_mode, config.egress), (XdpMode::Generic, Egress::Off));
    assert_eq!((config.on_exit, config.log_kernel), (OnExit::Open, true));
    assert_eq!((config.socket.to_str(), config.metrics.port()), (Some("/s"), 1));
    assert_eq!(config.pins.to_str(), Some("/sys/fs/bpf/weir-edge"));
    assert_eq!(config.policy.as_deref(), Some(std::path::Path::new("p.toml")));
    let config = settings("run -i a --instance edge").expect("settings");
    assert_eq!(config.socket.to_str(), Some("/run/weir-edge/weir.sock"));
    for (line, part) in [
        ("run", "no interface"),
        ("run -i a/b", "a/b"),
        ("run -i a --config /does/not/exist", "/does/not/exist"),
    ] {
        let failure = settings(line).expect_err(line).to_string();
        assert!(failure.contains(part), "{line}: {failure}");
    }
}

fn banned(prefix: &str, api: Option<&str>, remaining: Option<u64>, hits: u64) -> Ban {
    Ban {
        prefix: prefix.into(),
        api: api.map(str::to_owned),
        since: 0,
        remaining_seconds: remaining,
        reason: "tried many passwords on many accounts in a row".into(),
        automatic: api.is_some(),
        sources: None,
        hits,
    }
}

#[test]
fn bans() {
    let mut bans = [
        banned("2001:db8:bad::/48", None, None, 1_234_567),
        banned("192.0.2.7", Some("orders"), Some(90), 0),
        Ban { sources: Some(20), ..banned("192.0.2.0/24", Some("orders"), Some(60), 3) },
    ];
    ban::sort(&mut bans);
    assert_eq!(
        ban::list(&bans, TERMINAL),
        "\
PREFIX             API         ENDS         PACKETS  BY          REASON
192.0.2.0/24       orders      1m left            3  escalation  tried many pas…
192.0.2.7          orders      1m 30s left        0  detector    tried many pas…
2001:db8:bad::/48  whole host  never          1.23M  operator    tried many pas…
"
    );
    assert_eq!(ban::list(&[], TERMINAL), "no bans\n");
}

#[test]
fn explanations() {
    let step = |stage: &str, finding: &str, line: Option<u32>| Step {
        stage: stage.into(),
        finding: finding.into(),
        origin: line.map(|line| Origin { file: "edge.toml".into(), line }),
        limit: None,
    };
    let mut explanation = Explanation {
        verdict: "drop".into(),
        reason: "denied".into(),
        reason_text: "The source is in a group the API denies.".into(),
        packet: "tcp 198.51.100.7:40000 → 203.0.113.5:8080 SYN, 64 bytes".into(),
        api: Some("orders".into()),
        generation: 3,
        interface: "eth0".into(),
        program: 77,
        steps: vec![
            step("source", "in group listed by 198.51.100.0/24", Some(17)),
            step("api", "orders", Some(31)),
            step("rule", "deny group listed", Some(34)),
        ],
        ..Explanation::default()
    };
    assert_eq!(
        explain::text(&explanation, TERMINAL),
        "\
DROP  tcp 198.51.100.7:40000 → 203.0.113.5:8080 SYN, 64 bytes, API `orders`
denied: The source is in a group the API denies.
on eth0, program 77, generation 3

STAGE   FINDING                             POLICY
source  in group listed by 198.51.100.0/24  edge.toml:17
api     orders                              edge.toml:31
rule    deny group listed                   edge.toml:34
"
    );
    explanation.steps.clear();
    explanation.verdict = "would_drop".into();
    explanation.api = None;
    explanation.layers =
        vec![Layer { name: "vlan".into(), offset: 14, text: "7, priority 0, type 0x0800".into() }];
    explanation.notes = vec!["eth0 runs nothing".into()];
    assert_eq!(
        explain::text(&explanation, TERMINAL),
        "\
WOULD DROP  tcp 198.51.100.7:40000 → 203.0.113.5:8080 SYN, 64 bytes, no API
denied: The source is in a group the API denies.
on eth0, program 77, generation 3
! eth0 runs nothing

AT  LAYER  HEADER
14  vlan   7, priority 0, type 0x0800

"
    );
}

#[test]
fn orders() {
    let order = |order, remaining_seconds, automatic, reason: &str| OrderInForce {
        order,
        remaining_seconds,
        automatic,
        reason: reason.into(),
        since: None,
        by: None,
        playbook: None,
    };
    let api = ApiOrders {
        api: "orders".into(),
        mode: Mode::Monitor,
        orders: vec![
            order(Order::Shutdown, Some(600), false, "ticket\x1b 4711"),
            order(Order::Lockdown { group: None }, None, true, ""),
            order(Order::Mode { mode: Mode::Monitor }, None, false, ""),
            order(Order::Limit { packets: "100/s".into() }, Some(5), true, ""),
        ],
    };
    assert_eq!(
        breach::describe(&api, TERMINAL),
        "\
orders: mode monitor
  shut down by an operator, 10m left: ticket  4711
  locked down to trusted sources by a detector, until lifted
  mode monitor by an operator, until lifted
  each source limited to 100/s packets by a detector, 5s left
"
    );
    assert_eq!(
        breach::list(&[api], TERMINAL),
        "\
API     ORDER                                 ENDS         BY        REASON
orders  shut down                             10m left     operator  ticket  47…
orders  locked down to trusted sources        when lifted  detector
orders  mode monitor                          when lifted  operator
orders  each source limited to 100/s packets  5s left      detector
"
    );
    let none = "nothing is ordered: the policy decides everywhere\n";
    assert_eq!(breach::list(&[], TERMINAL), none);
}

#[test]
fn applied_and_detached() {
    let mut applied = Applied {
        name: "edge".into(),
        hash: "ab12".into(),
        previous_hash: None,
        generation: 3,
        number: Some(9),
        confirm_seconds: None,
        apis: 2,
        interfaces: vec!["eth0".into(), "eth1".into()],
        not_gated: Vec::new(),
        seconds: 0.0421,
        difference: None,
        size: None,
        warnings: Vec::new(),
    };
    let text = "applied `edge` as generation 3: 2 APIs on eth0, eth1 in 42 ms\n  hash ab12\n";
    assert_eq!(apply::text(&applied, TERMINAL), text);
    applied.previous_hash = Some("ab12".into());
    assert!(apply::text(&applied, TERMINAL).starts_with("applied again `edge`"));
    let change = |before, after| Change { before, after };
    let costs = [("ipv4", "allowed", 49), ("ipv6", "not_allowed", 46)];
    let packets = costs.map(|(family, reason, ns)| CostOf {
        family: family.into(),
        reason: reason.into(),
        ns,
    });
    applied.size = Some(Size {
        apis: change(1, 2),
        prefixes_v4: change(1_000, 1_000),
        prefixes_v6: change(3, 0),
        rules: change(4, 6),
        memory: Some(Footprint {
            tables: 42_000_000,
            programs: 100_000,
            state: 1_000_000,
            limiter: 4_000_000,
            ring: 8_000_000,
            total: 55_100_000,
            peak: 97_200_000,
        }),
        cost: Some(PacketCost { empty_ns: 27, packets: packets.into() }),
    });
    let text = apply::text(&applied, TERMINAL);
    let (_, size) = text.split_once("hash ab12\n").expect("more lines");
    assert_eq!(
        size,
        "  policy   2 APIs (before 1), 1000 IPv4 prefixes, 0 IPv6 prefixes (before 3), 6 rules (before 4)
  memory   55.1 MB in the kernel: tables 42.0 MB (42.0 kB a prefix), programs 100 kB, state 1.00 MB, \
limiter 4.00 MB, ring 8.00 MB; 97.2 MB while both are loaded
  cost     22 ns IPv4 allowed, 19 ns IPv6 not_allowed a packet, above the 27 ns of an empty program \
(tried here, not sampled, in the caches)
"
    );
    applied.confirm_seconds = Some(60);
    let waits = "unconfirmed: rolls back in 60 s unless you `weir confirm`\n";
    assert!(apply::text(&applied, TERMINAL).ends_with(waits));
    let nothing = Detached { interfaces: Vec::new(), removed: Vec::new() };
    assert_eq!(detach::text(&nothing, TERMINAL), "nothing was attached\n");
}

#[test]
fn event_lines() {
    let rows = [
        (
            r#"{"schema":1,"time":"2026-01-02T03:04:05.678Z","event":"ban_added","severity":"notice","message":"192.0.2.7 is banned","source":{"ip":"192.0.2.7"}}"#,
            "2026-01-02T03:04:05.678Z  notice    ban_added         192.0.2.7 is banned",
        ),
        (r#"{"missed":12}"#, "... 12 events came faster than they were read"),
        ("{\"event\":\"x\",\"message\":\"a\\u001b[2Jb\"}", "-  -         x                 a [2Jb"),
        ("{\"event\":\"x\"}", "-  -         x"),
        ("not JSON", "not JSON"),
        ("[1]", "[1]"),
    ];
    for (line, shown) in rows {
        assert_eq!(events::short(line), shown);
    }
}

#[test]
fn doctors_report() {
    let check = |name: &str, state, finding: &str, hint: &str| doctor::Check {
        name: name.into(),
        state,
        finding: finding.into(),
        hint: hint.into(),
    };
    let checks = vec![
        check("kernel", doctor::State::Ok, "6.18, with TCX", ""),
        check("bpf file system", doctor::State::Fail, "not in one", "`mount`"),
    ];
    let report = doctor::Report { healthy: false, checks };
    assert_eq!(
        doctor::text(&report, TERMINAL),
        "\
ok    kernel           6.18, with TCX
FAIL  bpf file system  not in one
                       → `mount`

this host cannot run weir yet; failed: 1, warnings: 0
"
    );
}
