//! A burst of failed logins becomes a finding in the event log, and the source is banned.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_tests::wait;

use super::scene::{Family, ORDERS, Scene};
use super::table::Row;

/// Guesses at most; the detector needs 15 failures in a row.
const GUESSES: u64 = 80;
const PAUSE: Duration = Duration::from_millis(50);
/// One request gives up after this.
const PATIENCE: &str = "0.5";

pub(super) fn claim(scene: &mut Scene<'_>, family: Family) -> Result<Row> {
    let before = scene.reading()?;
    let flooder = scene.flooder;
    let url = scene.url(family, ORDERS.1, "/login");
    let (mut failed, mut cut_off) = (0, false);
    while failed < GUESSES && !cut_off {
        let guess = format!("user=admin&password={failed}");
        let response = scene.ask(flooder, &["--max-time", PATIENCE, "--data", &guess, &url])?;
        failed += u64::from(response.status == 401);
        cut_off = response.status == 0;
        wait::pause(PAUSE)?;
    }

    let address = family.of(flooder);
    let ours = |text: Option<&str>| text.is_some_and(|text| covers(text, address));
    let events = wait::until("the ban in the event log", Duration::from_secs(3), || {
        let events = scene.weir.events()?;
        ensure!(count(&events, "ban_added", &ours) > 0, "there is none");
        Ok(events)
    });
    // Without one the row below says so.
    let events = events.or_else(|_| scene.weir.events())?;
    let (found, banned) =
        (count(&events, "finding_opened", &ours), count(&events, "ban_added", &ours));
    let bans = scene.weir.json(&["ban", "list"])?;
    let listed = bans.as_array().map_or(0, |bans| {
        bans.iter().filter(|ban| ban["automatic"] == true && ours(ban["prefix"].as_str())).count()
    });
    let after = scene.reading()?;
    let dropped = after.kernel(ORDERS.0, "banned") - before.kernel(ORDERS.0, "banned");
    let sum = |name, labels: &[(&str, &str)]| {
        (after.metrics.sum(name, labels) - before.metrics.sum(name, labels)) as u64
    };
    let findings = sum("weir_findings_total", &[("detector", "brute_force"), ("api", ORDERS.0)]);
    let status = [("http_response_status_code", "401"), ("http_route", "/login")];
    let failures = after.requests(&status) - before.requests(&status);
    Ok(Row {
        claim: "Failed logins become\na finding in the event\nlog, and a ban",
        case: family.name(),
        expected: "finding and ban".to_owned(),
        client: format!("{failed} × 401\n{}", if cut_off { "then cut off" } else { "and on" }),
        kernel: format!("{listed} automatic ban\n{dropped} banned"),
        metrics: format!("{failures} × 401\n{findings} finding"),
        holds: failed >= 15
            && cut_off
            && (found, banned, listed) == (1, 1, 1)
            && dropped > 0
            && failures == failed
            && findings == 1,
    })
}

/// Events of a name about the source.
fn count(events: &[Value], name: &str, ours: &dyn Fn(Option<&str>) -> bool) -> usize {
    let about = |event: &Value| {
        let (ip, length) = (event["source"]["ip"].as_str(), event["source"]["prefix"].as_u64());
        let prefix = ip.zip(length).map(|(ip, length)| format!("{ip}/{length}"));
        ours(prefix.as_deref().or(ip))
    };
    events.iter().filter(|event| event["event"] == name && about(event)).count()
}

/// Whether a prefix, or an address, is the source's: an IPv6 source is a /64.
fn covers(prefix: &str, address: IpAddr) -> bool {
    let (network, length) = prefix.split_once('/').unwrap_or((prefix, ""));
    match (network.parse(), address) {
        (Ok(IpAddr::V4(network)), IpAddr::V4(address)) => network == address,
        (Ok(IpAddr::V6(network)), IpAddr::V6(address)) => {
            let shift = if length == "64" { 64 } else { 0 };
            network.to_bits() >> shift == address.to_bits() >> shift
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_recognised() {
        let rows = [
            ("192.0.2.4", "192.0.2.4", true),
            ("192.0.2.4/32", "192.0.2.4", true),
            ("192.0.2.5", "192.0.2.4", false),
            ("2001:db8:0:4::/64", "2001:db8:0:4::1", true),
            ("2001:db8:0:5::/64", "2001:db8:0:4::1", false),
            ("2001:db8:0:4::2", "2001:db8:0:4::1", false),
            ("nonsense", "192.0.2.4", false),
        ];
        for (prefix, address, expected) in rows {
            assert_eq!(covers(prefix, address.parse().expect(address)), expected, "{prefix}");
        }
    }
}
