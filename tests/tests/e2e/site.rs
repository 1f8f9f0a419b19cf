//! What the tests have in common: hosts, policies, requests and streams of packets.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use weir_tests::curl::{self, Response};
use weir_tests::frame::Transport;
use weir_tests::generator::{self, Flood, Sent, Sources};
use weir_tests::lab::{Host, Lab};
use weir_tests::nginx::Nginx;
use weir_tests::stream::{self, Stream};
use weir_tests::weir::Weir;

/// The port of the API `orders`, TCP and UDP.
pub(crate) const PORT: u16 = 8080;
/// A request that gets no answer gives up after so many seconds, before its SYN is sent again.
pub(crate) const PATIENCE: &str = "0.4";

/// Server, client and stranger.
pub(crate) fn lab() -> Result<Lab> {
    Lab::new(&[("server", 1), ("client", 2), ("stranger", 3)])
}

/// The policy the tests begin with: `orders` for the client. `more` is added to the API.
pub(crate) fn orders(lab: &Lab, more: &str) -> Result<String> {
    let client = lab.host("client")?;
    Ok(format!(
        r#"[policy]
name = "lab"

[groups.clients]
cidrs = ["{}", "{}/64"]

[[api]]
name = "orders"
owner = "team-orders"
listen = ["tcp/{PORT}", "udp/{PORT}"]
allow = ["clients"]
{more}

[respond]
mode = "act"
"#,
        client.v4(),
        network(client)
    ))
}

/// The /64 of a host.
pub(crate) fn network(host: &Host) -> String {
    format!("{}", std::net::Ipv6Addr::from_bits(host.v6().to_bits() >> 64 << 64))
}

/// Writes a file into the laboratory's directory.
pub(crate) fn write(lab: &Lab, name: &str, text: &str) -> Result<String> {
    let path: PathBuf = lab.directory().join(name);
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    path.into_os_string().into_string().map_err(|path| anyhow!("{} is not text", path.display()))
}

/// nginx on the server, with the API `orders`.
pub(crate) fn nginx(lab: &Lab) -> Result<Nginx> {
    Nginx::start(lab.host("server")?, lab.directory(), &[("orders", PORT)])
}

/// weir on the server with a policy of this text.
pub(crate) fn weir<'lab>(lab: &'lab Lab, policy: &str) -> Result<Weir<'lab>> {
    let path = write(lab, "policy.toml", policy)?;
    Weir::start(lab, lab.host("server")?, &["--policy", &path])
}

/// A URL of the server.
pub(crate) fn url(address: IpAddr, port: u16, path: &str) -> String {
    match address {
        IpAddr::V4(address) => format!("http://{address}:{port}{path}"),
        IpAddr::V6(address) => format!("http://[{address}]:{port}{path}"),
    }
}

/// One request to an address that is given up soon.
pub(crate) fn ask(from: &Host, address: IpAddr, port: u16) -> Result<Response> {
    curl::one(from, &["--max-time", PATIENCE, &url(address, port, "/")])
}

/// Whether the server answers `orders` over IPv4 and IPv6.
pub(crate) fn answered(from: &Host, server: &Host) -> Result<[bool; 2]> {
    let [v4, v6] = server.addresses().map(|address| ask(from, address, PORT));
    Ok([v4?.status == 200, v6?.status == 200])
}

/// Events of a name.
pub(crate) fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

/// Streams to the server's `orders` while something happens.
pub(crate) fn streams<T>(
    from: &[&Host],
    server: &Host,
    during: impl FnOnce() -> Result<T>,
) -> Result<(T, Vec<Stream>)> {
    stream::streams(from, server, PORT, during)
}

/// Sends far more to `orders` than any limit of the tests admits.
pub(crate) fn spend(from: &Host, server: &Host) -> Result<Sent> {
    let flood = Flood {
        sources: Sources::One(from.v4().into()),
        destination: server.v4().into(),
        transport: Transport::Udp { port: PORT, payload: 10 },
        rate: 4_000,
        duration: Duration::from_millis(250),
    };
    generator::send(from, server, &flood)
}
