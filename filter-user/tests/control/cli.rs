//! The binary itself: exit codes, what goes to which stream, JSON that parses.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use super::Served;

fn weir(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(arguments)
        .env_remove("NO_COLOR")
        .output()
        .expect("the binary runs")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it was not killed")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("one JSON value")
}

const VALID: &str = "[policy]\nname = \"edge\"\nversion = 1\n\n\
    [[api]]\nname = \"orders\"\nlisten = [\"tcp/8080\"]\nallow = \"any\"\n";

#[test]
fn without_a_daemon() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("writes");
        path.display().to_string()
    };
    let valid = file("valid.toml", VALID);
    let broken = file("broken.toml", "[policy]\nname = \"edge\"\nversion = 2\n[[api]]\nnmae = 1\n");
    let none = directory.path().join("none.toml").display().to_string();
    let socket = directory.path().join("none.sock").display().to_string();
    // arguments, exit code, a part of standard output, a part of standard error
    let rows: [(&[&str], i32, &str, &str); 16] = [
        (&["--help"], 0, "Start here:", ""),
        (&["ban", "add", "--help"], 0, "Examples:", ""),
        (&["--version"], 0, "weir 0.", ""),
        (&["version", "--json"], 0, "\"schema\"", ""),
        (&[], 2, "", "Usage:"),
        (&["statsu"], 2, "", "status"),
        (&["explain", "::1", "::2", "--proto", "tcp"], 2, "", "--dport"),
        (&["explain", "::1", "::2", "--proto", "17"], 2, "", "udp goes to a port"),
        (&["explain", "::1", "192.0.2.1", "--dport", "1"], 2, "", "different families"),
        (&["ban", "add", "192.0.2.1"], 2, "", "--ttl"),
        (&["completions", "bash"], 0, "_weir()", ""),
        (&["check", &valid], 0, "valid: policy `edge`, 1 API,", ""),
        (&["check", &broken], 1, "broken.toml:3:11: error:", ""),
        (&["check", &none], 2, "", "none.toml"),
        (&["status", "--socket", &socket], 2, "", "no daemon answers on"),
        (&["status", "--socket", &socket, "--json"], 2, "\"unavailable\"", ""),
    ];
    for (arguments, expected, out, err) in rows {
        let output = weir(arguments);
        let (shown_out, shown_err) = (stdout(&output), stderr(&output));
        assert_eq!(code(&output), expected, "{arguments:?}: {shown_out}{shown_err}");
        assert!(shown_out.contains(out), "{arguments:?}: {shown_out}");
        assert!(shown_err.contains(err), "{arguments:?}: {shown_err}");
        assert_eq!(shown_out.is_empty(), out.is_empty(), "{arguments:?}: {shown_out}");
        assert_eq!(shown_err.is_empty(), err.is_empty(), "{arguments:?}: {shown_err}");
    }
    let checked = json(&weir(&["check", "--json", &broken]));
    assert_eq!(checked["valid"], false);
    assert!(checked["diagnostics"].as_array().expect("a list").len() >= 2, "{checked}");
}

#[test]
fn with_a_daemon() {
    let served = Served::start();
    let socket = served.socket.display().to_string();
    let ask = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--socket", &socket]);
        weir(&all)
    };
    let file = |name: &str| {
        let path = served.directory().join(name);
        fs::write(&path, VALID).expect("writes");
        path.display().to_string()
    };
    let proof = served.directory().join("proof.json").display().to_string();
    let reports = served.directory().join("reports").display().to_string();
    let posture = served.directory().join("posture/").display().to_string();
    let (good, bad) = (file("good.toml"), file("bad.toml"));
    served.daemon.event(r#"{"time":"t","event":"ban_added","severity":"notice"}"#);
    // In this order: what one leaves, the next finds. Arguments, exit code, a part of the output.
    let explain = ["explain", "192.0.2.7", "192.0.2.1", "--dport", "80"];
    let report = served.directory().join("report.html").display().to_string();
    let rows: [(&[&str], i32, &str); 51] = [
        (&["status"], 0, "ATTACHED NOWHERE"),
        (&["apply", &bad], 1, "bad.toml:3:1: error: unknown key `alow`"),
        (&["apply", &good], 0, "applied `edge` as generation 1"),
        (&["status"], 0, "policy `edge`"),
        (&explain, 0, "PASS"),
        (&["ban", "add", "192.0.2.7", "--ttl", "30s", "--reason", "a test"], 0, "30s left"),
        (&["ban", "add", "192.0.2.8", "--ttl", "30s", "--api", "no"], 1, "there is `orders`"),
        (&explain, 1, "DROP"),
        (&["ban", "list"], 0, "192.0.2.7  whole host  30s left"),
        (&["ban", "del", "192.0.2.7"], 0, "no longer banned: 192.0.2.7"),
        (&["ban", "del", "192.0.2.7"], 1, "192.0.2.7 is not banned"),
        (&["monitor", "on", "orders", "--ttl", "1h"], 0, "mode monitor by an operator, 1h left"),
        (&["breach", "lockdown", "orders", "--group", "partners"], 0, "locked down to partners"),
        (&["breach", "status"], 0, "locked down to partners  when lifted"),
        (&["breach", "lift", "orders"], 0, "nothing ordered"),
        (&["breach", "run", "leak", "--ttl", "2h"], 0, "orders: shutdown for 2h"),
        (&["breach", "run", "leek"], 1, "no such playbook"),
        (&["breach", "playbooks"], 0, "never"),
        (&["breach", "drill", "leak"], 1, "/state/drills/leak.md"),
        (&["breach", "drill", "leak", "--output", &reports], 1, "leak-0.json"),
        (&["actions"], 0, "held"),
        (&["actions", "list", "--all"], 0, "done"),
        (&["actions", "approve", "12"], 0, "12 done"),
        (&["actions", "reject", "12"], 0, "12 rejected"),
        (&["actions", "undo", "12"], 0, "12 undone"),
        (&["actions", "undo", "13"], 1, "no such action"),
        (&["actions", "stop", "--reason", "x"], 0, "until `weir actions start`"),
        (&["actions", "start"], 0, "taken, mode act"),
        (&["apis"], 0, "orders"),
        (&["apis", "show", "orders"], 0, "no endpoints were seen"),
        (&["apis", "show", "no"], 1, "there is `orders`"),
        (&["apis", "openapi", "orders"], 0, "\"openapi\": \"3.1.0\""),
        (&["apis", "drift", "orders"], 1, "never used"),
        (&["apis", "rare", "-n", "1"], 0, "FIRST SEEN"),
        (&["findings"], 0, "f-1"),
        (&["findings", "show", "f"], 0, "closed"),
        (&["findings", "show", "g"], 1, "there is no finding g"),
        (&["evidence", "--source", "192.0.2.7", "--output", &proof], 0, "about 5 ± 0"),
        (&["evidence", "--source", "192.0.2.8"], 1, "nothing is known"),
        (&["evidence"], 2, "--source ADDRESS or --api NAME"),
        (&["assess"], 0, "| Reached by | any source |"),
        (&["assess", "--fail-on", "high"], 1, "## Layers"),
        (&["assess", "--fail-on", "critical"], 0, "This is the first report."),
        (&["assess", "--keep"], 0, "orders: Rate limit: present → missing"),
        (&["assess", "--output", &report], 0, "report.html"),
        (&["assess", "--output", &posture, "--fail-on", "info"], 1, "20260225T061320Z.json"),
        (&["assess", "--format", "html"], 0, "<!DOCTYPE html>"),
        (&["assess", "--json"], 0, "\"report\": 1"),
        (&["assess", "--json", "--format", "md"], 2, "cannot be used with"),
        (&["events"], 0, "t  notice    ban_added"),
        (&["detach"], 0, "detached from eth0, 1 pinned object removed"),
    ];
    for (arguments, expected, part) in rows {
        let output = ask(arguments);
        let shown = stdout(&output) + &stderr(&output);
        assert_eq!(code(&output), expected, "{arguments:?}: {shown}");
        assert!(shown.contains(part), "{arguments:?}: {shown}");
    }
    // A report is written down again without a daemon, byte for byte.
    let kept = format!("{posture}posture-20260225T061320Z");
    for ending in ["md", "html", "json"] {
        let from = format!("{kept}.json");
        let again = weir(&["assess", "--from", &from, "--format", ending]);
        let first = fs::read_to_string(format!("{kept}.{ending}")).expect("reads");
        assert_eq!((code(&again), stdout(&again)), (0, first), "{ending}");
    }
    // What was written is checked without a daemon.
    let verified = weir(&["evidence", "verify", &proof]);
    assert_eq!(code(&verified), 0, "{}", stdout(&verified));
    let text = fs::read_to_string(&proof).expect("reads").replacen("\"kept\":3", "\"kept\":4", 1);
    fs::write(&proof, text).expect("writes");
    let verified = weir(&["evidence", "verify", &proof]);
    assert_eq!(code(&verified), 1);
    assert!(stdout(&verified).contains("reached was changed"), "{}", stdout(&verified));
}

#[test]
fn answers_and_refusals_are_json_on_standard_output() {
    let served = Served::start();
    let socket = served.socket.display().to_string();
    let ask = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--json", "--socket", &socket]);
        weir(&all)
    };
    let added = json(&ask(&["ban", "add", "2001:db8::/64", "--ttl", "2d"]));
    assert_eq!(
        (&added["prefix"], &added["remaining_seconds"]),
        (&"2001:db8::/64".into(), &172_800.into())
    );
    assert_eq!(json(&ask(&["ban", "list"])).as_array().map(Vec::len), Some(1));
    assert_eq!(json(&ask(&["status"]))["bans"], 1);
    let refused = ask(&["breach", "shutdown", "no"]);
    assert_eq!(code(&refused), 1);
    let error = &json(&refused)["error"];
    assert_eq!(
        (&error["code"], &error["hint"]),
        (&"not_found".into(), &"there is `orders`".into())
    );
    served.daemon.event(r#"{"n":1}"#);
    assert_eq!(stdout(&ask(&["events"])), "{\"n\":1}\n");
}

#[test]
fn doctor_says_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let (pins, socket) = (directory.path().join("pins"), directory.path().join("none.sock"));
    let output = weir(&[
        "doctor",
        "--json",
        "--interface",
        "no-such-if",
        "--metrics",
        "127.0.0.1:0",
        "--pins",
        &pins.display().to_string(),
        "--socket",
        &socket.display().to_string(),
    ]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["healthy"], false);
    let checks = report["checks"].as_array().expect("a list");
    let state = |name: &str| {
        let check = checks.iter().find(|check| check["name"] == name);
        check.expect(name)["state"].as_str().expect("text").to_owned()
    };
    assert_eq!(state("interface no-such-if"), "fail");
    assert_eq!(state("bpf file system"), "fail");
    assert_eq!(state("daemon"), "warn");
    assert_eq!(state("metrics"), "ok");
}
