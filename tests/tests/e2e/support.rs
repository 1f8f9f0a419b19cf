//! `weir support-bundle`: all that helps is in it, and nothing that is nobody's business.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::curl;
use weir_tests::lab::Lab;
use weir_tests::process;
use weir_tests::wait;
use weir_tests::weir::{Plan, Weir};

use crate::site::{self, PORT};

const LIMIT: Duration = Duration::from_secs(60);
/// Stands in each place where a secret can be.
const SECRET: &str = "hunter2";

/// The files of an archive, by their names without the directory.
fn unpack(lab: &Lab, archive: &Path) -> Result<BTreeMap<String, String>> {
    let name = archive.file_stem().context("no name")?.to_string_lossy().into_owned();
    let directory = lab.directory().join(format!("{name}-unpacked"));
    std::fs::create_dir(&directory)?;
    let mut tar = Command::new("tar");
    tar.args(["xzf"]).arg(archive).arg("-C").arg(&directory).arg("--strip-components=1");
    process::run(&mut tar, LIMIT)?.success()?;
    let mut files = BTreeMap::new();
    let mut left = vec![directory.clone()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(&next)?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let name = path.strip_prefix(&directory)?.display().to_string();
            files.insert(name, String::from_utf8(std::fs::read(&path)?)?);
        }
    }
    Ok(files)
}

/// Makes a bundle and unpacks it.
fn bundle(
    lab: &Lab,
    weir: &Weir<'_>,
    (name, config): (&str, &str),
    more: &[&str],
) -> Result<(Value, BTreeMap<String, String>)> {
    let archive = lab.directory().join(name);
    let path = archive.display().to_string();
    let words = ["support-bundle", "--json", "--config", config, "--output", &path];
    let mut command = weir.verb_command(&[&words[..], more].concat());
    let text = process::run(&mut command, LIMIT)?.success()?;
    let manifest: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    let files = unpack(lab, &archive)?;
    let told = manifest["files"].as_array().context("no files")?;
    ensure!(told.len() + 1 == files.len(), "{told:?}: {:?}", files.keys());
    for entry in told {
        let name = entry["name"].as_str().context("no name")?;
        let content = files.get(name).with_context(|| format!("{name} is not there"))?;
        ensure!(entry["bytes"] == content.len(), "{name}");
        let file = lab.directory().join(format!(
            "{}-unpacked/{name}",
            archive.file_stem().context("")?.to_string_lossy()
        ));
        let sum = process::run(Command::new("sha256sum").arg(file), LIMIT)?.success()?;
        ensure!(sum.split(' ').next() == entry["sha256"].as_str(), "{name}: {sum}");
    }
    Ok((manifest, files))
}

/// The addresses of the laboratory, and the secrets, as they could be written.
fn needles(lab: &Lab) -> Result<Vec<String>> {
    let mut needles = vec![SECRET.to_owned(), "192.0.2.".to_owned(), "2001:db8".to_owned()];
    for name in ["server", "client", "stranger"] {
        let mac = lab.host(name)?.mac.map(|byte| format!("{byte:02x}"));
        needles.push(mac.join(":"));
    }
    Ok(needles)
}

#[test]
fn all_that_helps_and_no_secret_and_no_address() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let _nginx = site::nginx(&lab)?;
    let more = format!(
        "login = {{ routes = [\"POST /login\"], failed = [401] }} # {SECRET}\n\
         [playbook.leak]\napis = [\"orders\"]\nsteps = [\"shutdown\"]\n\
         contacts = [\"+49 30 {SECRET}\", \"night@{SECRET}.example\"]\n"
    );
    let policy = site::write(&lab, "policy.toml", &site::orders(&lab, &more)?)?;
    let plan = Plan::default();
    let unplanned = Weir::prepare(&lab, server, &plan)?;
    let settings = format!(
        "# {SECRET}\npolicy = \"{policy}\"\nstate_dir = \"{}\"\npins = \"{}\"\n\
         [[sink]]\nname = \"hook\"\nkind = \"webhook\"\n\
         url = \"http://{}:9999/{SECRET}?key={SECRET}\"\nheaders = {{ X-Team = \"{SECRET}\" }}\n",
        unplanned.state().display(),
        unplanned.pins().display(),
        stranger.v4(),
    );
    let config = site::write(&lab, "weir.toml", &settings)?;
    let arguments = ["--policy", &policy, "--config", &config];
    let mut weir = Weir::launch(&lab, server, &Plan { arguments: &arguments, ..plan })?;
    // Something of everything: requests with secrets, refusals, a finding, a ban.
    let header = format!("Authorization: Bearer {SECRET}{SECRET}");
    for address in server.addresses() {
        let path = format!("/items/7?token={SECRET}");
        curl::one(client, &["-g", "--header", &header, &site::url(address, PORT, &path)])?;
        site::ask(stranger, address, PORT)?;
        let login = site::url(address, PORT, &format!("/login?password={SECRET}&n=[1-20]"));
        // curl makes ranges of brackets, so that an address in brackets stays one only with -g.
        if address.is_ipv4() {
            curl::many(client, &["--data", "a=b", "--header", "Connection: close", &login])?;
        }
    }
    weir.verb(&["ban", "add", &stranger.v6().to_string(), "--ttl", "5m", "--reason", "noise"])?
        .success()?;
    wait::until("a finding", Duration::from_secs(15), || {
        let found = weir.json(&["findings"])?;
        ensure!(found.as_array().is_some_and(|found| !found.is_empty()), "{found}");
        Ok(())
    })?;

    let (manifest, files) = bundle(&lab, &weir, ("masked.tar.gz", &config), &[])?;
    assert_eq!(manifest["masked"], true);
    // The kernel does not show all of itself in a namespace.
    let missing = manifest["missing"].as_array().context("no list")?;
    let of_host = |one: &Value| one["what"].as_str().is_some_and(|what| what.starts_with("host/"));
    assert!(missing.iter().all(of_host), "{missing:?}");
    for needle in needles(&lab)? {
        for (name, text) in &files {
            assert!(!text.to_lowercase().contains(&needle), "{needle} is in {name}:\n{text}");
        }
    }
    for name in [
        "version.json",
        "doctor.json",
        "status.json",
        "top.json",
        "apis.json",
        "findings.json",
        "bans.json",
        "orders.json",
        "mutes.json",
        "actions.json",
        "history.json",
        "audit.json",
        "events.jsonl",
        "metrics.txt",
        "weir.toml",
        "policy.toml",
        "kernel/programs.json",
        "kernel/maps.json",
        "host/proc-sys-kernel-osrelease",
        "host/state.json",
        "daemon/status",
        "daemon/descriptors",
    ] {
        assert!(files.get(name).is_some_and(|text| !text.is_empty()), "{name}: {:?}", files.keys());
    }
    let json = |name: &str| -> Result<Value> { Ok(serde_json::from_str(&files[name])?) };
    // What is the same is called the same everywhere.
    let source = json("top.json")?["sources"][0]["source"].clone();
    let source = source.as_str().context("no source")?;
    assert!(source.starts_with("ip4-"), "{source}");
    for name in ["findings.json", "policy.toml"] {
        assert!(files[name].contains(source), "{name} lacks {source}");
    }
    let banned = json("bans.json")?[0]["prefix"].clone();
    assert!(banned.as_str().is_some_and(|one| one.starts_with("ip6-")), "{banned}");
    assert!(files["audit.json"].contains(banned.as_str().unwrap_or_default()));
    // It is still good for something.
    assert!(files["policy.toml"].contains("name = \"orders\""), "{}", files["policy.toml"]);
    assert!(files["metrics.txt"].contains("weir_packets_total{api=\"orders\""));
    let programs = json("kernel/programs.json")?;
    let gated = json("status.json")?["interfaces"][0]["ingress_program"].clone();
    let programs = programs.as_array().context("no programs")?;
    let ours = programs.iter().find(|program| program["id"] == gated).context("not among them")?;
    assert!(
        ours["kind"] == "BPF_PROG_TYPE_XDP" && ours["jited_bytes"].as_u64() > Some(0),
        "{ours}"
    );
    let maps = json("kernel/maps.json")?;
    let has =
        |name: &str| maps.as_array().is_some_and(|all| all.iter().any(|map| map["name"] == name));
    assert!(has("CONTROL") && has("BANS"), "{maps}");

    // Kept when asked for; secrets never.
    let (manifest, files) = bundle(&lab, &weir, ("plain.tar.gz", &config), &["--no-mask"])?;
    assert_eq!(manifest["masked"], false);
    assert!(files["top.json"].contains(&client.v4().to_string()));
    for (name, text) in &files {
        assert!(!text.contains(SECRET), "a secret is in {name}:\n{text}");
    }
    // Nothing is written over.
    let archive = lab.directory().join("plain.tar.gz").display().to_string();
    let again = weir.verb(&["support-bundle", "--output", &archive])?.expect_code(2)?;
    assert!(again.stderr.contains("File exists"), "{}", again.stderr);

    // Without a daemon it has what there is, and says what is not.
    assert_eq!(weir.stop()?, 0);
    let (manifest, files) = bundle(&lab, &weir, ("alone.tar.gz", &config), &[])?;
    let missing = manifest["missing"].to_string();
    assert!(missing.contains("status.json") && missing.contains("metrics.txt"), "{missing}");
    for name in ["events.jsonl", "audit.jsonl", "policy.toml", "weir.toml", "kernel/maps.json"] {
        assert!(files.get(name).is_some_and(|text| text.len() > 2), "{name}: {missing}");
    }
    for needle in needles(&lab)? {
        for (name, text) in &files {
            assert!(!text.to_lowercase().contains(&needle), "{needle} is in {name}:\n{text}");
        }
    }
    Ok(())
}
