//! Changing what is in force, and the way back: over restarts, over the death of the daemon, with a
//! store that fails.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_tests::lab::Lab;
use weir_tests::weir::Weir;
use weir_tests::{curl, wait};

const HOSTS: [(&str, u8); 2] = [("server", 1), ("client", 10)];

/// A policy. Nothing listens on the port: an allowed client is refused by the host.
struct Files {
    policy: PathBuf,
    name: String,
}

impl Files {
    fn new(lab: &Lab, name: &str) -> Result<Self> {
        let policy = lab.directory().join(format!("{name}.toml"));
        let files = Self { policy, name: name.to_owned() };
        files.admit(true)?;
        Ok(files)
    }

    /// Writes the policy so that the client may come in, or only somebody else.
    fn admit(&self, client: bool) -> Result<()> {
        let source = if client { "192.0.2.10" } else { "192.0.2.99" };
        let text = format!(
            "[policy]\nname = \"{}\"\nversion = 1\n\n[groups.known]\ncidrs = [\"{source}\"]\n\n\
             [[api]]\nname = \"orders\"\nlisten = [\"tcp/8080\"]\nallow = [\"known\"]\n",
            self.name
        );
        Ok(std::fs::write(&self.policy, text)?)
    }

    fn path(&self) -> &str {
        self.policy.to_str().unwrap_or_default()
    }
}

/// Whether packets of the client get through.
fn passes(lab: &Lab) -> Result<bool> {
    let url = format!("http://{}:8080/", lab.host("server")?.v4());
    let response = curl::one(lab.host("client")?, &["--connect-timeout", "0.6", &url])?;
    match response.result {
        7 => Ok(true),
        28 => Ok(false),
        other => anyhow::bail!("curl ends with {other}"),
    }
}

fn until_passes(lab: &Lab, within: u64) -> Result<()> {
    wait::until("the client passes", Duration::from_secs(within), || {
        ensure!(passes(lab)?, "it does not");
        Ok(())
    })
}

fn history(weir: &Weir<'_>) -> Result<Vec<(u64, String, bool)>> {
    let entries = weir.json(&["history"])?;
    let entry = |entry: &Value| {
        (
            entry["number"].as_u64().unwrap_or_default(),
            entry["state"].as_str().unwrap_or_default().to_owned(),
            entry["in_force"] == true,
        )
    };
    Ok(entries.as_array().into_iter().flatten().map(entry).collect())
}

fn row(number: u64, state: &str, in_force: bool) -> (u64, String, bool) {
    (number, state.to_owned(), in_force)
}

/// Whether a policy waits, by its pins.
fn held(weir: &Weir<'_>) -> Result<bool> {
    for entry in std::fs::read_dir(weir.pins())? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("held-") || name.starts_with("taken-") {
            return Ok(true);
        }
    }
    Ok(false)
}

#[test]
fn a_restart_starts_from_what_was_confirmed_last() -> Result<()> {
    let lab = Lab::new(&HOSTS)?;
    let files = Files::new(&lab, "edge")?;
    let mut weir = Weir::start(&lab, lab.host("server")?, &["--policy", files.path()])?;
    assert!(passes(&lab)?);
    assert_eq!(history(&weir)?, [row(1, "confirmed", true)]);
    assert_eq!(weir.status()?["policy"]["pending"], false);

    // Edited, not applied: neither an orderly restart nor a crash applies it.
    files.admit(false)?;
    weir.stop()?;
    weir.start_again()?;
    assert!(passes(&lab)?);
    let status = weir.status()?;
    assert_eq!(
        (&status["policy"]["pending"], &status["policy"]["number"]),
        (&true.into(), &1.into())
    );
    weir.crash()?;
    weir.start_again()?;
    assert!(passes(&lab)?);

    weir.verb(&["apply", files.path()])?.success()?;
    assert!(!passes(&lab)?);
    assert_eq!(weir.status()?["policy"]["pending"], false);
    weir.verb(&["rollback"])?.success()?;
    assert!(passes(&lab)?, "what is stored counts, not the file");
    let rolled =
        [row(3, "confirmed", true), row(2, "confirmed", false), row(1, "confirmed", false)];
    assert_eq!(history(&weir)?, rolled);
    weir.crash()?;
    weir.start_again()?;
    assert!(passes(&lab)?, "rolled back to, then restarted");
    assert_eq!(history(&weir)?, rolled);
    assert_eq!(weir.verb(&["rollback"])?.code, 1, "nothing before the first");
    weir.verb(&["rollback", "2"])?.success()?;
    assert!(!passes(&lab)?);
    assert_eq!(weir.verb(&["rollback", "77"])?.code, 1);

    // A file that was never in force is meant by whoever starts with it.
    let other = Files::new(&lab, "other")?;
    weir.stop()?;
    let weir = Weir::start(&lab, lab.host("server")?, &["--policy", other.path()])?;
    assert!(passes(&lab)?);
    assert_eq!(weir.status()?["policy"]["name"], "other");

    // Everything is in the audit log, and it is whole; a changed line is found.
    let audit = weir.json(&["audit"])?;
    let whats: Vec<&str> =
        audit.as_array().into_iter().flatten().filter_map(|line| line["what"].as_str()).collect();
    for what in ["start", "stop", "apply", "rollback"] {
        assert!(whats.contains(&what), "{what} in {whats:?}");
    }
    weir.verb(&["ban", "add", "192.0.2.77", "--ttl", "30s"])?.success()?;
    weir.verb(&["monitor", "on", "orders"])?.success()?;
    let last = weir.json(&["audit", "--limit", "2"])?;
    assert_eq!((&last[0]["what"], &last[1]["what"]), (&"ban_add".into(), &"order_set".into()));
    assert_eq!(last[0]["about"]["prefix"], "192.0.2.77");
    weir.verb(&["audit", "verify"])?.success()?;
    let log = weir.state().join("audit.jsonl");
    let text = std::fs::read_to_string(&log)?;
    std::fs::write(&log, text.replacen("\"what\":\"apply\"", "\"what\":\"audit\"", 1))?;
    let found = weir.verb(&["audit", "verify"])?.expect_code(1)?;
    assert!(found.stdout.contains("broken at line"), "{}", found.stdout);
    Ok(())
}

#[test]
fn after_a_detach_a_start_begins_anew() -> Result<()> {
    let lab = Lab::new(&HOSTS)?;
    let files = Files::new(&lab, "edge")?;
    let weir = Weir::start(&lab, lab.host("server")?, &["--policy", files.path()])?;
    files.admit(false)?;
    weir.verb(&["detach"])?.success()?;
    drop(weir);
    let weir = Weir::start(&lab, lab.host("server")?, &[])?;
    assert_eq!(weir.status()?["policy"], Value::Null, "it observes");
    drop(weir);
    let weir = Weir::start(&lab, lab.host("server")?, &["--policy", files.path()])?;
    assert!(!passes(&lab)?, "as the file says");
    assert_eq!(history(&weir)?.len(), 2);
    Ok(())
}

#[test]
fn what_is_not_confirmed_is_rolled_back() -> Result<()> {
    let lab = Lab::new(&HOSTS)?;
    let files = Files::new(&lab, "edge")?;
    let weir = Weir::start(&lab, lab.host("server")?, &["--policy", files.path()])?;
    assert_eq!(weir.verb(&["confirm"])?.code, 1, "nothing waits");
    files.admit(false)?;

    weir.verb(&["apply", files.path(), "--confirm", "3s"])?.success()?;
    assert!(!passes(&lab)?);
    let seconds = weir.status()?["policy"]["confirm_seconds"].as_u64();
    assert!(seconds.is_some_and(|seconds| (1..=3).contains(&seconds)), "{seconds:?}");
    assert!(weir.verb(&["status"])?.success()?.contains("unconfirmed, rolls back in"));
    assert_eq!(weir.verb(&["apply", files.path()])?.code, 1, "one at a time");
    until_passes(&lab, 5)?;
    assert_eq!(weir.verb(&["confirm"])?.code, 1, "too late");
    assert_eq!(history(&weir)?, [row(2, "rolled_back", false), row(1, "confirmed", true)]);
    assert!(!held(&weir)?);

    weir.verb(&["apply", files.path(), "--confirm", "60s"])?.success()?;
    weir.verb(&["rollback"])?.success()?;
    assert!(passes(&lab)?, "at once");
    weir.verb(&["apply", files.path(), "--confirm", "4s"])?.success()?;
    weir.verb(&["confirm"])?.success()?;
    assert_eq!(weir.verb(&["confirm"])?.code, 1, "once is enough");
    assert_eq!(history(&weir)?[0], row(4, "confirmed", true));
    assert!(!held(&weir)?);
    std::thread::sleep(Duration::from_secs(5));
    assert!(!passes(&lab)?, "what was confirmed stays");
    let status = weir.status()?;
    assert_eq!(status["policy"]["confirm_seconds"], Value::Null);
    weir.verb(&["audit", "verify"])?.success()?;
    Ok(())
}

#[test]
fn a_watcher_rolls_back_when_the_daemon_dies() -> Result<()> {
    let lab = Lab::new(&HOSTS)?;
    let files = Files::new(&lab, "edge")?;
    let mut weir = Weir::start(&lab, lab.host("server")?, &["--policy", files.path()])?;
    files.admit(false)?;

    weir.verb(&["apply", files.path(), "--confirm", "4s"])?.success()?;
    weir.crash()?;
    assert!(!passes(&lab)?, "not before its time");
    assert!(held(&weir)?);
    until_passes(&lab, 6)?;
    wait::until("the watcher is done", Duration::from_secs(3), || {
        ensure!(!held(&weir)?, "something is still held");
        Ok(())
    })?;
    weir.start_again()?;
    assert!(passes(&lab)?);
    assert_eq!(history(&weir)?, [row(2, "rolled_back", false), row(1, "confirmed", true)]);
    assert_eq!(weir.status()?["policy"]["pending"], true);

    // A daemon that is back in time does it itself, and its watcher ends.
    weir.verb(&["apply", files.path(), "--confirm", "60s"])?.success()?;
    assert!(!passes(&lab)?);
    weir.crash()?;
    weir.start_again()?;
    assert!(passes(&lab)?);
    assert!(!held(&weir)?);
    let events = weir.events()?;
    assert!(events.iter().any(|event| event["event"] == "policy_rolled_back"));

    // One that lives and does nothing is late: the watcher acts, and it finds that out.
    weir.verb(&["apply", files.path(), "--confirm", "2s"])?.success()?;
    weir.signal(libc::SIGSTOP)?;
    assert!(!passes(&lab)?);
    until_passes(&lab, 9)?;
    weir.signal(libc::SIGCONT)?;
    wait::until("the daemon knows", Duration::from_secs(5), || {
        let entry = history(&weir)?.into_iter().next();
        ensure!(entry.as_ref().is_some_and(|entry| entry.1 == "rolled_back"), "{entry:?}");
        Ok(())
    })?;
    assert!(passes(&lab)?);
    assert!(!held(&weir)?);

    // A daemon that ends in order takes it back.
    weir.verb(&["apply", files.path(), "--confirm", "60s"])?.success()?;
    weir.stop()?;
    assert!(passes(&lab)?);
    wait::until("no watcher is left", Duration::from_secs(3), || {
        let left = lab.host("server")?.netns.processes()?;
        ensure!(left.is_empty(), "processes {left:?}");
        Ok(())
    })
}

/// A file system of this size, until dropped.
struct Small(PathBuf);

impl Small {
    fn mount(path: &Path, size: &str) -> Result<Self> {
        std::fs::create_dir_all(path)?;
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path);
        ensure!(mount.status()?.success(), "cannot mount a small file system");
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} stays", self.0.display());
    }
}

#[test]
fn a_store_that_fails_stops_nothing() -> Result<()> {
    let lab = Lab::new(&HOSTS)?;
    let files = Files::new(&lab, "edge")?;
    let mut weir = Weir::start(&lab, lab.host("server")?, &["--policy", files.path()])?;
    weir.stop()?;
    std::fs::write(weir.state().join("weir.db"), "damaged ".repeat(4096))?;
    files.admit(false)?;
    weir.start_again()?;
    assert!(!passes(&lab)?, "without a history, the file counts");
    let aside = std::fs::read_dir(weir.state())?
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("weir.db.corrupt-"));
    assert!(aside, "the damaged file is kept");
    assert!(weir.events()?.iter().any(|event| event["event"] == "store_failed"));
    assert_eq!(weir.metrics()?.sum("weir_store_failures_total", &[("file", "weir.db")]), 1.0);
    assert_eq!(history(&weir)?, [row(1, "confirmed", true)]);
    weir.stop()?;

    let _full = Small::mount(&weir.state(), "16k")?;
    weir.start_again()?;
    files.admit(true)?;
    weir.verb(&["apply", files.path()])?.success()?;
    assert!(passes(&lab)?, "a full disk stops no policy");
    let warnings = weir.status()?["warnings"].to_string();
    assert!(warnings.contains("weir.db"), "{warnings}");
    assert!(weir.metrics()?.sum("weir_store_failures_total", &[("file", "weir.db")]) >= 2.0);
    assert_eq!(weir.verb(&["history"])?.code, 2);
    files.admit(false)?;
    weir.verb(&["apply", files.path(), "--confirm", "2s"])?.success()?;
    assert!(!passes(&lab)?);
    until_passes(&lab, 5)?;
    weir.stop()?;
    Ok(())
}

#[test]
fn a_difference_is_told_by_meaning() -> Result<()> {
    let lab = Lab::new(&HOSTS)?;
    let files = Files::new(&lab, "edge")?;
    let weir = Weir::start(&lab, lab.host("server")?, &["--policy", files.path()])?;
    let same = weir.json(&["diff", files.path()])?;
    assert_eq!((&same["same"], &same["in_force"]), (&true.into(), &same["hash"]));

    files.admit(false)?;
    let found = weir.verb(&["diff", files.path()])?.expect_code(1)?;
    for line in ["+ orders gains 1 prefix: 192.0.2.99/32", "- orders loses 1 prefix: 192.0.2.10/32"]
    {
        assert!(found.stdout.contains(line), "{}", found.stdout);
    }
    assert!(passes(&lab)?, "nothing was changed");

    files.admit(true)?;
    let text = std::fs::read_to_string(&files.policy)?;
    std::fs::write(&files.policy, format!("{text}limit = {{ packets = \"100/s\" }}\n"))?;
    let found = weir.verb(&["diff", files.path(), "--json"])?.expect_code(1)?;
    let found: Value = serde_json::from_str(&found.stdout)?;
    assert_eq!(found["access"], serde_json::json!([]));
    let setting = serde_json::json!({
        "api": "orders", "key": "limit", "before": null, "after": "packets 100/s"
    });
    assert_eq!(found["settings"], serde_json::json!([setting]));

    // Written otherwise, the same is the same.
    std::fs::write(&files.policy, format!("# a word\n{text}"))?;
    let found = weir.verb(&["diff", files.path()])?.expect_code(0)?;
    assert!(found.stdout.contains("means the same"), "{}", found.stdout);
    std::fs::write(&files.policy, "nonsense")?;
    assert_eq!(weir.verb(&["diff", files.path()])?.code, 1);
    Ok(())
}
