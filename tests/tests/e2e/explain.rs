//! What `weir explain` says is what the loaded program holds at that moment, and saying it changes
//! nothing.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use weir_tests::frame::{self, Route, Transport};
use weir_tests::generator::{self, Flood, Sources};
use weir_tests::reading::Reading;
use weir_tests::weir::Weir;

use crate::site::{self, PORT};

/// The explanation and the exit code.
fn explain(weir: &Weir<'_>, arguments: &[&str]) -> Result<(Value, i32)> {
    let output = weir.verb(&[&["explain", "--json"], arguments].concat())?;
    let told = serde_json::from_str(&output.stdout)
        .with_context(|| format!("{arguments:?}: {} {}", output.stdout, output.stderr))?;
    Ok((told, output.code))
}

fn stage<'a>(told: &'a Value, name: &str) -> &'a Value {
    let steps = told["steps"].as_array().map_or(&[][..], Vec::as_slice);
    steps.iter().find(|step| step["stage"] == name).unwrap_or(&Value::Null)
}

#[test]
fn it_tells_what_the_kernel_holds() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let text = site::orders(&lab, r#"limit = { packets = "60/min", burst = "10m" }"#)?;
    let weir = site::weir(&lab, &text)?;
    let [to, from, other] = [server, client, stranger].map(|host| host.v4().to_string());
    let port = PORT.to_string();
    let ask = |from: &str| explain(&weir, &[from, &to, "--proto", "udp", "--dport", &port]);

    let (told, code) = ask(&from)?;
    assert_eq!((code, &told["reason"]), (0, &"allowed".into()), "{told}");
    let limit = stage(&told, "limit");
    assert_eq!(
        (&limit["limit"]["left"], &limit["limit"]["rate"]),
        (&600.into(), &"1/s".into()),
        "{told}"
    );
    let line = text.lines().position(|line| line.starts_with("limit =")).context("a limit")? + 1;
    assert_eq!(limit["origin"]["line"], line, "{told}");
    let flood = Flood {
        sources: Sources::One(client.v4().into()),
        destination: server.v4().into(),
        transport: Transport::Udp { port: PORT, payload: 10 },
        rate: 4_000,
        duration: Duration::from_millis(100),
    };
    generator::send(client, server, &flood)?;
    let before = Reading::at_rest(&weir)?;
    let spent = before.kernel("orders", "allowed");
    let (told, _) = ask(&from)?;
    let left = stage(&told, "limit")["limit"]["left"].as_u64().context("what is left")?;
    // One a second comes back while this runs.
    assert!(spent > 50 && (600 - spent..600 - spent + 30).contains(&left), "{spent}: {told}");
    let (told, code) = ask(&other)?;
    assert_eq!((code, &told["reason"]), (1, &"not_allowed".into()), "{told}");
    assert_eq!(stage(&told, "rule")["finding"], "in none of the groups that are allowed");

    let route = Route {
        from: client.mac,
        to: server.mac,
        source: client.v4().into(),
        source_port: 40_000,
        destination: server.v4().into(),
    };
    let bytes = frame::build(&route, Transport::Syn { port: PORT })?;
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let (told, code) = explain(&weir, &["--packet", &hex.join(":")])?;
    assert_eq!((code, &told["reason"]), (0, &"allowed".into()), "{told}");
    let layers: Vec<_> = told["layers"].as_array().into_iter().flatten().collect();
    let names: Vec<_> = layers.iter().filter_map(|layer| layer["name"].as_str()).collect();
    assert!(names.starts_with(&["ethernet", "ipv4", "tcp"]), "{told}");
    for (length, reason) in [(20, "truncated"), (40, "bad_ip")] {
        let (told, code) = explain(&weir, &["--packet", &hex[..length].concat()])?;
        assert_eq!((code, &told["reason"]), (1, &reason.into()), "{told}");
        assert!(told["layers"].to_string().contains("are here"), "{told}");
    }
    weir.verb(&["ban", "add", &from, "--ttl", "1h", "--reason", "ticket 7"])?.success()?;
    let (told, code) = explain(&weir, &["--packet", &hex.concat()])?;
    assert_eq!((code, &told["reason"]), (1, &"banned".into()), "{told}");
    assert!(stage(&told, "ban")["finding"].to_string().contains("ticket 7"), "{told}");

    let after = Reading::at_rest(&weir)?;
    for reason in ["allowed", "not_allowed", "banned"] {
        let counted = [&before, &after].map(|reading| reading.kernel("orders", reason));
        assert_eq!(counted[0], counted[1], "asking counted {reason}");
    }
    assert_eq!(weir.verb(&["explain", &from, &to, "--dport", "1", "--interface", "lo"])?.code, 2);
    Ok(())
}
