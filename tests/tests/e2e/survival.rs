//! Enforcement does not need the daemon, and a daemon that comes back takes over what it finds.

use std::time::Duration;

use anyhow::Result;
use weir_tests::lab::INTERFACE;
use weir_tests::reading::Reading;
use weir_tests::wait;

use crate::site::{self, PORT};

#[test]
fn killed_and_started_again_without_a_packet_lost() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let mut weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    let pinned = weir.status()?["interfaces"][0]["pinned"].clone();
    assert_eq!(pinned, true);
    let ((), streams) = site::streams(&[client, stranger], server, || {
        wait::pause(Duration::from_millis(300))?;
        for _ in 0..2 {
            weir.crash()?;
            wait::pause(Duration::from_millis(300))?;
            weir.start_again()?;
            wait::pause(Duration::from_millis(300))?;
        }
        assert_eq!(weir.stop()?, 0);
        wait::pause(Duration::from_millis(300))?;
        weir.start_again()
    })?;
    let [allowed, refused] = &streams[..] else { unreachable!("two streams") };
    assert!(allowed.sent > 2_000, "{} packets are no test", allowed.sent);
    assert_eq!(allowed.arrived, allowed.sent, "an allowed packet was lost");
    assert_eq!(refused.arrived, 0, "a refused packet came through");
    let reading = Reading::at_rest(&weir)?;
    assert_eq!(reading.kernel("orders", "allowed"), allowed.sent, "counters go on");
    assert_eq!(reading.kernel("orders", "not_allowed"), refused.sent);
    Ok(())
}

#[test]
fn a_limit_is_not_forgotten_by_a_restart() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let limit = r#"limit = { packets = "60/min", burst = "10m" }"#;
    let mut weir = site::weir(&lab, &site::orders(&lab, limit)?)?;
    site::spend(client, server)?;
    let spent = Reading::at_rest(&weir)?.kernel("orders", "allowed");
    assert!((600..=602).contains(&spent), "a burst of ten minutes' worth is 600: {spent}");
    weir.crash()?;
    weir.start_again()?;
    site::spend(client, server)?;
    let after = Reading::at_rest(&weir)?.kernel("orders", "allowed");
    assert!(after <= spent + 20, "a restart gave a new burst: {spent}, then {after}");
    Ok(())
}

#[test]
fn an_interface_that_is_made_anew_is_gated_anew() -> Result<()> {
    let lab = site::lab()?;
    let [server, stranger] = [lab.host("server")?, lab.host("stranger")?];
    let _nginx = site::nginx(&lab)?;
    let wire = |words: &str| server.netns.ip(words);
    let make = || -> Result<()> {
        let peer = stranger.netns.name();
        wire(&format!("link add eth1 type veth peer name eth1 netns {peer}"))?;
        for (host, n) in [(server, 1), (stranger, 2)] {
            host.netns.ip("link set eth1 up")?;
            host.netns.ip(&format!("address add 198.51.100.{n}/24 dev eth1"))?;
        }
        stranger.netns.ip("address add 198.51.100.3/24 dev eth1")?;
        Ok(())
    };
    make()?;
    let trusted = "[trusted]\ncidrs = [\"198.51.100.3/32\"]\ninterfaces = [\"eth1\"]\n";
    let orders = site::orders(&lab, "")?;
    let policy = site::write(&lab, "policy.toml", &format!("{trusted}\n{orders}"))?;
    let arguments = ["--policy", policy.as_str()];
    let interfaces = [INTERFACE, "eth1"];
    let plan = weir_tests::weir::Plan {
        interfaces: &interfaces,
        arguments: &arguments,
        ..weir_tests::weir::Plan::default()
    };
    let weir = weir_tests::weir::Weir::launch(&lab, server, &plan)?;
    let from = |source: &str| -> Result<bool> {
        let url = format!("http://198.51.100.1:{PORT}/");
        let given = ["--max-time", "2", "--interface", source, &url];
        Ok(weir_tests::curl::one(stranger, &given)?.status == 200)
    };
    let answered = || -> Result<[bool; 2]> { Ok([from("198.51.100.2")?, from("198.51.100.3")?]) };
    let headline = || -> Result<String> {
        let page = weir.verb(&["status"])?.success()?;
        Ok(page.lines().next().unwrap_or_default().to_owned())
    };
    assert_eq!(answered()?, [false, true], "a stranger, and one who is trusted here");
    assert!(headline()?.starts_with("ENFORCING"), "{}", headline()?);

    wire("link delete eth1")?;
    assert!(headline()?.starts_with("PARTLY OPEN"), "{}", headline()?);
    assert!(headline()?.ends_with("not on eth1"), "{}", headline()?);
    let page = weir.exposition()?;
    assert!(page.contains("weir_interface_gated{interface=\"eth1\"} 0"), "{page}");
    let (status, missing) = weir.readiness()?;
    assert!(status == 503 && missing.contains("eth1 is not gated: it is not there"), "{missing}");
    let applied = weir.json(&["apply", &policy])?;
    assert_eq!(applied["interfaces"], serde_json::json!([INTERFACE]));
    assert_eq!(applied["not_gated"], serde_json::json!(["eth1"]));

    make()?;
    wait::until("eth1 to be gated again", Duration::from_secs(10), || {
        let headline = headline()?;
        anyhow::ensure!(headline.starts_with("ENFORCING"), "{headline}");
        Ok(())
    })?;
    assert_eq!(weir.readiness()?, (200, "ready\n".to_owned()));
    assert_eq!(answered()?, [false, true]);
    // The link of the interface that is gone would hold the programs and tables it ran.
    let links = || -> Result<usize> { Ok(std::fs::read_dir(weir.pins().join("links"))?.count()) };
    assert_eq!(links()?, 4, "two of each interface that is there");
    for _ in 0..2 {
        wire("link delete eth1")?;
        wait::until("its links to go", Duration::from_secs(10), || {
            anyhow::ensure!(links()? == 2, "{}", links()?);
            Ok(())
        })?;
        make()?;
        wait::until("eth1 to be gated again", Duration::from_secs(10), || {
            anyhow::ensure!(headline()?.starts_with("ENFORCING") && links()? == 4);
            Ok(())
        })?;
    }

    wire("link set eth1 down")?;
    wire("link set eth1 name eth7")?;
    wire("link set eth7 up")?;
    assert!(headline()?.contains("eth7"), "a renamed interface stays gated: {}", headline()?);
    weir.verb(&["apply", &policy])?.success()?;
    assert!(!from("198.51.100.2")?);
    weir.detach()?.success()?;
    assert!(!weir.pins().exists());
    let events = weir.events()?;
    let named = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!(named("interface_gated"), 3, "{events:?}");
    assert!(named("interface_open") >= 1, "{events:?}");
    Ok(())
}

#[test]
fn observing_does_not_silently_replace_enforcing() -> Result<()> {
    let lab = site::lab()?;
    let server = lab.host("server")?;
    let mut weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    weir.crash()?;
    // With its history, a start without a policy would go on with what was confirmed last.
    std::fs::remove_file(weir.state().join("weir.db"))?;
    let plan = weir_tests::weir::Plan::default();
    let observer = weir_tests::weir::Weir::prepare(&lab, server, &plan)?;
    let output = observer.refusal()?.expect_code(1)?;
    for word in ["enforces", INTERFACE, "--policy", "weir detach"] {
        assert!(output.stderr.contains(word), "{word}: {}", output.stderr);
    }
    weir.start_again()
}
