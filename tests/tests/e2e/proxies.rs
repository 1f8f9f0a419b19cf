//! Clients behind a proxy: told apart by what the proxy says, and never banned here.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::curl;
use weir_tests::haproxy::{Front, Haproxy, Says};
use weir_tests::nginx::Nginx;
use weir_tests::wait;
use weir_tests::weir::Weir;

use crate::site::{self, PORT};

const SOON: Duration = Duration::from_secs(15);
/// Where the proxy listens.
const FRONT: u16 = 8000;

/// Waits until so many hand-offs are told, the last by an operator: the verb does not wait for the
/// file of events.
fn by_operator(weir: &Weir<'_>, count: usize) -> Result<()> {
    wait::until("the operator's hand-off", SOON, || {
        let events = weir.events()?;
        let told = site::named(&events, "hand_off");
        let last = told.last().is_some_and(|told| told["action"]["by"] == "operator");
        ensure!(told.len() == count && last, "{told:?}");
        Ok(())
    })
}

#[test]
fn a_guesser_behind_a_proxy_is_handed_off() -> Result<()> {
    let lab = site::lab()?;
    let [server, proxy, client] = [lab.host("server")?, lab.host("stranger")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    let upstream = format!("{}:{PORT}", server.v4());
    let _proxy = Nginx::proxy(proxy, lab.directory(), FRONT, &upstream)?;
    let policy = format!(
        "[groups.front]\ncidrs = [\"{}\"]\n\n[[api]]\nname = \"orders\"\nlisten = [\"tcp/{PORT}\"]\n\
         allow = \"any\"\nproxies = [\"front\"]\nlogin = {{ routes = [\"POST /login\"] }}\n\
         respond = {{ brute_force = \"ban 5m\" }}\n\n[respond]\nmode = \"act\"\n",
        proxy.v4()
    );
    let weir = site::weir(&lab, &policy)?;
    let source = client.v4().to_string();
    let through = |path: &str| site::url(proxy.v4().into(), FRONT, path);

    curl::many(client, &["--data", "a=b", &through("/login?n=[1-30]")])?;
    let events = wait::until("the hand-off", SOON, || {
        let events = weir.events()?;
        ensure!(!site::named(&events, "hand_off").is_empty(), "{events:?}\n{}", weir.log());
        Ok(events)
    })?;
    let found = site::named(&events, "finding_opened");
    assert_eq!(found[0]["source"]["ip"], source.as_str(), "the client, not the proxy: {found:?}");
    let told = site::named(&events, "hand_off");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["source"]["ip"], source.as_str());
    assert_eq!(told[0]["action"]["refusal"], "behind_proxy");
    assert_eq!(told[0]["api"]["name"], "orders");
    assert_eq!(weir.json(&["ban", "list"])?, serde_json::json!([]), "nothing was banned");
    assert_eq!(curl::one(client, &[&through("/")])?.status, 200, "the proxy is still served");

    let refused = weir.verb(&["ban", "add", &source, "--ttl", "1m", "--reason", "ticket 7"])?;
    assert_eq!(refused.code, 1, "{refused:?}");
    let said = &refused.stderr;
    assert!(
        said.contains("not enforceable here") && said.contains(&proxy.v4().to_string()),
        "{said}"
    );
    by_operator(&weir, 2)?;
    let forced = weir.verb(&["ban", "add", &source, "--ttl", "1m", "--force"])?;
    assert_eq!(forced.code, 0, "{forced:?}");
    weir.verb(&["ban", "del", &source])?;

    // Who has packets of its own can be banned.
    assert_eq!(site::ask(client, server.v4().into(), PORT)?.status, 200);
    wait::until("the direct request is seen", SOON, || {
        let added = weir.verb(&["ban", "add", &source, "--ttl", "1m"])?;
        ensure!(added.code == 0, "{added:?}");
        Ok(())
    })?;
    assert_ne!(site::ask(client, server.v4().into(), PORT)?.status, 200, "banned");
    assert_eq!(curl::one(client, &[&through("/")])?.status, 200, "not through the proxy");
    Ok(())
}

/// What a stranger writes into the header is nobody's word.
#[test]
fn only_proxies_are_believed() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    let policy = format!(
        "[groups.front]\ncidrs = [\"192.0.2.1\"]\n\n[[api]]\nname = \"orders\"\nlisten = [\"tcp/{PORT}\"]\n\
         allow = \"any\"\nproxies = [\"front\"]\nlogin = {{ routes = [\"POST /login\"] }}\n\
         respond = {{ brute_force = \"ban 5m\" }}\n\n[respond]\nmode = \"act\"\n"
    );
    let weir = site::weir(&lab, &policy)?;
    let url = site::url(server.v4().into(), PORT, "/login?n=[1-30]");
    let forged = ["--header", "X-Forwarded-For: 203.0.113.7", "--max-time", site::PATIENCE];
    curl::many(client, &[&forged[..], &["--data", "a=b", &url]].concat())?;
    wait::until("the ban", SOON, || {
        let bans = weir.json(&["ban", "list"])?;
        let banned = bans.as_array().is_some_and(|bans| {
            bans.len() == 1 && bans[0]["prefix"] == client.v4().to_string().as_str()
        });
        ensure!(banned, "{bans}\n{}", weir.log());
        Ok(())
    })?;
    Ok(())
}

/// Every way in which a real proxy says for whom it asks: the client is found, handed off, and not
/// banned, because no packet of its own ever comes.
#[test]
fn whoever_a_proxy_names_in_its_own_protocol_is_the_client() -> Result<()> {
    let lab = site::lab()?;
    let [server, proxy, client] = [lab.host("server")?, lab.host("stranger")?, lab.host("client")?];
    let ways = [("v1", Says::ProxyV1), ("v2", Says::ProxyV2), ("field", Says::Forwarded)];
    let at = |base: u16| (base..).zip(ways);
    let apis: Vec<_> = at(8080).map(|(port, (name, _))| (name, port)).collect();
    let _nginx = Nginx::behind_proxy(server, lab.directory(), &apis[..2])?;
    let plain = lab.directory().join("plain");
    let _plain = Nginx::start(server, &plain, &apis[2..])?;
    let fronts: Vec<_> = at(8000)
        .map(|(port, (_, says))| Front { port, upstream: (server.v4(), port + 80), says })
        .collect();
    let _haproxy = Haproxy::start(proxy, lab.directory(), &fronts)?;
    let mut policy = format!("[groups.front]\ncidrs = [\"{}\"]\n", proxy.v4());
    for (name, port) in &apis {
        policy += &format!(
            "\n[[api]]\nname = \"{name}\"\nlisten = [\"tcp/{port}\"]\nallow = \"any\"\n\
             proxies = [\"front\"]\nlogin = {{ routes = [\"POST /login\"] }}\n\
             respond = {{ brute_force = \"ban 5m\" }}\n"
        );
    }
    let weir = site::weir(&lab, &format!("{policy}\n[respond]\nmode = \"act\"\n"))?;
    let source = client.v4().to_string();

    for front in &fronts {
        let url = site::url(proxy.v4().into(), front.port, "/login?n=[1-30]");
        let answers = curl::many(client, &["--data", "a=b", &url])?;
        assert!(answers.iter().all(|answer| answer.status == 401), "{front:?}");
    }
    let events = wait::until("a hand-off at each API", SOON, || {
        let events = weir.events()?;
        let told = site::named(&events, "hand_off");
        ensure!(told.len() == ways.len(), "{told:?}\n{}", weir.log());
        Ok(events)
    })?;
    for (name, _) in ways {
        let of = |event: &str| {
            let mut all = site::named(&events, event).into_iter();
            all.find(|event| event["api"]["name"] == name).cloned().unwrap_or_default()
        };
        let [found, told] = ["finding_opened", "hand_off"].map(of);
        assert_eq!(found["source"]["ip"], source.as_str(), "{name}, not the proxy: {found}");
        assert_eq!(told["source"]["ip"], source.as_str(), "{name}: {told}");
        assert_eq!(told["action"]["refusal"], "behind_proxy", "{name}: {told}");
    }
    assert_eq!(weir.json(&["ban", "list"])?, serde_json::json!([]), "nothing was banned");
    let refused = weir.verb(&["ban", "add", &source, "--ttl", "1m"])?.expect_code(1)?;
    let said = &refused.stderr;
    assert!(
        said.contains("not enforceable here") && said.contains(&proxy.v4().to_string()),
        "{said}"
    );
    by_operator(&weir, ways.len() + 1)?;

    // The proxy speaks IPv4 to the server whatever its clients speak.
    for front in &fronts {
        curl::one(client, &[&site::url(proxy.v6().into(), front.port, "/items/6")])?;
    }
    let source = client.v6().to_string();
    let top = wait::until("clients of IPv6", SOON, || {
        let top = weir.json(&["top"])?;
        let named = top["sources"].as_array().map_or(0, |sources| {
            sources.iter().filter(|known| known["source"] == source.as_str()).count()
        });
        ensure!(named == ways.len(), "{}", top["sources"]);
        Ok(top)
    })?;
    let proxied = |known: &Value| known["proxy"] == proxy.v4().to_string().as_str();
    let sources = top["sources"].as_array().context("no sources")?;
    assert!(sources.iter().all(proxied), "all came through the proxy: {sources:?}");
    let refused = weir.verb(&["ban", "add", &source, "--ttl", "1m"])?.expect_code(1)?;
    assert!(refused.stderr.contains("not enforceable here"), "{refused:?}");
    Ok(())
}
