//! SIGHUP: receivers come, move and go while the daemon runs.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use weir_tests::alertmanager::Alertmanager;
use weir_tests::lab::Lab;
use weir_tests::receiver::{Mood, Receiver};
use weir_tests::rsyslog::Rsyslog;
use weir_tests::wait;
use weir_tests::weir::Weir;

use super::{SOON, ban, drained, guess, sink, started};
use crate::site;

fn hook(port: u16) -> String {
    format!(
        "[[sink]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:{port}/in\"\n\
         timeout = \"300ms\"\nevents = [\"ban_added\"]\n"
    )
}

const OTHERS: &str = "[[sink]]\nname = \"am\"\nkind = \"alertmanager\"\n\
                      url = \"http://127.0.0.1:9093\"\nresend = \"1s\"\n\
                      [[sink]]\nname = \"log\"\nkind = \"syslog\"\n\
                      url = \"tcp://127.0.0.1:5514\"\ntimeout = \"1s\"\n";

/// Other settings, taken up; hands on what the event of this name says.
fn reload(lab: &Lab, weir: &Weir<'_>, settings: &str, event: &str) -> Result<String> {
    let told = |weir: &Weir<'_>| -> Result<Vec<Value>> {
        Ok(site::named(&weir.events()?, event).into_iter().cloned().collect())
    };
    let before = told(weir)?.len();
    site::write(lab, "weir.toml", settings)?;
    weir.signal(libc::SIGHUP)?;
    wait::until(event, SOON, || {
        let events = told(weir)?;
        ensure!(events.len() > before, "{}", weir.log());
        let said = events.last().and_then(|event| event["message"].as_str());
        said.map(str::to_owned).context("no message")
    })
}

/// The addresses that it was told are banned.
fn banned(receiver: &Receiver) -> Result<Vec<Value>> {
    Ok(receiver.events()?.iter().map(|event| event["source"]["ip"].clone()).collect())
}

fn addresses(numbers: std::ops::Range<u32>) -> Vec<Value> {
    numbers.map(|n| json!(format!("198.18.0.{n}"))).collect()
}

#[test]
fn receivers_come_move_and_go_by_sighup() -> Result<()> {
    let lab = site::lab()?;
    let server = lab.host("server")?;
    let _nginx = site::nginx(&lab)?;
    let receiver = Receiver::start(server, SocketAddr::from(([127, 0, 0, 1], 9_998)), Mood::Take)?;
    let alertmanager = Alertmanager::start(server, lab.directory())?;
    let rsyslog = Rsyslog::start(server, lab.directory(), 5_514, false)?;
    // Nobody is there.
    let weir = started(&lab, &hook(9_999))?;
    let opened = guess(&lab, &weir)?;
    ban(&weir, 0..5)?;
    wait::until("they wait", SOON, || {
        let sink = sink(&weir, "hook")?;
        ensure!(sink["pending"] == 5 && sink["state"] == "failing", "{sink}");
        Ok(())
    })?;

    let said = reload(&lab, &weir, &(hook(9_998) + OTHERS), "settings_reloaded")?;
    assert!(said.ends_with("receivers added: am, log; changed: hook"), "{said}");
    let now = drained(&weir, "hook")?;
    assert_eq!((&now["delivered"], &now["dropped"]), (&5.into(), &json!({})), "{now}");
    assert_eq!(banned(&receiver)?, addresses(0..5), "what waited is told where it moved to");
    wait::until("what was found before fires", SOON, || {
        let alerts = alertmanager.alerts(server)?;
        let ids: Vec<_> = alerts.iter().map(|alert| &alert["annotations"]["finding"]).collect();
        ensure!(ids.contains(&&opened["finding"]["id"]), "{alerts:?}");
        Ok(())
    })?;
    ban(&weir, 5..10)?;
    drained(&weir, "hook")?;
    assert_eq!(banned(&receiver)?, addresses(0..10));
    wait::until("the new receiver has them", SOON, || {
        let messages = rsyslog.messages()?;
        let messages = messages.iter().filter(|message| message["event"] == "ban_added");
        let count = messages.count();
        ensure!(count == 5, "{count}");
        Ok(())
    })?;

    // What cannot be read changes nothing.
    let bad = hook(9_998).replace("events = ", "evnts = ");
    let said = reload(&lab, &weir, &bad, "settings_rejected")?;
    assert!(said.contains("weir.toml:6:") && said.contains("events"), "{said}");
    ban(&weir, 10..12)?;
    drained(&weir, "hook")?;
    assert_eq!(banned(&receiver)?, addresses(0..12));

    // Of what takes a restart nothing is changed, and status says so until the file is as it was.
    let restart = "the settings were changed: metrics, [sensor] take effect with a restart";
    let text = format!("metrics = \"127.0.0.1:9999\"\n[sensor]\nsample = 0.5\n{OTHERS}");
    let said = reload(&lab, &weir, &text, "settings_reloaded")?;
    let expected = "removed (their spools stay): hook; takes a restart: [sensor]";
    assert!(said.ends_with(expected), "{said}: the command line says where metrics are");
    let status = weir.verb(&["status"])?.success()?;
    assert!(status.contains(&restart.replace("metrics, ", "")), "{status}");
    assert!(sink(&weir, "hook").is_err() && weir.state().join("spool/hook/events").is_file());
    ban(&weir, 12..14)?;
    drained(&weir, "log")?;
    let said = reload(&lab, &weir, &(hook(9_998) + OTHERS), "settings_reloaded")?;
    assert!(said.ends_with("receivers added: hook"), "{said}");
    ban(&weir, 14..16)?;
    drained(&weir, "hook")?;
    let expected = [addresses(0..12), addresses(14..16)].concat();
    assert_eq!(banned(&receiver)?, expected, "not what happened while it was not named");
    let status = weir.verb(&["status"])?.success()?;
    assert!(!status.contains("take effect with a restart"), "{status}");
    let audit = weir.json(&["audit"])?;
    let what = |what: &str| {
        audit.as_array().into_iter().flatten().filter(|line| line["what"] == what).count()
    };
    assert_eq!((what("settings"), what("settings_refused")), (3, 1), "{audit}");
    Ok(())
}
