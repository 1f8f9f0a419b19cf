//! What an operator does in a breach: how soon it holds, playbooks, and drills that nobody notices.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weir_tests::wait;
use weir_tests::weir::Weir;

use crate::ending::{self, any};
use crate::site::{self, PORT};

/// Far above what is promised: what was measured is printed.
const SANITY: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_secs(15);

#[test]
fn a_shutdown_holds_a_moment_after_the_command() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let weir = site::weir(&lab, &(site::orders(&lab, "")? + PLAYBOOKS))?;
    let verbs: [&[&str]; 4] = [
        &["breach", "shutdown", "orders"],
        &["breach", "lockdown", "orders", "--ttl", "1h"],
        &["breach", "run", "leak"],
        &["breach", "shutdown", "orders", "--reason", "again"],
    ];
    for (round, verb) in verbs.iter().cycle().take(12).enumerate() {
        let address = server.addresses()[round % 2];
        let (_, last, count) =
            ending::last_passed((client, any(address)), server, address, || {
                weir.verb(verb)?.success()
            })?;
        println!(
            "weir {}: the last of {count} packets arrived {:.1} ms after the command was started",
            verb.join(" "),
            last.as_secs_f64() * 1e3
        );
        ensure!(last < SANITY, "{verb:?}: {last:?}");
        ensure!(count > 100, "{count} packets are too few to tell");
        weir.verb(&["breach", "lift", "orders"])?.success()?;
    }
    Ok(())
}

const PLAYBOOKS: &str = r#"
[trusted]
cidrs = ["192.0.2.9/32"]
ports = ["tcp/22"]

[groups.vip]
cidrs = ["203.0.113.0/24"]
[groups.nobody]
cidrs = []

[playbook.leak]
apis = ["orders"]
steps = [
  "lockdown vip",
  { do = "limit 10/s", ttl = "1h" },
  { manual = "call the bank" },
]
contacts = ["security on call, +49 30 1234"]
notify = ["pager"]
ttl = "4h"

[playbook.empty]
apis = ["orders"]
steps = ["lockdown nobody"]

[playbook.close]
apis = ["orders"]
steps = ["lockdown clients"]
"#;

/// The orders in force by kind.
fn kinds(weir: &Weir<'_>) -> Result<Vec<String>> {
    let status = weir.json(&["breach", "status"])?;
    let orders = status[0]["orders"].as_array().cloned().unwrap_or_default();
    Ok(orders.iter().filter_map(|order| order["kind"].as_str().map(str::to_owned)).collect())
}

#[test]
fn a_playbook_is_drilled_and_run() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    let policy = site::write(&lab, "policy.toml", &(site::orders(&lab, "")? + PLAYBOOKS))?;
    // The pager wants next to nothing by itself.
    let paged = lab.directory().join("paged.jsonl").display().to_string();
    let settings = format!(
        "[[sink]]\nname = \"pager\"\nkind = \"file\"\npath = \"{paged}\"\nevents = [\"state_reset\"]\n"
    );
    let settings = site::write(&lab, "weir.toml", &settings)?;
    let mut weir = Weir::start(&lab, server, &["--policy", &policy, "--config", &settings])?;
    assert_eq!(site::answered(client, server)?, [true; 2]);

    // The connection that is open goes on through a drill.
    let mut open = client.netns.enter(|| Ok(TcpStream::connect((server.v4(), PORT))?))?;
    open.set_read_timeout(Some(Duration::from_secs(2)))?;
    for (name, code) in [("close", 0), ("orders", 0), ("leak", 1), ("empty", 1)] {
        let drilled = weir.verb(&["breach", "drill", name, "--json"])?;
        let report: serde_json::Value = serde_json::from_str(&drilled.stdout)
            .with_context(|| format!("{}{}", drilled.stdout, drilled.stderr))?;
        println!("{}", report["markdown"].as_str().unwrap_or_default());
        assert_eq!(drilled.code, code, "{name}: {report:#}");
        if name == "leak" {
            let page = report["markdown"].as_str().unwrap_or_default();
            assert!(page.contains("the receiver pager is there |  | ok |"), "{page}");
        }
        for file in report["files"].as_array().into_iter().flatten().filter_map(|f| f.as_str()) {
            let text = std::fs::read_to_string(file)?;
            assert!(text.contains(name), "{file}: {text}");
        }
        assert_eq!(report["files"].as_array().map(Vec::len), Some(2), "{name}");
        assert_eq!(weir.json(&["breach", "status"])?, serde_json::json!([]), "nothing is ordered");
        open.write_all(b"GET / HTTP/1.1\r\nHost: orders\r\n\r\n")?;
        let mut answer = [0; 512];
        let length = open.read(&mut answer)?;
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"), "the traffic went on: {name}");
    }
    // Nobody of `vip` may reach the API in the first place, and that is what the drill says.
    let failed = weir.verb(&["breach", "drill", "leak", "--output", "/dev/null/x"])?;
    assert_eq!(failed.code, 2, "{failed:?}");
    let elsewhere = lab.directory().join("reports").display().to_string();
    let drilled = weir.verb(&["breach", "drill", "leak", "--output", &elsewhere])?;
    assert!(drilled.stdout.contains("nobody of vip passes at orders"), "{}", drilled.stdout);
    assert_eq!(std::fs::read_dir(&elsewhere)?.count(), 2);
    let unknown = weir.verb(&["breach", "drill", "leek"])?;
    assert_eq!((unknown.code, unknown.stderr.contains("leak")), (1, false), "{unknown:?}");

    let books = weir.json(&["breach", "playbooks"])?;
    let leak = &books[0];
    assert_eq!((&leak["name"], &leak["drill_passed"]), (&"leak".into(), &false.into()), "{books}");
    assert!(leak["drilled"].as_u64().is_some_and(|at| at > 1_700_000_000), "{books}");

    let ran = weir.json(&["breach", "run", "leak", "--reason", "ticket 1"])?;
    assert_eq!(ran["manual"], serde_json::json!(["call the bank"]));
    assert_eq!(site::answered(client, server)?, [false; 2]);
    assert_eq!(kinds(&weir)?, ["lockdown", "limit"]);
    weir.crash()?;
    weir.start_again()?;
    let status = weir.json(&["breach", "status"])?;
    let [lockdown, limit] = [&status[0]["orders"][0], &status[0]["orders"][1]];
    for (order, least, most) in [(lockdown, 14_000, 14_400), (limit, 3_000, 3_600)] {
        let left = order["remaining_seconds"].as_u64().unwrap_or_default();
        assert!((least..=most).contains(&left), "{order}");
        assert_eq!((&order["reason"], &order["playbook"]), (&"ticket 1".into(), &"leak".into()));
        assert!(order["by"]["uid"].is_u64() && order["since"].is_u64(), "{order}");
    }
    let told = weir.verb(&["breach", "status"])?.success()?;
    assert!(told.contains("playbook leak") && told.contains("ticket 1"), "{told}");
    weir.verb(&["breach", "lift", "orders"])?.success()?;
    assert_eq!(site::answered(client, server)?, [true; 2]);

    weir.verb(&["breach", "run", "leak", "--ttl", "1s"])?.success()?;
    wait::until("the end of the orders", SOON, || {
        let expired = weir.events()?;
        let expired = site::named(&expired, "breach_expired").len();
        ensure!(expired == 2, "{expired} are told");
        Ok(())
    })?;
    assert_eq!(site::answered(client, server)?, [true; 2]);
    let events = weir.events()?;
    let ordered = site::named(&events, "breach_ordered");
    assert_eq!(ordered.len(), 4, "{ordered:?}");
    for event in ordered.iter().chain(&site::named(&events, "breach_run")) {
        assert_eq!(event["playbook"]["contacts"][0], "security on call, +49 30 1234", "{event}");
        assert_eq!(event["playbook"]["notify"][0], "pager");
    }
    assert_eq!(site::named(&events, "breach_drilled").len(), 6, "each drill that was made");
    let audit = weir.json(&["audit"])?;
    let lines = |what: &str| {
        audit.as_array().into_iter().flatten().filter(|line| line["what"] == what).count()
    };
    assert_eq!((lines("breach_run"), lines("order_set"), lines("breach_drill")), (2, 4, 6));
    let told = wait::until("the pager is told", SOON, || {
        let text = std::fs::read_to_string(&paged)?;
        ensure!(text.matches("breach_expired").count() == 2, "{text}");
        Ok(text)
    })?;
    for (name, count) in [("breach_drilled", 3), ("breach_run", 2), ("breach_lifted", 0)] {
        assert_eq!(told.matches(&format!("\"{name}\"")).count(), count, "{name}: {told}");
    }
    Ok(())
}
