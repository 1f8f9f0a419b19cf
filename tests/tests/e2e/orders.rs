//! What an operator orders beside the policy: monitor mode, shutdown, lockdown.

use anyhow::Result;
use weir_tests::reading::Reading;

use crate::site;

/// The verb, and what client and stranger are answered after it.
type Step<'a> = (&'a [&'a str], bool, bool);

#[test]
fn each_order_takes_effect_at_once() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let _nginx = site::nginx(&lab)?;
    let vip = "[groups.vip]\ncidrs = [\"203.0.113.0/24\"]\n";
    let policy = site::orders(&lab, "deny = [\"vip\"]")? + vip;
    let mut weir = site::weir(&lab, &policy)?;
    let steps: [Step<'_>; 11] = [
        (&["monitor", "on", "orders"], true, true),
        (&["breach", "shutdown", "orders"], false, false),
        (&["breach", "lift", "orders"], true, true),
        (&["monitor", "off", "orders"], true, false),
        (&["breach", "shutdown", "orders", "--reason", "ticket 1"], false, false),
        (&["breach", "lift", "orders"], true, false),
        (&["breach", "lockdown", "orders", "--group", "vip"], false, false),
        (&["breach", "lockdown", "orders", "--group", "clients"], true, false),
        (&["breach", "lockdown", "orders"], false, false),
        (&["breach", "lift", "orders"], true, false),
        (&["monitor", "off", "orders", "--ttl", "1h"], true, false),
    ];
    for (verb, passes, strangers_pass) in steps {
        weir.verb(verb)?.success()?;
        assert_eq!(site::answered(client, server)?, [passes; 2], "{verb:?}: the client");
        assert_eq!(
            site::answered(stranger, server)?,
            [strangers_pass; 2],
            "{verb:?}: the stranger"
        );
    }
    let reading = Reading::at_rest(&weir)?;
    for (reason, verdict) in
        [("not_allowed", "would_drop"), ("shutdown", "drop"), ("lockdown", "drop")]
    {
        let labels = [("api", "orders"), ("reason", reason), ("verdict", verdict)];
        assert!(reading.metrics.sum("weir_packets_total", &labels) > 0.0, "{reason} {verdict}");
    }

    // Orders outlive the daemon, and end by themselves.
    weir.verb(&["breach", "shutdown", "orders", "--ttl", "3s"])?.success()?;
    weir.crash()?;
    assert_eq!(site::answered(client, server)?, [false; 2]);
    weir.start_again()?;
    assert_eq!(site::answered(client, server)?, [false; 2]);
    weir_tests::wait::until("the end of the shutdown", std::time::Duration::from_secs(6), || {
        anyhow::ensure!(site::answered(client, server)? == [true; 2], "it is shut down");
        Ok(())
    })
}

#[test]
fn what_cannot_be_ordered_is_told() -> Result<()> {
    let lab = site::lab()?;
    let weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    let rows: [(&[&str], &str); 4] = [
        (&["breach", "shutdown", "order"], "orders"),
        (&["breach", "lockdown", "orders", "--group", "nobody"], "clients"),
        (&["breach", "lift", "orders"], "nothing"),
        (&["monitor", "on", "cataloge"], "orders"),
    ];
    for (verb, word) in rows {
        let output = weir.verb(verb)?;
        assert!(output.code != 0, "{verb:?}");
        assert!(output.stderr.contains(word), "{verb:?}: {}", output.stderr);
    }
    assert_eq!(weir.json(&["breach", "status"])?, serde_json::json!([]));
    Ok(())
}
