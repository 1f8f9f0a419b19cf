//! A first policy from what is known of a host. Pure: text from facts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use serde::Serialize;

use super::look::{Host, Interface, Socket, is_loopback, network};
use crate::cli::human::plural;
use crate::cli::style::clean;
use crate::policy::{Listen, Port, Protocol};

/// Services that become APIs, well below what a daemon has room for by default.
const MOST_SERVICES: usize = 100;
/// Listens with an address that the policy takes on one port.
const MOST_ADDRESSES: usize = 64;
/// Neighbours, and sockets that are left out, that are named.
const SHOWN: usize = 8;
/// Longest name of a program in the name of an API, which has 63 bytes with port and number.
const LONGEST: usize = 48;
/// Programs that speak SSH: counted, never parsed.
const SSH: [&str; 3] = ["sshd", "dropbear", "sshd-session"];
/// The column where comments begin.
const COLUMN: usize = 37;

/// A service, as it becomes an API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Service {
    /// The API's name.
    pub(super) name: String,
    /// The program's, when that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) program: Option<String>,
    /// Where it is reached, as the policy writes it.
    pub(super) listen: Vec<String>,
    /// It is SSH.
    #[serde(skip)]
    is_ssh: bool,
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Draft {
    /// The policy.
    pub(super) text: String,
    /// Its APIs.
    pub(super) services: Vec<Service>,
    /// What whoever asked is to be told.
    pub(super) notes: Vec<String>,
}

/// What a program has on a port; without a program each protocol is one of its own.
type Key = (Option<String>, u16, Option<Protocol>);

/// The first policy of a host.
pub(super) fn draft(host: &Host) -> Draft {
    let mut notes = Vec::new();
    let services = services(host, &mut notes);
    let mut text = head(host);
    trusted(host, &services, &mut text, &mut notes);
    groups(host, &mut text);
    apis(&services, &mut text, &mut notes);
    Draft { text, services, notes }
}

fn services(host: &Host, notes: &mut Vec<String>) -> Vec<Service> {
    let open = |socket: &&Socket| !is_loopback(socket.address.ip());
    let mut by_key: BTreeMap<(u16, Key), BTreeSet<Listen>> = BTreeMap::new();
    let mut taken: BTreeMap<Listen, Option<String>> = BTreeMap::new();
    let mut shared = BTreeSet::new();
    let mut crowded = BTreeSet::new();
    // Unspecified addresses sort first: a program that has them needs no other.
    for socket in host.sockets.iter().filter(open).filter(|socket| !socket.client) {
        let port = Port { protocol: socket.protocol(), port: socket.address.port() };
        let address = Some(socket.address.ip()).filter(|address| !address.is_unspecified());
        let listen = Listen { port, address };
        let alone = socket.program.is_none().then(|| socket.protocol());
        let key: Key = (socket.program.clone(), port.port, alone);
        if let Some(other) = taken.get(&listen) {
            if *other != socket.program {
                shared.insert(format!("{listen} is open in {} too", named(&socket.program)));
            }
            continue;
        }
        let on_port = |held: &&Listen| held.port == port && held.address.is_some();
        if address.is_some() && taken.keys().filter(on_port).count() >= MOST_ADDRESSES {
            crowded.insert(port.to_string());
            continue;
        }
        taken.insert(listen, socket.program.clone());
        by_key.entry((port.port, key)).or_default().insert(listen);
    }
    notes.extend(shared.into_iter().map(|what| format!("{what}; the first named has it")));
    for port in crowded {
        notes.push(format!(
            "{port} is open on more than {MOST_ADDRESSES} addresses: the rest is unclaimed"
        ));
    }
    if by_key.len() > MOST_SERVICES {
        notes.push(format!(
            "{} listen here: the first {MOST_SERVICES} ports are in the policy, the rest is unclaimed",
            plural(by_key.len() as u64, "service")
        ));
    }
    let mut names = BTreeSet::new();
    let unnamed = by_key.keys().filter(|(_, key)| key.0.is_none()).count();
    if unnamed > 0 {
        notes.push(format!(
            "the programs of {} could not be named: they are of other users (root sees those) or of another PID namespace",
            plural(unnamed as u64, "service")
        ));
    }
    let ssh_port = host.ssh.map(|ssh| ssh.local.port());
    by_key
        .into_iter()
        .take(MOST_SERVICES)
        .map(|((number, (program, ..)), listens)| {
            let has_all = |port: Port| listens.contains(&Listen { port, address: None });
            let listen: Vec<Listen> = listens
                .iter()
                .filter(|listen| listen.address.is_none() || !has_all(listen.port))
                .copied()
                .collect();
            let tcp = listen.iter().any(|listen| listen.port.protocol == Protocol::Tcp);
            let is_ssh = tcp
                && (ssh_port == Some(number)
                    || program.as_deref().is_some_and(|program| SSH.contains(&program)));
            let stem = program
                .as_deref()
                .map_or(if tcp { "tcp".to_owned() } else { "udp".to_owned() }, stem);
            let name = unique(&format!("{stem}-{number}"), &mut names);
            let listen = listen.iter().map(ToString::to_string).collect();
            Service { name, program, listen, is_ssh }
        })
        .collect()
}

fn named(program: &Option<String>) -> String {
    program.as_deref().map_or_else(|| "a program that could not be named".to_owned(), clean)
}

/// What of a program's name an API's name can have.
fn stem(program: &str) -> String {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_');
    let name: String = program
        .to_ascii_lowercase()
        .chars()
        .map(|c| if fits(c) { c } else { '-' })
        .take(LONGEST)
        .collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).trim_end_matches('-');
    if name.is_empty() { "service".to_owned() } else { name.to_owned() }
}

/// The name, with a number when it is taken.
fn unique(name: &str, names: &mut BTreeSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
    let free = candidates.find(|name| !names.contains(name)).unwrap_or_default();
    names.insert(free.clone());
    free
}

/// A line with a comment after it.
fn line(text: &mut String, setting: &str, comment: &str) {
    let width = COLUMN.max(setting.chars().count() + 3);
    let _infallible = match comment {
        "" => writeln!(text, "{setting}"),
        _ => writeln!(text, "{setting:width$}# {comment}"),
    };
}

fn head(host: &Host) -> String {
    let mut text = String::new();
    let name = Some(clean(&host.name)).filter(|name| !name.is_empty());
    let of = name.map_or_else(String::new, |name| format!(" for {name}"));
    let _infallible = write!(
        text,
        "# A first policy{of}, written by `weir init` from what it found. It counts and drops nothing:\n\
         # every API is in monitor mode, and what no API claims passes. docs/policy.md describes every key.\n\
         #\n# Interfaces:\n"
    );
    let shown = host.interfaces.iter().filter(|face| face.up || !face.addresses.is_empty());
    for face in shown.take(SHOWN * 4) {
        let mut parts = vec![if face.up { "up" } else { "down" }.to_owned()];
        if !face.driver.is_empty() {
            parts.push(format!("driver {}", clean(&face.driver)));
        }
        let addresses =
            face.addresses.iter().map(|(address, length)| format!("{address}/{length}"));
        parts.extend(listed(addresses.collect()));
        let _infallible = writeln!(text, "#   {}: {}", clean(&face.name), parts.join(", "));
    }
    if host.interfaces.is_empty() {
        text.push_str("#   none but loopback\n");
    }
    for (client, what) in [
        (false, "Reached from this host alone, and so not here"),
        (true, "Left out, because their ports are those given to clients"),
    ] {
        let sockets = host.sockets.iter().filter(|socket| {
            let is_loopback = is_loopback(socket.address.ip());
            if client { socket.client && !is_loopback } else { is_loopback && !socket.client }
        });
        let mut found: Vec<String> = sockets
            .map(|socket| {
                let port = format!("{}/{}", socket.protocol, socket.address.port());
                let program = socket.program.as_deref();
                program
                    .map_or_else(|| port.clone(), |program| format!("{port} ({})", clean(program)))
            })
            .collect();
        found.dedup();
        if let Some(found) = listed(found) {
            let _infallible = writeln!(text, "# {what}: {found}.");
        }
    }
    let _infallible = write!(text, "\n[policy]\nname = \"first\"\nversion = 1\n\n");
    text
}

/// The first of them, and how many more there are; none of none.
fn listed(mut names: Vec<String>) -> Option<String> {
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    let shown = names.join(", ");
    match more {
        _ if shown.is_empty() => None,
        0 => Some(shown),
        _ => Some(format!("{shown} and {more} more")),
    }
}

fn trusted(host: &Host, services: &[Service], text: &mut String, notes: &mut Vec<String>) {
    text.push_str(
        "# The way back in: who is listed is never refused, limited or banned on these ports. Keep it small.\n",
    );
    // What comes in by loopback is not gated.
    if let Some(ssh) = host.ssh.filter(|ssh| !is_loopback(ssh.peer.ip())) {
        let (peer, port) = (ssh.peer.ip(), ssh.local.port());
        text.push_str("[trusted]\n");
        line(text, &format!("cidrs = [\"{peer}\"]"), "from where you work over SSH at this moment");
        line(text, &format!("ports = [\"tcp/{port}\"]"), "where your connection comes in");
        notes.push(format!(
            "trusted is {peer} at tcp/{port}, from where you work over SSH; add where else operators come from"
        ));
    } else {
        let ssh = services.iter().find(|service| service.is_ssh);
        let port = ssh.and_then(|service| service.listen.first()?.rsplit_once('/'));
        let port = port.map_or("22", |(_, port)| port);
        text.push_str(
            "# No SSH session was found: write down where operators come from.\n# [trusted]\n",
        );
        line(text, "# cidrs = [\"192.0.2.10\"]", "where you log in from");
        line(text, &format!("# ports = [\"tcp/{port}\"]"), "where you log in");
        notes.push(
            "you do not work over SSH from elsewhere, so nobody is trusted yet: see [trusted] in the policy"
                .to_owned(),
        );
    }
    text.push('\n');
}

/// The networks of an interface in which somebody was seen, with who.
fn networks(face: &Interface) -> BTreeMap<(IpAddr, u8), Vec<IpAddr>> {
    let local = |address: IpAddr| match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_loopback(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address.is_loopback(),
    };
    let mut found = BTreeMap::new();
    for &(address, length) in face.addresses.iter().filter(|(address, _)| !local(*address)) {
        let base = network(address, length);
        let inside =
            |who: &&IpAddr| who.is_ipv4() == address.is_ipv4() && network(**who, length) == base;
        let seen: Vec<IpAddr> = face.neighbours.iter().filter(inside).copied().collect();
        if !seen.is_empty() && length > 0 {
            found.insert((base, length), seen);
        }
    }
    found
}

fn groups(host: &Host, text: &mut String) {
    let mut names = BTreeSet::new();
    let mut proposals = String::new();
    for face in &host.interfaces {
        let networks = networks(face);
        if networks.is_empty() {
            continue;
        }
        let name = unique(&format!("lan-{}", stem(&face.name)), &mut names);
        // A dot would begin a table inside the table.
        let _infallible = writeln!(proposals, "# [groups.{}]\n# cidrs = [", name.replace('.', "-"));
        for ((base, length), seen) in networks {
            let shown = seen.iter().map(ToString::to_string).collect();
            let comment = format!("seen: {}", listed(shown).unwrap_or_default());
            line(&mut proposals, &format!("#     \"{base}/{length}\","), &comment);
        }
        proposals.push_str("# ]\n");
    }
    if !proposals.is_empty() {
        let _infallible = write!(
            text,
            "# Proposals: the networks that neighbours were seen in, to allow them and nobody else. Clients from\n\
             # further away come by a gateway, and are not among them: `weir top` shows who asks.\n{proposals}\n"
        );
    }
}

fn apis(services: &[Service], text: &mut String, notes: &mut Vec<String>) {
    if services.is_empty() {
        text.push_str(
            "# Nothing listens on an address that others can reach. An API looks like this:\n",
        );
        text.push_str(
            "# [[api]]\n# name = \"orders\"\n# listen = [\"tcp/8080\"]\n# mode = \"monitor\"\n# allow = \"any\"\n",
        );
        notes.push(
            "nothing listens on an address that others can reach: the policy has no API".to_owned(),
        );
        return;
    }
    text.push_str(
        "# One API for each service. The way from here: say who may come (`allow`), let `weir tune` propose limits\n\
         # once there was traffic, look at WOULD in `weir status`, and set mode = \"enforce\" where it is right.\n",
    );
    for service in services {
        let _infallible = writeln!(text, "\n[[api]]\nname = \"{}\"", service.name);
        let program = service.program.as_deref();
        let who = program.map_or_else(|| "a program that could not be named".to_owned(), clean);
        let listen = service.listen.iter().map(|listen| format!("\"{listen}\""));
        line(text, &format!("listen = [{}]", listen.collect::<Vec<_>>().join(", ")), &who);
        if service.is_ssh {
            line(text, "kind = \"opaque\"", "SSH: gated and counted, never parsed");
        }
        line(text, "mode = \"monitor\"", "counts what it would drop; then: \"enforce\"");
        line(text, "allow = \"any\"", "then: names of groups");
        let tcp = service.listen.iter().any(|listen| listen.contains("tcp/"));
        let connections = if tcp { ", connections = \"50/s\"" } else { "" };
        line(text, &format!("# limit = {{ packets = \"2000/s\"{connections} }}"), "of each source");
    }
}
