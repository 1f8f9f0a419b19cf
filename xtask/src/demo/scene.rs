//! Who is there: a server behind weir, three clients, and the books that are kept of them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use weir_tests::curl::{self, Response};
use weir_tests::lab::{Host, Lab};
use weir_tests::nginx::Nginx;
use weir_tests::reading::Reading;
use weir_tests::weir::Weir;

use super::keep;
use super::text::cut;

/// The hosts and their numbers in the networks `192.0.2.0/24` and `2001:db8::/48`.
pub(super) const HOSTS: [(&str, u8); 4] =
    [("server", 1), ("client", 2), ("stranger", 3), ("flooder", 4)];
/// An API without limits.
pub(super) const ORDERS: (&str, u16) = ("orders", 8080);
/// An API whose sources are held to [`LIMIT`].
pub(super) const CATALOG: (&str, u16) = ("catalog", 8081);
/// Packets a second and source at [`CATALOG`]; a burst of a second's worth is allowed.
pub(super) const LIMIT: u32 = 2_000;
/// How wide a line may be.
pub(super) const WIDTH: usize = 100;

/// A version of the Internet Protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const ALL: [Self; 2] = [Self::V4, Self::V6];

    pub(super) fn name(self) -> String {
        match self {
            Self::V4 => "IPv4".to_owned(),
            Self::V6 => "IPv6".to_owned(),
        }
    }

    /// The address of a host.
    pub(super) fn of(self, host: &Host) -> IpAddr {
        match self {
            Self::V4 => host.v4().into(),
            Self::V6 => host.v6().into(),
        }
    }
}

/// See the module.
pub(super) struct Scene<'lab> {
    pub(super) lab: &'lab Lab,
    pub(super) server: &'lab Host,
    pub(super) client: &'lab Host,
    pub(super) stranger: &'lab Host,
    pub(super) flooder: &'lab Host,
    pub(super) nginx: Nginx,
    pub(super) weir: Weir<'lab>,
    /// What the clients were answered so far, by status.
    pub(super) answers: BTreeMap<u16, u64>,
    /// Connections on which wrk may have had a request under way when it ended.
    pub(super) cut_off: u64,
}

impl<'lab> Scene<'lab> {
    /// Starts nginx, writes the policy and starts weir.
    pub(super) fn set(lab: &'lab Lab) -> Result<Self> {
        let server = lab.host("server")?;
        let nginx = Nginx::start(server, lab.directory(), &[ORDERS, CATALOG])?;
        let policy = lab.directory().join("policy.toml");
        let (client, flooder) = (lab.host("client")?, lab.host("flooder")?);
        std::fs::write(&policy, self::policy(client, flooder))
            .with_context(|| format!("cannot write {}", policy.display()))?;
        let policy = policy.to_str().context("the laboratory's directory is not text")?;
        let weir = Weir::start(lab, server, &["--policy", policy])?;
        Ok(Self {
            lab,
            server,
            client,
            stranger: lab.host("stranger")?,
            flooder,
            nginx,
            weir,
            answers: BTreeMap::new(),
            cut_off: 0,
        })
    }

    /// How weir runs: a line for the beginning.
    pub(super) fn headline(&self) -> Result<String> {
        let status = self.weir.status()?;
        let interface = &status["interfaces"][0];
        let text = |value: &serde_json::Value| value.as_str().unwrap_or("?").to_owned();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Ok(format!(
            "{} enforces on {}: XDP {}, egress {}, kernel {}",
            text(&status["daemon"]["version"]),
            text(&interface["name"]),
            text(&interface["mode"]),
            text(&interface["egress"]),
            kernel.trim()
        ))
    }

    /// The address of a path of an API.
    pub(super) fn url(&self, family: Family, port: u16, path: &str) -> String {
        match family.of(self.server) {
            IpAddr::V4(address) => format!("http://{address}:{port}{path}"),
            IpAddr::V6(address) => format!("http://[{address}]:{port}{path}"),
        }
    }

    /// One request, in the books when it was answered.
    pub(super) fn ask(&mut self, host: &Host, arguments: &[&str]) -> Result<Response> {
        let response = curl::one(host, arguments)?;
        self.note(&response);
        Ok(response)
    }

    /// Several requests, in the books when they were answered.
    pub(super) fn ask_many(&mut self, host: &Host, arguments: &[&str]) -> Result<Vec<Response>> {
        let responses = curl::many(host, arguments)?;
        for response in &responses {
            self.note(response);
        }
        Ok(responses)
    }

    /// Puts an answer in the books.
    pub(super) fn note(&mut self, response: &Response) {
        if response.status != 0 {
            *self.answers.entry(response.status).or_default() += 1;
        }
    }

    /// All counters, when nothing moves.
    pub(super) fn reading(&self) -> Result<Reading> {
        Reading::at_rest(&self.weir)
    }

    /// What belongs under the table: the findings as the event log has them.
    pub(super) fn notes(&self) -> Result<Vec<String>> {
        let events = self.weir.events()?;
        let found = events.iter().filter(|event| event["event"] == "finding_opened");
        let mut notes: Vec<String> = found
            .map(|event| {
                let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
                let time = text("time").split('T').nth(1).unwrap_or_default().to_owned();
                cut(&format!("event log  {time}  {}  {}", text("event"), text("message")), WIDTH)
            })
            .collect();
        notes.push(
            "wrk does not count the requests it leaves unfinished; nginx and weir do.".to_owned(),
        );
        Ok(notes)
    }

    /// Leaves it all running and says how to play with it.
    pub(super) fn leave(self) -> Result<()> {
        keep::explain(&self)?;
        self.nginx.leave();
        self.weir.leave();
        Ok(())
    }

    /// Takes weir off the interface, as an operator would.
    pub(super) fn end(mut self) -> Result<()> {
        self.weir.detach()?.success()?;
        let code = self.weir.ended()?;
        ensure!(code == 0, "weir ended with {code}\n{}", self.weir.log());
        let pins = self.weir.pins();
        ensure!(!pins.exists(), "{} is still there", pins.display());
        let link = self.server.netns.ip("link show dev eth0")?;
        ensure!(!link.contains("xdp"), "a program is still attached: {link}");
        Ok(())
    }
}

fn policy(client: &Host, flooder: &Host) -> String {
    let sources: Vec<String> = [client, flooder]
        .into_iter()
        .flat_map(Host::addresses)
        .map(|address| format!("\"{address}\""))
        .collect();
    format!(
        r#"[policy]
name = "demo"
version = 1

[groups.clients]
cidrs = [{}]

[[api]]
name = "orders"
owner = "team-orders"
criticality = "high"
listen = ["tcp/8080"]
allow = ["clients"]
login = {{ routes = ["POST /login"], failed = [401] }}
respond = {{ brute_force = "ban 10m" }}

[[api]]
name = "catalog"
listen = ["tcp/8081", "udp/8081"]
allow = ["clients"]
limit = {{ packets = "{LIMIT}/s", burst = "1s" }}

[respond]
mode = "act"
"#,
        sources.join(", ")
    )
}
