//! The kernel, the rights of this process, and what the kernel side needs around it.

use std::fs;
use std::path::Path;

use super::Check;
use crate::cli::human::bytes;
use crate::kernel::host::{OLDEST_KERNEL, TCX_KERNEL, bpf_features, is_bpffs};

/// Everything that is not about one interface or a daemon. `pins` is where objects are pinned.
pub(super) fn checks(pins: &Path) -> Vec<Check> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let meminfo = fs::read_to_string("/proc/meminfo").ok();
    let jit = fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").ok();
    vec![
        rights(&status),
        kernel(release.trim()),
        btf(Path::new("/sys/kernel/btf/vmlinux")),
        features(&bpf_features()),
        compiler(jit.as_deref().map(str::trim), in_first_namespace()),
        file_system(pins),
        memory(memory_limit()),
        free(meminfo.as_deref().and_then(available)),
    ]
}

/// Capabilities that are needed: number, name, what for.
const CAPABILITIES: [(u32, &str, &str); 3] = [
    (12, "CAP_NET_ADMIN", "to attach to interfaces"),
    (39, "CAP_BPF", "to load programs"),
    (38, "CAP_PERFMON", "to read packets in programs"),
];

fn rights(status: &str) -> Check {
    let name = "privileges";
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(effective) = line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()) else {
        return Check::warn(name, "cannot read /proc/self/status", "mount /proc");
    };
    let has = |number: u32| effective >> number & 1 != 0;
    let missing: Vec<String> = CAPABILITIES
        .iter()
        .filter(|(number, ..)| !has(*number))
        .map(|(_, capability, what_for)| format!("{capability} ({what_for})"))
        .collect();
    if missing.is_empty() {
        return Check::ok(name, "CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON are there");
    }
    let hint = "run it as root, or grant them: `AmbientCapabilities=` in the systemd unit";
    Check::fail(name, format!("missing: {}", missing.join(", ")), hint)
}

/// The first two numbers of a kernel release.
fn numbers(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(['.', '-', '+']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn kernel(release: &str) -> Check {
    let name = "kernel";
    match numbers(release) {
        None => {
            Check::warn(name, format!("`{release}` is not understood"), "6.1 or later is needed")
        }
        Some(version) if version < OLDEST_KERNEL => Check::fail(
            name,
            format!("{release} is too old"),
            "6.1 or later is needed; 6.6 or later is better",
        ),
        Some(version) if version < TCX_KERNEL => Check::warn(
            name,
            format!("{release} has no TCX: egress goes through a clsact queueing discipline"),
            "6.6 or later shares the egress hook with other programs better",
        ),
        Some(_) => Check::ok(name, format!("{release}, with TCX")),
    }
}

fn btf(path: &Path) -> Check {
    if path.exists() {
        return Check::ok("BTF", format!("{} is there", path.display()));
    }
    let finding = format!("{} is missing", path.display());
    Check::warn("BTF", finding, "a kernel with CONFIG_DEBUG_INFO_BTF=y makes errors readable")
}

/// What the kernel says to each kind of map and program.
fn features(asked: &[(&str, Result<(), String>)]) -> Check {
    let name = "BPF";
    let refused: Vec<_> = asked
        .iter()
        .filter_map(|(what, answer)| Some(format!("{what}: {}", answer.as_ref().err()?)))
        .collect();
    if refused.is_empty() {
        let kinds: Vec<_> = asked.iter().map(|(what, _)| *what).collect();
        return Check::ok(name, kinds.join(", "));
    }
    let hint = "with the rights above in place, this is a user namespace (a rootless container), a \
                container's filter that keeps bpf(2) out, the kernel's lockdown, or a kernel without \
                CONFIG_BPF_SYSCALL";
    Check::fail(name, refused.join("; "), hint)
}

fn compiler(setting: Option<&str>, in_first_namespace: bool) -> Check {
    let name = "JIT";
    match setting {
        Some("1") => Check::ok(name, "on"),
        Some("2") => Check::warn(
            name,
            "on, with debug output in the kernel log",
            "`sysctl net.core.bpf_jit_enable=1`",
        ),
        Some("0") => Check::warn(
            name,
            "off: every packet costs several times as much",
            "`sysctl net.core.bpf_jit_enable=1`",
        ),
        Some(other) => Check::warn(name, format!("setting `{other}` is not understood"), ""),
        None if !in_first_namespace => {
            Check::ok(name, "not shown here: only the host's own network namespace does")
        }
        None => Check::warn(
            name,
            "cannot read net.core.bpf_jit_enable",
            "the kernel needs CONFIG_BPF_JIT=y to be fast",
        ),
    }
}

/// Whether this is the network namespace that the host booted with: only that has settings of all
/// CPUs (`net_core_table` in net/core/sysctl_net_core.c), also where a container has a /proc of its own.
fn in_first_namespace() -> bool {
    Path::new("/proc/sys/net/core/netdev_budget").exists()
}

/// The nearest directory of a path that is there.
fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"))
}

fn file_system(pins: &Path) -> Check {
    let name = "bpf file system";
    let directory = nearest(pins);
    if is_bpffs(directory) {
        return Check::ok(name, format!("{} is one", directory.display()));
    }
    let mount = if pins.starts_with("/sys/fs/bpf") { Path::new("/sys/fs/bpf") } else { pins };
    let mount = mount.display();
    Check::fail(
        name,
        format!("{} would not be in one", pins.display()),
        format!("`mount -t bpf bpf {mount}`; `ip netns exec` hides it, `nsenter --net=` does not"),
    )
}

/// Memory that the tables of a large policy take.
const TABLES: u64 = 256 << 20;

/// What `/proc/meminfo` says can be had, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

fn free(available: Option<u64>) -> Check {
    let name = "free memory";
    match available {
        Some(free) if free < TABLES => Check::warn(
            name,
            bytes(free),
            format!("a change holds the old tables and the new: have {} free", bytes(TABLES)),
        ),
        Some(free) => Check::ok(name, bytes(free)),
        None => Check::warn(name, "the kernel does not say", "mount /proc"),
    }
}

/// The lowest memory limit of the control groups this process is in.
fn memory_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = Path::new("/sys/fs/cgroup");
    let group = root.join(own);
    group
        .ancestors()
        .take_while(|path| path.starts_with(root))
        .filter_map(|path| fs::read_to_string(path.join("memory.max")).ok()?.trim().parse().ok())
        .min()
}

fn memory(limit: Option<u64>) -> Check {
    let name = "memory";
    match limit {
        Some(limit) if limit < TABLES => Check::warn(
            name,
            format!("the control group allows {}", bytes(limit)),
            format!("allow {} for large policies: `MemoryMax=`", bytes(TABLES)),
        ),
        Some(limit) => Check::ok(name, format!("the control group allows {}", bytes(limit))),
        None => Check::ok(name, "no limit by a control group; memlock does not count since 5.11"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn capabilities() {
        let rows = [
            ("CapEff:\t000001ffffffffff", State::Ok),
            ("CapEff:\t000000c000001000", State::Ok),
            ("CapEff:\t0000000000201000", State::Fail),
            ("CapEff:\t0000008000001000", State::Fail),
            ("CapEff:\t0000000000000000", State::Fail),
            ("CapEff:\tx", State::Warn),
            ("", State::Warn),
        ];
        for (status, state) in rows {
            assert_eq!(rights(status).state, state, "{status}");
        }
        assert!(rights("CapEff:\t0000008000001000").finding.contains("CAP_PERFMON"));
    }

    #[test]
    fn kernels() {
        let rows = [
            ("5.10.0-28-cloud-amd64", State::Fail),
            ("6.0.19", State::Fail),
            ("6.1.0-18-amd64", State::Warn),
            ("6.5.13", State::Warn),
            ("6.6.1", State::Ok),
            ("6.18-rc3", State::Ok),
            ("7.0.0", State::Ok),
            ("GNU", State::Warn),
        ];
        for (release, state) in rows {
            assert_eq!(kernel(release).state, state, "{release}");
        }
    }

    #[test]
    fn settings_and_files() {
        let rows = [
            (Some("1"), true, State::Ok),
            (Some("0"), true, State::Warn),
            (Some("2"), true, State::Warn),
            (Some("x"), true, State::Warn),
            (None, true, State::Warn),
            (None, false, State::Ok),
        ];
        for (setting, first, state) in rows {
            assert_eq!(compiler(setting, first).state, state, "{setting:?} {first}");
        }
        assert_eq!(memory(Some(1 << 20)).state, State::Warn);
        assert_eq!(memory(Some(1 << 30)).state, State::Ok);
        assert_eq!(memory(None).state, State::Ok);
        let meminfo = |kb: &str| available(&format!("MemTotal: 9 kB\nMemAvailable:  {kb} kB\n"));
        let rows = [("1000", State::Warn), ("9000000", State::Ok), ("x", State::Warn)];
        for (kb, state) in rows {
            assert_eq!(free(meminfo(kb)).state, state, "{kb}");
        }
        let asked = [("arrays", Ok(())), ("ring buffers", Err("not permitted".to_owned()))];
        assert_eq!(features(&asked[..1]).state, State::Ok);
        let check = features(&asked);
        assert_eq!((check.state, &*check.finding), (State::Fail, "ring buffers: not permitted"));
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(btf(&directory.path().join("vmlinux")).state, State::Warn);
        let check = file_system(&directory.path().join("not/there"));
        assert_eq!(check.state, State::Fail);
        assert!(check.hint.contains("mount -t bpf bpf"), "{}", check.hint);
        assert!(file_system(Path::new("/proc/weir")).hint.contains("mount -t bpf"));
    }
}
