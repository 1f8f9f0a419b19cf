//! Evidence of what really happened: nginx' access log is the truth it is held against.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::curl;
use weir_tests::wait;
use weir_tests::weir::Weir;

use crate::site::{self, PORT};

const SOON: Duration = Duration::from_secs(15);

/// A section of a file.
fn read(path: &str) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| path.to_owned())?;
    Ok(serde_json::from_str(&text)?)
}

/// Evidence of all that was asked of the server, once it is in the store.
fn take(weir: &Weir<'_>, subject: [&str; 2], path: &str, kept: u64) -> Result<Value> {
    wait::until("evidence of all requests", SOON, || {
        let _gone = std::fs::remove_file(path);
        let words = ["evidence", subject[0], subject[1], "--since", "1h", "--output", path];
        let taken = weir.verb(&words)?;
        ensure!(taken.code == 0, "{taken:?}");
        let evidence = read(path)?;
        let total = &evidence["sections"]["reached"]["total"];
        ensure!(total["kept"] == kept, "{total}\n{}", taken.stdout);
        Ok(evidence)
    })
}

#[test]
fn evidence_holds_what_was_reached_and_shows_tampering() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let nginx = site::nginx(&lab)?;
    let more = "login = { routes = [\"POST /login\"] }\nrespond = { brute_force = \"ban 5m\" }";
    let policy = site::orders(&lab, more)?.replace("[\"clients\"]", "\"any\"");
    let weir = site::weir(&lab, &policy)?;
    let url = |path: &str| site::url(server.v4().into(), PORT, path);
    let secret = ["--header", "Authorization: Bearer hunter2"];
    curl::many(stranger, &[&secret[..], &[&url("/items/[1-10]?token=swordfish")]].concat())?;
    curl::many(stranger, &[&url("/files/64k")])?;
    curl::many(stranger, &[&url("/nothing")])?;
    curl::many(stranger, &[&url("/admin")])?;
    site::ask(client, server.v4().into(), PORT)?;
    let guesses = ["--max-time", site::PATIENCE, "--header", "Connection: close", "--data", "a=b"];
    let login = url("/login?user=[1-30]");
    let guesses = [&guesses[..], &[&login]].concat();
    curl::many(stranger, &guesses)?;
    wait::until("the ban", SOON, || {
        ensure!(weir.json(&["ban", "list"])?.as_array().is_some_and(|bans| bans.len() == 1));
        Ok(())
    })?;

    let source = stranger.v4().to_string();
    let path = lab.directory().join("proof.json").display().to_string();
    let served: Vec<_> =
        nginx.requests()?.into_iter().filter(|request| request.source == source).collect();
    let evidence = take(&weir, ["--source", &source], &path, served.len() as u64)?;
    let sections = &evidence["sections"];
    let reached = &sections["reached"];
    let total = &reached["total"];
    let bytes: u64 = served.iter().map(|request| request.body).sum();
    assert_eq!(
        (&total["response_bytes"], &total["response_bytes_estimated"]),
        (&bytes.into(), &bytes.into())
    );
    assert_eq!((&total["estimated"], &total["standard_error"]), (&total["kept"], &0.into()));
    for (status, method, wanted) in [(200, "GET", 11), (404, "GET", 1), (403, "GET", 1)] {
        let endpoints = reached["endpoints"].as_array().into_iter().flatten();
        let found: u64 = endpoints
            .filter(|one| one["status"] == status && one["method"] == method)
            .filter_map(|one| one["kept"].as_u64())
            .sum();
        assert_eq!(found, wanted, "{status}: {reached}");
    }
    assert_eq!(reached["credentials"]["bearer"], 10, "{}", reached["credentials"]);
    assert_eq!(sections["findings"][0]["detector"], "brute_force");
    assert_eq!(
        (&sections["actions"][0]["kind"], &sections["actions"][0]["state"]),
        (&"ban".into(), &"done".into())
    );
    assert_eq!(sections["bans"][0]["prefix"], source.as_str());
    assert_eq!(sections["audit"][0]["what"], "automatic");
    assert!(sections["events"].as_array().is_some_and(|events| events.len() >= 4));
    assert!(!sections["not_known"].as_array().is_none_or(Vec::is_empty));
    let text = std::fs::read_to_string(&path)?;
    for word in ["hunter2", "swordfish", "user=3"] {
        assert!(!text.contains(word), "a secret is in it: {word}");
    }
    // The audit log says that it was taken, and the file which line that is.
    let lines = weir.json(&["audit"])?;
    let number = &evidence["head"]["audit_number"];
    let line = lines.as_array().into_iter().flatten().find(|line| line["number"] == *number);
    let line = line.with_context(|| format!("no line {number}: {lines}"))?;
    assert_eq!(
        (&line["what"], &line["hash"]),
        (&"evidence".into(), &evidence["head"]["audit_hash"])
    );

    let verified = weir_tests::process::run(
        server.netns.command(weir_tests::weir::binary()?).args(["evidence", "verify", &path]),
        SOON,
    )?;
    assert_eq!(verified.code, 0, "{verified:?}");
    std::fs::write(&path, text.replacen("\"status\":404", "\"status\":200", 1))?;
    let verified = weir_tests::process::run(
        server.netns.command(weir_tests::weir::binary()?).args(["evidence", "verify", &path]),
        SOON,
    )?;
    assert_eq!(verified.code, 1, "{verified:?}");
    assert!(verified.stdout.contains("was changed"), "{verified:?}");
    let again = weir.verb(&["evidence", "--source", &source, "--output", &path])?;
    assert_eq!(again.code, 2, "a file that is there is not written over: {again:?}");

    // Of the API as a whole, and of somebody who was never here.
    let api = lab.directory().join("api.json").display().to_string();
    let all = nginx.requests()?.len() as u64;
    let evidence = take(&weir, ["--api", "orders"], &api, all)?;
    assert_eq!(evidence["sections"]["reached"]["different_sources"], 2);
    let said = weir.verb(&["evidence", "--source", &source])?.success()?;
    println!("{said}");
    for words in [["--source", "203.0.113.250"], ["--api", "nothing"]] {
        let nobody = weir.verb(&[&["evidence"][..], &words].concat())?;
        assert_eq!(nobody.code, 1, "{nobody:?}");
        assert!(nobody.stderr.contains("nothing is known of"), "{nobody:?}");
    }
    Ok(())
}
