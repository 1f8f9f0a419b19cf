//! Receivers as their users write them.

use std::path::Path;

use super::*;
use crate::config::{Paths, parse};
use crate::text::render;

type Told = (u32, u32, String, String);

fn read(text: &str) -> Result<Vec<Sink>, Vec<Told>> {
    let loaded = parse(text, Path::new("/etc/weir"), "weir.toml", Paths::of(None).expect("paths"));
    let told = |d: crate::text::Diagnostic| (d.line, d.column, d.message, d.hint);
    loaded
        .config
        .map(|config| config.sinks)
        .ok_or_else(|| loaded.diagnostics.into_iter().map(told).collect())
}

#[test]
fn every_kind_is_read() {
    let text = r#"
[[sink]]
name = "copy"
kind = "file"
path = "/var/log/weir/copy.jsonl"
max_size = "1MiB"
keep = 2
format = "ocsf"
[[sink]]
name = "out"
kind = "stdout"
min_severity = "warning"
events = ["finding_opened", "ban_added"]
api = ["orders"]
spool = "64KiB"
timeout = "2s"
[[sink]]
name = "hook"
kind = "webhook"
url = "https://[2001:db8::1]/in?key=x"
headers = { X-Tenant = "a b" }
secret_file = "hook.key"
ca = "/etc/ca.pem"
batch = 1
[[sink]]
name = "am"
kind = "alertmanager"
url = "http://am.example:9093/prefix/"
token_file = "am.token"
resend = "30s"
[[sink]]
name = "siem"
kind = "syslog"
url = "tls://siem.example"
facility = "local3"
cert = "c.pem"
key = "k.pem"
[[sink]]
name = "otel"
kind = "otlp"
url = "http://127.0.0.1:4318"
"#;
    let sinks = read(text).expect("valid");
    let names: Vec<_> = sinks.iter().map(|sink| (&*sink.name, sink.receiver.kind())).collect();
    let kinds = Receiver::KINDS;
    assert_eq!(names.iter().map(|(_, kind)| *kind).collect::<Vec<_>>(), kinds);
    let places: Vec<_> = sinks.iter().map(|sink| sink.receiver.place()).collect();
    assert_eq!(
        places,
        [
            "/var/log/weir/copy.jsonl",
            "standard output",
            "https://[2001:db8::1]:443/in?…",
            "http://am.example:9093/prefix/",
            "tls://siem.example:6514",
            "http://127.0.0.1:4318",
        ]
    );
    let [file, out, hook, am, siem, _] = &sinks[..] else { panic!("{names:?}") };
    let Receiver::File { max_bytes, keep, format, .. } = file.receiver else { panic!("{file:?}") };
    assert_eq!((max_bytes, keep, format), (1 << 20, 2, Format::Ocsf));
    assert_eq!((file.spool, file.timeout), (16 << 20, Duration::from_secs(10)));
    assert_eq!((out.spool, out.timeout), (64 << 10, Duration::from_secs(2)));
    let wants = Wants {
        min_severity: Severity::Warning,
        events: vec![Kind::FindingOpened, Kind::BanAdded],
        apis: vec!["orders".to_owned()],
    };
    assert_eq!(out.wants, wants);
    let Receiver::Webhook { http, batch, .. } = &hook.receiver else { panic!("{hook:?}") };
    assert_eq!((http.url.target().as_str(), *batch), ("/in?key=x", 1));
    assert_eq!(http.proof, Some(Proof::Hmac("/etc/weir/hook.key".into())));
    assert_eq!(http.headers, [("X-Tenant".to_owned(), "a b".to_owned())]);
    let Receiver::Alertmanager { http, resend } = &am.receiver else { panic!("{am:?}") };
    assert_eq!(http.url.joined("/api/v2/alerts"), "/prefix/api/v2/alerts");
    assert_eq!(*resend, Duration::from_secs(30));
    let Receiver::Syslog { facility, tls, .. } = &siem.receiver else { panic!("{siem:?}") };
    assert_eq!(*facility, 19);
    let own = ["c.pem", "k.pem"].map(|name| Path::new("/etc/weir").join(name));
    assert_eq!(tls.identity, Some(own.into()));
}

#[test]
fn one_mistake_gives_one_diagnostic_that_says_where_and_what_to_do() {
    let of =
        |kind: &str, more: &str| format!("[[sink]]\nname = \"a\"\nkind = \"{kind}\"\n{more}\n");
    let web = |more: &str| of("webhook", &format!("url = \"http://h/\"\n{more}"));
    let rows = [
        ("sink = 1".to_owned(), 1, "must be a list", "[[sink]]"),
        ("[[sink]]\nname = \"a\"".to_owned(), 1, "no `kind`", "\"webhook\""),
        ("[[sink]]\nkind = \"stdout\"".to_owned(), 1, "no `name`", "add name"),
        (of("web", ""), 3, "cannot be \"web\"", "\"webhook\""),
        (of("stdout", "url = \"x\""), 4, "unknown key `url`", "format"),
        (of("stdout", "min_severity = \"warn\""), 4, "cannot be \"warn\"", "\"warning\""),
        (of("stdout", "events = [\"finding_open\"]"), 4, "no event", "\"finding_opened\"?"),
        (of("stdout", "events = []"), 4, "gets nothing", "leave it out"),
        (of("stdout", "spool = \"1KiB\""), 4, "out of range", "\"64KiB\""),
        (of("stdout", "timeout = \"1h\""), 4, "out of range", "\"5m\""),
        (of("file", "path = \"x\""), 4, "begin with `/`", "/var/log"),
        (of("file", ""), 1, "no `path`", "add path"),
        (of("webhook", ""), 1, "no `url`", "https://"),
        (of("webhook", "url = \"ftp://h/\""), 4, "`ftp://`", "https:// or http://"),
        (of("webhook", "url = \"http://u:secret@h/\""), 4, "no password", "token_file"),
        (of("webhook", "url = \"http://h:0/\""), 4, "port", "https://HOST:PORT"),
        (of("webhook", "url = \"http://[::zz]/\""), 4, "host or port", ""),
        (web("batch = 0"), 5, "out of range", "1 to 1000"),
        (web("headers = { Authorization = \"x\" }"), 5, "itself", "token_file"),
        (web("headers = { \"a b\" = \"x\" }"), 5, "not a header", "RFC 9110"),
        (web("headers = { a = \"x\\r\\nb: c\" }"), 5, "not a header", ""),
        (web("token_file = \"a\"\nsecret_file = \"b\""), 1, "`secret_file`", "one of the two"),
        (of("alertmanager", "url = \"http://h\"\nevents = [\"ban_added\"]"), 5, "unknown key", ""),
        (of("syslog", "url = \"udp://h\""), 4, "`udp://`", "tls:// or tcp://"),
        (of("syslog", "url = \"tcp://h/x\""), 4, "has a path", "tcp://"),
        (of("syslog", "url = \"tcp://h\"\nfacility = \"local9\""), 5, "cannot be", "local0"),
        (web("cert = \"a\""), 1, "one of `cert` and `key`", "give both"),
        (
            of("stdout", "format = \"ocsf\"\nevents = [\"finding_opened\", \"ban_added\"]"),
            5,
            "OCSF cannot say \"ban_added\"",
            "json",
        ),
        (of("stdout", "") + &of("stdout", ""), 5, "two sinks", "of its own"),
    ];
    for (text, line, message, hint) in rows {
        let found = read(&text).expect_err(&text);
        let [(at, _, told, help)] = &found[..] else { panic!("{text}\n{found:?}") };
        assert_eq!(*at, line, "{text}\n{found:?}");
        assert!(told.contains(message) && help.contains(hint), "{text}\n{found:?}");
        assert!(!format!("{found:?}").contains("secret@"), "{found:?}");
    }
}

#[test]
fn a_token_in_clear_text_is_a_warning() {
    let rows = [
        ("http://h/", 1),
        ("https://h/", 0),
        ("http://127.0.0.1/", 0),
        ("http://[::1]/", 0),
        ("http://localhost/", 0),
    ];
    for (url, warnings) in rows {
        let text = format!(
            "[[sink]]\nname = \"a\"\nkind = \"otlp\"\nurl = \"{url}\"\ntoken_file = \"t\"\n"
        );
        let paths = Paths::of(None).expect("paths");
        let loaded = parse(&text, Path::new("/"), "t", paths);
        assert!(loaded.config.is_some() && loaded.diagnostics.len() == warnings, "{url}");
    }
}

#[test]
fn the_example_of_the_docs_is_right() {
    let docs = include_str!("../../../../docs/sinks.md");
    let blocks: Vec<&str> =
        docs.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 6, "an example for each receiver");
    for block in blocks {
        let path = Path::new("/etc/weir");
        let loaded = parse(block, path, "docs", Paths::of(None).expect("paths"));
        assert!(loaded.config.is_some(), "{block}\n{}", render(&loaded.diagnostics));
    }
}
