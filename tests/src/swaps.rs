//! Policies that change under live traffic: two that both allow one host and both refuse another,
//! and differ in all else, put in force in turn, with a daemon that is killed now and then. The
//! end-to-end tests run it briefly, `cargo xtask bench` at length.

use std::fmt::Write as _;
use std::net::Ipv6Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::lab::Lab;
use crate::reading::Reading;
use crate::stream::{Stream, streams};
use crate::wait;
use crate::weir::Weir;

/// The port of both APIs that the streams meet.
const PORT: u16 = 8080;
/// What admits or refuses the two hosts: an API by this name in the first policy, by that one in the
/// second.
const APIS: [&str; 2] = ["orders", "stock"];
/// Prefixes of each family in the feed of the second policy.
const FEED: u32 = 2_000;

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Changes of the policy.
    pub applies: u32,
    /// Times the daemon is killed with SIGKILL and started again, every other time in the middle of
    /// a change.
    pub kills: u32,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// The host that both policies allow.
    pub allowed: Stream,
    /// The host that both policies refuse.
    pub refused: Stream,
    /// Packets that the gate let in and refused, by its own counters, over all changes and restarts.
    pub counted: [u64; 2],
}

impl Outcome {
    /// Nothing was lost, nothing came through, and the gate counted what there was.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.allowed.arrived == self.allowed.sent,
            "allowed packets were lost: {} of {} arrived",
            self.allowed.arrived,
            self.allowed.sent
        );
        ensure!(self.refused.arrived == 0, "{} refused packets came in", self.refused.arrived);
        let sent = [self.allowed.sent, self.refused.sent];
        ensure!(self.counted == sent, "the gate counted {:?} of {sent:?}", self.counted);
        Ok(())
    }
}

/// Runs the plan in a laboratory with the hosts `server`, `client` and `stranger`. `tell` is given
/// the changes and kills done so far.
pub fn run(lab: &Lab, plan: Plan, mut tell: impl FnMut(u32, u32)) -> Result<Outcome> {
    let server = lab.host("server")?;
    let hosts = [lab.host("client")?, lab.host("stranger")?];
    let paths = write(lab)?;
    let paths = [paths[0].as_str(), paths[1].as_str()];
    let mut weir = Weir::start(lab, server, &["--policy", paths[0]])?;
    let ((), streams) = streams(&hosts, server, PORT, || {
        for number in 0..plan.applies {
            apply(&weir, paths[(number as usize + 1) % 2])?;
            tell(number + 1, 0);
        }
        for number in 0..plan.kills {
            if number % 2 == 0 {
                wait::pause(Duration::from_millis(50))?;
                weir.crash()?;
            } else {
                // At another point of the change each time.
                let moment = Duration::from_millis(u64::from(number) * 37 % 200);
                weir.crash_during(&["apply", paths[(number as usize / 2) % 2]], moment)?;
            }
            wait::pause(Duration::from_millis(50))?;
            weir.start_again()?;
            tell(plan.applies, number + 1);
        }
        Ok(())
    })?;
    let [allowed, refused] = streams[..] else { unreachable!("two hosts, two streams") };
    let reading = Reading::at_rest(&weir)?;
    let sum = |reason| APIS.iter().map(|api| reading.kernel(api, reason)).sum::<u64>();
    let counted = [sum("allowed"), sum("not_allowed") + sum("denied")];
    Ok(Outcome { allowed, refused, counted })
}

fn apply(weir: &Weir<'_>, path: &str) -> Result<()> {
    weir.verb(&["apply", path])?.success().map(drop)
}

/// Writes both policies into the laboratory's directory.
fn write(lab: &Lab) -> Result<[String; 2]> {
    let (client, stranger) = (lab.host("client")?, lab.host("stranger")?);
    let network = |v6: Ipv6Addr| Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64);
    let (v4, v6) = (client.v4(), network(client.v6()));
    let (b4, b6) = (stranger.v4(), network(stranger.v6()));
    let [first, second] = APIS;
    let first = format!(
        r#"[policy]
name = "first"

[groups.clients]
cidrs = ["{v4}", "{v6}/64"]

[[api]]
name = "{first}"
listen = ["tcp/{PORT}", "udp/{PORT}"]
allow = ["clients"]
"#
    );
    let second = format!(
        r#"[policy]
name = "second"

[trusted]
cidrs = ["203.0.113.77"]

[unclaimed]
action = "drop"

[groups.listed]
files = ["listed.txt"]
[groups.strangers]
cidrs = ["{b4}", "{b6}/64"]
[groups.customers]
cidrs = ["{v4}", "{v6}/64", "198.51.100.0/24"]

[[api]]
name = "front"
listen = ["tcp/7000", "{server}:udp/7001"]
allow = "any"
limit_total = {{ packets = "1000/s" }}

[[api]]
name = "catalog"
listen = ["tcp/8081"]
allow = ["listed"]
mode = "monitor"

[[api]]
name = "{second}"
listen = ["udp/{PORT}", "tcp/{PORT}"]
allow = ["customers", "listed"]
deny = ["strangers"]
limit = {{ packets = "1000000/s", bytes = "10GB/s", connections = "1000/s" }}
"#,
        server = lab.host("server")?.v4()
    );
    let mut feed = String::new();
    for number in 0..FEED {
        let _infallible = writeln!(feed, "198.{}.{}.0/25", 18 + number / 256, number % 256);
        let _infallible = writeln!(feed, "2001:db8:{:x}::/48", 0x1000 + number);
    }
    let save = |name: &str, text: &str| {
        let path = lab.directory().join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok::<_, anyhow::Error>(text_of(&path))
    };
    save("listed.txt", &feed)?;
    Ok([save("first.toml", &first)?, save("second.toml", &second)?])
}

fn text_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
