//! `cargo xtask setup`: finds what is there, says so line by line, installs what is missing on
//! Debian, and elsewhere prints the commands to run.
//!
//! What is looked for is programs, not packages, so a machine prepared in another way is left
//! alone. How Debian installs things is in [`crate::debian`].

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::debian;
use crate::process;
use crate::toolchain::{self, Compiler};

/// The linker that works with the compilers this project is built with.
const BPF_LINKER: &str = "0.13.0";
/// The LLVM of the distribution's compiler; the linker must have the same.
const LLVM: &str = "22";

/// Options of `setup`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Install nothing; exit 1 when something is missing
    #[arg(long)]
    check: bool,
    /// What it is for
    #[arg(long = "for", value_enum, value_name = "PURPOSE", default_value_t = Purpose::Build)]
    purpose: Purpose,
}

/// What the machine is prepared for. Each includes `build`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Purpose {
    /// Compile
    Build,
    /// Run the demo in network namespaces
    Demo,
    /// Run the fuzz targets
    Fuzz,
    /// Run all tests
    Test,
    /// Try other kernels in emulated machines
    Kernels,
    /// Measure, beside the peers
    Bench,
    /// Build and try the Debian package
    Package,
    /// Everything
    All,
}

/// Something that must be there.
struct Need {
    name: &'static str,
    /// Where it is, or `None`.
    found: Option<String>,
    remedy: Remedy,
}

/// How it gets there.
#[derive(Clone, Copy)]
enum Remedy {
    /// These Debian packages.
    Packages(&'static [&'static str]),
    /// `cargo install`, after the packages it is compiled against.
    BpfLinker,
    /// A component of the rustup toolchain in use.
    Component(&'static str),
    /// [`PYTHON`] from PyPI into `target/python`, after pip.
    Python,
}

/// The compiler of libFuzzer, which is in C++.
const CXX: &str = "c++";

/// What the tests need from PyPI: a collector of OpenTelemetry, and the schema of OCSF with what
/// checks it.
const PYTHON: [&str; 3] = ["rotel==0.0.1a15", "ocsf-json-schema==1.2.0", "jsonschema==4.26.0"];
/// Files that are there when they are.
const PYTHON_FILES: [&str; 3] =
    ["rotel/rotel-agent", "ocsf_json_schema/__init__.py", "jsonschema/__init__.py"];
/// What rsyslog's TLS is, below the directory of libraries.
const RSYSLOG_TLS: &str = "rsyslog/lmnsd_gtls.so";

/// For what the programs of the laboratory are needed, `all` aside.
const LAB: &[Purpose] = &[Purpose::Demo, Purpose::Test, Purpose::Bench];
const TESTS: &[Purpose] = &[Purpose::Test];
const PACKAGE: &[Purpose] = &[Purpose::Package];
/// The laboratory, and what tries the package.
const TRIALS: &[Purpose] = &[Purpose::Demo, Purpose::Test, Purpose::Bench, Purpose::Package];
const PEERS: &[Purpose] = &[Purpose::Bench];

/// The programs of the laboratory: name, Debian package, what needs it.
const PROGRAMS: [(&str, &[&str], &[Purpose]); 34] = [
    (CXX, &["g++"], &[Purpose::Fuzz, Purpose::Test]),
    ("ip", &["iproute2"], TRIALS),
    ("nsenter", &["util-linux"], TRIALS),
    ("mount", &["mount"], TRIALS),
    ("curl", &["curl"], TRIALS),
    ("dpkg-deb", &["dpkg"], PACKAGE),
    ("lintian", &["lintian"], PACKAGE),
    ("mmdebstrap", &["mmdebstrap"], PACKAGE),
    ("systemd-analyze", &["systemd"], PACKAGE),
    ("python3", &["python3"], &[Purpose::Test, Purpose::Package]),
    ("wrk", &["wrk"], LAB),
    ("h2load", &["nghttp2-client"], &[Purpose::Test, Purpose::Bench]),
    ("nginx", &["nginx"], LAB),
    ("haproxy", &["haproxy"], TESTS),
    ("node", &["nodejs"], TESTS),
    ("tshark", &["tshark"], TESTS),
    ("timeout", &["coreutils"], TESTS),
    ("ethtool", &["ethtool"], &[Purpose::Test, Purpose::Bench]),
    ("tcpdump", &["tcpdump"], TESTS),
    ("dnsmasq", &["dnsmasq-base"], TESTS),
    ("busybox", &["busybox-static"], TESTS),
    ("dhclient", &["isc-dhcp-client"], TESTS),
    ("prometheus", &["prometheus"], TESTS),
    ("promtool", &["prometheus"], &[Purpose::Test, Purpose::Package]),
    ("prometheus-alertmanager", &["prometheus-alertmanager"], TESTS),
    ("rsyslogd", &["rsyslog"], TESTS),
    ("openssl", &["openssl"], TESTS),
    ("sshd", &["openssh-server"], TESTS),
    ("ssh", &["openssh-client"], TESTS),
    ("ssh-keygen", &["openssh-client"], TESTS),
    ("xdp-filter", &["xdp-tools"], PEERS),
    ("nft", &["nftables"], &[Purpose::Test, Purpose::Bench]),
    ("ipset", &["ipset"], PEERS),
    ("iptables", &["iptables"], PEERS),
];

/// What boots other kernels: name, Debian package.
const MACHINES: [(&str, &[&str]); 7] = [
    ("qemu-system-x86_64", &["qemu-system-x86"]),
    ("busybox", &["busybox-static"]),
    ("dpkg-deb", &["dpkg"]),
    ("strip", &["binutils"]),
    ("xz", &["xz-utils"]),
    ("ip", &["iproute2"]),
    ("curl", &["curl"]),
];

/// Runs the verb.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if !options.check {
        ensure(options.purpose)?;
        return Ok(ExitCode::SUCCESS);
    }
    let missing = survey(options.purpose).iter().filter(|need| need.report().is_none()).count();
    println!("setup: {missing} missing");
    Ok(if missing == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Makes the machine ready for a purpose, or explains what keeps it from being so.
pub(crate) fn ensure(purpose: Purpose) -> Result<()> {
    let missing: Vec<Need> =
        survey(purpose).into_iter().filter(|need| need.report().is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = packages(&missing);
    if !packages.is_empty() {
        if !debian::is_here() {
            return by_hand("this is not Debian", &missing, &packages);
        }
        if !process::privileges()?.root {
            return by_hand("installing packages needs root", &missing, &packages);
        }
        debian::install(&packages).with_context(|| {
            format!(
                "the distribution's packages for the eBPF compiler are not to be had; instead:\n{}",
                nightly_commands()
            )
        })?;
    }
    for need in &missing {
        match need.remedy {
            Remedy::Packages(_) => {}
            Remedy::BpfLinker => install_bpf_linker()?,
            Remedy::Python => install_python()?,
            Remedy::Component(component) => add_component(component)?,
        }
    }
    let still: Vec<_> =
        survey(purpose).iter().filter(|need| need.found.is_none()).map(|need| need.name).collect();
    if !still.is_empty() {
        bail!("still missing after installing: {}", still.join(", "));
    }
    println!("setup: done");
    Ok(())
}

impl Need {
    /// Prints the line of this need and hands on where it is.
    fn report(&self) -> Option<&str> {
        match &self.found {
            Some(place) => println!("setup: {:<14} present  {place}", self.name),
            None => println!("setup: {:<14} missing", self.name),
        }
        self.found.as_deref()
    }
}

/// Looks for everything that a purpose needs.
fn survey(purpose: Purpose) -> Vec<Need> {
    let shown = |path: Option<PathBuf>| path.map(|path| path.display().to_string());
    let compiler = toolchain::find_compiler();
    let clippy_driver = match &compiler {
        // The nightly's clippy is a component of it; see the `test` verb.
        Ok(Compiler::Nightly) => Some("with the nightly toolchain".to_owned()),
        _ => {
            shown(Some(PathBuf::from(toolchain::DISTRIBUTION_CLIPPY)).filter(|path| path.exists()))
        }
    };
    let mut needs = vec![
        Need {
            name: "eBPF compiler",
            found: compiler.ok().map(|compiler| match compiler {
                Compiler::Nightly => "nightly with rust-src".to_owned(),
                Compiler::Prebuilt(rustc) => rustc.display().to_string(),
            }),
            remedy: Remedy::Packages(&["rustc-web", "libstd-rust-web-dev-bpf"]),
        },
        Need {
            name: "bpf-linker",
            found: toolchain::find_linker().ok().map(|path| path.display().to_string()),
            remedy: Remedy::BpfLinker,
        },
    ];
    let wanted = |by: &[Purpose]| purpose == Purpose::All || by.contains(&purpose);
    needs.extend(PROGRAMS.iter().filter(|(.., by)| wanted(by)).map(|(name, packages, _)| Need {
        name,
        found: shown(process::find(name)),
        remedy: Remedy::Packages(packages),
    }));
    if wanted(&[Purpose::Kernels]) {
        needs.extend(MACHINES.iter().map(|(name, packages)| Need {
            name,
            found: shown(process::find(name)),
            remedy: Remedy::Packages(packages),
        }));
    }
    if wanted(TESTS) {
        let component = |name, subcommand: &str| Need {
            name,
            found: process::answer(process::cargo().args([subcommand, "--version"])),
            remedy: Remedy::Component(name),
        };
        needs.push(Need {
            name: "rsyslog's TLS",
            found: shown(rsyslog_tls()),
            remedy: Remedy::Packages(&["rsyslog-gnutls"]),
        });
        let python = python();
        let is_there = PYTHON_FILES.iter().all(|file| python.join(file).is_file());
        needs.push(Need {
            name: "Python tools",
            found: shown(is_there.then_some(python)),
            remedy: Remedy::Python,
        });
        needs.push(component("rustfmt", "fmt"));
        needs.push(component("clippy", "clippy"));
        needs.push(Need {
            name: "eBPF clippy",
            found: clippy_driver,
            remedy: Remedy::Packages(&["rust-web-clippy"]),
        });
    }
    needs
}

/// The Debian packages that some needs ask for, each once.
fn packages(missing: &[Need]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for need in missing {
        let wanted: &[&str] = match need.remedy {
            Remedy::Packages(packages) => packages,
            // Written in Rust over LLVM's library; a C++ compiler is not needed.
            Remedy::BpfLinker if llvm_is_here() => &[],
            Remedy::BpfLinker => &["llvm-22-dev"],
            Remedy::Python if process::find("pip3").is_some() => &[],
            Remedy::Python => &["python3-pip"],
            Remedy::Component(_) => &[],
        };
        names.extend(wanted);
    }
    names.sort_unstable();
    names.dedup();
    names
}

fn llvm_prefix() -> PathBuf {
    Path::new("/usr/lib").join(format!("llvm-{LLVM}"))
}

fn llvm_is_here() -> bool {
    llvm_prefix().join("bin/llvm-config").exists()
}

fn bpf_linker_command() -> Command {
    let mut command = process::cargo();
    command
        .args(["install", "bpf-linker", "--locked", "--version", BPF_LINKER])
        .args(["--no-default-features", "--features", &format!("llvm-{LLVM}")])
        .env("LLVM_PREFIX", llvm_prefix())
        // What is set for this project's own build is not meant for a tool.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("CARGO_TARGET_DIR");
    command
}

fn install_bpf_linker() -> Result<()> {
    let mut command = bpf_linker_command();
    println!("setup: bpf-linker {BPF_LINKER}: compiling, about a minute on two cores");
    process::run_quietly(&mut command, "bpf-linker").with_context(|| {
        format!("cannot install bpf-linker against the LLVM in {}", llvm_prefix().display())
    })
}

/// The directory that pip installs into.
fn python() -> PathBuf {
    crate::root().join("target/python")
}

fn pip_command() -> Command {
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "install", "--upgrade", "--target"]).arg(python()).args(PYTHON);
    command
}

fn install_python() -> Result<()> {
    println!("setup: Python tools: installing {} into target/python", PYTHON.join(", "));
    process::run_quietly(&mut pip_command(), "pip")
        .context("cannot install from PyPI; rotel has wheels for some platforms only")
}

fn rsyslog_tls() -> Option<PathBuf> {
    let directories = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let places = directories.chain(["/usr/lib64", "/usr/lib"].map(PathBuf::from));
    places.map(|place| place.join(RSYSLOG_TLS)).find(|file| file.is_file())
}

fn add_component(component: &str) -> Result<()> {
    println!("setup: {component}: adding it to the toolchain in use");
    process::run_quietly(Command::new("rustup").args(["component", "add", component]), component)
        .with_context(|| format!("install {component} for the toolchain that `cargo` belongs to"))
}

/// Prints what a person has to run; the error that is returned makes the exit code 2.
fn by_hand(why: &str, missing: &[Need], packages: &[&str]) -> Result<()> {
    println!("setup: {why}; as root, run:");
    if debian::is_here() {
        println!("    apt-get update");
        println!("    apt-get install --no-install-recommends {}", packages.join(" "));
        for need in missing {
            match need.remedy {
                Remedy::Packages(_) => {}
                Remedy::BpfLinker => println!(
                    "    LLVM_PREFIX={} cargo {}",
                    llvm_prefix().display(),
                    process::words(bpf_linker_command().get_args())
                ),
                Remedy::Component(component) => println!("    rustup component add {component}"),
                Remedy::Python => {
                    println!("    python3 {}", process::words(pip_command().get_args()));
                }
            }
        }
    } else {
        if missing.iter().any(|need| ["eBPF compiler", "bpf-linker"].contains(&need.name)) {
            println!("{}", nightly_commands());
        }
        let programs: Vec<_> = PROGRAMS
            .iter()
            .map(|(name, ..)| *name)
            .filter(|name| missing.iter().any(|need| need.name == *name))
            .collect();
        if !programs.is_empty() {
            println!("    and install, with the package manager: {}", programs.join(" "));
        }
    }
    let names: Vec<_> = missing.iter().map(|need| need.name).collect();
    bail!("missing: {} ({why})", names.join(", "))
}

/// The way without a distribution's packages.
fn nightly_commands() -> String {
    format!(
        "    rustup toolchain install nightly --component rust-src\n    \
         rustup run nightly rustc -vV | grep LLVM   # its major version: install that LLVM with its headers\n    \
         cargo install bpf-linker --locked --version {BPF_LINKER} --no-default-features --features llvm-{LLVM}   \
         # llvm-21, llvm-22 or llvm-23; LLVM_PREFIX names its directory"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(remedy: Remedy) -> Need {
        Need { name: "x", found: None, remedy }
    }

    #[test]
    fn packages_are_named_once_and_sorted() {
        let rows: [(&str, Vec<Need>, &[&str]); 3] = [
            ("nothing", vec![], &[]),
            (
                "two programs of one package",
                vec![
                    need(Remedy::Packages(&["prometheus"])),
                    need(Remedy::Packages(&["prometheus"])),
                ],
                &["prometheus"],
            ),
            (
                "a component needs none",
                vec![need(Remedy::Component("clippy")), need(Remedy::Packages(&["wrk", "curl"]))],
                &["curl", "wrk"],
            ),
        ];
        for (name, missing, expected) in rows {
            assert_eq!(packages(&missing), expected, "{name}");
        }
    }

    #[test]
    fn each_purpose_includes_the_build() {
        let names = |purpose| survey(purpose).iter().map(|need| need.name).collect::<Vec<_>>();
        let (build, demo, test) =
            (names(Purpose::Build), names(Purpose::Demo), names(Purpose::Test));
        let fuzz = names(Purpose::Fuzz);
        assert!(fuzz.starts_with(&build) && fuzz[build.len()..] == [CXX] && test.contains(&CXX));
        assert!(demo.starts_with(&build) && test.starts_with(&build));
        assert!(demo.contains(&"nginx") && !build.contains(&"nginx"));
        let (bench, all) = (names(Purpose::Bench), names(Purpose::All));
        assert!(bench.contains(&"ipset") && !test.contains(&"ipset"));
        assert!(bench.iter().chain(&test).all(|name| all.contains(name)));
        assert!(test.contains(&"prometheus") && !demo.contains(&"prometheus"));
        assert!(demo.iter().all(|name| test.contains(name)));
    }
}
