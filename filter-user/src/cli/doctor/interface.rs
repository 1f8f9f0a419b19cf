//! The interfaces: there, up, Ethernet, free of other people's XDP programs, and able to run one in
//! the driver.

use super::{Check, State};
use crate::kernel::attach::program_name;
use crate::kernel::before::{Concern, concerns, disturbs};
use crate::kernel::device::Device;
use crate::kernel::holders::holders;
use crate::kernel::host::{check_ethernet, interface_index, interface_names, is_loopback};
use crate::kernel::netlink::features::runs_xdp;
use crate::kernel::netlink::xdp_programs;

/// What was found out about an interface.
#[derive(Clone, Debug, Default)]
struct Found {
    name: String,
    index: u32,
    device: Device,
    loopback: bool,
    /// The driver runs XDP programs; `None` when the kernel does not say.
    native: Option<bool>,
    /// Why it is no Ethernet interface.
    not_ethernet: Option<String>,
    /// XDP programs on it.
    programs: Vec<Program>,
}

/// An XDP program.
#[derive(Clone, Debug)]
struct Program {
    id: u32,
    mode: &'static str,
    /// Empty when the kernel does not tell this user.
    name: String,
    /// Processes that hold it.
    holders: Vec<String>,
}

/// The checks of these interfaces; of none: of all that are up, without loopback.
pub(super) fn checks(named: &[String]) -> Vec<Check> {
    if !named.is_empty() {
        return named.iter().map(|name| check(&look(name), name)).collect();
    }
    let is_gate =
        |name: &String| !is_loopback(name) && Device::ask(name).is_ok_and(|device| device.up);
    let names: Vec<String> = interface_names().into_iter().filter(is_gate).collect();
    if names.is_empty() {
        let hint = "bring one up, or look at one with --interface";
        return vec![Check::warn("interfaces", "none is up but loopback", hint)];
    }
    names.iter().map(|name| check(&look(name), name)).collect()
}

/// Looks at an interface; an error says what is missing and what to do.
fn look(name: &str) -> Result<Found, (String, String)> {
    let told = |error: crate::kernel::Error| {
        let cause = error.cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        (format!("{}{cause}", error.what), error.hint.unwrap_or_default())
    };
    let index = interface_index(name).map_err(told)?;
    let device = Device::ask(name)
        .map_err(|error| (format!("it does not answer: {error}"), String::new()))?;
    let programs = xdp_programs(index).map_err(told)?;
    let program = |attached: crate::kernel::netlink::Attached| Program {
        id: attached.program,
        mode: attached.mode.name(),
        name: program_name(attached.program).unwrap_or_default(),
        holders: holders(attached.program),
    };
    Ok(Found {
        name: name.to_owned(),
        index,
        device,
        loopback: is_loopback(name),
        native: runs_xdp(index).unwrap_or_default(),
        not_ethernet: check_ethernet(name).err().map(|error| error.what),
        programs: programs.into_iter().map(program).collect(),
    })
}

fn check(found: &Result<Found, (String, String)>, name: &str) -> Check {
    let title = format!("interface {name}");
    match found {
        Ok(found) => judge(&title, found),
        Err((finding, hint)) => Check::fail(&title, finding, hint),
    }
}

fn judge(title: &str, found: &Found) -> Check {
    let Found { name, index, device, loopback, native, not_ethernet, programs } = found;
    let mut worst = State::Ok;
    let driver = if device.driver.is_empty() { "driver unknown" } else { &device.driver };
    let mut findings = vec![format!("index {index}, {driver}, MTU {}", device.mtu)];
    let mut hints = Vec::new();
    let mut note = |state: State, finding: String, hint: String| {
        let fails = state == State::Fail || worst == State::Fail;
        worst = if fails { State::Fail } else { State::Warn };
        findings.push(finding);
        hints.push(hint);
    };
    if let Some(why) = not_ethernet {
        note(State::Fail, why.clone(), "gate the Ethernet interface underneath it instead".into());
    }
    if !device.up {
        note(State::Warn, "it is down".into(), format!("`ip link set {name} up`"));
    }
    if *native == Some(false) && !loopback {
        note(
            State::Warn,
            "the driver runs no XDP: only generic mode works".into(),
            "it costs several times as much a packet: gate an interface whose driver does, or plan \
             with docs/performance.md"
                .into(),
        );
    }
    for program in programs.iter().filter(|program| !program.is_weirs()) {
        note(
            State::Fail,
            format!("another XDP program is attached: {}", program.words()),
            format!("end what holds it, or `ip link set {name} xdp off` when nobody does"),
        );
    }
    if !loopback {
        for Concern { finding, hint } in concerns(name, device) {
            note(State::Warn, finding, hint);
        }
    }
    if *native == Some(true) {
        findings.push("native XDP".to_owned());
    }
    if programs.is_empty() {
        findings.extend(disturbs(device).map(str::to_owned));
    }
    for program in programs.iter().filter(|program| program.is_weirs()) {
        findings.push(format!("weir is attached: {}", program.words()));
    }
    Check::new(title, worst, findings.join("; "), hints.join("; "))
}

impl Program {
    fn is_weirs(&self) -> bool {
        self.name.starts_with("weir_")
    }

    fn words(&self) -> String {
        let Self { id, mode, name, holders } = self;
        let name = if name.is_empty() { "name unknown" } else { name };
        let mut words = format!("{name} (id {id}, {mode})");
        if !holders.is_empty() {
            words.push_str(&format!(" held by {}", holders.join(", ")));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(up: bool, mtu: u32, merges: bool, programs: &[&str]) -> Found {
        let program = |name: &&str| Program {
            id: 7,
            mode: "native",
            name: (*name).to_owned(),
            holders: vec!["tool (99)".to_owned()],
        };
        Found {
            name: "eth0".into(),
            index: 3,
            device: Device { up, mtu, merges, driver: "ixgbe".into(), queues: None },
            programs: programs.iter().map(program).collect(),
            ..Found::default()
        }
    }

    #[test]
    fn rows() {
        let tunnel = Found {
            not_ethernet: Some("tun0 carries no Ethernet frames".into()),
            ..found(true, 1500, false, &[])
        };
        let driver = |native| Found { native: Some(native), ..found(true, 1500, false, &[]) };
        let rows = [
            (driver(true), State::Ok, "native XDP"),
            (driver(false), State::Warn, "only generic mode"),
            (found(true, 1500, false, &[]), State::Ok, "index 3, ixgbe, MTU 1500"),
            (found(true, 1500, false, &[]), State::Ok, "link may be down for seconds"),
            (found(true, 1500, false, &["weir_ingress"]), State::Ok, "weir is attached"),
            (found(true, 1500, false, &["xdp_filter"]), State::Fail, "held by tool (99)"),
            (found(true, 1500, false, &["weird"]), State::Fail, "weird (id 7, native)"),
            (found(true, 1500, false, &["weir_ingress", ""]), State::Fail, "name unknown"),
            (found(false, 1500, false, &[]), State::Warn, "it is down"),
            (found(false, 1500, false, &["x"]), State::Fail, "it is down"),
            (found(true, 9000, false, &[]), State::Warn, "do not fit"),
            (found(true, 1500, true, &[]), State::Warn, "large receive offload"),
            (tunnel, State::Fail, "no Ethernet"),
        ];
        for (found, state, part) in rows {
            let check = judge("interface eth0", &found);
            assert_eq!(check.state, state, "{check:?}");
            assert!(check.finding.contains(part), "{check:?}");
            assert_eq!(check.hint.is_empty(), state == State::Ok, "{check:?}");
        }
    }

    #[test]
    fn one_that_is_missing_and_one_that_is_there() {
        let found = checks(&["no-such-if".into(), "lo".into()]);
        assert_eq!(found[0].state, State::Fail);
        assert!(found[0].finding.contains("no-such-if"), "{:?}", found[0]);
        assert!(found[1].finding.starts_with("index 1, "), "{:?}", found[1]);
    }
}
