//! Many banned sources of one network become a banned network, where the API says so.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_tests::curl;
use weir_tests::lab::{Host, Lab};
use weir_tests::reading::Reading;
use weir_tests::wait;
use weir_tests::weir::Weir;

use crate::site::{self, PORT};

/// For an answer to a finding, and for what follows from it.
const SOON: Duration = Duration::from_secs(15);
/// Networks that no host of the laboratory has of itself.
const NETWORKS: [&str; 2] = ["198.51.100.0/24", "2001:db8:51::/48"];

/// The address number `n` of each network.
fn addresses(n: u8) -> [String; 2] {
    [format!("198.51.100.{n}"), format!("2001:db8:51:{n:x}::1")]
}

/// Gives a host addresses of both networks.
fn settle(host: &Host, numbers: &[u8]) -> Result<()> {
    for [v4, v6] in numbers.iter().map(|&n| addresses(n)) {
        host.netns.ip(&format!("address add {v4}/32 dev eth0"))?;
        host.netns.ip(&format!("address add {v6}/128 dev eth0 nodad"))?;
    }
    Ok(())
}

/// Whether the server answers an address of a host over IPv4 and IPv6.
fn answered(from: &Host, n: u8, server: &Host) -> Result<[bool; 2]> {
    let mut all = [false; 2];
    for ((source, to), answer) in addresses(n).iter().zip(server.addresses()).zip(&mut all) {
        let url = site::url(to, PORT, "/");
        let arguments = ["--max-time", site::PATIENCE, "--interface", source, &url];
        *answer = curl::one(from, &arguments)?.status == 200;
    }
    Ok(all)
}

fn policy(more: &str) -> String {
    format!(
        "[groups.cdn]\ncidrs = [\"203.0.113.128/25\"]\n\n\
         [[api]]\nname = \"orders\"\nowner = \"team-orders\"\nlisten = [\"tcp/{PORT}\"]\n\
         allow = \"any\"\nproxies = [\"cdn\"]\nescalate = {{ v4 = 24, v6 = 48, sources = 3 }}\n{more}\n\n[respond]\nmode = \"act\"\n"
    )
}

/// Events of a name about escalation.
fn escalations(weir: &Weir<'_>, name: &str) -> Result<Vec<Value>> {
    let events = weir.events()?;
    let named = site::named(&events, name).into_iter();
    Ok(named.filter(|event| event["action"]["kind"] == "escalate").cloned().collect())
}

fn until_escalated(weir: &Weir<'_>, name: &str, count: usize) -> Result<Vec<Value>> {
    wait::until(&format!("{count} {name}"), SOON, || {
        let events = escalations(weir, name)?;
        ensure!(events.len() >= count, "{events:?}\n{}", weir.log());
        Ok(events)
    })
}

/// The bans in force, by prefix.
fn ban<'a>(bans: &'a Value, prefix: &str) -> Option<&'a Value> {
    bans.as_array()?.iter().find(|ban| ban["prefix"] == prefix)
}

/// Guesses passwords from an address of the client until it is banned.
fn guess(lab: &Lab, weir: &Weir<'_>, n: u8) -> Result<()> {
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    for (source, to) in addresses(n).iter().zip(server.addresses()) {
        let url = site::url(to, PORT, "/login?user=[1-30]");
        let arguments = ["--data", "a=b", "--header", "Connection: close", "--interface", source];
        curl::many(client, &[&["--max-time", site::PATIENCE], &arguments[..], &[&url]].concat())?;
    }
    for source in addresses(n) {
        let source = source.replace("::1", "::/64");
        wait::until(&format!("the ban of {source}"), SOON, || {
            let bans = weir.json(&["ban", "list"])?;
            ensure!(ban(&bans, &source).is_some(), "{bans}\n{}", weir.log());
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn guessers_of_one_network_end_in_a_ban_of_the_network() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, neighbour] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    settle(client, &[1, 2, 3])?;
    settle(neighbour, &[200])?;
    let _nginx = site::nginx(&lab)?;
    let more = "login = { routes = [\"POST /login\"] }\nrespond = { brute_force = \"ban 5m\" }";
    let mut weir = site::weir(&lab, &policy(more))?;
    assert_eq!(answered(neighbour, 200, server)?, [true; 2]);
    for n in [1, 2] {
        guess(&lab, &weir, n)?;
    }
    assert_eq!(answered(client, 1, server)?, [false; 2], "banned");
    assert_eq!(answered(neighbour, 200, server)?, [true; 2], "two are not enough");
    assert!(escalations(&weir, "action_taken")?.is_empty());

    guess(&lab, &weir, 3)?;
    let events = until_escalated(&weir, "action_taken", 2)?;
    assert_eq!(answered(neighbour, 200, server)?, [false; 2], "its network is banned");
    assert_eq!(site::answered(neighbour, server)?, [true; 2], "its own addresses are of another");
    let elsewhere = site::url(server.v4().into(), 9090, "/");
    let source = &addresses(200)[0];
    let other = curl::one(neighbour, &["--interface", source, &elsewhere])?;
    assert_eq!(other.result, 7, "refused by the host: only the API that escalates is closed");
    let mut networks: Vec<_> = events.iter().map(|event| event["source"].to_string()).collect();
    networks.sort();
    assert_eq!(
        networks,
        [r#"{"ip":"198.51.100.0","prefix":24}"#, r#"{"ip":"2001:db8:51::","prefix":48}"#]
    );
    for event in &events {
        assert_eq!(
            (&event["action"]["sources"], &event["api"]["name"]),
            (&3.into(), &"orders".into())
        );
        let ttl = event["action"]["ttl_seconds"].as_f64();
        assert!(ttl.is_some_and(|ttl| (200.0..=300.0).contains(&ttl)), "{event}");
    }
    let audit = weir.json(&["audit"])?;
    let lines = audit.as_array().map_or(&[][..], Vec::as_slice);
    let audited: Vec<_> =
        lines.iter().filter(|line| line["about"]["action"] == "escalate").collect();
    assert_eq!(audited.len(), 2, "{audit}");
    let about = &audited[0]["about"];
    assert_eq!((&about["sources"], &about["api"]), (&3.into(), &"orders".into()));
    let v4 = server.v4().to_string();
    let explained = weir.verb(&["explain", source, &v4, "--proto", "tcp", "--dport", "8080"])?;
    assert!(explained.stdout.contains("3 of its sources are banned"), "{}", explained.stdout);
    assert_eq!(explained.code, 1, "{}", explained.stdout);

    // Where it came from outlives the daemon, as the ban does.
    weir.crash()?;
    assert_eq!(answered(neighbour, 200, server)?, [false; 2], "without a daemon");
    weir.start_again()?;
    let bans = weir.json(&["ban", "list"])?;
    for network in NETWORKS {
        let held = ban(&bans, network).map(|ban| (&ban["sources"], &ban["api"], &ban["reason"]));
        let reason = Value::from("3 of its sources are banned");
        assert_eq!(held, Some((&3.into(), &"orders".into(), &reason)), "{bans}");
    }
    let table = weir.verb(&["ban", "list"])?.success()?;
    assert_eq!(table.lines().filter(|line| line.contains("escalation")).count(), 2, "{table}");

    // An operator's word is the last: its sources are still banned, and it stays free.
    weir.verb(&["ban", "del", NETWORKS[0], "--api", "orders"])?.success()?;
    for _ in 0..3 {
        assert_eq!(answered(neighbour, 200, server)?, [true, false]);
        wait::pause(Duration::from_millis(700))?;
    }
    assert_eq!(answered(client, 1, server)?, [false; 2], "its guessers are not let in");
    Ok(())
}

/// Bans three sources as an operator, under a prefix that the number follows.
fn ban_three(weir: &Weir<'_>, prefix: &str, ttl: &str) -> Result<()> {
    for n in 1..=3 {
        let address = match prefix.contains(':') {
            true => format!("{prefix}{n}::/64"),
            false => format!("{prefix}{n}"),
        };
        weir.verb(&["ban", "add", &address, "--ttl", ttl])?.success()?;
    }
    Ok(())
}

#[test]
fn it_ends_by_itself_spares_proxies_and_says_what_it_cannot_do() -> Result<()> {
    let lab = site::lab()?;
    let [server, neighbour] = [lab.host("server")?, lab.host("stranger")?];
    settle(neighbour, &[200])?;
    let _nginx = site::nginx(&lab)?;
    let weir = site::weir(&lab, &policy(""))?;
    for prefix in ["198.51.100.", "2001:db8:51:"] {
        ban_three(&weir, prefix, "5s")?;
    }
    until_escalated(&weir, "action_taken", 2)?;
    assert_eq!(answered(neighbour, 200, server)?, [false; 2]);
    wait::until("the end of the ban", SOON, || {
        ensure!(answered(neighbour, 200, server)? == [true; 2], "it is banned");
        Ok(())
    })?;

    ban_three(&weir, "203.0.113.", "5m")?;
    let refused = until_escalated(&weir, "action_refused", 1)?;
    assert_eq!(refused[0]["action"]["refusal"], "proxy", "{refused:?}");
    assert!(ban(&weir.json(&["ban", "list"])?, "203.0.113.0/24").is_none());

    // Eight other lengths are in use.
    for length in 9..=16 {
        weir.verb(&["ban", "add", &format!("10.0.0.0/{length}"), "--ttl", "5m"])?.success()?;
    }
    ban_three(&weir, "198.51.100.", "5m")?;
    let failed = until_escalated(&weir, "action_refused", 2)?;
    assert_eq!(failed[1]["action"]["outcome"], "failed", "{failed:?}");
    let message = failed[1]["message"].as_str().unwrap_or_default();
    assert!(message.contains("8 different prefix lengths"), "{message}");
    let count = weir.metrics()?;
    let labels = [("action", "escalate"), ("outcome", "failed")];
    assert!(count.sum("weir_actions_total", &labels) >= 1.0);
    weir.verb(&["ban", "del", "10.0.0.0/9"])?.success()?;
    until_escalated(&weir, "action_taken", 3)?;
    assert_eq!(answered(neighbour, 200, server)?, [false, true], "tried again");
    assert_eq!(escalations(&weir, "action_refused")?.len(), 2, "each is told once");
    Ok(())
}

#[test]
fn in_monitor_mode_a_network_is_a_would_drop() -> Result<()> {
    let lab = site::lab()?;
    let [server, neighbour] = [lab.host("server")?, lab.host("stranger")?];
    settle(neighbour, &[200])?;
    let _nginx = site::nginx(&lab)?;
    let weir = site::weir(&lab, &policy("mode = \"monitor\""))?;
    for prefix in ["198.51.100.", "2001:db8:51:"] {
        ban_three(&weir, prefix, "5m")?;
    }
    until_escalated(&weir, "action_taken", 2)?;
    assert_eq!(answered(neighbour, 200, server)?, [true; 2]);
    let reading = Reading::at_rest(&weir)?;
    let labels = [("api", "orders"), ("reason", "banned"), ("verdict", "would_drop")];
    assert!(reading.metrics.sum("weir_packets_total", &labels) >= 2.0);
    // Its mode is an order away from being enforced.
    weir.verb(&["monitor", "off", "orders"])?.success()?;
    assert_eq!(answered(neighbour, 200, server)?, [false; 2]);
    Ok(())
}
