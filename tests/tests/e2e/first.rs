//! A host that weir has never seen: `weir init` writes its first policy, which counts what is there and
//! drops nothing.

use std::net::{Ipv6Addr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weir_tests::curl;
use weir_tests::lab::Lab;
use weir_tests::reading::Reading;
use weir_tests::ssh::Sshd;
use weir_tests::wait;
use weir_tests::weir::{self, Weir};

use crate::site::{self, PORT};

/// The port of the UDP service, outside of those that clients are given.
const UDP: u16 = 5514;
const DATAGRAMS: u64 = 5;

#[test]
fn from_nothing_to_requests_counted() -> Result<()> {
    let lab = Lab::new(&[("server", 1), ("client", 10)])?;
    let (server, client) = (lab.host("server")?, lab.host("client")?);
    let _nginx = site::nginx(&lab)?;
    let sshd = Sshd::start(server, lab.directory())?;
    let service = server.udp(Ipv6Addr::UNSPECIFIED, UDP)?;
    // The server has to have heard of the client by IPv6 too.
    assert_eq!(site::answered(client, server)?, [true, true]);

    // As the operator does it, who works over SSH.
    let binary = weir::binary()?;
    let policy = lab.directory().join("policy.toml").display().to_string();
    let init = format!("{} init --output {policy}", binary.display());
    let told = sshd.run(client, &init)?.expect_code(0)?;
    for part in ["trusted is 192.0.2.10 at tcp/22", "nothing is dropped", "weir check"] {
        ensure!(told.stderr.contains(part), "it does not say {part}\n{}", told.stderr);
    }
    let text = std::fs::read_to_string(&policy)?;
    for part in [
        "name = \"nginx-8080\"".to_owned(),
        "name = \"sshd-22\"".to_owned(),
        "cidrs = [\"192.0.2.10\"]".to_owned(),
        format!("eth0: up, driver veth, {}/", server.v4()),
        "# [groups.lan-eth0]".to_owned(),
        client.v6().to_string(),
    ] {
        ensure!(text.contains(&part), "the policy lacks {part}\n{text}");
    }
    let again = sshd.run(client, &init)?.expect_code(2)?;
    ensure!(again.stderr.contains("not overwritten"), "{}", again.stderr);
    ensure!(std::fs::read_to_string(&policy)? == text, "it was overwritten");
    // On standard output it is the same, notes apart.
    let printed = sshd.run(client, &format!("{} init", binary.display()))?.success()?;
    let apis = |text: &str| text.split_once("[[api]]").map(|(_, apis)| apis.to_owned());
    assert_eq!(apis(&printed), apis(&text));
    // Nothing to say against it, nor against the operator's way in.
    let check = format!("{} check --json -i eth0 {policy}", binary.display());
    let checked: serde_json::Value = serde_json::from_str(&sshd.run(client, &check)?.success()?)?;
    assert_eq!((&checked["valid"], &checked["lockout"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!(checked["diagnostics"], serde_json::json!([]));

    // Whose program it is: this test's, which is longer than what the kernel keeps of a name.
    let own = text.lines().find(|line| line.starts_with("name") && line.contains("-5514"));
    let own = own.and_then(|line| line.split('"').nth(1)).context("no API of the UDP service")?;
    ensure!(own.starts_with("e2e-"), "{own}");

    let weir = Weir::start(&lab, server, &["--policy", &policy])?;
    let url = |address| site::url(address, PORT, "/items/[1-20]");
    let [v4, v6] = server.addresses().map(url);
    curl::many(client, &[&v4])?;
    curl::many(client, &[&v6])?;
    client.netns.enter(|| {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        for _ in 0..DATAGRAMS {
            socket.send_to(b"hello", (server.v4(), UDP))?;
        }
        Ok(())
    })?;
    let mut bytes = [0; 16];
    service.set_read_timeout(Some(Duration::from_secs(5)))?;
    for _ in 0..DATAGRAMS {
        service.recv(&mut bytes).context("a datagram was dropped")?;
    }
    let requests = [("api", "nginx-8080"), ("http_response_status_code", "200")];
    wait::until("forty requests", Duration::from_secs(10), || {
        let counted = Reading::now(&weir)?.requests(&requests);
        ensure!(counted == 40, "{counted} are counted");
        Ok(())
    })?;
    let reading = Reading::at_rest(&weir)?;
    assert_eq!(reading.kernel(own, "allowed"), DATAGRAMS);
    assert_eq!(reading.dropped("nginx-8080") + reading.dropped(own), 0);
    ensure!(reading.kernel("nginx-8080", "allowed") >= 40, "each request is a packet at least");
    // The operator's own packets are not judged.
    sshd.run(client, "true")?.success()?;
    let reading = Reading::at_rest(&weir)?;
    assert_eq!(reading.kernel("sshd-22", "allowed"), 0);
    ensure!(reading.kernel("sshd-22", "trusted") > 10, "the operator is trusted");
    Ok(())
}
