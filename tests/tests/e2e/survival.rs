//! Enforcement does not need the daemon, and a daemon that comes back takes over what it finds.

use std::time::Duration;

use anyhow::Result;
use weir_tests::lab::INTERFACE;
use weir_tests::reading::Reading;
use weir_tests::wait;

use crate::site;

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
