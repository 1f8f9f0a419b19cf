//! What verdicts of the kernel mean for a drill, and what its report says.

use super::*;

const POLICY: &str = r#"
    [trusted]
    cidrs = ["192.0.2.10/32"]
    [groups.partners]
    cidrs = ["198.51.100.0/24"]
    [[api]]
    name = "orders"
    listen = ["tcp/8080"]
    allow = "any"
    [playbook.leak]
    apis = ["orders"]
    steps = ["shutdown", "lockdown partners", "limit 10/s"]
"#;

const INSIDE: &str = "198.51.100.1";
const OUTSIDE: &str = "8.8.8.8";

fn policy() -> Policy {
    let loaded = crate::policy::parse(POLICY, std::path::Path::new("."), "p.toml");
    loaded.policy.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

/// What it shows, the order, sources that pass without it and whether they do with it, the verdict.
type Row = (&'static str, Order, &'static [(&'static str, bool)], DrillState);

#[test]
fn verdicts_are_judged() {
    let policy = policy();
    let locked = Order::Lockdown { group: Some("partners".to_owned()) };
    let limit = |rate: &str| Order::Limit { packets: rate.to_owned() };
    use DrillState::{Failed, Ok, Skipped};
    let rows: [Row; 10] = [
        ("shut down", Order::Shutdown, &[(INSIDE, false), (OUTSIDE, false)], Ok),
        ("one gets through", Order::Shutdown, &[(INSIDE, false), (OUTSIDE, true)], Failed),
        ("nothing to show it on", Order::Shutdown, &[], Skipped),
        ("locked down", locked.clone(), &[(INSIDE, true), (OUTSIDE, false)], Ok),
        ("a stranger gets through", locked.clone(), &[(INSIDE, true), (OUTSIDE, true)], Failed),
        ("a member does not", locked.clone(), &[(INSIDE, false), (OUTSIDE, false)], Failed),
        ("no member was there before", locked, &[(OUTSIDE, false)], Failed),
        ("limited", limit("10/s"), &[(OUTSIDE, false)], Ok),
        ("not limited", limit("10/s"), &[(OUTSIDE, true)], Failed),
        ("too fast to be provoked", limit("1000000/s"), &[(OUTSIDE, true)], Skipped),
    ];
    for (what, order, passed, expected) in rows {
        let part = Part {
            api: "orders".to_owned(),
            text: what.to_owned(),
            order,
            id: 1,
            cell: orders::Order::Shutdown,
        };
        let passed = passed.iter().map(|(source, passes)| {
            (source.parse::<std::net::IpAddr>().expect("an address"), *passes)
        });
        let taken = Taken { passed: passed.collect(), ..Taken::default() };
        let (state, found) = judge(&policy, &part, &taken);
        assert_eq!(state, expected, "{what}: {found}");
    }
}

#[test]
fn a_way_back_is_looked_for() {
    let policy = policy();
    assert_eq!(way_back(&policy).state, DrillState::Ok);
    assert_eq!(way_back(&Policy::observe()).state, DrillState::Failed);
}

#[test]
fn the_report_is_a_page() {
    let step = |what: &str, state, seconds| DrillStep {
        what: what.to_owned(),
        state,
        seconds,
        found: "a | b\nc".to_owned(),
        ..DrillStep::default()
    };
    let drill = Drill {
        name: "leak".to_owned(),
        is_playbook: true,
        started: 1_772_373_600,
        by: "uid 0".to_owned(),
        policy: "0123456789abcdef".to_owned(),
        passed: false,
        steps: vec![
            step("shutdown", DrillState::Failed, Some(0.001)),
            step("call the bank", DrillState::Skipped, None),
            step("tell the press", DrillState::Done, Some(61.0)),
        ],
        not_done: vec!["nobody was called".to_owned()],
        contacts: vec!["bank, +49 30 1".to_owned()],
        ..Drill::default()
    };
    let page = report::markdown(&drill);
    for part in [
        "# Drill: leak",
        "2026-03-01 14:00:00 UTC, by uid 0, policy 0123456789ab.",
        "Result: **failed**",
        "| shutdown |  | **failed** | 1.00 ms | a \\| b c |",
        "| call the bank |  | skipped | – |",
        "| tell the press |  | done | 61.0 s |",
        "- nobody was called",
        "## Contacts",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert_eq!(report::file_name(&drill, "md"), "leak-20260301T140000Z.md");
}
