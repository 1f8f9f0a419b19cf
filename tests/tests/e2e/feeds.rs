//! Feeds are watched: one that changes is in force without anybody's doing, one that breaks is not.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_tests::lab::Lab;
use weir_tests::weir::Weir;
use weir_tests::{curl, wait};

/// A change is seen within two seconds; the machine may be busy.
const SEEN: Duration = Duration::from_secs(20);
/// Long enough that a change would have been seen.
const UNSEEN: Duration = Duration::from_secs(4);

const TEXT: &str = "[policy]\nname = \"edge\"\nversion = 1\n[groups.known]\nfiles = [\"feeds/known.txt\"]\n\
                    [[api]]\nname = \"orders\"\nlisten = [\"tcp/8080\"]\nallow = [\"known\"]\n";
const CLIENT: &str = "192.0.2.10\n198.51.100.1\n198.51.100.2\n";
const OTHERS: &str = "198.51.100.1\n198.51.100.2\n198.51.100.3\n";

/// Whether packets of the client get through; nothing listens on the port.
fn passes(lab: &Lab) -> Result<bool> {
    let url = format!("http://{}:8080/", lab.host("server")?.v4());
    let response = curl::one(lab.host("client")?, &["--connect-timeout", "0.6", &url])?;
    match response.result {
        7 => Ok(true),
        28 => Ok(false),
        other => anyhow::bail!("curl ends with {other}"),
    }
}

/// Waits until the daemon has put its `number`th generation in force.
fn reaches(weir: &Weir<'_>, number: u64) -> Result<()> {
    wait::until("the feed is in force", SEEN, || {
        let policy = weir.status()?["policy"].clone();
        ensure!(policy["number"] == number, "{policy}");
        Ok(())
    })
}

/// Waits until the only feed is in this state, and returns it.
fn is(weir: &Weir<'_>, state: &str) -> Result<Value> {
    wait::until(&format!("a feed is {state}"), SEEN, || {
        let feed = weir.status()?["feeds"][0].clone();
        ensure!(feed["state"] == state, "{feed}\n{}", weir.log());
        Ok(feed)
    })
}

/// Waits until an event was told so many times.
fn told(weir: &Weir<'_>, event: &str, times: usize) -> Result<()> {
    wait::until(event, SEEN, || {
        let told = weir.events()?.iter().filter(|told| told["event"] == event).count();
        ensure!(told == times, "told {told} times instead of {times}");
        Ok(())
    })
}

/// The place in the history of what is in force.
fn number(weir: &Weir<'_>) -> Result<u64> {
    Ok(weir.status()?["policy"]["number"].as_u64().unwrap_or_default())
}

/// Replaces a file as a careful program does.
fn replace(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, text)?;
    Ok(std::fs::rename(new, path)?)
}

#[test]
fn a_feed_that_changes_is_in_force_and_one_that_breaks_is_not() -> Result<()> {
    let lab = Lab::new(&[("server", 1), ("client", 10)])?;
    let policy = lab.directory().join("edge.toml");
    let feed = lab.directory().join("feeds/known.txt");
    std::fs::create_dir_all(lab.directory().join("feeds"))?;
    std::fs::write(&policy, TEXT)?;
    std::fs::write(&feed, OTHERS)?;
    let path = policy.display().to_string();
    let mut weir = Weir::start(&lab, lab.host("server")?, &["--policy", &path])?;
    assert!(!passes(&lab)?);

    // An edit of the policy that nobody applied waits, whatever its feeds do.
    std::fs::write(&policy, TEXT.replace("[\"known\"]", "\"any\""))?;
    replace(&feed, CLIENT)?;
    reaches(&weir, 2)?;
    assert!(passes(&lab)?);
    let status = weir.status()?;
    assert_eq!(status["policy"]["pending"], true);
    assert_eq!(
        (&status["feeds"][0]["entries"], &status["feeds"][0]["state"]),
        (&3.into(), &"current".into())
    );
    std::fs::write(&policy, TEXT)?;
    let history = weir.json(&["history"])?;
    assert_eq!((&history[0]["why"], &history[1]["why"]), (&"feed".into(), &Value::Null));
    assert!(weir.verb(&["history"])?.success()?.contains("a feed that changed"));
    let audit = weir.json(&["audit", "--limit", "1"])?;
    assert_eq!(
        (&audit[0]["what"], &audit[0]["about"]["feeds"][0]),
        (&"feed".into(), &"feeds/known.txt".into())
    );
    told(&weir, "feed_changed", 1)?;

    // Broken in four ways; the first is met by a restart, the last is a whole directory.
    replace(&feed, "<html>404</html>\n")?;
    let kept = is(&weir, "kept")?;
    ensure!(kept["problem"].as_str().is_some_and(|why| why.starts_with("line 1:")), "{kept}");
    assert_eq!(weir.metrics()?.sum("weir_feed_stale", &[("feed", "feeds/known.txt")]), 1.0);
    assert_eq!(weir.metrics()?.sum("weir_feed_entries", &[("feed", "feeds/known.txt")]), 3.0);
    assert!(weir.verb(&["status"])?.success()?.contains("the 3 prefixes in force stay"));
    told(&weir, "feed_rejected", 1)?;
    weir.crash()?;
    weir.start_again()?;
    is(&weir, "kept")?;
    assert!(passes(&lab)?);
    told(&weir, "feed_rejected", 2)?;
    for (broken, text) in [("empty", ""), ("shrank", "198.51.100.1\n")] {
        std::fs::write(&feed, text)?;
        wait::until("it is told", SEEN, || {
            let feed = weir.status()?["feeds"][0].clone();
            ensure!(feed["problem"].as_str().is_some_and(|why| why.contains(broken)), "{feed}");
            Ok(())
        })?;
        assert!(passes(&lab)?, "{broken}");
    }
    std::fs::rename(lab.directory().join("feeds"), lab.directory().join("gone"))?;
    wait::until("it is missed", SEEN, || {
        let feed = weir.status()?["feeds"][0].clone();
        ensure!(feed["problem"].as_str().is_some_and(|why| why.contains("no such file")), "{feed}");
        Ok(())
    })?;
    assert!(passes(&lab)?);
    assert_eq!(weir.json(&["history"])?.as_array().map(Vec::len), Some(2));

    // Repaired, and then changed.
    std::fs::create_dir_all(lab.directory().join("feeds"))?;
    std::fs::write(&feed, CLIENT)?;
    is(&weir, "current")?;
    told(&weir, "feed_restored", 1)?;
    assert_eq!(weir.metrics()?.sum("weir_feed_stale", &[("feed", "feeds/known.txt")]), 0.0);
    replace(&feed, OTHERS)?;
    reaches(&weir, 3)?;
    assert!(!passes(&lab)?);

    // A rollback goes behind the file and stays there, also over a restart, until it changes.
    weir.verb(&["rollback"])?.success()?;
    assert!(passes(&lab)?);
    is(&weir, "rolled_back")?;
    weir.crash()?;
    weir.start_again()?;
    is(&weir, "rolled_back")?;
    assert!(passes(&lab)?);
    replace(&feed, "198.51.100.1\n198.51.100.2\n198.51.100.4\n")?;
    reaches(&weir, 5)?;
    assert!(!passes(&lab)?);

    // While a policy waits to be confirmed nothing else changes; what was decided meanwhile counts.
    replace(&feed, CLIENT)?;
    weir.verb(&["apply", &path, "--confirm", "60s"])?.success()?;
    assert!(passes(&lab)?);
    replace(&feed, OTHERS)?;
    let waiting = number(&weir)?;
    wait::pause(UNSEEN)?;
    assert_eq!(number(&weir)?, waiting);
    weir.verb(&["confirm"])?.success()?;
    reaches(&weir, waiting + 1)?;
    assert!(!passes(&lab)?);

    // Whoever applies an empty feed is asked once.
    std::fs::write(&feed, "# nobody\n")?;
    let refused = weir.verb(&["apply", &path])?.expect_code(1)?;
    ensure!(refused.stderr.contains("it is empty, and had 3 prefixes"), "{}", refused.stderr);
    weir.verb(&["apply", &path, "--force"])?.success()?;
    let forced = number(&weir)?;
    std::fs::write(&feed, CLIENT)?;
    reaches(&weir, forced + 1)?;
    std::fs::write(&feed, "192.0.2.10\n")?;
    let warned = weir.verb(&["apply", &path])?.success()?;
    ensure!(warned.contains("it shrank from 3 to 1 prefixes"), "{warned}");
    weir.verb(&["audit", "verify"])?.success()?;
    Ok(())
}
