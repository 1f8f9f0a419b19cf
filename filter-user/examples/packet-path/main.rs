//! What one packet costs, driven by `cargo xtask bench`: the kernel runs programs on one packet again
//! and again (`BPF_PROG_TEST_RUN`), so that everything is in the caches. Prints a Markdown table.
//! What packets cost on their way to a program is left to the end-to-end tests.

mod frames;
mod peer;
mod prefixes;
mod table;

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Result, anyhow};
use filter_user::kernel::attach;
use filter_user::kernel::error::Error;
use filter_user::kernel::generation::Generation;
use filter_user::kernel::state::{Settings, State};
use filter_user::kernel::trial::Program;
use filter_user::policy::{Policy, compile, parse_with};
use filter_user::text::render;

use crate::frames::udp;
use crate::peer::Peer;
use crate::prefixes::{Listed, STRANGERS};
use crate::table::{DROP, PASS, Table};

fn main() -> Result<()> {
    let pins = format!("/sys/fs/bpf/weir-bench-{}", std::process::id());
    let outcome = measure(Path::new(&pins));
    if Path::new(&pins).exists() {
        attach::detach(pins.as_ref()).map_err(told)?;
    }
    outcome
}

fn measure(pins: &Path) -> Result<()> {
    let listed = prefixes::listed();
    let (v4, v6) = (udp(listed.v4), udp(listed.v6));
    let [refused, refused6] = STRANGERS.map(udp);
    // Members of the group, so that a ban is all that is in their way.
    let bans = [beside(listed.v4), beside(listed.v6)];
    let [banned, banned6] = bans.map(udp);

    let empty = [Program::empty(false).map_err(told)?, Program::empty(true).map_err(told)?];
    let peer = Peer::load(&STRANGERS)?;
    let mut state = State::open(settings(pins)).map_err(told)?;
    let (_observing, observing) = load(&mut state, &Policy::observe())?;
    let (_judging, judging) = load(&mut state, &policy(&listed)?)?;

    let mut table = Table::new(&empty[0], &v4)?;
    table.add("empty program, passes", &empty[0], &v4, PASS);
    table.add("empty program, drops", &empty[1], &v4, DROP);
    table.add("weir, no policy, no sensor, IPv4", &observing, &v4, PASS);
    table.add("weir, no policy, no sensor, IPv6", &observing, &v6, PASS);
    table.add("weir, IPv4 allowed: 1,000,000 prefixes, a packet limit", &judging, &v4, PASS);
    table.add("weir, IPv4 refused: in none of them", &judging, &refused, DROP);
    table.add("weir, IPv6 allowed: 1,000,000 prefixes, a packet limit", &judging, &v6, PASS);
    table.add("weir, IPv6 refused: in none of them", &judging, &refused6, DROP);
    if let Some(peer) = &peer {
        table.add("xdp-filter, IPv4 allowed: one address refused", &peer.program, &v4, PASS);
        table.add("xdp-filter, IPv4 refused: that address", &peer.program, &refused, DROP);
        table.add("xdp-filter, IPv6 allowed: one address refused", &peer.program, &v6, PASS);
        table.add("xdp-filter, IPv6 refused: that address", &peer.program, &refused6, DROP);
    }
    table.measure()?;

    // From here on there are bans, and every packet is held against them.
    for address in bans {
        let length = if address.is_ipv4() { 32 } else { 128 };
        state.bans.add(address, length, None, None, false).map_err(told)?;
    }
    table.add("weir, IPv4 allowed, while others are banned", &judging, &v4, PASS);
    table.add("weir, IPv4 banned", &judging, &banned, DROP);
    table.add("weir, IPv6 allowed, while others are banned", &judging, &v6, PASS);
    table.add("weir, IPv6 banned", &judging, &banned6, DROP);
    table.measure()?;
    table.print(peer.is_some());
    Ok(())
}

/// The next address of the same network.
fn beside(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4((u32::from(v4) ^ 1).into()),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) ^ 1 << 64).into()),
    }
}

fn settings(pins: &Path) -> Settings {
    Settings {
        pins: pins.to_owned(),
        max_apis: 16,
        max_bans: 1024,
        sources: 262_144,
        ring_bytes: 1 << 20,
        snap: 4096,
        sample: 0.0,
        log: false,
    }
}

fn policy(listed: &Listed) -> Result<Policy> {
    let loaded = parse_with(&prefixes::policy(), "packet-path", listed);
    loaded.policy.ok_or_else(|| anyhow!("{}", render(&loaded.diagnostics)))
}

/// Loads a policy's programs; they live as long as the generation.
fn load(state: &mut State, policy: &Policy) -> Result<(Generation, Program)> {
    let mut ids = state.ids();
    let image = compile(policy, &mut ids).map_err(|e| anyhow!("{}", e.message))?;
    state.keep_ids(ids, &image).map_err(told)?;
    let mut generation = Generation::load(state, &image).map_err(told)?;
    let [ingress, _] = generation.efforts().map_err(told)?;
    let program = Program::by_id(ingress.id).map_err(told)?;
    Ok((generation, program))
}

#[expect(clippy::needless_pass_by_value, reason = "it is an argument of map_err")]
fn told(error: Error) -> anyhow::Error {
    anyhow!("{error}")
}
