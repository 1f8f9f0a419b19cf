//! What cannot be done is said, with what to do, exit code 2, and nothing is changed.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use weir_tests::lab::{Host, INTERFACE};
use weir_tests::process;
use weir_tests::weir::{self, Plan, Weir};

use crate::site;

#[test]
fn a_start_that_is_refused_says_why() -> Result<()> {
    let lab = site::lab()?;
    let server = lab.host("server")?;
    let first = Weir::start(&lab, server, &[])?;
    let id = first.status()?["interfaces"][0]["ingress_program"].clone();
    let socket = format!("--socket={}", first.socket().display());
    let pins = format!("--pins={}", lab.directory().join("elsewhere").display());
    // What is different, and words of the message.
    let rows: [(&str, Plan<'_>, &[&str]); 7] = [
        (
            "no such interface",
            Plan { interfaces: &["eth7"], metrics: "127.0.0.1:9721", ..Plan::default() },
            &["no interface eth7", INTERFACE],
        ),
        (
            "a port that is taken",
            Plan { metrics: weir::METRICS, ..Plan::default() },
            &[weir::METRICS, "--metrics"],
        ),
        (
            "a socket that is taken",
            Plan { metrics: "127.0.0.1:9721", arguments: &[&socket], ..Plan::default() },
            &["weir.sock", "another weir runs", "--instance"],
        ),
        (
            "an interface that another one gates",
            Plan { metrics: "127.0.0.1:9721", ..Plan::default() },
            &[INTERFACE, "weir_ingress", "weir detach"],
        ),
        (
            "pins outside of a BPF file system",
            Plan { metrics: "127.0.0.1:9721", arguments: &[&pins], ..Plan::default() },
            &["elsewhere", "not on a BPF file system", "mount -t bpf"],
        ),
        (
            "an address of somebody else",
            Plan { metrics: "192.0.2.77:9721", ..Plan::default() },
            &["192.0.2.77:9721", "does not have that address"],
        ),
        (
            "a policy that is not there",
            Plan {
                metrics: "127.0.0.1:9721",
                arguments: &["--policy", "/no/such.toml"],
                ..Plan::default()
            },
            &["/no/such.toml"],
        ),
    ];
    for (name, plan, words) in rows {
        let plan = Plan { name: "second", ..plan };
        let output = Weir::prepare(&lab, server, &plan)?.refusal()?;
        for word in words {
            assert!(output.stderr.contains(word), "{name}: no {word:?} in\n{}", output.stderr);
        }
        assert_eq!(output.code, 2, "{name}: {}", output.stderr);
        let status = first.status()?;
        assert_eq!(status["interfaces"][0]["ingress_program"], id, "{name}: the first goes on");
        let left = lab.bpf()?.join("second-server/links");
        assert!(!left.exists() || left.read_dir()?.next().is_none(), "{name}: a link is left");
    }
    Ok(())
}

/// Puts another tool's program on an interface.
fn occupy(host: &Host, interface: &str) -> Result<()> {
    // Its pins are in a mount namespace that goes with it, and so is its lock file, which two tests at once
    // would quarrel about.
    let load = format!(
        "mount -t bpf bpf /sys/fs/bpf && mount -t tmpfs run /run && exec xdp-filter load {interface} --mode native --features ipv4"
    );
    let mut command = host.netns.command("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &load]);
    process::run(&mut command, Duration::from_secs(20))?.success().map(drop)
}

/// Kernel ids of the programs at XDP and at TCX on the way out.
fn programs(host: &Host, interface: &str) -> Result<String> {
    let show = host.netns.ip(&format!("link show dev {interface}"))?;
    let xdp = show.lines().find(|line| line.contains("prog/xdp")).unwrap_or_default();
    let limit = Duration::from_secs(10);
    let words = ["filter", "show", "dev", interface, "egress"];
    let egress = host.netns.run("tc", &words, limit)?.success()?;
    Ok(format!("{xdp}\n{egress}"))
}

#[test]
fn a_start_that_one_interface_refuses_leaves_the_others_as_they_were() -> Result<()> {
    for egress in ["tcx", "clsact"] {
        let lab = site::lab()?;
        let [server, client] = [lab.host("server")?, lab.host("client")?];
        let peer = client.netns.name();
        server.netns.ip(&format!("link add eth1 type veth peer name eth1 netns {peer}"))?;
        server.netns.ip("link set eth1 up")?;
        let _nginx = site::nginx(&lab)?;
        let policy = site::write(&lab, "policy.toml", &site::orders(&lab, "")?)?;
        let arguments = ["--policy", policy.as_str(), "--egress", egress];
        let interfaces = [INTERFACE, "eth1"];
        let plan = Plan { interfaces: &interfaces, arguments: &arguments, ..Plan::default() };
        let mut weir = Weir::launch(&lab, server, &plan)?;
        let before = programs(server, INTERFACE)?;
        weir.crash()?;
        let index = server.netns.ip("-oneline link show dev eth1")?;
        let index = index.split(':').next().unwrap_or_default().to_owned();
        std::fs::remove_file(weir.pins().join(format!("links/xdp-{index}")))?;
        occupy(server, "eth1")?;
        let output = weir.refusal()?.expect_code(2)?;
        assert!(output.stderr.contains("xdpfilt"), "{}", output.stderr);
        assert!(!output.stderr.contains("has the new policy"), "{}", output.stderr);
        assert_eq!(programs(server, INTERFACE)?, before, "{egress}: the very same programs");
        assert_eq!(site::answered(lab.host("stranger")?, server)?, [false; 2], "{egress}");
        server.netns.ip("link set dev eth1 xdp off")?;
        weir.start_again()?;
        assert_ne!(programs(server, INTERFACE)?, before, "{egress}: replaced in the end");
    }
    Ok(())
}

#[test]
fn the_program_of_another_tool_is_named_and_left_alone() -> Result<()> {
    let lab = site::lab()?;
    let server = lab.host("server")?;
    occupy(server, INTERFACE)?;
    let before = programs(server, INTERFACE)?;
    assert!(before.contains("prog/xdp"), "{before}");

    let mut weir = Weir::prepare(&lab, server, &Plan::default())?;
    let output = weir.refusal()?.expect_code(2)?;
    for word in [INTERFACE, "xdpfilt", "native mode", "never replaces another's", "xdp off"] {
        assert!(output.stderr.contains(word), "{word}: {}", output.stderr);
    }
    assert_eq!(programs(server, INTERFACE)?, before, "the other goes on");
    let mut doctor = server.netns.command(weir::binary()?);
    let doctor = process::run(doctor.args(["doctor", "-i", INTERFACE]), Duration::from_secs(20))?;
    assert!(
        doctor.stdout.contains("another XDP program is attached: xdpfilt"),
        "{}",
        doctor.stdout
    );
    server.netns.ip(&format!("link set dev {INTERFACE} xdp off"))?;
    weir.start_again()
}

#[test]
fn what_may_keep_a_driver_from_xdp_is_said_before() -> Result<()> {
    let lab = site::lab()?;
    let server = lab.host("server")?;
    // A bridge has no XDP of its own.
    server.netns.ip("link add br9 mtu 9000 type bridge")?;
    server.netns.ip("link set br9 up")?;
    let mtu = "packets of this MTU (9000) do not fit into a page";
    let native = Plan {
        name: "native",
        interfaces: &["br9"],
        arguments: &["--xdp-mode", "native"],
        ..Plan::default()
    };
    let output = Weir::prepare(&lab, server, &native)?.refusal()?.expect_code(2)?;
    assert!(output.stderr.contains("cannot attach XDP to br9"), "{}", output.stderr);
    assert_eq!(
        output.stderr.matches(mtu).count(),
        2,
        "in the log and the error: {}",
        output.stderr
    );
    let auto = Plan { interfaces: &["br9"], ..Plan::default() };
    let weir = Weir::launch(&lab, server, &auto)?;
    assert_eq!(weir.status()?["interfaces"][0]["mode"], "generic");
    assert!(weir.log().contains(mtu), "{}", weir.log());
    let mut doctor = server.netns.command(weir::binary()?);
    let doctor = process::run(doctor.args(["doctor", "-i", "br9"]), Duration::from_secs(20))?;
    assert!(doctor.stdout.contains(mtu), "{}", doctor.stdout);
    Ok(())
}

/// Runs the binary with these words in a mount namespace of its own, after a shell command.
fn alone(lab: &weir_tests::lab::Lab, before: &str, words: &str) -> Result<process::Output> {
    let server = lab.host("server")?;
    let script = format!("{before} && exec {} {words}", weir::binary()?.display());
    let mut command = server.netns.command("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    process::run(&mut command, Duration::from_secs(20))
}

#[test]
fn without_a_bpf_file_system() -> Result<()> {
    let lab = site::lab()?;
    let state = lab.directory().join("state");
    let (state, socket) = (state.display(), lab.directory().join("weir.sock"));
    let socket = socket.display();
    let words = format!("run --interface {INTERFACE} --state-dir {state} --socket {socket}");
    // An empty file system over it, in this namespace only.
    let hide = "mount -t tmpfs none /sys/fs";
    let output = alone(&lab, hide, &words)?.expect_code(2)?;
    for word in ["/sys/fs/bpf", "mount -t bpf bpf /sys/fs/bpf"] {
        assert!(output.stderr.contains(word), "{word}: {}", output.stderr);
    }
    let output = alone(&lab, hide, "doctor")?;
    assert_ne!(output.code, 0, "{}", output.stdout);
    assert!(output.stdout.contains("mount -t bpf"), "{}", output.stdout);
    Ok(())
}

#[test]
fn without_rights() -> Result<()> {
    let lab = site::lab()?;
    let server = lab.host("server")?;
    let weir = Weir::start(&lab, server, &[])?;
    let nobody = |words: &[&str]| {
        let mut command = server.netns.command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
        // A copy where everybody may read it.
        command.arg(std::env::temp_dir().join(format!("{}weir", lab.prefix()))).args(words);
        process::run(&mut command, Duration::from_secs(20))
    };
    let copy = std::env::temp_dir().join(format!("{}weir", lab.prefix()));
    std::fs::copy(weir::binary()?, &copy)?;
    let scratch = tempfile::tempdir()?;
    let mut own = Command::new("chown");
    process::run(own.arg("65534").arg(scratch.path()), Duration::from_secs(5))?.success()?;
    let at = |name: &str| scratch.path().join(name).display().to_string();
    let checked = (|| -> Result<()> {
        let pins = lab.bpf()?.join("nobody").display().to_string();
        let (socket, state) = (at("weir.sock"), at("state"));
        let run = [
            "run",
            "--interface",
            INTERFACE,
            "--metrics",
            "127.0.0.1:9799",
            "--socket",
            &socket,
            "--state-dir",
            &state,
            "--pins",
            &pins,
        ];
        let output = nobody(&run)?.expect_code(2)?;
        assert!(output.stderr.contains("run as root"), "{}", output.stderr);
        let socket = weir.socket().display().to_string();
        let output = nobody(&["status", "--socket", &socket])?.expect_code(2)?;
        assert!(
            output.stderr.contains("root") && output.stderr.contains("group"),
            "{}",
            output.stderr
        );
        Ok(())
    })();
    std::fs::remove_file(&copy)?;
    checked
}

#[test]
fn without_a_daemon() -> Result<()> {
    let lab = site::lab()?;
    let weir = Weir::prepare(&lab, lab.host("server")?, &Plan::default())?;
    for verb in [&["status"][..], &["ban", "list"], &["events"], &["breach", "status"]] {
        let output = weir.verb(verb)?.expect_code(2)?;
        assert!(output.stderr.contains("weir run"), "{verb:?}: {}", output.stderr);
    }
    Ok(())
}
