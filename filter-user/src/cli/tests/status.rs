//! The status page on fixed data.

use super::TERMINAL;
use crate::cli::status::text::text;
use crate::cli::style::Style;
use crate::control::api::*;

fn interface(name: &str) -> InterfaceStatus {
    InterfaceStatus {
        name: name.into(),
        index: 2,
        mode: "native".into(),
        pinned: true,
        egress: "tcx".into(),
        ingress_program: 41,
        egress_program: Some(42),
        generation: 7,
        problem: None,
    }
}

fn api(name: &str, mode: Mode, packets: PacketCounts) -> ApiStatus {
    ApiStatus {
        name: name.into(),
        id: 1,
        listen: vec!["tcp/8080".into(), "203.0.113.5:tcp/8443".into()],
        mode,
        criticality: "high".into(),
        owner: "team".into(),
        packets,
        egress_packets: 5,
        egress_bytes: 2_500_000_000,
        orders: Vec::new(),
    }
}

fn example() -> Status {
    let busy = PacketCounts { pass: 1_234_567, drop: 45_678, would_drop: 0, bytes: 987_654_321 };
    let watched = PacketCounts { pass: 90, drop: 0, would_drop: 12, bytes: 64_000 };
    let refused = |api: &str, verdict: &str, reason: &str, packets| ReasonCount {
        api: api.into(),
        verdict: verdict.into(),
        reason: reason.into(),
        packets,
        bytes: packets * 60,
    };
    Status {
        daemon: DaemonStatus {
            version: "0.1.0".into(),
            pid: 4242,
            uptime_seconds: 444_000,
            instance: None,
            time: 1_700_011_520,
            metrics: Some("127.0.0.1:9720".into()),
            ready: true,
        },
        policy: Some(PolicyStatus {
            name: "edge".into(),
            path: "/etc/weir/policy.toml".into(),
            hash: "3f2a9c0011223344556677".into(),
            generation: 7,
            applied_at: 1_700_000_000,
            pending: false,
            number: Some(9),
            confirm_seconds: None,
            packets: [("tcp_flags".into(), "monitor".into()), ("vlan_tags".into(), "drop".into())]
                .into(),
        }),
        interfaces: vec![interface("eth0"), interface("eth1")],
        apis: vec![api("orders", Mode::Enforce, busy), api("login", Mode::Monitor, watched)],
        unclaimed: PacketCounts { pass: 321, drop: 0, would_drop: 0, bytes: 20_000 },
        reasons: vec![
            refused("orders", "pass", "allowed", 1_234_567),
            refused("__unclaimed__", "drop", "bad_ip", 3),
            refused("orders", "drop", "not_allowed", 45_675),
            refused("login", "would_drop", "limit_packets", 12),
        ],
        samples: SampleStatus {
            share: 1.0,
            share_now: 1.0,
            attempted: 1_000_000,
            submitted: 999_900,
            dropped: 100,
            sampled_out: 0,
            received: 999_900,
            decode_errors: 0,
            completeness: 0.9999,
        },
        bans: 12,
        findings: FindingsStatus {
            open: 2,
            by_severity: vec![
                NamedCount { name: "critical".into(), value: 1 },
                NamedCount { name: "warning".into(), value: 1 },
            ],
            muted: 1,
            acknowledged: 0,
        },
        maps: vec![MapStatus { map: "bans".into(), entries: 12, capacity: 65_536 }],
        ..Status::default()
    }
}

#[test]
fn all_is_well() {
    assert_eq!(
        text(&example(), TERMINAL),
        "\
ENFORCING policy `edge` on eth0, eth1

policy    /etc/weir/policy.toml
          generation 7, 3f2a9c001122, applied 3h 12m ago
packets   tcp_flags monitor, vlan_tags drop
daemon    weir 0.1.0, pid 4242, up 5d 3h
metrics   http://127.0.0.1:9720/metrics
sensor    100 % of flows, 99.99 % complete, 1.00M records, 100 lost
bans      12
findings  2 open: 1 critical, 1 warning; 1 muted

INTERFACE  XDP     EGRESS  LINK    PROGRAMS  GENERATION
eth0       native  tcx     pinned    41, 42           7
eth1       native  tcx     pinned    41, 42           7

API        LISTEN                 MODE      PASS   DROP  WOULD       IN      OUT
orders     tcp/8080 203.0.113.5…  enforce  1.23M  45.7k      0   988 MB  2.50 GB
login      tcp/8080 203.0.113.5…  monitor     90      0     12  64.0 kB  2.50 GB
unclaimed                                    321      0      0  20.0 kB

REFUSED    REASON         VERDICT     PACKETS    BYTES
orders     not_allowed    drop          45.7k  2.74 MB
login      limit_packets  would drop       12    720 B
unclaimed  bad_ip         drop              3    180 B

TABLE  ENTRIES  CAPACITY   FULL
bans        12     65.5k  0.0 %
"
    );
}

#[test]
fn what_needs_a_look_comes_first() {
    let mut status = example();
    status.warnings = vec!["the disk is full: events are lost".into()];
    status.samples.completeness = 0.5;
    status.maps[0].entries = 60_000;
    status.interfaces[0].pinned = false;
    status.interfaces[1].generation = 6;
    if let Some(policy) = &mut status.policy {
        policy.pending = true;
    }
    let shown = text(&status, TERMINAL);
    let lines: Vec<&str> = shown.lines().take(8).collect();
    let expected = [
        "ENFORCING policy `edge` on eth0, eth1",
        "! the disk is full: events are lost",
        "! /etc/weir/policy.toml differs from what is in force: `weir apply /etc/weir/policy.toml`",
        "! table bans is nearly full: 60.0k of 65.5k",
        "! only 50.0 % of the samples arrive: raise [sensor] ring, or lower [sensor] sample",
        "! eth0: the link is not pinned, the filter ends with the daemon",
        "! eth1 is at generation 6: apply the policy again",
        "",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn headlines() {
    let with = |change: fn(&mut Status)| {
        let mut status = example();
        change(&mut status);
        text(&status, TERMINAL).lines().next().unwrap_or_default().to_owned()
    };
    type Row = (fn(&mut Status), &'static str);
    let rows: [Row; 6] = [
        (
            |status| {
                for face in &mut status.interfaces {
                    face.problem = Some("it is not there".into());
                }
            },
            "ATTACHED NOWHERE policy `edge`, not on eth0, eth1",
        ),
        (
            |status| status.interfaces[1].problem = Some("it is not there".into()),
            "PARTLY OPEN policy `edge` on eth0, but not on eth1",
        ),
        (|status| status.interfaces.clear(), "ATTACHED NOWHERE policy `edge` on no interface"),
        (|status| status.daemon.ready = false, "STARTING policy `edge` on eth0, eth1"),
        (|status| status.policy = None, "OBSERVING, no policy on eth0, eth1"),
        (
            |status| status.apis.retain(|api| api.mode == Mode::Monitor),
            "MONITORING policy `edge` on eth0, eth1",
        ),
    ];
    for (change, headline) in rows {
        assert_eq!(with(change), headline);
    }
}

#[test]
fn orders_are_seen_and_nothing_is_wider_than_the_terminal() {
    let mut status = example();
    status.apis[0].orders = vec![OrderInForce {
        order: Order::Shutdown,
        remaining_seconds: Some(60),
        automatic: false,
        reason: "ticket 4711".into(),
        since: None,
        by: None,
        playbook: None,
    }];
    let shown = text(&status, TERMINAL);
    assert!(shown.contains("! orders shut down by an operator, 1m left: ticket 4711\n"), "{shown}");
    for line in shown.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let coloured = text(&status, Style { colour: true, width: Some(80), unicode: true });
    assert!(coloured.contains("\x1b[1;31mshut down\x1b[0m"), "{coloured}");
    assert_eq!(
        text(&Status::default(), TERMINAL).lines().next(),
        Some("ATTACHED NOWHERE, no policy on no interface")
    );
}
