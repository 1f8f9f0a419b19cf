//! What exists is known: endpoints and undeclared ports, what is documented of them and what is not,
//! over a restart; and no secret of a request is kept anywhere.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::curl;
use weir_tests::lab::Lab;
use weir_tests::nginx::Nginx;
use weir_tests::wait;
use weir_tests::weir::{Plan, Weir};

use crate::site::{self, PORT};

/// A port that the policy does not declare.
const SHADOW: u16 = 9000;

const SPEC: &str = r#"openapi: 3.1.0
info: {title: Orders, version: '2'}
paths:
  /items/{itemId}:
    get: {responses: {'200': {description: one}}}
  /login:
    post: {responses: {'200': {description: in}}}
  /reports:
    get: {responses: {'200': {description: nobody asks}}}
"#;

/// Values of secrets that requests carry. Base64 of the password is what Basic sends.
const SECRETS: [&str; 6] = [
    "planted-in-the-query",
    "planted-in-a-bearer",
    "planted-in-a-cookie",
    "planted-in-an-api-key",
    "planted-in-basic",
    "c29tZW9uZTpwbGFudGVkLWluLWJhc2lj",
];

/// weir on the server, with a document for `orders` and settings that do not make a test wait.
fn weir(lab: &Lab) -> Result<Weir<'_>> {
    site::write(lab, "orders.yaml", SPEC)?;
    let settings = "[inventory]\nunused_after = \"2s\"\n";
    let settings = site::write(lab, "weir.toml", settings)?;
    let text =
        site::orders(lab, "openapi = \"orders.yaml\"\nlogin = { routes = [\"POST /login\"] }")?;
    let policy = site::write(lab, "policy.toml", &text)?;
    let arguments = ["--config", &settings, "--policy", &policy];
    let plan = Plan { arguments: &arguments, ..Plan::default() };
    Weir::launch(lab, lab.host("server")?, &plan)
}

/// The API of this name among all.
fn named<'a>(apis: &'a Value, name: &str) -> Result<&'a Value> {
    let all = apis.as_array().context("no list")?;
    all.iter().find(|api| api["name"] == name).with_context(|| format!("no {name} in {apis}"))
}

/// Detectors with open findings, with their ids.
fn open(weir: &Weir<'_>) -> Result<BTreeSet<(String, String)>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let findings = weir.json(&["findings"])?;
    let all = findings.as_array().context("no list")?;
    Ok(all.iter().map(|found| (text(&found["detector"]), text(&found["id"]))).collect())
}

/// Sends some of everything to both ports; returns how many requests went to `orders`.
fn requests(lab: &Lab) -> Result<u64> {
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let at = |path: &str| site::url(server.v4().into(), PORT, path);
    let key = format!("X-API-Key: {}", SECRETS[3]);
    let bearer = format!("Authorization: Bearer {}", SECRETS[1]);
    let cookie = format!("Cookie: session={}", SECRETS[2]);
    let rows: [(&[&str], &str, u16); 9] = [
        (&[], "/items/1", 200),
        (&[], &format!("/items/2?access_token={}", SECRETS[0]), 200),
        (&["--header", &bearer], "/items/3", 200),
        (&["--header", &cookie], "/items/4", 200),
        (&["--header", &key], "/items/5", 200),
        (&["--user", &format!("someone:{}", SECRETS[4])], "/items/6", 200),
        (&["--data", "password=x"], "/login", 401),
        (&["--data", "a body"], "/upload", 200),
        (&[], "/nowhere", 404),
    ];
    for (arguments, path, status) in &rows {
        let response = curl::one(client, &[*arguments, &[at(path).as_str()]].concat())?;
        ensure!(response.status == *status, "{path} answers {}", response.status);
    }
    let shadow = site::url(server.v4().into(), SHADOW, "/items/7");
    for _ in 0..3 {
        let response = curl::one(client, &[&shadow])?;
        ensure!(response.status == 200, "{shadow} answers {}", response.status);
    }
    Ok(rows.len() as u64)
}

#[test]
fn what_exists_is_known_and_stays_known() -> Result<()> {
    let lab = site::lab()?;
    let apis = [("orders", PORT), ("shadow", SHADOW)];
    let nginx = Nginx::start(lab.host("server")?, lab.directory(), &apis)?;
    let mut weir = weir(&lab)?;
    let sent = requests(&lab)?;
    let seen = |weir: &Weir<'_>, sent: u64| {
        wait::until("every request is in the inventory", Duration::from_secs(10), || {
            let apis = weir.json(&["apis"])?;
            let orders = named(&apis, "orders")?;
            ensure!(orders["requests"] == sent, "{sent} were sent: {orders}");
            let shadow = named(&apis, "tcp/9000")?;
            ensure!(shadow["requests"] == 3 && shadow["declared"] == false, "{shadow}");
            for kind in ["basic", "bearer", "cookie", "api_key", "query", "none"] {
                ensure!(orders["credentials"][kind].as_u64() > Some(0), "{kind}: {orders}");
            }
            ensure!(orders["owner"] == "team-orders" && orders["sources"] == 1, "{orders}");
            Ok(())
        })
    };
    seen(&weir, sent)?;

    let shown = weir.json(&["apis", "show", "orders"])?;
    let endpoint = |shown: &Value, method: &str, route: &str| -> Result<Value> {
        let all = shown["endpoints"].as_array().context("no endpoints")?;
        let is = |e: &&Value| e["method"] == method && e["route"] == route;
        all.iter().find(is).cloned().with_context(|| format!("no {method} {route} in {shown}"))
    };
    let items = endpoint(&shown, "GET", "/items/{itemId}")?;
    assert_eq!((&items["requests"], &items["documented"]), (&6.into(), &true.into()));
    assert_eq!(items["statuses"]["200"], 6);
    let upload = endpoint(&shown, "POST", "/upload")?;
    assert_eq!(upload["documented"], false);
    assert_eq!(upload["request_types"]["application/x-www-form-urlencoded"], 1);
    assert_eq!(endpoint(&shown, "GET", "/nowhere")?["proven"], false);
    let recent = shown["recent"].as_array().context("no recent requests")?;
    assert_eq!(recent.len() as u64, sent, "{recent:?}");
    assert_eq!((&recent[0]["route"], &recent[0]["status"]), (&"/nowhere".into(), &404.into()));
    let page = weir.verb(&["apis"])?.success()?;
    assert!(page.contains("undeclared") && page.contains("orders"), "{page}");

    let drift = weir.verb(&["apis", "drift", "orders", "--json"])?.expect_code(1)?;
    let drift: Value = serde_json::from_str(&drift.stdout)?;
    let [undocumented] = &drift["undocumented"].as_array().context("none")?[..] else {
        anyhow::bail!("one endpoint is not documented: {drift}")
    };
    assert_eq!(
        (&undocumented["route"], &undocumented["what"]),
        (&"/upload".into(), &"route".into())
    );
    let [unused] = &drift["unused"].as_array().context("none")?[..] else {
        anyhow::bail!("one operation is not used: {drift}")
    };
    assert_eq!((&unused["route"], &unused["line"]), (&"/reports".into(), &9.into()));
    let none = weir.verb(&["apis", "drift", "tcp/9000"])?.expect_code(2)?;
    for told in ["no OpenAPI document", "[[api]]", "`weir apis openapi tcp/9000` begins one"] {
        assert!(none.stderr.contains(told), "{}", none.stderr);
    }
    weir.verb(&["apis", "show", "nobody"])?.expect_code(1)?;

    let document: Value =
        serde_json::from_str(&weir.verb(&["apis", "openapi", "orders"])?.success()?)?;
    let paths: BTreeSet<&String> =
        document["paths"].as_object().context("no paths")?.keys().collect();
    let expected = ["/items/{itemId}", "/upload"].map(str::to_owned);
    assert_eq!(paths, expected.iter().collect(), "a login that failed and a 404 prove nothing");
    let rare = weir.json(&["apis", "rare", "--limit", "1"])?;
    assert_eq!(rare[0]["route"], "/upload");

    let expected = [
        "basic_authentication",
        "cleartext_credentials",
        "query_credentials",
        "undeclared_port",
        "undocumented_route",
        "unused_route",
    ];
    let findings = wait::until("the findings are there", Duration::from_secs(10), || {
        let found = open(&weir)?;
        let names: BTreeSet<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        ensure!(names == BTreeSet::from(expected), "{found:?}");
        Ok(found)
    })?;
    let events = weir.events()?;
    let opened = site::named(&events, "finding_opened");
    assert_eq!(opened.len(), expected.len(), "{opened:?}");
    for event in opened {
        let (finding, owasp) = (&event["finding"], event["finding"]["owasp"].as_str());
        assert!(finding["why"].as_str().is_some_and(|why| why.contains(' ')), "{finding}");
        assert!(owasp.is_some_and(|entry| entry.starts_with("API")), "{finding}");
        let evidence = finding["evidence"].as_array().map_or(&[][..], Vec::as_slice);
        let is_of_requests = finding["detector"] != "unused_route";
        assert_eq!(!evidence.is_empty(), is_of_requests, "{finding}");
        for one in evidence {
            assert!(one["source"].is_string() && one["route"].is_string(), "{finding}");
        }
    }
    assert_eq!(weir.metrics()?.sum("weir_findings_open", &[]), expected.len() as f64);

    // What `apis show` told is on the disk.
    weir.json(&["apis", "show", "orders"])?;
    wait::pause(Duration::from_secs(6))?;
    weir.crash()?;
    weir.start_again()?;
    seen(&weir, sent)?;
    let again = weir.json(&["apis", "show", "orders"])?;
    assert_eq!(again["endpoints"], shown["endpoints"], "nothing was lost");
    assert_eq!(again["recent"], shown["recent"]);
    wait::pause(Duration::from_secs(3))?;
    assert_eq!(open(&weir)?, findings, "the same findings go on");
    assert_eq!(weir.metrics()?.sum("weir_findings_open", &[]), expected.len() as f64);
    let after = weir.events()?;
    let told = site::named(&after, "finding_opened").len();
    assert_eq!(told, expected.len(), "none is told twice");
    requests(&lab)?;
    wait::until("it goes on counting", Duration::from_secs(10), || {
        let apis = weir.json(&["apis"])?;
        ensure!(named(&apis, "orders")?["requests"] == 2 * sent, "{apis}");
        Ok(())
    })?;
    let mut seconds = 0;
    wait::until("a declared port is no longer found", Duration::from_secs(20), || {
        seconds += 1;
        let more =
            format!("\n[[api]]\nname = \"shadow\"\nlisten = [\"tcp/{SHADOW}\"]\nallow = \"any\"\n");
        let text = site::orders(&lab, "openapi = \"orders.yaml\"")? + &more;
        let policy = site::write(&lab, "policy.toml", &text)?;
        if seconds == 1 {
            weir.verb(&["apply", &policy])?.success()?;
        }
        let found = open(&weir)?;
        ensure!(!found.iter().any(|(name, _)| name == "undeclared_port"), "{found:?}");
        Ok(())
    })?;
    drop(nginx);
    secrets_are_nowhere(&weir)
}

/// Looks for the planted secrets in all that weir wrote and answers.
fn secrets_are_nowhere(weir: &Weir<'_>) -> Result<()> {
    let mut said = vec![("metrics", weir.exposition()?), ("log", weir.log())];
    for verb in [
        &["status"][..],
        &["apis"],
        &["apis", "show", "orders"],
        &["apis", "show", "tcp/9000"],
        &["apis", "openapi", "orders"],
        &["apis", "rare"],
        &["findings", "--all"],
        &["events", "--limit", "1000"],
        &["audit"],
        &["history"],
    ] {
        for json in [&[][..], &["--json"]] {
            // Not every verb prints both.
            said.push(("a verb", weir.verb(&[verb, json].concat())?.stdout));
        }
    }
    for (what, text) in &said {
        for secret in SECRETS {
            ensure!(!text.contains(secret), "{secret} is in {what}: {text}");
        }
    }
    ensure!(said.iter().filter(|(_, text)| text.contains("/items/")).count() > 3, "{said:?}");
    let mut files = 0;
    search(&weir.state(), &mut files)?;
    ensure!(files >= 3, "only {files} files were looked at");
    Ok(())
}

fn search(directory: &Path, files: &mut usize) -> Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            search(&path, files)?;
            continue;
        }
        let bytes = std::fs::read(&path)?;
        *files += 1;
        for secret in SECRETS {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            ensure!(!found, "{secret} is in {}", path.display());
        }
    }
    Ok(())
}
