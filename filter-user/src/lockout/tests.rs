//! Policies, and whether they lock out somebody who works over SSH.

use super::*;
use crate::policy::{compile, parse};
use crate::text::render;

const API: &str = "[[api]]\nname = \"ssh\"\nlisten = [\"tcp/22\"]\n";
const TRUST: &str = "[trusted]\ncidrs = [\"192.0.2.10\"]\n";
/// Somebody else, so that the rule about trust is kept.
const OTHER: &str = "[trusted]\ncidrs = [\"203.0.113.1\"]\nports = [\"tcp/22\"]\n";

fn connection(peer: &str, local: &str) -> Connection {
    let parse = |text: &str| text.parse().expect("an address");
    Connection { local: parse(local), peer: parse(peer) }
}

fn refusal(text: &str, connection: &Connection) -> Option<String> {
    let text =
        format!("[policy]\nname = \"edge\"\n\n[groups.g]\ncidrs = [\"198.51.100.0/24\"]\n\n{text}");
    let loaded = parse(&text, std::path::Path::new(""), "edge.toml");
    let policy = loaded.policy.unwrap_or_else(|| panic!("{}", render(&loaded.diagnostics)));
    let mut ids = Ids::new(16);
    let image = compile(&policy, &mut ids).expect("compiles");
    let state = State::new(16, 1);
    let case =
        Case { policy: &policy, image: &image, ids: &ids, state: &state, seed: 7, boot_ns: 1 };
    let faces = ["eth0".to_owned(), "eth1".to_owned()];
    case.admit(connection, &faces).err().map(|error| {
        assert!(error.hint.contains("[trusted]") && error.hint.contains("--force"), "{error:?}");
        error.message
    })
}

#[test]
fn who_is_locked_out_by_what() {
    let v4 = connection("192.0.2.10:50000", "192.0.2.1:22");
    let v6 = connection("[2001:db8::10]:50000", "[2001:db8::1]:22");
    let api = |rest: &str| format!("{OTHER}\n{API}{rest}");
    let limited = |limit: &str| api(&format!("allow = \"any\"\nlimit = {{ {limit} }}\n"));
    let drops = "[unclaimed]\naction = \"drop\"\n";
    // policy, connection, what the refusal says; none: admitted
    let rows: [(String, &Connection, &[&str]); 23] = [
        (format!("{TRUST}\n{API}allow = [\"g\"]\n"), &v4, &[]),
        (
            api("allow = [\"g\"]\n"),
            &v4,
            &["would be dropped", "none of the groups", "ssh (edge.toml:11)"],
        ),
        (api("allow = [\"g\"]\n"), &v6, &["from [2001:db8::10]:50000 to [2001:db8::1]:22"]),
        (api("allow = [\"g\"]\nmode = \"monitor\"\n"), &v4, &[]),
        (api("allow = \"any\"\n"), &v4, &[]),
        (api("allow = \"any\"\n") + "\n[groups.me]\ncidrs = [\"192.0.2.0/24\"]\n", &v4, &[]),
        (
            api("allow = \"any\"\ndeny = [\"me\"]\n")
                + "\n[groups.me]\ncidrs = [\"192.0.2.0/24\"]\n",
            &v4,
            &["would be dropped", "a group the API denies", "edge.toml:15"],
        ),
        // Nothing is said about traffic that no API claims, or it opens no connection.
        (format!("{OTHER}\n{drops}"), &v4, &["no new connection", "[unclaimed] of edge.toml"]),
        (format!("{TRUST}\n{drops}"), &v4, &[]),
        (format!("{TRUST}\n{drops}"), &v6, &["no new connection"]),
        (OTHER.to_owned(), &v4, &[]),
        // What an API somewhere else does is nobody's business here.
        (format!("{OTHER}\n{}allow = [\"g\"]\n", API.replace("/22", "/80")), &v4, &[]),
        (
            format!("{OTHER}\n{}allow = [\"g\"]\n", API.replace("tcp/22", "192.0.2.9:tcp/22")),
            &v4,
            &[],
        ),
        // Limits that leave room for a login, and such that do not.
        (limited("packets = \"10/s\""), &v4, &[]),
        (limited("packets = \"5/s\""), &v4, &["too little for a login", "edge.toml:15"]),
        (limited("connections = \"1/min\""), &v4, &[]),
        (limited("bytes = \"500B/s\", burst = \"3s\""), &v4, &["too little for a login"]),
        (
            api("allow = \"any\"\nlimit_total = { packets = \"3/s\" }\n"),
            &v4,
            &["too little for a login", "edge.toml:15"],
        ),
        // Nobody is trusted there: now it is well, but a ban may come.
        (format!("{API}allow = \"any\"\n"), &v4, &["trusts nobody", "eth0"]),
        (format!("{API}allow = \"any\"\nmode = \"monitor\"\n"), &v4, &["trusts nobody"]),
        (format!("{TRUST}ports = [\"tcp/2222\"]\n"), &v4, &["trusts nobody there"]),
        (format!("{TRUST}interfaces = [\"eth0\"]\n"), &v4, &["trusts nobody there", "eth1"]),
        (format!("{TRUST}interfaces = [\"eth0\", \"eth1\"]\n"), &v4, &[]),
    ];
    for (text, connection, parts) in rows {
        let told = refusal(&text, connection);
        assert_eq!(told.is_some(), !parts.is_empty(), "{text}\n{told:?}");
        let told = told.unwrap_or_default();
        assert!(parts.iter().all(|part| told.contains(part)), "{text}\n{told}\n{parts:?}");
    }
}
