//! Nobody who works over SSH locks themselves out by accident: a real sshd on the gated host, and an
//! operator on another one.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_tests::lab::Lab;
use weir_tests::process::Output;
use weir_tests::ssh::Sshd;
use weir_tests::wait;
use weir_tests::weir::{Plan, Weir};

/// Policies by name. The operator is 192.0.2.10.
const POLICIES: [(&str, &str); 5] = [
    // Refuses everybody but a group the operator is not in.
    (
        "locked",
        "[trusted]\ncidrs = [\"192.0.2.99\"]\nports = [\"tcp/22\"]\n[groups.known]\ncidrs = [\"192.0.2.99\"]\n\
         [[api]]\nname = \"ssh\"\nlisten = [\"tcp/22\"]\nallow = [\"known\"]\n",
    ),
    // Lets the operator in, as everybody; somebody else is trusted.
    (
        "open",
        "[trusted]\ncidrs = [\"192.0.2.99\"]\nports = [\"tcp/22\"]\n\
         [[api]]\nname = \"ssh\"\nlisten = [\"tcp/22\"]\nallow = \"any\"\n",
    ),
    ("nobody", "[[api]]\nname = \"ssh\"\nlisten = [\"tcp/22\"]\nallow = \"any\"\n"),
    (
        "trusting",
        "[trusted]\ncidrs = [\"192.0.2.10\"]\nports = [\"tcp/22\"]\n[unclaimed]\naction = \"drop\"\n",
    ),
    (
        "unclaimed",
        "[trusted]\ncidrs = [\"192.0.2.99\"]\nports = [\"tcp/22\"]\n[unclaimed]\naction = \"drop\"\n",
    ),
];

/// Whether a verb was refused, with all of these words.
fn refused(output: &Output, words: &[&str]) -> Result<()> {
    let told = format!("{}{}", output.stdout, output.stderr);
    ensure!(output.code == 1, "`{}` ends with {}\n{told}", output.command, output.code);
    for word in
        ["192.0.2.10:", "to 192.0.2.1:22", "eth0", "[trusted]", "--force"].iter().chain(words)
    {
        ensure!(told.contains(word), "`{}` does not say {word}\n{told}", output.command);
    }
    Ok(())
}

#[test]
fn an_operator_on_ssh_is_not_cut_off() -> Result<()> {
    let lab = Lab::new(&[("server", 1), ("client", 10)])?;
    let (server, client) = (lab.host("server")?, lab.host("client")?);
    let path = |name: &str| lab.directory().join(format!("{name}.toml")).display().to_string();
    for (name, text) in POLICIES {
        std::fs::write(path(name), format!("[policy]\nname = \"{name}\"\nversion = 1\n{text}"))?;
    }
    let sshd = Sshd::start(server, lab.directory())?;
    let ssh = |line: &str| sshd.run(client, line);

    // A start from a terminal; one that nobody sits at enforces.
    let locked = path("locked");
    let arguments = ["--policy", locked.as_str()];
    let unattended =
        Weir::prepare(&lab, server, &Plan { arguments: &arguments, ..Plan::default() })?;
    refused(&ssh(&unattended.start_line())?, &["would be dropped", "locked.toml:9"])?;
    drop(unattended);

    let weir = Weir::start(&lab, server, &[])?;
    let over = |words: &str| ssh(&weir.verb_line(words));
    for (name, words) in [
        ("locked", ["its packets would be dropped", "locked.toml:9"]),
        ("unclaimed", ["no new connection could be opened", "[unclaimed] of"]),
        ("nobody", ["the policy trusts nobody", "lock you out"]),
    ] {
        let file = path(name);
        refused(&over(&format!("check {file}"))?, &words)?;
        refused(&over(&format!("apply {file}"))?, &words)?;
        if name != "locked" {
            continue;
        }
        refused(&over(&format!("apply {file} --confirm 60s"))?, &words)?;
        // As under sudo: no environment, and a session of its own.
        let bare = weir.verb_line(&format!("apply {file}"));
        refused(&ssh(&format!("env -i setsid -w {bare}"))?, &words)?;
        // No daemon says which interface.
        let line = weir.verb_line(&format!("check {file} -i eth0"));
        refused(&ssh(&line.replace("weir.sock", "no.sock"))?, &words)?;
        over(&format!("check {file} --force"))?.success()?;
        weir.verb(&["check", &file])?.success()?;
    }
    assert_eq!(weir.status()?["policy"], Value::Null, "nothing was changed");
    over(&format!("check {}", path("trusting")))?.success()?;
    over(&format!("apply {}", path("trusting")))?.success()?;
    over(&format!("apply {}", path("open")))?.success()?;

    // Bans and orders of the operator's own.
    for words in [
        "ban add 192.0.2.10 --ttl 60s",
        "ban add 192.0.2.0/24 --ttl 60s --api ssh",
        "breach shutdown ssh",
        "breach lockdown ssh",
    ] {
        refused(&over(words)?, &["this would lock you out"])?;
    }
    over("ban add 192.0.2.77 --ttl 60s")?.success()?;
    assert_eq!(weir.json(&["ban", "list"])?.as_array().map(Vec::len), Some(1));
    over("monitor on ssh")?.success()?;

    // What monitor mode lets pass, its end would not.
    weir.verb(&["apply", &locked])?.success()?;
    refused(&over("monitor off ssh")?, &["this would lock you out", "locked.toml:9"])?;
    weir.verb(&["apply", &path("open")])?.success()?;
    over("monitor off ssh")?.success()?;
    let history = weir.json(&["history"])?;
    let numbers = history.as_array().into_iter().flatten();
    let number = numbers
        .filter(|entry| entry["name"] == "locked")
        .find_map(|entry| entry["number"].as_u64());
    let number = number.unwrap_or_default();
    refused(&over(&format!("rollback {number}"))?, &["this would lock you out"])?;

    // Who insists is believed, and it is as was said.
    let forced = over(&format!("apply {locked} --force"))?;
    ensure!(matches!(forced.code, 0 | 255), "{forced:?}");
    wait::until("the policy is in force", Duration::from_secs(10), || {
        let status = weir.status()?;
        ensure!(status["policy"]["name"] == "locked", "{}", status["policy"]);
        Ok(())
    })?;
    assert_eq!(ssh("true")?.code, 255, "no new connection");
    let audit = weir.json(&["audit"])?;
    let lines: Vec<&Value> = audit.as_array().into_iter().flatten().collect();
    let last = lines.iter().rev().find(|line| line["what"] == "apply");
    let last = last.map(|line| (&line["about"]["force"], line["ssh"].as_str().unwrap_or_default()));
    ensure!(
        last.is_some_and(|(force, ssh)| *force == true && ssh.starts_with("192.0.2.10:")),
        "{last:?}"
    );
    let lines = lines.iter().filter(|line| line["what"] == "apply_refused");
    assert_eq!(lines.count(), 5);
    Ok(())
}
