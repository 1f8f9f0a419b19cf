//! What the tests have in common: hosts, policies, requests and streams of packets.

use std::net::{IpAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use weir_tests::curl::{self, Response};
use weir_tests::lab::{Host, Lab};
use weir_tests::nginx::Nginx;
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

/// Numbered datagrams from a host to a port of another, at a steady pace, while something happens.
pub(crate) struct Stream {
    /// How many were sent.
    pub(crate) sent: u64,
    /// How many arrived.
    pub(crate) arrived: u64,
}

/// Streams from several hosts to the server's `orders` over IPv4 and IPv6 while `during` runs.
/// What it returns is in the order of the hosts.
pub(crate) fn streams<T>(
    from: &[&Host],
    server: &Host,
    during: impl FnOnce() -> Result<T>,
) -> Result<(T, Vec<Stream>)> {
    let over = AtomicBool::new(false);
    let sockets: Vec<UdpSocket> = server.netns.enter(|| {
        let bind = |address| -> Result<UdpSocket> {
            let socket = UdpSocket::bind((address, PORT))?;
            socket.set_read_timeout(Some(Duration::from_millis(100)))?;
            Ok(socket)
        };
        server.addresses().into_iter().map(bind).collect()
    })?;
    let arrived: Vec<AtomicU64> = from.iter().map(|_| AtomicU64::new(0)).collect();
    let (over, arrived) = (&over, &arrived);
    std::thread::scope(|scope| {
        let readers: Vec<_> = sockets
            .iter()
            .map(|socket| scope.spawn(move || read(socket, from, arrived, over)))
            .collect();
        let writers: Vec<_> =
            from.iter().map(|host| scope.spawn(move || pour(host, server, over))).collect();
        let happened = during();
        over.store(true, Ordering::Relaxed);
        let panicked = |_| anyhow!("a thread of the test panicked");
        let mut sent = Vec::new();
        for writer in writers {
            sent.push(writer.join().map_err(panicked)??);
        }
        for reader in readers {
            reader.join().map_err(panicked)?;
        }
        let streams = sent
            .into_iter()
            .zip(arrived)
            .map(|(sent, arrived)| Stream { sent, arrived: arrived.load(Ordering::Relaxed) });
        Ok((happened?, streams.collect()))
    })
}

/// Sends a datagram each half millisecond, to IPv4 and IPv6 in turn.
fn pour(from: &Host, server: &Host, over: &AtomicBool) -> Result<u64> {
    from.netns.enter(|| {
        let sockets = [UdpSocket::bind("0.0.0.0:0")?, UdpSocket::bind("[::]:0")?];
        let start = Instant::now();
        let mut sent = 0_u64;
        while !over.load(Ordering::Relaxed) {
            let due = start.elapsed().as_micros() as u64 / 500;
            while sent < due {
                let which = (sent % 2) as usize;
                sockets[which].send_to(b"weir", (server.addresses()[which], PORT))?;
                sent += 1;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(sent)
    })
}

/// Counts datagrams by who sent them, until it is over and none is left.
fn read(socket: &UdpSocket, from: &[&Host], arrived: &[AtomicU64], over: &AtomicBool) {
    loop {
        match socket.recv_from(&mut [0; 16]) {
            Ok((_, source)) => {
                let place = from.iter().position(|host| host.addresses().contains(&source.ip()));
                if let Some(place) = place {
                    arrived[place].fetch_add(1, Ordering::Relaxed);
                }
            }
            Err(_) if over.load(Ordering::Relaxed) => return,
            Err(_) => {}
        }
    }
}
