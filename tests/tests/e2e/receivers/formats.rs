//! What real receivers make of what they get: rsyslog with and without TLS, rotel, and files.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::lab::{Host, Lab};
use weir_tests::ocsf;
use weir_tests::process::Background;
use weir_tests::receiver::{Mood, Receiver};
use weir_tests::rotel::{self, Rotel};
use weir_tests::rsyslog::{self, Rsyslog};
use weir_tests::wait;

use super::{SOON, ban, drained, guess, sink, started};
use crate::site;

/// The messages of an event, as rsyslog wrote them.
fn of(messages: &[Value], event: &str) -> Vec<Value> {
    messages.iter().filter(|message| message["event"] == event).cloned().collect()
}

#[test]
fn rsyslog_over_tcp_and_tls() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    rsyslog::certificates(lab.directory())?;
    let mut plain = Rsyslog::start(server, lab.directory(), 5_514, false)?;
    let encrypted = Rsyslog::start(server, lab.directory(), 6_514, true)?;
    let mut weir = started(
        &lab,
        "[[sink]]\nname = \"plain\"\nkind = \"syslog\"\nurl = \"tcp://127.0.0.1:5514\"\n\
         facility = \"local3\"\ntimeout = \"1s\"\n\
         [[sink]]\nname = \"tls\"\nkind = \"syslog\"\nurl = \"tls://127.0.0.1:6514\"\n\
         ca = \"ca.pem\"\nformat = \"ocsf\"\n\
         [[sink]]\nname = \"stranger\"\nkind = \"syslog\"\nurl = \"tls://127.0.0.1:6514\"\n",
    )?;
    let opened = guess(&lab, &weir)?;
    drained(&weir, "plain")?;
    drained(&weir, "tls")?;
    let id = opened["finding"]["id"].as_str().context("no id")?;
    let found = wait::until("it is written", SOON, || {
        of(&plain.messages()?, "finding_opened").pop().context("not yet")
    })?;
    assert_eq!((&found["app"], &found["priority"]), (&"weir".into(), &"156".into()), "{found}");
    assert_eq!(found["pid"], weir.pid().context("runs")?.to_string().as_str());
    let data = found["data"].as_str().context("no data")?;
    for part in [
        "[weir@32473 severity=\"warning\" api=\"orders\" owner=\"team-orders\"".to_owned(),
        format!("source=\"{}\"", client.v4()),
        format!("finding=\"{id}\" state=\"open\" detector=\"brute_force\"]"),
    ] {
        assert!(data.contains(&part), "{part}\n{data}");
    }
    let text: Value = serde_json::from_str(found["text"].as_str().context("no text")?.trim())?;
    assert_eq!(text, opened, "the message is the event");

    let found = wait::until("it is written over TLS", SOON, || {
        of(&encrypted.messages()?, "finding_opened").pop().context("not yet")
    })?;
    let text: Value = serde_json::from_str(found["text"].as_str().context("no text")?.trim())?;
    assert_eq!((&text["class_uid"], &text["finding_info"]["uid"]), (&2004.into(), &id.into()));
    wait::until("the authority is not one of the system's", SOON, || {
        let stranger = sink(&weir, "stranger")?;
        let error = stranger["last_error"].as_str().unwrap_or_default();
        ensure!(error.contains("no TLS") && error.contains("UnknownIssuer"), "{stranger}");
        ensure!(stranger["delivered"] == 0, "{stranger}");
        Ok(())
    })?;

    // The receiver is killed, and comes back; the daemon is killed meanwhile.
    plain.crash()?;
    ban(&weir, 0..5)?;
    wait::until("it fails", SOON, || {
        ensure!(sink(&weir, "plain")?["state"] == "failing");
        Ok(())
    })?;
    weir.crash()?;
    weir.start_again()?;
    plain.start_again(server)?;
    ban(&weir, 5..10)?;
    drained(&weir, "plain")?;
    let banned = wait::until("all are written", SOON, || {
        let messages = of(&plain.messages()?, "ban_added");
        ensure!(messages.len() >= 10, "{}", messages.len());
        Ok(messages)
    })?;
    assert_eq!(banned.len(), 10, "and none twice");
    Ok(())
}

#[test]
fn a_collector_of_opentelemetry() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    let copy = lab.directory().join("copy/ocsf.jsonl");
    let weir = started(
        &lab,
        &format!(
            "[[sink]]\nname = \"otel\"\nkind = \"otlp\"\nurl = \"http://{}\"\n\
             [[sink]]\nname = \"copy\"\nkind = \"file\"\nformat = \"ocsf\"\npath = \"{}\"\n",
            rotel::LISTEN,
            copy.display()
        ),
    )?;
    ban(&weir, 0..3)?;
    let rotel = Rotel::start(server, lab.directory())?;
    let opened = guess(&lab, &weir)?;
    let sink = drained(&weir, "otel")?;
    let told = weir.events()?.len() as u64;
    ensure!(sink["delivered"].as_u64().is_some_and(|count| count <= told), "{sink}");
    let printed = rotel.printed()?;
    assert_eq!(printed.matches("EventName: ban_added").count(), 3, "{printed}");
    let record = printed
        .split("LogRecord #")
        .find(|record| record.contains("EventName: finding_opened"))
        .context("no finding")?;
    for part in [
        "SeverityNumber: SEVERITY_NUMBER_WARN(13)".to_owned(),
        format!("client.address: Str({})", client.v4()),
        "weir.api.owner: Str(team-orders)".to_owned(),
        "weir.finding.detector: Str(brute_force)".to_owned(),
        "weir.finding.window: Int(600)".to_owned(),
        "weir.finding.evidence_forgeable: Bool(false)".to_owned(),
    ] {
        assert!(record.contains(&part), "{part}\n{record}");
    }
    assert!(printed.contains("service.name: Str(weir)"), "{printed}");

    drained(&weir, "copy")?;
    let text = std::fs::read_to_string(&copy)?;
    let findings: Vec<Value> =
        text.lines().map(serde_json::from_str).collect::<Result<_, _>>().context("not JSON")?;
    let found = findings.iter().find(|f| f["finding_info"]["uid"] == opened["finding"]["id"]);
    let found = found.context("not in the copy")?;
    assert_eq!(found["type_uid"], 200_401);
    assert_eq!(ocsf::check(&copy, "1.3.0", "detection_finding")?, findings.len());
    assert_eq!(found["evidences"][0]["src_endpoint"]["ip"], client.v4().to_string().as_str());

    // What can be asked without a daemon.
    let config = lab.directory().join("weir.toml").display().to_string();
    let mut doctor = server.netns.command(weir_tests::weir::binary()?);
    doctor.args(["doctor", "--json", "--config", &config]);
    let report = weir_tests::process::run(&mut doctor, SOON)?;
    let report: Value = serde_json::from_str(&report.stdout)?;
    let checks = report["checks"].as_array().context("no checks")?;
    let check = checks.iter().find(|check| check["name"] == "sink otel").context("no check")?;
    assert_eq!(
        (&check["state"], check["finding"].as_str()),
        (&"ok".into(), Some("http://127.0.0.1:4318 answers, without TLS"),)
    );
    Ok(())
}

/// nginx as a receiver: over TLS, from whoever has a certificate of its authority. It reads bodies and
/// writes what it got to a log.
fn secure(lab: &Lab, server: &Host) -> Result<Background> {
    let home = lab.directory().display();
    let text = format!(
        "daemon off;\npid {home}/secure.pid;\nerror_log {home}/secure.err;\nevents {{}}\nhttp {{\n\
         log_format got '$status $ssl_client_verify $request_length $http_x_weir_signature';\n\
         client_body_temp_path {home}/secure-body;\nproxy_temp_path {home}/secure-proxy;\n\
         server {{\n listen 127.0.0.1:9443 ssl;\n ssl_certificate {home}/cert.pem;\n \
         ssl_certificate_key {home}/key.pem;\n ssl_client_certificate {home}/ca.pem;\n \
         ssl_verify_client on;\n access_log {home}/secure.log got;\n \
         location / {{ proxy_pass http://127.0.0.1:9999; }}\n}}\n}}\n"
    );
    let configuration = site::write(lab, "secure.conf", &text)?;
    let mut command = server.netns.command("nginx");
    command.args(["-c", &configuration]);
    let mut nginx = Background::start("nginx", command, &lab.directory().join("secure.out"))?;
    nginx.ready("nginx listens", SOON, || {
        let listening = server.netns.run("ss", &["-Htln"], SOON)?.success()?;
        ensure!(listening.contains(":9443"), "{listening}");
        Ok(())
    })?;
    Ok(nginx)
}

#[test]
fn a_webhook_over_tls_that_both_sides_prove_and_lines_on_standard_output() -> Result<()> {
    let lab = site::lab()?;
    let server = lab.host("server")?;
    rsyslog::certificates(lab.directory())?;
    let _nginx = secure(&lab, server)?;
    let address = SocketAddr::from(([127, 0, 0, 1], 9_999));
    let receiver = Receiver::start(server, address, Mood::Take)?;
    let secret = site::write(&lab, "secret", "s3cret\n")?;
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600))?;
    let weir = started(
        &lab,
        "[[sink]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"https://127.0.0.1:9443/in\"\n\
         ca = \"ca.pem\"\ncert = \"cert.pem\"\nkey = \"key.pem\"\nsecret_file = \"secret\"\n\
         [[sink]]\nname = \"nobody\"\nkind = \"webhook\"\nurl = \"https://127.0.0.1:9443/in\"\n\
         ca = \"ca.pem\"\nevents = [\"ban_added\"]\n\
         [[sink]]\nname = \"out\"\nkind = \"stdout\"\nevents = [\"ban_added\"]\n",
    )?;
    ban(&weir, 0..5)?;
    drained(&weir, "hook")?;
    drained(&weir, "out")?;
    let events = receiver.events()?;
    assert_eq!(site::named(&events, "ban_added").len(), 5, "{events:?}");
    let log = std::fs::read_to_string(lab.directory().join("secure.log"))?;
    assert!(log.contains("200 SUCCESS") && log.contains("sha256="), "{log}");
    // The signature is what openssl makes of the same body and time.
    let got = receiver.got().into_iter().find(|got| got.taken).context("none was taken")?;
    let header = |name: &str| {
        let line = got.head.lines().find_map(|line| {
            let (header, value) = line.split_once(": ")?;
            header.eq_ignore_ascii_case(name).then_some(value)
        });
        line.map(str::to_owned).with_context(|| format!("no {name}\n{}", got.head))
    };
    let signed = format!("{}.{}", header("x-weir-timestamp")?, got.body);
    let signed = site::write(&lab, "signed", &signed)?;
    let mut openssl = Command::new("openssl");
    openssl.args(["dgst", "-sha256", "-hmac", "s3cret", &signed]);
    let digest = weir_tests::process::run(&mut openssl, SOON)?.success()?;
    let digest = digest.split_whitespace().next_back().context("no digest")?.to_owned();
    assert_eq!(header("x-weir-signature")?, format!("sha256={digest}"));

    let nobody = sink(&weir, "nobody")?;
    assert_eq!(nobody["delivered"], 0, "without a certificate nothing is taken: {nobody}");
    let printed = weir.log();
    let lines = printed.lines().filter(|line| line.contains("{\"schema\":1,"));
    assert_eq!(lines.filter(|line| line.contains("\"ban_added\"")).count(), 5, "{printed}");
    assert!(!printed.contains("s3cret"));
    Ok(())
}
