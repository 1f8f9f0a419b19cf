//! The stage of a soak: servers, policies, the feed and the settings.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::lab::{Host, Lab};
use crate::nginx::Nginx;

/// HTTP/1.1 in clear text: the API that orders are given for.
pub(crate) const SHOP: u16 = 8080;
/// HTTP/2 in clear text.
pub(crate) const FAST: u16 = 8081;
/// Inside TLS.
pub(crate) const SECURE: u16 = 8443;
/// The datagrams that are counted behind the gate: no order is ever given for their API.
pub(crate) const STEADY: u16 = 8090;
/// What admits or refuses them: an API by this name in the first policy, by that one in the second.
pub(crate) const COUNTED: [&str; 2] = ["steady", "stock"];
/// Where the receiver of events listens, inside the server's namespace.
pub(crate) const RECEIVER: ([u8; 4], u16) = ([127, 0, 0, 1], 9_999);

/// nginx three times over.
pub(crate) fn servers(lab: &Lab) -> Result<[Nginx; 3]> {
    let server = lab.host("server")?;
    let directory = |name: &str| -> Result<PathBuf> {
        let path = lab.directory().join(name);
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    };
    Ok([
        Nginx::start(server, &directory("shop")?, &[("shop", SHOP)])?,
        Nginx::http2(server, &directory("fast")?, &[("fast", FAST)])?,
        Nginx::tls(server, &directory("secure")?, &[("secure", SECURE)])?,
    ])
}

/// A second wire between the server and the stranger, to be taken away and put back.
pub(crate) fn wire(lab: &Lab) -> Result<()> {
    let [server, stranger] = [lab.host("server")?, lab.host("stranger")?];
    let peer = stranger.netns.name();
    server.netns.ip(&format!("link add eth1 type veth peer name eth1 netns {peer}"))?;
    for (host, n) in [(server, 1), (stranger, 2)] {
        host.netns.ip("link set eth1 up")?;
        host.netns.ip(&format!("address add 198.51.100.{n}/24 dev eth1"))?;
    }
    Ok(())
}

/// Paths of what the daemon reads.
#[derive(Debug)]
pub(crate) struct Files {
    /// Both policies.
    pub(crate) policies: [String; 2],
    /// The feed that both name.
    pub(crate) feed: PathBuf,
    /// weir.toml.
    pub(crate) settings: String,
}

/// Writes them.
pub(crate) fn write(lab: &Lab) -> Result<Files> {
    let save = |name: &str, text: &str| -> Result<String> {
        let path = lab.directory().join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path.to_string_lossy().into_owned())
    };
    let feed = lab.directory().join("listed.txt");
    save("listed.txt", &listed(100))?;
    Ok(Files {
        policies: [save("first.toml", &first(lab)?)?, save("second.toml", &second(lab)?)?],
        feed,
        settings: save("weir.toml", SETTINGS)?,
    })
}

/// A feed of so many prefixes.
pub(crate) fn listed(prefixes: u32) -> String {
    (0..prefixes).map(|n| format!("198.{}.{}.0/25\n", 18 + n / 256 % 2, n % 256)).collect()
}

/// Two receivers that are one: `hook` gets what must not be lost, `narrow` everything, with little
/// room.
const SETTINGS: &str = r#"[sensor]
ring = "1MiB"

[[sink]]
name = "hook"
kind = "webhook"
url = "http://127.0.0.1:9999/hook"
timeout = "1s"
events = ["finding_opened", "finding_closed", "action_taken", "ban_added"]

[[sink]]
name = "narrow"
kind = "webhook"
url = "http://127.0.0.1:9999/narrow"
timeout = "1s"
spool = "64KiB"
"#;

/// Both addresses of a host, the second as its /64.
fn addresses(host: &Host) -> String {
    let network = Ipv6Addr::from_bits(host.v6().to_bits() >> 64 << 64);
    format!("cidrs = [\"{}\", \"{network}/64\"]\n", host.v4())
}

/// What both policies have.
fn common(lab: &Lab, name: &str) -> Result<String> {
    Ok(format!(
        r#"[policy]
name = "{name}"
[trusted]
cidrs = ["203.0.113.77"]
ports = ["tcp/22"]
[respond]
mode = "act"
shared_credentials = 0
shared_agents = 0
[groups.clients]
{clients}[groups.probers]
{probers}[groups.strangers]
{strangers}[groups.listed]
files = ["listed.txt"]
"#,
        clients = addresses(lab.host("client")?),
        probers = addresses(lab.host("prober")?),
        strangers = addresses(lab.host("stranger")?),
    ))
}

fn first(lab: &Lab) -> Result<String> {
    let common = common(lab, "first")?;
    let steady = COUNTED[0];
    Ok(format!(
        r#"{common}
[[api]]
name = "{steady}"
listen = ["udp/{STEADY}"]
kind = "opaque"
allow = ["clients"]

[[api]]
name = "shop"
owner = "team-shop"
listen = ["tcp/{SHOP}", "udp/{SHOP}"]
allow = ["clients", "probers", "listed"]
login = {{ routes = ["POST /login"] }}
limit = {{ packets = "200/s", connections = "20/s", requests = "300/min" }}
limit_for.clients = {{ packets = "1000000/s" }}
respond = {{ brute_force = "ban 3s", probing = "ban 3s" }}
alert = {{ error_ratio = "20%" }}

[[api]]
name = "fast"
listen = ["tcp/{FAST}"]
allow = ["clients"]

[[api]]
name = "secure"
listen = ["tcp/{SECURE}"]
allow = ["clients", "probers"]
limit_total = {{ packets = "500000/s" }}
"#
    ))
}

fn second(lab: &Lab) -> Result<String> {
    let common = common(lab, "second")?;
    let stock = COUNTED[1];
    let server = lab.host("server")?.v4();
    Ok(format!(
        r#"{common}
[[api]]
name = "catalog"
listen = ["tcp/7000", "{server}:udp/7001"]
allow = "any"
mode = "monitor"

[[api]]
name = "shop"
owner = "team-shop"
listen = ["tcp/{SHOP}"]
allow = ["listed", "clients", "probers"]
login = {{ routes = ["POST /login"], failed = [401] }}
limit = {{ packets = "2000/s", bytes = "10MB/s", requests = "1000/min", burst = "2s" }}
limit_for.clients = {{ packets = "1000000/s" }}
respond = {{ brute_force = "limit 500/s" }}
escalate = {{ v4 = 24, sources = 4 }}

[[api]]
name = "{stock}"
listen = ["udp/{STEADY}"]
kind = "opaque"
allow = ["clients", "listed"]
deny = ["strangers"]
limit = {{ packets = "1000000/s" }}

[[api]]
name = "fast"
listen = ["tcp/{FAST}", "tcp/{SECURE}"]
allow = ["clients"]
"#
    ))
}
