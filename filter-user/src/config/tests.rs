//! Settings as their users write them.

use super::*;
use crate::text::{Severity, render};

fn check(text: &str) -> Loaded {
    parse(text, Path::new("/etc/weir"), "weir.toml", Paths::of(None).expect("the default"))
}

#[test]
fn the_defaults_are_those_of_the_design() {
    let loaded = check("");
    assert_eq!(loaded.diagnostics, []);
    let config = loaded.config.expect("valid");
    assert_eq!(config.socket, Path::new("/run/weir/weir.sock"));
    assert_eq!(config.state_dir, Path::new("/var/lib/weir"));
    assert_eq!(config.pins, Path::new("/sys/fs/bpf/weir"));
    assert_eq!(config.metrics.to_string(), "127.0.0.1:9720");
    assert_eq!(config.events_path(), Path::new("/var/lib/weir/events.jsonl"));
    assert_eq!(
        config.sensor,
        Sensor { sample: 1.0, snap: 4096, turn: 16_384, ring: 16 << 20, flows: 100_000 }
    );
    assert_eq!(config.limits, Limits { sources: 262_144, max_apis: 256, max_bans: 65_536 });
    assert_eq!(config.feeds, Feeds { max_shrink: 0.5 });
    assert_eq!(config.store, Store { transactions: 64 << 20, retention: 7 * DAY });
    assert_eq!(config.inventory, Inventory { unused_after: 7 * DAY });
    assert_eq!(config.geo, Geo::default());
    assert_eq!(config.audit_bytes, 64 << 20);
    assert_eq!(config.on_exit, OnExit::Keep);
    assert!(config.policy.is_none() && config.interfaces.is_empty() && !config.log_kernel);
}

#[test]
fn what_is_different_is_named() {
    let read = |text: &str| check(text).config.unwrap_or_else(|| panic!("{text}"));
    let usual = read("");
    assert_eq!(usual.differences(&usual), [""; 0]);
    for (text, expected) in [
        ("metrics = \"127.0.0.1:9721\"\n[log]\nkernel = true", "metrics [log]"),
        ("[sensor]\nsample = 0.5", "[sensor]"),
        ("[audit]\nmax_size = \"1MiB\"", "[audit]"),
        ("[geo]\nasn = \"asn.mmdb\"", "[geo]"),
        ("[[sink]]\nname = \"a\"\nkind = \"stdout\"", ""),
    ] {
        assert_eq!(usual.differences(&read(text)).join(" "), expected, "{text}");
    }
}

#[test]
fn every_key_is_read() {
    let text = "interfaces = [\"eth0\", \"eth1\"]\nxdp_mode = \"generic\"\negress = \"clsact\"\n\
                policy = \"policy.toml\"\nstate_dir = \"/srv/weir\"\nsocket = \"/tmp/w.sock\"\n\
                pins = \"/sys/fs/bpf/x\"\nmetrics = \"[::1]:9000\"\non_exit = \"open\"\n\
                [sensor]\nsample = 0.25\nsnap = 1024\nturn = 8000\nring = \"1MiB\"\nflows = 5000\n\
                [limits]\nsources = 4096\nmax_apis = 16\nmax_bans = 1000\n\
                [store]\ntransactions = \"0B\"\nretention = \"12h\"\n\
                [inventory]\nunused_after = \"30d\"\n\
                [geo]\ncountry = \"geo/c.mmdb\"\nasn = \"/srv/a.mmdb\"\n\
                [feeds]\nmax_shrink = 0.9\n[audit]\nmax_size = \"1MiB\"\n\
                [events]\npath = \"log/e.jsonl\"\n[log]\nkernel = true\n";
    let loaded = check(text);
    let config = loaded.config.unwrap_or_else(|| panic!("{}", render(&loaded.diagnostics)));
    assert_eq!(config.interfaces, ["eth0", "eth1"]);
    assert_eq!((config.xdp_mode, config.egress), (XdpMode::Generic, Egress::Clsact));
    assert_eq!(config.policy.as_deref(), Some(Path::new("/etc/weir/policy.toml")));
    assert_eq!(config.socket, Path::new("/tmp/w.sock"));
    assert_eq!(config.pins, Path::new("/sys/fs/bpf/x"));
    assert_eq!(config.metrics.to_string(), "[::1]:9000");
    assert_eq!(config.feeds, Feeds { max_shrink: 0.9 });
    assert_eq!(config.store, Store { transactions: 0, retention: DAY / 2 });
    assert_eq!(config.inventory, Inventory { unused_after: 30 * DAY });
    let [country, asn] = ["/etc/weir/geo/c.mmdb", "/srv/a.mmdb"].map(|path| Some(path.into()));
    assert_eq!(config.geo, Geo { country, asn });
    assert_eq!(config.audit_bytes, 1 << 20);
    assert_eq!(config.on_exit, OnExit::Open);
    assert_eq!(
        config.sensor,
        Sensor { sample: 0.25, snap: 1024, turn: 8000, ring: 1 << 20, flows: 5000 }
    );
    assert_eq!(config.limits, Limits { sources: 4096, max_apis: 16, max_bans: 1000 });
    assert_eq!(config.events_path(), Path::new("/srv/weir/log/e.jsonl"));
    assert!(config.log_kernel);
}

#[test]
fn one_mistake_gives_one_diagnostic_that_says_where_and_what_to_do() {
    type Row = (&'static str, u32, u32, &'static str, &'static str);
    let rows: &[Row] = &[
        ("interface = [\"eth0\"]", 1, 1, "unknown key `interface`", "`interfaces`?"),
        ("interfaces = \"eth0\"", 1, 14, "must be a list", "[\"eth0\"]"),
        ("interfaces = [\"a/b\"]", 1, 15, "not an interface name", "ip link"),
        ("xdp_mode = \"drv\"", 1, 12, "cannot be", "\"native\""),
        ("egress = \"tc\"", 1, 10, "cannot be", "\"tcx\"?"),
        ("feeds = { max_shrink = 2 }", 1, 24, "out of range", "0 to 1"),
        ("[audit]\nmax_size = \"1KiB\"", 2, 12, "out of range", "\"64KiB\" to"),
        ("[store]\ntransactions = \"1KiB\"", 2, 16, "out of range", "or \"0B\""),
        ("[store]\nretention = \"2000d\"", 2, 13, "out of range", "366d"),
        ("[inventory]\nunused_after = \"soon\"", 2, 16, "", ""),
        ("[geo]\ncity = \"x\"", 2, 1, "unknown key `city`", "country"),
        ("policy = \"\"", 1, 10, "not a path", "policy.toml"),
        ("socket = \"weir.sock\"", 1, 10, "begin with `/`", "/run/weir/weir.sock"),
        ("metrics = \":9720\"", 1, 11, "not an address and port", "127.0.0.1:9720"),
        ("metrics = \"localhost:9720\"", 1, 11, "not an address", "127.0.0.1:9720"),
        ("[sensor]\nsample = 1.5", 2, 10, "out of range", "0 to 1"),
        ("[sensor]\nsample = nan", 2, 10, "out of range", "0 to 1"),
        ("[sensor]\nsnap = 63", 2, 8, "out of range", "64 to 16384"),
        ("[sensor]\nturn = 1048577", 2, 8, "out of range", "64 to 1048576"),
        ("[sensor]\nring = 16777216", 2, 8, "must be a string", "\"16MiB\""),
        ("[sensor]\nring = \"10MiB\"", 2, 8, "not a power of two", "\"8MiB\" or \"16MiB\""),
        ("[sensor]\nring = \"2GiB\"", 2, 8, "out of range", "\"1GiB\""),
        ("[sensr]\nsnap = 64", 1, 2, "unknown table `sensr`", "`sensor`?"),
        ("[limits]\nmax_apis = 1", 2, 12, "out of range", "2 to 4096"),
        ("[limits]\nsources = \"many\"", 2, 11, "must be an integer", "a number"),
        ("[events]\nfile = \"x\"", 2, 1, "unknown key `file`", "path"),
        ("[log]\nkernel = 1", 2, 10, "must be a boolean", "true or false"),
        ("on_exit = keep", 1, 11, "", "TOML"),
    ];
    for (text, line, column, message, hint) in rows {
        let found = check(text);
        let shown = render(&found.diagnostics);
        let [one] = found.diagnostics.as_slice() else { panic!("{text}\n{shown}") };
        assert_eq!(
            (one.severity, one.line, one.column),
            (Severity::Error, *line, *column),
            "{shown}"
        );
        assert!(one.message.contains(message) && one.hint.contains(hint), "{text}\n{shown}");
        assert!(found.config.is_none());
    }
    let all: String = ["socket = 1\n", "pins = 1\n", "metrics = 1\n", "[log]\nx = 1\n"].concat();
    assert_eq!(check(&all).diagnostics.len(), 4, "every problem in one run");
}

#[test]
fn an_instance_has_paths_of_its_own() {
    let paths = Paths::of(Some("edge2")).expect("a name");
    assert_eq!(paths.socket, Path::new("/run/weir-edge2/weir.sock"));
    assert_eq!(paths.state_dir, Path::new("/var/lib/weir-edge2"));
    assert_eq!(paths.pins, Path::new("/sys/fs/bpf/weir-edge2"));
    for bad in ["", "../x", "A", "__x"] {
        assert!(Paths::of(Some(bad)).is_err(), "{bad}");
    }
}

#[test]
fn the_command_line_wins() {
    let mut config = check("interfaces = [\"eth0\"]\npolicy = \"a\"\n").config.expect("valid");
    config.apply(Overrides::default()).expect("nothing to put");
    assert_eq!(config.interfaces, ["eth0"]);
    assert_eq!(config.policy.as_deref(), Some(Path::new("/etc/weir/a")));
    let overrides = Overrides {
        interfaces: vec!["lo".to_owned()],
        policy: Some("b".into()),
        state_dir: Some("/tmp/s".into()),
        sample: Some(0.0),
        egress: Some("off".parse().expect("a word")),
        ..Overrides::default()
    };
    config.apply(overrides).expect("good values");
    assert_eq!(config.interfaces, ["lo"]);
    assert_eq!(config.policy.as_deref(), Some(Path::new("b")));
    assert_eq!(config.events_path(), Path::new("/tmp/s/events.jsonl"));
    assert_eq!((config.sensor.sample, config.egress), (0.0, Egress::Off));
    for bad in [
        Overrides { sample: Some(1.01), ..Overrides::default() },
        Overrides { sample: Some(f64::NAN), ..Overrides::default() },
        Overrides { interfaces: vec!["a b".to_owned()], ..Overrides::default() },
    ] {
        assert!(config.clone().apply(bad.clone()).is_err(), "{bad:?}");
    }
}

#[test]
fn words_are_read_as_they_are_shown() {
    for (word, mode) in XdpMode::ALL {
        assert_eq!(word.parse(), Ok(*mode));
        assert_eq!(mode.to_string(), *word);
    }
    let refused = "drv".parse::<XdpMode>().expect_err("not a mode");
    assert_eq!(refused, "one of auto, native, generic");
}
