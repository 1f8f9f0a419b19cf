//! Who passes and who does not.

use std::time::Duration;

use anyhow::Result;
use weir_tests::curl;
use weir_tests::nginx::Nginx;
use weir_tests::reading::Reading;

use crate::site::{self, PORT};

#[test]
fn allowed_sources_pass_and_others_are_dropped() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let apis = [("orders", PORT), ("unclaimed", 9090)];
    let nginx = Nginx::start(server, lab.directory(), &apis)?;
    let weir = site::weir(&lab, &site::orders(&lab, "")?)?;

    assert_eq!(site::answered(client, server)?, [true; 2]);
    assert_eq!(site::answered(stranger, server)?, [false; 2]);
    for address in server.addresses() {
        for host in [client, stranger] {
            let answer = site::ask(host, address, 9090)?;
            assert_eq!(answer.status, 200, "what no API claims passes: {} {address}", host.name());
        }
        let refused = site::ask(stranger, address, PORT)?;
        assert_eq!(refused.result, 28, "dropped, not rejected: curl times out");
    }
    let reading = Reading::at_rest(&weir)?;
    // Each request is one SYN: two by `answered`, two by the loop.
    assert_eq!(reading.kernel("orders", "not_allowed"), 4);
    assert_eq!(reading.exported("orders", "not_allowed"), 4);
    assert_eq!(reading.dropped("orders"), 4);
    assert!(reading.kernel("orders", "allowed") > 0);
    assert!(reading.kernel("__unclaimed__", "unclaimed") > 0);
    let sources: Vec<String> =
        nginx.requests()?.into_iter().filter(|r| r.api == "orders").map(|r| r.source).collect();
    assert_eq!(sources, client.addresses().map(|address| address.to_string()));
    Ok(())
}

#[test]
fn deny_wins_over_allow_and_trust_over_both() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let _nginx = site::nginx(&lab)?;
    let policy = format!(
        "[trusted]\ncidrs = [\"{}\"]\nports = [\"tcp/{PORT}\"]\n\n{}[groups.listed]\ncidrs = [\"{}\"]\n",
        stranger.v6(),
        site::orders(&lab, "deny = [\"listed\"]\n")?,
        client.v4()
    );
    let weir = site::weir(&lab, &policy)?;
    assert_eq!(site::answered(client, server)?, [false, true], "IPv4 is denied");
    assert_eq!(site::answered(stranger, server)?, [false, true], "IPv6 is trusted");
    let reading = Reading::at_rest(&weir)?;
    assert_eq!(reading.kernel("orders", "denied"), 1);
    assert_eq!(reading.kernel("orders", "not_allowed"), 1);
    assert!(reading.kernel("orders", "trusted") > 0);
    Ok(())
}

#[test]
fn explain_says_what_happens() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    for (n, address) in server.addresses().into_iter().enumerate() {
        let port = PORT.to_string();
        for (host, verdict, reason, code) in
            [(client, "pass", "allowed", 0), (stranger, "drop", "not_allowed", 1)]
        {
            let (from, to) = (host.addresses()[n].to_string(), address.to_string());
            let words = ["explain", &from, &to, "--proto", "tcp", "--dport", &port, "--json"];
            let output = weir.verb(&words)?.expect_code(code)?;
            let told: serde_json::Value = serde_json::from_str(&output.stdout)?;
            assert_eq!((&told["verdict"], &told["reason"]), (&verdict.into(), &reason.into()));
            assert_eq!(told["api"], "orders");
        }
    }
    assert_eq!(Reading::at_rest(&weir)?.kernel("orders", "not_allowed"), 0, "nothing is counted");
    Ok(())
}

#[test]
fn unclaimed_traffic_is_refused_but_answers_come_in() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let apis = [("orders", PORT), ("unclaimed", 9090)];
    let _nginx = Nginx::start(server, lab.directory(), &apis)?;
    let elsewhere = lab.directory().join("client");
    std::fs::create_dir(&elsewhere)?;
    let _remote = Nginx::start(client, &elsewhere, &[("remote", 9091)])?;
    let policy = format!("[unclaimed]\naction = \"drop\"\n\n{}", site::orders(&lab, "")?);
    let weir = site::weir(&lab, &policy)?;

    assert_eq!(site::answered(client, server)?, [true; 2], "what an API claims passes");
    let wait = Some(Duration::from_millis(300));
    for (n, address) in server.addresses().into_iter().enumerate() {
        let remote = client.addresses()[n];
        assert_eq!(site::ask(client, address, 9090)?.status, 0, "a new connection in");
        let out = curl::one(server, &[&site::url(remote, 9091, "/")])?;
        assert_eq!(out.status, 200, "a connection of the server's own");

        // As with DNS: a question goes out, its answer comes in, another's question does not.
        let resolver = client.udp(remote, 5353)?;
        let asking = server.udp(address, 40_000)?;
        for socket in [&resolver, &asking] {
            socket.set_read_timeout(wait)?;
        }
        resolver.send_to(b"unasked", (address, 40_000))?;
        assert!(asking.recv_from(&mut [0; 16]).is_err(), "nobody asked for it");
        asking.send_to(b"question", (remote, 5353))?;
        let (_, from) = resolver.recv_from(&mut [0; 16])?;
        assert_eq!(from.ip(), address);
        resolver.send_to(b"answer", from)?;
        let (size, from) = asking.recv_from(&mut [0; 16])?;
        assert_eq!((size, from.ip()), (6, remote), "the answer");
        let other = client.udp(remote, 5354)?;
        other.send_to(b"forged", (address, 40_000))?;
        assert!(asking.recv_from(&mut [0; 16]).is_err(), "from another port");
    }
    let reading = Reading::at_rest(&weir)?;
    assert_eq!(reading.kernel("__unclaimed__", "unclaimed_refused"), 2 * 3);
    assert_eq!(reading.kernel("__unclaimed__", "reply"), 2);
    Ok(())
}

#[test]
fn a_server_that_observes_drops_nothing() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let nginx = site::nginx(&lab)?;
    let weir = weir_tests::weir::Weir::start(&lab, server, &[])?;
    for host in [client, stranger] {
        assert_eq!(site::answered(host, server)?, [true; 2]);
    }
    let reading = Reading::at_rest(&weir)?;
    assert!(reading.status["policy"].is_null(), "{}", reading.status["policy"]);
    assert_eq!(reading.dropped("__unclaimed__"), 0);
    let requests = reading.requests(&[("api", "__unclaimed__")]);
    assert_eq!((requests, nginx.requests()?.len()), (4, 4), "and measures everything");
    Ok(())
}
