//! What an operator orders beside the policy: monitor mode, shutdown, lockdown.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use weir_tests::curl;
use weir_tests::lab::{Host, Lab};
use weir_tests::nginx::Nginx;
use weir_tests::reading::Reading;
use weir_tests::wait;
use weir_tests::weir::Weir;

use crate::site::{self, PORT};

/// The verb, and what client and stranger are answered after it.
type Step<'a> = (&'a [&'a str], bool, bool);

#[test]
fn each_order_takes_effect_at_once() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let _nginx = site::nginx(&lab)?;
    let vip = "[groups.vip]\ncidrs = [\"203.0.113.0/24\"]\n";
    let policy = site::orders(&lab, "deny = [\"vip\"]")? + vip;
    let mut weir = site::weir(&lab, &policy)?;
    let steps: [Step<'_>; 13] = [
        (&["monitor", "on", "orders"], true, true),
        // Enforced although all else is only counted, and on those whom a rule refuses too.
        (&["breach", "limit", "orders", "1/min", "--ttl", "1h"], false, false),
        (&["breach", "lift", "orders"], true, true),
        (&["breach", "shutdown", "orders"], false, false),
        (&["breach", "lift", "orders"], true, true),
        (&["monitor", "off", "orders"], true, false),
        (&["breach", "shutdown", "orders", "--reason", "ticket 1"], false, false),
        (&["breach", "lift", "orders"], true, false),
        (&["breach", "lockdown", "orders", "--group", "vip"], false, false),
        (&["breach", "lockdown", "orders", "--group", "clients"], true, false),
        (&["breach", "lockdown", "orders"], false, false),
        (&["breach", "lift", "orders"], true, false),
        (&["monitor", "off", "orders", "--ttl", "1h"], true, false),
    ];
    for (verb, passes, strangers_pass) in steps {
        weir.verb(verb)?.success()?;
        if verb.contains(&"limit") {
            // Two packets are enough for a request.
            for host in [client, stranger] {
                let _maybe = site::answered(host, server)?;
            }
        }
        assert_eq!(site::answered(client, server)?, [passes; 2], "{verb:?}: the client");
        assert_eq!(
            site::answered(stranger, server)?,
            [strangers_pass; 2],
            "{verb:?}: the stranger"
        );
    }
    let reading = Reading::at_rest(&weir)?;
    for (reason, verdict) in [
        ("not_allowed", "would_drop"),
        ("limit_packets", "drop"),
        ("shutdown", "drop"),
        ("lockdown", "drop"),
    ] {
        let labels = [("api", "orders"), ("reason", reason), ("verdict", verdict)];
        assert!(reading.metrics.sum("weir_packets_total", &labels) > 0.0, "{reason} {verdict}");
    }

    // Orders outlive the daemon, and end by themselves.
    weir.verb(&["breach", "shutdown", "orders", "--ttl", "8s"])?.success()?;
    weir.crash()?;
    assert_eq!(site::answered(client, server)?, [false; 2]);
    weir.start_again()?;
    assert_eq!(site::answered(client, server)?, [false; 2]);
    weir_tests::wait::until("the end of the shutdown", std::time::Duration::from_secs(20), || {
        anyhow::ensure!(site::answered(client, server)? == [true; 2], "it is shut down");
        Ok(())
    })
}

#[test]
fn what_cannot_be_ordered_is_told() -> Result<()> {
    let lab = site::lab()?;
    let weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    let rows: [(&[&str], &str); 5] = [
        (&["breach", "limit", "order", "20/s"], "orders"),
        (&["breach", "shutdown", "order"], "orders"),
        (&["breach", "lockdown", "orders", "--group", "nobody"], "clients"),
        (&["breach", "lift", "orders"], "nothing"),
        (&["monitor", "on", "cataloge"], "orders"),
    ];
    for (verb, word) in rows {
        let output = weir.verb(verb)?;
        assert!(output.code != 0, "{verb:?}");
        assert!(output.stderr.contains(word), "{verb:?}: {}", output.stderr);
    }
    assert_eq!(weir.json(&["breach", "status"])?, serde_json::json!([]));
    Ok(())
}

/// Limits each source of an API, as a program would that speaks to the socket.
fn limit(weir: &Weir<'_>, host: &Host, api: &str, rate: &str) -> Result<()> {
    let order = json!({"api": api, "order": {"kind": "limit", "packets": rate}}).to_string();
    let socket = weir.socket().display().to_string();
    let words = ["--silent", "--fail-with-body", "--unix-socket", &socket, "--data", &order];
    let url = "http://weir/v1/orders";
    host.netns.run("curl", &[&words[..], &[url]].concat(), Duration::from_secs(10))?.success()?;
    Ok(())
}

/// API, port, whom it allows, its order's kind in the end, and whether client and stranger are
/// answered without the order and with it.
type Api = (&'static str, u16, &'static str, &'static str, [bool; 2], [bool; 2]);

const APIS: [Api; 4] = [
    ("closed", 8081, "[\"clients\"]", "shutdown", [true, false], [false, false]),
    ("watched", 8082, "[\"clients\"]", "mode", [true, false], [true, true]),
    ("locked", 8083, "\"any\"", "lockdown", [true, true], [true, false]),
    // Two packets in the first minute, and one in each that follows.
    ("slow", 8084, "\"any\"", "limit", [true, true], [false, false]),
];

/// The policy of these APIs behind others.
fn policy(lab: &Lab, before: &[&str]) -> Result<String> {
    let client = lab.host("client")?.v4();
    let mut text = format!("[groups.clients]\ncidrs = [\"{client}\"]\n");
    for (number, name) in before.iter().enumerate() {
        let port = 7000 + number;
        text +=
            &format!("[[api]]\nname = \"{name}\"\nlisten = [\"tcp/{port}\"]\nallow = \"any\"\n");
    }
    for (name, port, allow, ..) in APIS {
        text +=
            &format!("[[api]]\nname = \"{name}\"\nlisten = [\"tcp/{port}\"]\nallow = {allow}\n");
    }
    Ok(text)
}

fn check(lab: &Lab, when: &str, ordered: bool) -> Result<()> {
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    for (name, port, _, _, without, with) in APIS {
        let answered = [client, stranger].map(|host| {
            site::ask(host, server.v4().into(), port).map(|answer| answer.status == 200)
        });
        let [client, stranger] = answered;
        assert_eq!([client?, stranger?], if ordered { with } else { without }, "{when}: {name}");
    }
    Ok(())
}

/// The orders that the status shows, by API.
fn shown(status: &Value) -> Vec<(String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kinds = |api: &Value| {
        api["orders"].as_array().into_iter().flatten().map(|order| text(&order["kind"])).collect()
    };
    let apis = status["apis"].as_array().into_iter().flatten();
    apis.map(|api| (text(&api["name"]), kinds(api))).collect()
}

#[test]
fn orders_need_no_swap_and_outlive_an_apply_and_a_crash() -> Result<()> {
    let lab = site::lab()?;
    let server = lab.host("server")?;
    let names: Vec<_> = APIS.iter().map(|(name, port, ..)| (*name, *port)).collect();
    let _nginx = Nginx::start(server, lab.directory(), &names)?;
    let mut weir = site::weir(&lab, &policy(&lab, &[])?)?;
    check(&lab, "before", false)?;
    let before = weir.status()?;
    weir.verb(&["breach", "shutdown", "closed"])?.success()?;
    weir.verb(&["monitor", "on", "watched"])?.success()?;
    weir.verb(&["breach", "lockdown", "locked", "--group", "clients", "--ttl", "1h"])?.success()?;
    weir.verb(&["breach", "limit", "slow", "1/min"])?.success()?;
    // Two packets are enough for a request.
    for host in [lab.host("client")?, lab.host("stranger")?] {
        let _maybe = site::ask(host, server.v4().into(), 8084)?;
    }
    check(&lab, "ordered", true)?;
    let status = weir.status()?;
    assert_eq!(status["policy"]["generation"], before["policy"]["generation"], "no new generation");
    let program = |status: &Value| status["interfaces"][0]["ingress_program"].clone();
    assert_eq!(program(&status), program(&before), "the same program");

    let other = site::write(&lab, "other.toml", &policy(&lab, &["front", "side"])?)?;
    weir.verb(&["apply", &other])?.success()?;
    check(&lab, "behind two more APIs", true)?;
    weir.crash()?;
    check(&lab, "without a daemon", true)?;
    weir.start_again()?;
    check(&lab, "started again", true)?;
    let mut expected = vec![("front".to_owned(), vec![]), ("side".to_owned(), vec![])];
    expected.extend(APIS.iter().map(|api| (api.0.to_owned(), vec![api.3.to_owned()])));
    let mut found = shown(&weir.status()?);
    found.sort();
    expected.sort();
    assert_eq!(found, expected);

    for (name, _, _, kind, ..) in APIS {
        match kind {
            "mode" => weir.verb(&["monitor", "off", name])?.success()?,
            _ => weir.verb(&["breach", "lift", name])?.success()?,
        };
    }
    check(&lab, "lifted", false)
}

/// Guesses passwords until the guesser is found out.
fn guess(lab: &Lab, weir: &Weir<'_>) -> Result<()> {
    let [server, stranger] = [lab.host("server")?, lab.host("stranger")?];
    let url = site::url(server.v4().into(), PORT, "/login?user=[1-20]");
    let words = ["--max-time", site::PATIENCE, "--data", "a=b", "--header", "Connection: close"];
    curl::many(stranger, &[&words[..], &[&url]].concat())?;
    wait::until("the answer", Duration::from_secs(15), || {
        let events = weir.events()?;
        let answers = ["action_taken", "action_refused"];
        let answered = answers.iter().any(|name| !site::named(&events, name).is_empty());
        ensure!(answered, "{events:?}\n{}", weir.log());
        Ok(())
    })
}

#[test]
fn a_detector_limits_and_locks_down() -> Result<()> {
    // The answer, the mode, the order it comes to, whether client and stranger are answered then.
    let rows = [
        ("limit 1/min", "enforce", "limit", [false, false]),
        ("lockdown clients", "enforce", "lockdown", [true, false]),
        ("lockdown clients", "monitor", "lockdown", [true, true]),
    ];
    for (answer, mode, kind, passes) in rows {
        let lab = site::lab()?;
        let [server, client, stranger] =
            [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
        let _nginx = site::nginx(&lab)?;
        let more = format!(
            "mode = \"{mode}\"\nlogin = {{ routes = [\"POST /login\"] }}\n\
             respond = {{ brute_force = \"{answer}\" }}"
        );
        let policy = site::orders(&lab, &more)?.replace("[\"clients\"]", "\"any\"");
        let mut weir = site::weir(&lab, &policy)?;
        guess(&lab, &weir)?;
        weir.crash()?;
        weir.start_again()?;
        let status = weir.json(&["breach", "status"])?;
        let order = &status[0]["orders"][0];
        // Spends what a limit lets through at once.
        for host in [client, stranger] {
            let _maybe = site::ask(host, server.v4().into(), PORT)?;
        }
        assert_eq!((&order["kind"], &order["automatic"]), (&kind.into(), &true.into()), "{status}");
        let left = order["remaining_seconds"].as_u64();
        assert!(left.is_some_and(|left| (400..=600).contains(&left)), "{status}");
        let answered = [client, stranger]
            .map(|host| site::ask(host, server.v4().into(), PORT).map(|a| a.status == 200));
        let [client, stranger] = answered;
        assert_eq!([client?, stranger?], passes, "{answer}, {mode}");
        if mode == "monitor" {
            let reading = Reading::at_rest(&weir)?;
            let labels = [("api", "orders"), ("reason", kind), ("verdict", "would_drop")];
            assert!(reading.metrics.sum("weir_packets_total", &labels) > 0.0);
        }
    }
    Ok(())
}

#[test]
fn a_detector_does_not_replace_what_an_operator_ordered() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    let more =
        "login = { routes = [\"POST /login\"] }\nrespond = { brute_force = \"limit 1/min\" }";
    let policy = site::orders(&lab, more)?.replace("[\"clients\"]", "\"any\"");
    let weir = site::weir(&lab, &policy)?;
    limit(&weir, server, "orders", "100000/s")?;
    guess(&lab, &weir)?;
    let events = weir.events()?;
    let refused = site::named(&events, "action_refused");
    assert_eq!(refused[0]["action"]["outcome"], "failed");
    let message = refused[0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("an operator has ordered one"), "{message}");
    let status = weir.json(&["breach", "status"])?;
    let order = &status[0]["orders"][0];
    assert_eq!((&order["packets"], &order["automatic"]), (&"100000/s".into(), &false.into()));
    assert_eq!(site::answered(client, server)?, [true; 2]);
    Ok(())
}
