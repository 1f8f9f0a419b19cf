//! Another policy comes into force at once or not at all.

use std::time::Duration;

use anyhow::{Result, ensure};
use weir_tests::pty::Pty;
use weir_tests::reading::Reading;
use weir_tests::swaps::{self, Plan};
use weir_tests::wait;

use crate::site;

/// `cargo xtask bench --only 7` does the same a thousand times.
#[test]
fn fifty_changes_and_kills_lose_nothing_and_let_nothing_in() -> Result<()> {
    let outcome = swaps::run(&site::lab()?, Plan { applies: 50, kills: 4 }, |_, _| {})?;
    assert!(outcome.allowed.sent > 5_000, "{outcome:?} is no test");
    outcome.check()
}

#[test]
fn limits_bans_and_orders_are_carried_over() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let limit = r#"limit = { packets = "60/min", burst = "10m" }"#;
    let weir = site::weir(&lab, &site::orders(&lab, limit)?)?;
    site::spend(client, server)?;
    let spent = Reading::at_rest(&weir)?.kernel("orders", "allowed");
    assert!((600..=602).contains(&spent), "{spent}");
    weir.verb(&["ban", "add", &client.v6().to_string(), "--ttl", "5m"])?.success()?;
    // The API comes second now, and has an owner.
    let text = site::orders(&lab, &format!("{limit}\nmaintainer = \"orders-dev\""))?;
    let text = text.replacen(
        "[[api]]",
        "[[api]]\nname = \"before\"\nlisten = [\"tcp/7000\"]\nallow = \"any\"\n\n[[api]]",
        1,
    );
    let path = site::write(&lab, "other.toml", &text)?;
    weir.verb(&["apply", &path])?.success()?;
    site::spend(client, server)?;
    let reading = Reading::at_rest(&weir)?;
    let after = reading.kernel("orders", "allowed");
    assert!(after >= spent && after <= spent + 20, "{spent}, then {after}");
    let rows = reading.status["reasons"].as_array().cloned().unwrap_or_default();
    let others = rows.iter().filter(|row| row["api"] == "before" && row["packets"] != 0);
    assert_eq!(others.count(), 0, "counters of another API moved: {rows:?}");
    assert_eq!(reading.status["bans"], 1);
    weir.verb(&["breach", "shutdown", "orders"])?.success()?;
    weir.verb(&["apply", &path])?.success()?;
    let orders = weir.json(&["breach", "status"])?;
    assert_eq!(orders[0]["orders"][0]["kind"], "shutdown", "{orders}");
    Ok(())
}

#[test]
fn hangup_reads_the_file_again() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    let base = site::orders(&lab, "")?;
    let weir = site::weir(&lab, &base)?;
    let generation = |expected: u64| {
        wait::until("the reload", Duration::from_secs(5), || {
            let status = weir.status()?;
            let got = status["policy"]["generation"].as_u64();
            ensure!(got == Some(expected), "generation {got:?}");
            Ok(status)
        })
    };
    generation(1)?;
    let v4 = format!("\"{}\", ", client.v4());
    site::write(&lab, "policy.toml", &base.replace(&v4, ""))?;
    assert_eq!(weir.status()?["policy"]["pending"], true, "the file differs");
    weir.signal(libc_hangup())?;
    assert_eq!(generation(2)?["policy"]["pending"], false);
    assert_eq!(site::answered(client, server)?, [false, true]);

    // A file that became invalid changes nothing, and is told.
    site::write(&lab, "policy.toml", "[policy]\nnmae = \"x\"\n")?;
    weir.signal(libc_hangup())?;
    wait::until("the event", Duration::from_secs(5), || {
        let events = weir.events()?;
        ensure!(site::named(&events, "policy_rejected").len() == 1, "{events:?}");
        Ok(())
    })?;
    generation(2)?;
    assert_eq!(site::answered(client, server)?, [false, true]);
    Ok(())
}

/// SIGHUP, signal(7).
const fn libc_hangup() -> i32 {
    1
}

/// One mistake a line, with words of its message or hint.
const MISTAKES: [(&str, &str); 5] = [
    ("[groups.partners]\ncidrs = [\"192.0.2.7/24\"]", "192.0.2.0/24"),
    ("[groups.feed]\nfiles = [\"no-such-feed.txt\"]", "no-such-feed.txt"),
    (
        "[[api]]\nname = \"orders\"\nlisten = [\"tcp/8080\"]\nallow = [\"partnrs\"]",
        "did you mean \"partners\"",
    ),
    ("[[api]]\nname = \"catalog\"\nlisten = [\"tcp/8080\"]\nallow = [\"partners\"]", "tcp/8080"),
    (
        "[[api]]\nname = \"stock\"\nlisten = [\"tcp/8082\"]\nallow = \"any\"\nlimt = { packets = \"1/s\" }",
        "limt",
    ),
];

#[test]
fn every_mistake_is_told_and_nothing_changes() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let _nginx = site::nginx(&lab)?;
    let weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    let before = weir.status()?["policy"].clone();
    let text = MISTAKES.map(|(text, _)| text).join("\n\n");
    let bad = site::write(&lab, "bad.toml", &text)?;
    for verb in ["apply", "check"] {
        let output = match verb {
            "apply" => weir.verb(&["apply", &bad])?,
            _ => {
                let limit = Duration::from_secs(10);
                let binary = weir_tests::weir::binary()?;
                server.netns.run(&binary.to_string_lossy(), &["check", &bad], limit)?
            }
        };
        let output = output.expect_code(1)?;
        let told = format!("{}{}", output.stdout, output.stderr);
        for (_, word) in MISTAKES {
            assert!(told.contains(word), "{verb} does not tell {word}:\n{told}");
        }
        let places =
            told.lines().filter(|line| line.contains("bad.toml:") && line.contains(": error:"));
        assert_eq!(places.count(), MISTAKES.len(), "{verb}:\n{told}");
    }
    assert_eq!(weir.status()?["policy"], before, "nothing changed");
    assert_eq!(site::answered(client, server)?, [true; 2]);
    assert_eq!(site::answered(stranger, server)?, [false; 2]);
    let missing = weir.verb(&["apply", "/no/such/policy.toml"])?.expect_code(2)?;
    assert!(missing.stderr.contains("/no/such/policy.toml"), "{}", missing.stderr);
    Ok(())
}

#[test]
fn who_waits_on_a_terminal_sees_what_for() -> Result<()> {
    let lab = site::lab()?;
    let text = site::orders(&lab, "")?;
    let weir = site::weir(&lab, &text)?;
    let path = site::write(&lab, "again.toml", &text)?;
    weir.signal(libc::SIGSTOP)?;
    let mut command = weir.verb_command(&["apply", &path]);
    command.env("TERM", "xterm-256color");
    let mut pty = Pty::start(command, 80, 24)?;
    let limit = Duration::from_secs(20);
    pty.wait(&["the daemon applies the policy"], limit)?;
    weir.signal(libc::SIGCONT)?;
    assert_eq!(pty.ended(limit)?, 0, "{:?}", pty.lines());
    pty.line(&["applied again"])?;
    let left = pty.line(&["the daemon applies the policy"]);
    assert!(left.is_err(), "the line stays: {:?}", pty.lines());
    Ok(())
}
