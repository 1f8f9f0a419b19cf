//! A proxy: HAProxy, which says in its own ways for whom it asks.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::curl;
use crate::lab::Host;
use crate::process::Background;

/// What it may take to answer its first request.
const START: Duration = Duration::from_secs(15);

/// How a server behind it learns who the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// PROXY protocol, version 1, before what it hands on as it came.
    ProxyV1,
    /// PROXY protocol, version 2.
    ProxyV2,
    /// The field `Forwarded` (RFC 7239) of each request.
    Forwarded,
}

/// What adds `Forwarded`: an address of IPv6 is in brackets, and so in quotes (RFC 7239, 6).
const FORWARDED: &str = r#"    http-request add-header Forwarded "for=\"[%[src]]\";proto=http" if { src -m sub : }
    http-request add-header Forwarded "for=%[src];proto=http" unless { src -m sub : }
"#;

/// A way through it.
#[derive(Debug, Clone, Copy)]
pub struct Front {
    /// Where it listens, IPv4 and IPv6.
    pub port: u16,
    /// Where it hands on what it gets.
    pub upstream: (Ipv4Addr, u16),
    /// What it says of clients.
    pub says: Says,
}

/// A running HAProxy; stopped when dropped.
#[derive(Debug)]
pub struct Haproxy {
    _process: Background,
}

impl Haproxy {
    /// Starts it on a host, and waits until every way leads to an answer. `directory` receives its
    /// configuration and log.
    pub fn start(host: &Host, directory: &Path, fronts: &[Front]) -> Result<Self> {
        let [configuration, log] = ["haproxy.cfg", "haproxy.log"].map(|name| directory.join(name));
        std::fs::write(&configuration, configure(fronts)?)
            .with_context(|| format!("cannot write {}", configuration.display()))?;
        let mut command = host.netns.command("haproxy");
        // In the foreground.
        command.arg("-db").arg("-f").arg(&configuration);
        let mut process = Background::start("haproxy", command, &log)?;
        for front in fronts {
            let url = format!("http://127.0.0.1:{}/empty", front.port);
            process.ready("haproxy answers", START, || {
                let response = curl::one(host, &[&url])?;
                ensure!(response.status == 204, "{url} answers {}", response.status);
                Ok(())
            })?;
        }
        Ok(Self { _process: process })
    }
}

fn configure(fronts: &[Front]) -> Result<String> {
    let mut text = "global\n    maxconn 500\ndefaults\n    timeout connect 5s\n    \
                    timeout client 30s\n    timeout server 30s\n"
        .to_owned();
    for Front { port, upstream: (address, upstream), says } in fronts {
        let (mode, field, send) = match says {
            Says::ProxyV1 => ("tcp", "", " send-proxy"),
            Says::ProxyV2 => ("tcp", "", " send-proxy-v2"),
            Says::Forwarded => ("http", FORWARDED, ""),
        };
        write!(
            text,
            "listen front{port}\n    mode {mode}\n    bind 0.0.0.0:{port}\n    bind :::{port} v6only\n{field}    \
             server upstream {address}:{upstream}{send}\n"
        )?;
    }
    Ok(text)
}
