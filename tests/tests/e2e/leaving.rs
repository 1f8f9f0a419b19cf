//! Taking weir away leaves nothing; several of it live side by side.

use anyhow::Result;
use weir_tests::lab::{Host, INTERFACE, Lab};
use weir_tests::weir::{Plan, Weir};

use crate::site;

/// What is attached to the host's interface.
fn attached(host: &Host) -> Result<[bool; 3]> {
    let link = host.netns.ip(&format!("-details link show dev {INTERFACE}"))?;
    let limit = std::time::Duration::from_secs(10);
    let filters = host.netns.run("tc", &["filter", "show", "dev", INTERFACE, "egress"], limit)?;
    let qdisc = host.netns.run("tc", &["qdisc", "show", "dev", INTERFACE], limit)?;
    Ok([
        link.contains("prog/xdp"),
        filters.success()?.contains("weir_egress"),
        qdisc.success()?.contains("clsact"),
    ])
}

#[test]
fn detach_leaves_nothing() -> Result<()> {
    for (egress, alive) in [("tcx", true), ("tcx", false), ("clsact", true), ("clsact", false)] {
        let lab = site::lab()?;
        let [server, client, stranger] =
            [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
        let _nginx = site::nginx(&lab)?;
        let policy = site::write(&lab, "policy.toml", &site::orders(&lab, "")?)?;
        let arguments = ["--policy", &policy, "--egress", egress];
        let mut weir = Weir::start(&lab, server, &arguments)?;
        assert_eq!(site::answered(stranger, server)?, [false; 2]);
        assert_eq!(attached(server)?, [true, egress == "clsact", egress == "clsact"]);
        weir.verb(&["ban", "add", &client.v4().to_string(), "--forever"])?.success()?;
        if !alive {
            weir.crash()?;
        }
        let output = weir.detach()?.success()?;
        assert!(output.contains(INTERFACE), "{output}");
        if alive {
            assert_eq!(weir.ended()?, 0, "the daemon ends");
        }
        assert_eq!(attached(server)?, [false; 3], "{egress}, daemon {alive}: still attached");
        assert!(!weir.pins().exists(), "{egress}, daemon {alive}: pins are left");
        for host in [client, stranger] {
            assert_eq!(site::answered(host, server)?, [true; 2], "everybody passes");
        }
        assert!(weir.detach()?.success()?.contains("nothing"), "a second time");
    }
    Ok(())
}

/// A daemon that is killed while it tries a policy out leaves tables pinned in directories of their own,
/// which the next one, or `weir detach`, removes.
#[test]
fn what_a_trial_left_goes() -> Result<()> {
    let lab = site::lab()?;
    let mut weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    let left = ["forecast", "rehearsal"].map(|name| weir.pins().join(name));
    let leave = || -> Result<()> {
        for directory in &left {
            std::fs::create_dir_all(directory.join("v1/links/of-1"))?;
        }
        Ok(())
    };
    weir.crash()?;
    leave()?;
    weir.start_again()?;
    assert!(left.iter().all(|directory| !directory.exists()), "the next start removes them");
    for alive in [false, true] {
        leave()?;
        if !alive {
            weir.crash()?;
        }
        weir.detach()?.success()?;
        assert!(!weir.pins().exists(), "daemon {alive}: pins are left");
        if !alive {
            weir.start_again()?;
        }
    }
    assert_eq!(weir.ended()?, 0);
    Ok(())
}

/// Priority, handle and program of our filter, as tc shows them.
fn filter(host: &Host) -> Result<[String; 3]> {
    let limit = std::time::Duration::from_secs(10);
    let shown = host.netns.run("tc", &["filter", "show", "dev", INTERFACE, "egress"], limit)?;
    let shown = shown.success()?;
    let lines: Vec<_> = shown.lines().filter(|line| line.contains("weir_egress")).collect();
    anyhow::ensure!(lines.len() == 1, "one filter of ours: {shown}");
    let words: Vec<_> = lines[0].split_whitespace().collect();
    Ok(["pref", "handle", "id"].map(|name| {
        let place = words.iter().position(|word| *word == name);
        place.and_then(|place| words.get(place + 1)).unwrap_or(&"").to_string()
    }))
}

#[test]
fn a_filter_is_replaced_in_place_and_leaves_what_was_there() -> Result<()> {
    let lab = site::lab()?;
    let server = lab.host("server")?;
    let tc = |line: &str| -> Result<String> {
        let words: Vec<_> = line.split(' ').collect();
        server.netns.run("tc", &words, std::time::Duration::from_secs(10))?.success()
    };
    tc(&format!("qdisc add dev {INTERFACE} clsact"))?;
    let policy = site::write(&lab, "policy.toml", &site::orders(&lab, "")?)?;
    let arguments = ["--policy", &policy, "--egress", "clsact"];
    let mut weir = Weir::start(&lab, server, &arguments)?;
    let mut before = filter(server)?;
    for round in 0..3 {
        weir.verb(&["apply", &policy, "--force"])?.success()?;
        let now = filter(server)?;
        assert_eq!((&now[..2], now[2] == before[2]), (&before[..2], false), "round {round}");
        before = now;
    }
    weir.crash()?;
    weir.start_again()?;
    assert_eq!(filter(server)?[..2], before[..2], "adopted by the next daemon");
    weir.detach()?.success()?;
    assert_eq!(weir.ended()?, 0);
    assert_eq!(attached(server)?, [false, false, true], "the discipline was not weir's");

    // What others have put under a discipline that weir made stays, and so does the discipline.
    tc(&format!("qdisc del dev {INTERFACE} clsact"))?;
    let mut weir = Weir::start(&lab, server, &arguments)?;
    tc(&format!("filter add dev {INTERFACE} ingress u32 match u32 0 0 flowid 1:1"))?;
    weir.detach()?.success()?;
    assert_eq!(weir.ended()?, 0);
    assert_eq!(attached(server)?, [false, false, true], "another's filter hangs there");
    Ok(())
}

#[test]
fn on_exit_open_takes_the_filter_off_but_keeps_bans() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let _nginx = site::nginx(&lab)?;
    site::write(&lab, "policy.toml", &site::orders(&lab, "")?)?;
    let settings =
        site::write(&lab, "weir.toml", "policy = \"policy.toml\"\non_exit = \"open\"\n")?;
    let mut weir = Weir::start(&lab, server, &["--config", &settings])?;
    weir.verb(&["ban", "add", &client.v4().to_string(), "--ttl", "5m"])?.success()?;
    assert_eq!(site::answered(stranger, server)?, [false; 2]);
    assert_eq!(weir.stop()?, 0);
    assert_eq!(site::answered(stranger, server)?, [true; 2], "stopped in order: open");
    weir.start_again()?;
    assert_eq!(site::answered(stranger, server)?, [false; 2]);
    assert_eq!(site::answered(client, server)?, [false, true], "the ban is still there");
    weir.crash()?;
    assert_eq!(site::answered(stranger, server)?, [false; 2], "a crash is no orderly end");
    Ok(())
}

/// A second wire between two hosts: `eth1`, 198.51.100.N and 2001:db8:ff::N.
fn second_wire(lab: &Lab) -> Result<()> {
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let peer = client.netns.name();
    server.netns.ip(&format!("link add eth1 type veth peer name eth1 netns {peer}"))?;
    for (host, n) in [(server, 1), (client, 2)] {
        host.netns.ip("link set eth1 up")?;
        host.netns.ip(&format!("address add 198.51.100.{n}/24 dev eth1"))?;
        host.netns.ip(&format!("address add 2001:db8:ff::{n}/64 dev eth1 nodad"))?;
    }
    Ok(())
}

const OTHER: [&str; 2] = ["198.51.100.1", "2001:db8:ff::1"];

/// Whether the client is answered over the second wire.
fn answered(lab: &Lab) -> Result<[bool; 2]> {
    let client = lab.host("client")?;
    let mut answers = [false; 2];
    for (answer, address) in answers.iter_mut().zip(OTHER) {
        *answer = site::ask(client, address.parse()?, site::PORT)?.status == 200;
    }
    Ok(answers)
}

#[test]
fn several_interfaces_are_one_gate() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    second_wire(&lab)?;
    let policy = site::write(&lab, "policy.toml", &site::orders(&lab, "")?)?;
    let interfaces = [INTERFACE, "eth1"];
    let arguments = ["--policy", policy.as_str()];
    let plan = Plan { interfaces: &interfaces, arguments: &arguments, ..Plan::default() };
    let mut weir = Weir::launch(&lab, server, &plan)?;
    assert_eq!(site::answered(client, server)?, [true; 2]);
    assert_eq!(answered(&lab)?, [false; 2], "the same policy on the other one");
    let wider = site::orders(&lab, "")?
        .replace("cidrs = [", "cidrs = [\"198.51.100.2\", \"2001:db8:ff::2\", ");
    std::fs::write(&policy, wider)?;
    weir.verb(&["apply", &policy])?.success()?;
    assert_eq!((site::answered(client, server)?, answered(&lab)?), ([true; 2], [true; 2]));
    weir.verb(&["ban", "add", "198.51.100.2", "--ttl", "5m"])?.success()?;
    assert_eq!(answered(&lab)?, [false, true]);
    let status = weir.status()?;
    let names: Vec<_> = status["interfaces"].as_array().into_iter().flatten().collect();
    assert_eq!(names.len(), 2, "{status}");

    weir.detach()?.success()?;
    assert_eq!(weir.ended()?, 0);
    assert_eq!(answered(&lab)?, [true; 2], "detached from both");
    Ok(())
}

#[test]
fn two_instances_live_side_by_side() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    second_wire(&lab)?;
    let policy = site::write(&lab, "policy.toml", &site::orders(&lab, "")?)?;
    let arguments = ["--policy", policy.as_str()];
    let first = Weir::start(&lab, server, &arguments)?;
    let plan =
        Plan { name: "other", interfaces: &["eth1"], metrics: "127.0.0.1:9721", arguments: &[] };
    let mut second = Weir::launch(&lab, server, &plan)?;
    assert_eq!((site::answered(client, server)?, answered(&lab)?), ([true; 2], [true; 2]));
    for (prefix, expected) in [(client.v4().to_string(), true), ("198.51.100.2".into(), false)] {
        second.verb(&["ban", "add", &prefix, "--ttl", "5m"])?.success()?;
        assert_eq!(answered(&lab)?, [expected, true], "{prefix}");
    }
    assert_eq!(site::answered(client, server)?, [true; 2], "bans are the other one's");
    second.detach()?.success()?;
    assert_eq!(second.ended()?, 0);
    assert_eq!(answered(&lab)?, [true; 2]);
    assert_eq!(first.status()?["interfaces"][0]["name"], INTERFACE, "the first goes on");
    assert_eq!(site::answered(lab.host("stranger")?, server)?, [false; 2]);
    Ok(())
}
