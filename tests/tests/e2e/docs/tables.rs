//! What has to be said of single commands: which are not run and why, which answer no, what has to be
//! there before them, and which words stand for what only the host knows.

/// Commands that are not run here: what they begin with (`sudo` apart), and why. Of `cargo xtask` verb and options are
/// held against its help.
pub(crate) const NOT_RUN: [(&str, &str); 12] = [
    (
        "cargo xtask",
        "builds, measures or tests for minutes; CI runs setup, build, test, bench, lab, demo and package",
    ),
    ("cargo run --release -p filter-user --example", "measures for minutes"),
    (
        "apt ",
        "changes the system: `cargo xtask package --try` does it in a root file system of its own",
    ),
    ("WEIR_ON_REMOVE=keep apt ", "the same"),
    ("systemctl ", "there is no systemd in a laboratory; `cargo xtask package` checks the unit"),
    ("journalctl ", "the same"),
    ("sudoedit ", "an editor"),
    ("usermod ", "changes the system's users"),
    (
        "weir watch-unconfirmed",
        "a process of the daemon's own: the tests of `--confirm` see it at work",
    ),
    (
        "promtool check metrics",
        "needs the metrics on its standard input: the end-to-end tests give them",
    ),
    ("df /var/lib/weir", "says nothing about weir"),
    ("WEIR_SEEDS=DIR cargo test", "a test"),
];

/// Commands that do not end with 0, and why.
pub(crate) const ANSWERS: &[(&str, i32, &str)] = &[
    ("weir explain 203.0.113.7 192.0.2.1 --dport 8080", 1, "a stranger: it is dropped"),
    (
        "weir apis drift orders",
        1,
        "the document of the example lacks /error, and nobody asks for a refund",
    ),
    ("weir assess --output reports/ --fail-on high", 1, "there are findings that are open"),
];

/// What has to be there before a command.
pub(crate) enum Before {
    /// These commands were run.
    Run(&'static str),
    /// Clients asked.
    Asked,
}

pub(crate) const BEFORE: &[(&str, Before)] = &[
    ("curl -s http://127.0.0.1:9720/metrics | grep http_server_request", Before::Asked),
    ("weir tune", Before::Asked),
    ("weir breach lift orders", Before::Run("weir breach shutdown orders --reason 'to be lifted'")),
    (
        "weir ban del 198.51.100.0/24 --api orders",
        Before::Run("weir ban add 198.51.100.0/24 --api orders --ttl 30s"),
    ),
    (
        "weir evidence --source 198.51.100.7 --since 24h --output evidence.json",
        Before::Run("rm -f evidence.json"),
    ),
    (
        "weir actions undo 12",
        Before::Run("weir actions approve $(weir actions --json | jq '.[0].id')"),
    ),
    // The one before has taken the name of this second.
    ("weir support-bundle --no-mask --json | jq .missing", Before::Run("sleep 1")),
    ("weir top --instance edge", Before::Run(SECOND)),
    ("weir confirm", Before::Run(WAITS)),
    (
        "weir assess --from report.json --format html",
        Before::Run("weir assess --output report.json"),
    ),
];

/// A policy waits to be confirmed.
const WAITS: &str =
    "weir status --json | jq -e .policy.confirm_seconds || weir apply policy.toml --confirm 60s";

/// A second daemon on an interface of its own; it goes with the laboratory.
const SECOND: &str = "ip link add eth1 type veth peer name peer1 && ip link set eth1 up && \
    (weir run --instance edge --interface eth1 --metrics 127.0.0.1:9721 >edge.log 2>&1 &) && \
    for try in $(seq 100); do weir status --instance edge && break; sleep 0.1; done";

/// Words of commands, and the command that prints what they stand for at the moment.
pub(crate) const PLACES: [(&str, &str); 5] = [
    // The first page of a run may be sooner than the detectors.
    (
        "1f2e3d4c",
        "for try in $(seq 50); do weir findings --json | jq -re '.[0].id[:8] // empty' && break; sleep 0.2; done",
    ),
    (
        "rollback 7",
        "weir history --json | jq -r 'map(select(.state == \"confirmed\" and (.in_force | not))) | \"rollback \\(.[0].number)\"'",
    ),
    ("approve 12", "weir actions --json | jq -r '\"approve \\(.[0].id)\"'"),
    ("reject 12", "weir actions --json | jq -r '\"reject \\(.[0].id)\"'"),
    (
        "undo 12",
        "weir actions list --all --json | jq -r 'map(select(.state == \"done\")) | sort_by(.decided, .id) | reverse | \"undo \\(.[0].id)\"'",
    ),
];
