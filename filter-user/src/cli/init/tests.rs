//! Policies from hosts that are made up.

use std::net::IpAddr;

use super::look::{Host, Interface, Socket, Ssh};
use super::write::draft;
use super::{create, verify};
use crate::policy::{Mode, Policy, parse};

fn socket(protocol: &'static str, address: &str, program: &str) -> Socket {
    let program = Some(program).filter(|name| !name.is_empty()).map(str::to_owned);
    Socket { address: address.parse().expect(address), protocol, program, client: false }
}

fn face(name: &str, addresses: &[(&str, u8)], neighbours: &[&str]) -> Interface {
    let address = |text: &str| -> IpAddr { text.parse().expect(text) };
    Interface {
        name: name.to_owned(),
        up: true,
        driver: "veth".to_owned(),
        addresses: addresses.iter().map(|(text, length)| (address(text), *length)).collect(),
        neighbours: neighbours.iter().map(|text| address(text)).collect(),
    }
}

fn checked(text: &str) -> Policy {
    let loaded = parse(text, std::path::Path::new(""), "p.toml");
    assert_eq!(loaded.diagnostics, [], "{text}");
    loaded.policy.expect("a policy without diagnostics")
}

/// `name=listen,listen` of every API.
fn apis(policy: &Policy) -> String {
    let shown = policy.apis.iter().map(|api| {
        let listen: Vec<_> = api.listen.iter().map(|listen| listen.value.to_string()).collect();
        format!("{}={}", api.name, listen.join(","))
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn services_become_apis() {
    let cut = format!("{}-80=tcp/80", "x".repeat(48));
    let rows: &[(&str, &[Socket], &str)] = &[
        (
            "both families, both protocols",
            &[
                socket("tcp", "0.0.0.0:443", "nginx"),
                socket("tcp", "[::]:443", "nginx"),
                socket("udp", "0.0.0.0:443", "nginx"),
                socket("tcp", "0.0.0.0:80", "nginx"),
            ],
            "nginx-80=tcp/80 nginx-443=tcp/443,udp/443",
        ),
        (
            "loopback",
            &[
                socket("tcp", "127.0.0.1:5432", "postgres"),
                socket("tcp", "[::1]:5432", "postgres"),
                socket("tcp", "0.0.0.0:1", "a"),
            ],
            "a-1=tcp/1",
        ),
        (
            "addresses",
            &[socket("tcp", "192.0.2.5:80", "a"), socket("tcp", "[2001:db8::5]:80", "a")],
            "a-80=192.0.2.5:tcp/80,[2001:db8::5]:tcp/80",
        ),
        (
            "an address besides all of them",
            &[socket("udp", "0.0.0.0:123", "ntpd"), socket("udp", "192.0.2.5:123", "ntpd")],
            "ntpd-123=udp/123",
        ),
        (
            "two programs on one port",
            &[socket("tcp", "0.0.0.0:80", "a"), socket("tcp", "192.0.2.5:80", "b")],
            "a-80=tcp/80 b-80=192.0.2.5:tcp/80",
        ),
        (
            "the same place twice",
            &[socket("tcp", "0.0.0.0:80", "a"), socket("tcp", "[::]:80", "b")],
            "a-80=tcp/80",
        ),
        (
            "no right to look",
            &[socket("tcp", "0.0.0.0:53", ""), socket("udp", "0.0.0.0:53", "")],
            "tcp-53=tcp/53 udp-53=udp/53",
        ),
        (
            "names that are no names",
            &[
                socket("tcp", "0.0.0.0:80", "Web Server\"\n[x]"),
                socket("tcp", "0.0.0.0:81", "(sd-pam)"),
                socket("tcp", "0.0.0.0:82", "…"),
                socket("tcp", "0.0.0.0:83", "a b"),
                socket("tcp", "192.0.2.1:83", "a-b"),
                socket("tcp", "0.0.0.0:84", "__x"),
            ],
            "web-server---x-80=tcp/80 sd-pam-81=tcp/81 service-82=tcp/82 a-b-83=tcp/83 a-b-83-2=192.0.2.1:tcp/83 x-84=tcp/84",
        ),
        ("a long one", &[socket("tcp", "0.0.0.0:80", &"x".repeat(300))], &cut),
    ];
    for (what, sockets, expected) in rows {
        let host = Host { sockets: sockets.to_vec(), ..Host::default() };
        let draft = draft(&host);
        let policy = checked(&draft.text);
        assert_eq!(apis(&policy), *expected, "{what}\n{}", draft.text);
        assert!(policy.apis.iter().all(|api| api.mode == Mode::Monitor), "{what}");
        assert_eq!(draft.services.len(), policy.apis.len(), "{what}");
        assert_eq!(
            verify(&draft.text, "p", &host).map_err(|e| e.to_string()),
            Ok(vec![]),
            "{what}"
        );
    }
}

#[test]
fn proposals_hold_when_they_are_taken() {
    let host = Host {
        name: "edge\u{1b}[2J\n[api]".to_owned(),
        sockets: vec![
            socket("tcp", "0.0.0.0:22", "sshd"),
            socket("tcp", "0.0.0.0:80", "nginx"),
            socket("udp", "0.0.0.0:514", "rsyslogd"),
            Socket { client: true, ..socket("udp", "0.0.0.0:43210", "dhcpcd") },
            socket("tcp", "127.0.0.1:9720", "weir"),
        ],
        interfaces: vec![
            face(
                "eth0.7",
                &[("192.0.2.1", 24), ("2001:db8::1", 64), ("fe80::1", 64)],
                &["192.0.2.9", "2001:db8::9", "fe80::9", "203.0.113.1"],
            ),
            face("wg0", &[("10.0.0.1", 32)], &["10.0.0.2"]),
        ],
        ssh: Some(Ssh {
            local: "192.0.2.1:22".parse().unwrap(),
            peer: "198.51.100.7:50000".parse().unwrap(),
        }),
    };
    let draft = draft(&host);
    let policy = checked(&draft.text);
    assert_eq!(apis(&policy), "sshd-22=tcp/22 nginx-80=tcp/80 rsyslogd-514=udp/514");
    assert!(policy.trusted_by("198.51.100.7".parse().unwrap()).is_some());
    assert_eq!(policy.trusted.ports.len(), 1);
    assert!(
        draft.notes.iter().any(|note| note.contains("198.51.100.7 at tcp/22")),
        "{:?}",
        draft.notes
    );
    for part in [
        "udp/43210 (dhcpcd)",
        "tcp/9720 (weir)",
        "eth0.7: up, driver veth, 192.0.2.1/24",
        "kind = \"opaque\"",
    ] {
        assert!(draft.text.contains(part), "{part}\n{}", draft.text);
    }
    assert!(!draft.text.contains("10.0.0.2") && !draft.text.contains("fe80::/"), "{}", draft.text);
    // Take them all: groups, limits, and the group instead of everybody.
    let taken: String = draft
        .text
        .lines()
        .map(|line| {
            let inner = line.strip_prefix("# ").unwrap_or(line);
            let is_proposal = ["[groups", "cidrs", "    \"", "]", "limit"]
                .iter()
                .any(|start| inner.starts_with(start));
            let line = if is_proposal { inner } else { line };
            format!("{}\n", line.replace("allow = \"any\"", "allow = [\"lan-eth0-7\"]"))
        })
        .collect();
    let policy = checked(&taken);
    let group = &policy.groups[0].prefixes;
    assert_eq!((group.v4.len(), group.v6.len(), policy.groups.len()), (1, 1, 1), "{taken}");
    assert!(policy.apis.iter().all(|api| api.limit.is_some()), "{taken}");
}

#[test]
fn nobody_is_trusted_without_a_session() {
    let rows = [
        (None, "# ports = [\"tcp/2222\"]"),
        (
            Some(Ssh {
                local: "127.0.0.1:2222".parse().unwrap(),
                peer: "127.0.0.1:5".parse().unwrap(),
            }),
            "# ports = [\"tcp/2222\"]",
        ),
    ];
    for (ssh, part) in rows {
        let sockets = vec![socket("tcp", "[2001:db8::5]:2222", "sshd")];
        let draft = draft(&Host { ssh, sockets, ..Host::default() });
        assert!(checked(&draft.text).trusted.prefixes.is_empty());
        assert!(draft.text.contains(part), "{}", draft.text);
        assert!(draft.notes.iter().any(|note| note.contains("nobody is trusted")));
    }
}

#[test]
fn bounds() {
    let many: Vec<Socket> =
        (1..=200).map(|port| socket("tcp", &format!("0.0.0.0:{port}"), "a")).collect();
    let wide: Vec<Socket> =
        (1..=100).map(|host| socket("tcp", &format!("192.0.2.{host}:80"), "a")).collect();
    for (sockets, apis, note) in [
        (many, 100, "the first 100 ports"),
        (wide, 1, "more than 64 addresses"),
        (vec![], 0, "no API"),
    ] {
        let host = Host { sockets, ..Host::default() };
        let draft = draft(&host);
        assert!(draft.notes.iter().any(|line| line.contains(note)), "{:?}", draft.notes);
        let policy = parse(&draft.text, std::path::Path::new(""), "p").policy.expect("valid");
        assert_eq!(policy.apis.len(), apis);
    }
}

#[test]
fn no_file_is_overwritten() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("policy.toml");
    create(&file, "one").expect("there is none");
    let again = create(&file, "two").expect_err("there is one").to_string();
    assert!(again.contains("not overwritten") && again.contains("hint"), "{again}");
    assert_eq!(std::fs::read_to_string(&file).expect("the first"), "one");
    let link = directory.path().join("link.toml");
    std::os::unix::fs::symlink(directory.path().join("elsewhere"), &link).expect("a link");
    assert!(create(&link, "x").is_err(), "a link to nowhere is there too");
}
