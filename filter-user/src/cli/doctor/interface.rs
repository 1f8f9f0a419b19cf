//! The interfaces: there, up, free of other people's XDP programs, and able to run one natively.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

use super::netlink::{Attached, Link, links};
use super::program::{holders, program};
use super::{Check, State};

/// The largest MTU whose packets most drivers put into one page, which native XDP without
/// multi-buffer support needs.
const PAGE_MTU: u32 = 3_498;

/// From linux/ethtool.h.
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETH_FLAG_LRO: u32 = 1 << 15;

/// The checks of these interfaces; of none: of all that are up, without loopback.
pub(super) fn checks(named: &[String]) -> Vec<Check> {
    let links = match links() {
        Ok(links) => links,
        Err(error) => {
            let finding = format!("cannot list the interfaces: {error}");
            return vec![Check::fail("interfaces", finding, "netlink is closed to this process")];
        }
    };
    if named.is_empty() {
        let found: Vec<_> = links.iter().filter(|link| link.up && !link.loopback).collect();
        if found.is_empty() {
            let hint = "bring one up, or look at one with --interface";
            return vec![Check::warn("interfaces", "none is up but loopback", hint)];
        }
        return found.into_iter().map(|link| check(link, &Host)).collect();
    }
    let one = |name: &String| match links.iter().find(|link| link.name == *name) {
        Some(link) => check(link, &Host),
        None => missing(name, &links),
    };
    named.iter().map(one).collect()
}

fn missing(name: &str, links: &[Link]) -> Check {
    let names: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
    let hint = format!("this network namespace has: {}", names.join(", "));
    Check::fail(&format!("interface {name}"), "there is no such interface", hint)
}

/// What is asked of the host beyond the link itself.
trait Ask {
    /// The driver's name; empty when there is none.
    fn driver(&self, name: &str) -> String;
    /// Whether received packets are merged by the hardware; `None` when it cannot be known.
    fn merges(&self, name: &str) -> Option<bool>;
    /// Whose a program is: whether it is weir's, and in words.
    fn whose(&self, id: u32) -> (bool, String);
}

/// This host.
struct Host;

impl Ask for Host {
    fn driver(&self, name: &str) -> String {
        fs::read_link(format!("/sys/class/net/{name}/device/driver"))
            .ok()
            .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .unwrap_or_default()
    }

    fn merges(&self, name: &str) -> Option<bool> {
        let socket = UnixDatagram::unbound().ok()?;
        let mut value = [ETHTOOL_GFLAGS, 0];
        // SAFETY: ifreq is plain data, for which zeros are valid.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        if name.len() >= request.ifr_name.len() {
            return None;
        }
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
        // SAFETY: the request names an interface and points to two words that outlive the call,
        // which is what this command reads and writes.
        let result =
            unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &mut request) };
        (result == 0).then_some(value[1] & ETH_FLAG_LRO != 0)
    }

    fn whose(&self, id: u32) -> (bool, String) {
        let (ours, mut words) = match program(id) {
            Ok(program) => {
                let name = if program.name.is_empty() { "without a name" } else { &program.name };
                (program.is_weirs(), format!("`{name}` loaded by user id {}", program.uid))
            }
            Err(error) => (false, format!("unknown ({error})")),
        };
        let holders = holders(id);
        if !holders.is_empty() {
            words.push_str(&format!(", held by {}", holders.join(", ")));
        }
        (ours, words)
    }
}

fn check(link: &Link, host: &impl Ask) -> Check {
    let mut worst = State::Ok;
    let mut findings = vec![about(link, host)];
    let mut hints = Vec::new();
    let mut note = |state: State, finding: String, hint: String| {
        worst =
            if state == State::Fail || worst == State::Fail { State::Fail } else { State::Warn };
        findings.push(finding);
        hints.push(hint);
    };
    if !link.up {
        note(State::Warn, "it is down".into(), format!("`ip link set {} up`", link.name));
    }
    let mut ours = Vec::new();
    for Attached { mode, id } in &link.programs {
        let (is_ours, words) = host.whose(*id);
        if is_ours {
            ours.push(format!("weir is attached ({mode}, program {id})"));
            continue;
        }
        note(
            State::Fail,
            format!("another XDP program is attached ({mode}, program {id}): {words}"),
            format!("end what holds it, or `ip link set {} xdp off` when nobody does", link.name),
        );
    }
    if host.merges(&link.name) == Some(true) {
        note(
            State::Warn,
            "large receive offload is on, which keeps XDP out of many drivers".into(),
            format!("`ethtool -K {} lro off`", link.name),
        );
    }
    if link.mtu > PAGE_MTU && !link.loopback {
        note(
            State::Warn,
            "packets of this MTU do not fit into a page".into(),
            "native mode then needs a driver with multi-buffer XDP; generic mode does not".into(),
        );
    }
    findings.extend(ours);
    Check::new(&format!("interface {}", link.name), worst, findings.join("; "), hints.join("; "))
}

fn about(link: &Link, host: &impl Ask) -> String {
    let driver = host.driver(&link.name);
    let kind = match (driver.as_str(), link.kind.as_str()) {
        ("", "") if link.loopback => "loopback",
        ("", "") => "no driver known",
        ("", kind) => kind,
        (driver, _) => driver,
    };
    format!("index {}, {kind}, MTU {}", link.index, link.mtu)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Lab {
        merges: Option<bool>,
    }

    impl Ask for Lab {
        fn driver(&self, _: &str) -> String {
            "ixgbe".into()
        }

        fn merges(&self, _: &str) -> Option<bool> {
            self.merges
        }

        fn whose(&self, id: u32) -> (bool, String) {
            (id == 1, format!("`program{id}` loaded by user id 0, held by tool (7)"))
        }
    }

    fn link(up: bool, mtu: u32, programs: &[(&'static str, u32)]) -> Link {
        let programs = programs.iter().map(|&(mode, id)| Attached { mode, id }).collect();
        Link { index: 3, name: "eth0".into(), up, mtu, programs, ..Link::default() }
    }

    #[test]
    fn rows() {
        let rows = [
            (link(true, 1500, &[]), Some(false), State::Ok, "index 3, ixgbe, MTU 1500"),
            (link(true, 1500, &[("native", 1)]), None, State::Ok, "weir is attached (native"),
            (link(true, 1500, &[("generic", 2)]), None, State::Fail, "held by tool (7)"),
            (link(true, 1500, &[("native", 1), ("generic", 2)]), None, State::Fail, "program 2"),
            (link(false, 1500, &[]), None, State::Warn, "it is down"),
            (link(false, 1500, &[("native", 2)]), None, State::Fail, "it is down"),
            (link(true, 9000, &[]), None, State::Warn, "do not fit"),
            (link(true, 1500, &[]), Some(true), State::Warn, "large receive offload"),
        ];
        for (link, merges, state, part) in rows {
            let check = check(&link, &Lab { merges });
            assert_eq!(check.state, state, "{check:?}");
            assert!(check.finding.contains(part), "{check:?}");
            assert_eq!(check.hint.is_empty(), state == State::Ok, "{check:?}");
        }
    }

    #[test]
    fn one_that_is_missing_and_one_that_is_there() {
        let found = checks(&["no-such-if".into(), "lo".into()]);
        assert_eq!(found[0].state, State::Fail);
        assert!(found[0].hint.contains("lo"), "{:?}", found[0]);
        assert!(found[1].finding.contains("loopback"), "{:?}", found[1]);
    }
}
