//! The ways in which weir attaches itself.

use anyhow::Result;
use weir_tests::reading::Reading;
use weir_tests::weir::{Plan, Weir};

use crate::site::{self, PORT};

#[test]
fn every_mode_gates_and_measures() -> Result<()> {
    // Mode, egress, what they come to, whether responses are seen.
    let rows = [
        ("native", "tcx", "native", "tcx", true),
        ("generic", "tcx", "generic", "tcx", true),
        ("auto", "clsact", "native", "clsact", true),
        ("auto", "off", "native", "off", false),
    ];
    for (mode, egress, is_mode, is_egress, measured) in rows {
        let lab = site::lab()?;
        let [server, client, stranger] =
            [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
        let nginx = site::nginx(&lab)?;
        let policy = site::write(&lab, "policy.toml", &site::orders(&lab, "")?)?;
        let arguments = ["--policy", &policy, "--xdp-mode", mode, "--egress", egress];
        let weir = Weir::start(&lab, server, &arguments)?;
        assert_eq!(site::answered(client, server)?, [true; 2], "{mode} {egress}");
        assert_eq!(site::answered(stranger, server)?, [false; 2], "{mode} {egress}");
        let reading = Reading::at_rest(&weir)?;
        let interface = &reading.status["interfaces"][0];
        let is = (&interface["mode"], &interface["egress"]);
        assert_eq!(is, (&is_mode.into(), &is_egress.into()));
        let requests = reading.requests(&[("http_response_status_code", "200")]);
        let expected = if measured { nginx.requests()?.len() as u64 } else { 0 };
        assert_eq!(requests, expected, "{mode} {egress}");

        // And another policy can be put in force.
        weir.verb(&["apply", &policy])?.success()?;
        assert_eq!(site::answered(client, server)?, [true; 2], "{mode} {egress} after apply");
        let reading = Reading::at_rest(&weir)?;
        let requests = reading.requests(&[("http_response_status_code", "200")]);
        let expected = if measured { nginx.requests()?.len() as u64 } else { 0 };
        assert_eq!(requests, expected, "{mode} {egress} after apply");
    }
    Ok(())
}

#[test]
fn loopback_is_an_interface_like_others() -> Result<()> {
    let lab = site::lab()?;
    let server = lab.host("server")?;
    let nginx = site::nginx(&lab)?;
    let policy = format!(
        "[groups.local]\ncidrs = [\"127.0.0.1\"]\n\n\
         [[api]]\nname = \"orders\"\nlisten = [\"tcp/{PORT}\"]\nallow = [\"local\"]\n"
    );
    let policy = site::write(&lab, "policy.toml", &policy)?;
    let plan = Plan { interfaces: &["lo"], arguments: &["--policy", &policy], ..Plan::default() };
    let weir = Weir::launch(&lab, server, &plan)?;
    assert_eq!(site::ask(server, "127.0.0.1".parse()?, PORT)?.status, 200);
    assert_eq!(site::ask(server, "::1".parse()?, PORT)?.status, 0, "::1 is not allowed");
    let reading = Reading::now(&weir)?;
    assert!(reading.kernel("orders", "allowed") > 0);
    assert_eq!(reading.kernel("orders", "not_allowed"), 1);
    assert!(nginx.requests()?.is_empty(), "the log leaves out the server's own");
    Ok(())
}
