//! One mistake a row: where it is told, in which words, with which remedy.

use super::*;

/// A valid start that the rows below add one mistake to.
const BASE: &str = "[groups.a]\ncidrs = [\"192.0.2.0/24\"]\n[[api]]\nname = \"x\"\n\
                    listen = [\"tcp/80\"]\nallow = [\"a\"]\n";

/// What is added to `BASE` (or, after `=`, what replaces it), then severity, line, column, and words
/// of the message and of the hint.
type Row = (&'static str, Severity, u32, u32, &'static str, &'static str);

#[test]
fn one_mistake_gives_one_diagnostic_that_says_where_and_what_to_do() {
    use Severity::{Error, Warning};
    let rows: &[Row] = &[
        // Keys and types.
        ("lsten = []", Error, 7, 1, "unknown key `lsten`", "did you mean `listen`?"),
        ("banana = 1", Error, 7, 1, "unknown key `banana`", "known in api: name, kind"),
        ("[trused]", Error, 7, 2, "unknown table `trused`", "did you mean `trusted`?"),
        ("limit = { calls = \"5/s\" }", Error, 7, 11, "unknown key `calls`", "packets, bytes"),
        ("mode = 1", Error, 7, 8, "must be a string, not an integer", "\"enforce\", \"monitor\""),
        ("mode = \"enfoce\"", Error, 7, 8, "cannot be \"enfoce\"", "did you mean \"enforce\"?"),
        ("data = \"pii\"", Error, 7, 8, "must be a list, not a string", "[\"pci\", \"pii\"]"),
        ("owner = \"\"", Error, 7, 9, "is empty", "printable"),
        ("[policy]\nversion = 2", Error, 8, 11, "version 2", "version = 1"),
        ("[policy]\nversion = \"1\"", Error, 8, 11, "must be an integer, not a string", "number"),
        ("[policy]\nname = \"Edge 1\"", Error, 8, 8, "not a name", "write \"edge-1\""),
        ("[unclaimed]\naction = \"reject\"", Error, 8, 10, "cannot be", "\"pass\", \"drop\""),
        // Absolute limits.
        ("alert = {}", Error, 7, 9, "`api.alert` limits nothing", "error_ratio"),
        ("alert = { error_ratio = \"5\" }", Error, 7, 25, "\"5\" is no share", "0.01%"),
        ("alert = { error_ratio = \"200%\" }", Error, 7, 25, "is no share", "below 100%"),
        ("alert = { error_ratio = 0.05 }", Error, 7, 25, "must be a string", "\"5%\""),
        ("alert = { latency_p99 = \"2h\" }", Error, 7, 25, "a latency of 2h", "1ms to 100s"),
        ("alert = { latency = \"2s\" }", Error, 7, 11, "unknown key `latency`", "latency_p99"),
        (
            "alert = { requests_per_second = { min = 5, max = 5 } }",
            Error,
            7,
            33,
            "a min that is not below its max",
            "max = 2000",
        ),
        ("alert = { requests_per_second = {} }", Error, 7, 33, "neither min nor max", "min = 1"),
        // Maintenance.
        (
            "[[maintenance]]\napis = [\"y\"]\nfrom = \"22:00\"\nfor = \"1h\"",
            Error,
            8,
            9,
            "unknown API `y` in maintenance.apis",
            "did you mean \"x\"?",
        ),
        (
            "[[maintenance]]\nfrom = \"2026-12-01T22:00:00Z\"\nuntil = \"2026-12-01T21:00:00Z\"",
            Error,
            9,
            9,
            "ends before it begins",
            "after `from`",
        ),
        (
            "[[maintenance]]\nfrom = \"1 December\"\nuntil = \"2026-12-01T21:00:00Z\"",
            Error,
            8,
            8,
            "\"1 December\" is not a date with a time",
            "RFC 3339",
        ),
        (
            "[[maintenance]]\nfrom = \"2026-12-01T22:00:00Z\"\nuntil = \"2027-12-01T22:00:00Z\"",
            Warning,
            9,
            9,
            "maintenance for 365 days",
            "is the year right?",
        ),
        (
            "[[maintenance]]\nfrom = 2026-12-01T22:00:00Z\nuntil = \"2026-12-01T23:00:00Z\"",
            Error,
            8,
            8,
            "must be a string, not a date or time",
            "T22:00:00Z",
        ),
        ("[[maintenance]]\nuntil = \"2026-12-01T21:00:00Z\"", Error, 7, 1, "has no from", "22:00"),
        ("[[maintenance]]\nfrom = \"22:00\"", Error, 7, 1, "has no end", "for = \"4h\""),
        (
            "[[maintenance]]\nfrom = \"22:00\"\nfor = \"1h\"\nuntil = \"2026-12-01T21:00:00Z\"",
            Error,
            10,
            1,
            "either once or weekly",
            "days, from and for",
        ),
        (
            "[[maintenance]]\nfrom = \"24:00\"\nfor = \"1h\"",
            Error,
            8,
            8,
            "\"24:00\" is not a time of day",
            "UTC",
        ),
        (
            "[[maintenance]]\nfrom = \"22:00\"\nfor = \"25h\"",
            Error,
            9,
            7,
            "maintenance for 25h is out of range",
            "1m to 24h",
        ),
        (
            "[[maintenance]]\nfrom = \"00:00\"\nfor = \"24h\"",
            Error,
            9,
            7,
            "every hour of every day",
            "ever be learned",
        ),
        (
            "[[maintenance]]\ndays = [\"saturday\"]\nfrom = \"22:00\"\nfor = \"1h\"",
            Error,
            8,
            9,
            "\"saturday\" is no day of the week",
            "mon, tue",
        ),
        (
            "[[maintenance]]\ndays = []\nfrom = \"22:00\"\nfor = \"1h\"",
            Error,
            8,
            8,
            "is empty",
            "sat",
        ),
        (
            "[maintenance]\nfrom = \"22:00\"\nfor = \"1h\"",
            Error,
            7,
            1,
            "must be a list, not a table",
            "[[maintenance]]",
        ),
        // Kinds of packets.
        ("[alerts]\nper_day = 0", Error, 8, 11, "`alerts.per_day` is out of range", "0.01"),
        ("[alerts]\nper_day = \"few\"", Error, 8, 11, "a number", "0.01"),
        (
            "[alerts]\nper_day = { warn = 2 }",
            Error,
            8,
            13,
            "unknown key `warn`",
            "info, notice, warning, critical",
        ),
        ("[packets]\ntcp_flag = \"drop\"", Error, 8, 1, "unknown key `tcp_flag`", "`tcp_flags`?"),
        (
            "[packets]\nbad_ip = \"reject\"",
            Error,
            8,
            10,
            "cannot be",
            "\"pass\", \"monitor\", \"drop\"",
        ),
        (
            "[packets]\nbad_ip = true",
            Error,
            8,
            10,
            "must be a string, not a boolean",
            "\"monitor\"",
        ),
        (
            "=packets = \"drop\"\n[unclaimed]\naction = \"drop\"",
            Error,
            1,
            11,
            "must be a table, not a string",
            "[packets]",
        ),
        (
            "[packets]\ntruncated = \"pass\"",
            Warning,
            8,
            13,
            "`truncated` packets pass without being judged",
            "is the default",
        ),
        // Syntax.
        ("x = ", Error, 7, 5, "", "the file is TOML"),
        ("mode = \"enforce", Error, 7, 16, "", "the file is TOML"),
        ("mode = \"monitor\"\nmode = \"enforce\"", Error, 8, 1, "duplicate key", "TOML"),
        // Names.
        (
            "[[api]]\nname = \"x\"\nlisten = [\"tcp/81\"]\nallow = \"any\"",
            Error,
            8,
            8,
            "`x` is defined twice (first in line 4)",
            "its own name",
        ),
        (
            "[[api]]\nname = \"__x\"\nlisten = [\"tcp/81\"]\nallow = \"any\"",
            Error,
            8,
            8,
            "reserved",
            "beginning with a letter",
        ),
        ("[[api]]\nlisten = [\"tcp/81\"]\nallow = \"any\"", Error, 7, 1, "has no name", "name ="),
        ("=[api]\nname = \"x\"", Error, 1, 1, "must be a list, not a table", "[[api]]"),
        // Listens.
        (
            "[[api]]\nname = \"y\"\nlisten = [\"tcp/80\"]\nallow = \"any\"",
            Error,
            9,
            11,
            "tcp/80 is already claimed by API `x` (line 5)",
            "wins over",
        ),
        (
            "[[api]]\nname = \"y\"\nlisten = [\"tcp/0\"]\nallow = \"any\"",
            Error,
            9,
            11,
            "not a port",
            "1 to 65535",
        ),
        (
            "[[api]]\nname = \"y\"\nlisten = []\nallow = \"any\"",
            Error,
            9,
            10,
            "is empty",
            "tcp/8080",
        ),
        ("[[api]]\nname = \"y\"\nallow = \"any\"", Error, 7, 1, "has no listen", "listen ="),
        (
            "[[api]]\nname = \"y\"\nlisten = [\"tcp/81\", \"tcp/81\"]\nallow = \"any\"",
            Warning,
            9,
            21,
            "listed twice",
            "remove",
        ),
        // Allow and deny.
        ("[[api]]\nname = \"y\"\nlisten = [\"tcp/81\"]", Error, 7, 1, "whom it allows", "\"any\""),
        (
            "[[api]]\nname = \"y\"\nlisten = [\"tcp/81\"]\nallow = []",
            Error,
            10,
            9,
            "allow = []",
            "any",
        ),
        (
            "[[api]]\nname = \"y\"\nlisten = [\"tcp/81\"]\nallow = \"a\"",
            Error,
            10,
            9,
            "must be a list",
            "allow = [\"a\"]",
        ),
        (
            "[[api]]\nname = \"y\"\nlisten = [\"tcp/81\"]\nallow = [\"any\"]",
            Error,
            10,
            10,
            "unknown group `any`",
            "without brackets",
        ),
        ("deny = [\"b\"]", Error, 7, 9, "unknown group `b` in api.deny", "did you mean \"a\"?"),
        ("deny = [\"bogons\"]", Error, 7, 9, "unknown group `bogons`", "define [groups.bogons]"),
        ("deny = [\"a\"]", Warning, 7, 8, "both in allow and in deny", "remove"),
        ("deny = [1]", Error, 7, 9, "must be a string", "partners"),
        ("[groups.b]\ncidrs = [\"10.0.0.0/8\"]", Warning, 7, 9, "`b` is not used", "name it"),
        // Groups.
        (
            "deny = [\"b\"]\n[groups.b]",
            Warning,
            8,
            9,
            "`b` is empty: it admits nobody",
            "add cidrs",
        ),
        (
            "deny = [\"b\"]\n[groups.b]\ncidrs = [\"10.0.0.1/8\"]",
            Error,
            9,
            10,
            "after its prefix",
            "write 10.0.0.0/8 for the network",
        ),
        (
            "deny = [\"b\"]\n[groups.b]\nfiles = [\"none.txt\"]",
            Error,
            9,
            10,
            "cannot read none.txt",
            "put",
        ),
        ("deny = [\"b\"]\n[groups.b]\ncidr = []", Error, 9, 1, "unknown key `cidr`", "`cidrs`?"),
        (
            "[groups.Any]\ncidrs = [\"10.0.0.0/8\"]\n[[api]]\nname = \"y\"\nlisten = [\"tcp/81\"]\n\
          allow = [\"Any\"]",
            Error,
            7,
            9,
            "\"Any\" is not a name",
            "write \"any\"",
        ),
        // Limits.
        ("limit = {}", Error, 7, 1, "gives no rate", "at least one"),
        ("limit = { packets = \"0/s\" }", Error, 7, 21, "admits nothing", "above 0"),
        ("limit = { packets = \"10\" }", Error, 7, 21, "names no time", "\"2000/s\""),
        (
            "limit = { packets = \"1000000001/s\" }",
            Error,
            7,
            21,
            "more than any link",
            "1000000000/s",
        ),
        ("limit = { bytes = \"1001GB/s\" }", Error, 7, 19, "more than any link", "1000GB/s"),
        ("limit = { bytes = \"10/s\" }", Error, 7, 19, "bytes of which size", "10B"),
        ("limit = { packets = \"5/s\", burst = \"0s\" }", Error, 7, 36, "out of range", "above 0"),
        ("limit = { packets = \"5/s\", burst = \"25h\" }", Error, 7, 36, "out of range", "24h"),
        (
            "limit = { packets = \"5/s\", burst = \"100ms\" }",
            Error,
            7,
            36,
            "never holds a packet",
            "burst = \"200ms\"",
        ),
        (
            "limit = { connections = \"3/min\", burst = \"1s\" }",
            Error,
            7,
            42,
            "never holds a connection",
            "burst = \"20s\"",
        ),
        (
            "limit = { bytes = \"1kB/s\", burst = \"1s\" }",
            Error,
            7,
            36,
            "1500 bytes",
            "burst = \"1500ms\"",
        ),
        ("limit = { bytes = \"1kB/day\" }", Error, 7, 19, "more than 24h", "higher rate"),
        ("limit_total = { packets = \"x/s\" }", Error, 7, 27, "not a unit", "2000/s"),
        ("limit_for.a = { packets = \"5/s\", per = \"host\" }", Error, 7, 40, "cannot be", "group"),
        ("limit_for.b = { packets = \"5/s\" }", Error, 7, 11, "unknown group `b`", "\"a\"?"),
        (
            "limit_for.b = { packets = \"5/s\" }\n[groups.b]\ncidrs = [\"10.0.0.0/8\"]",
            Error,
            7,
            11,
            "`allow` does not name",
            "add \"b\" to allow",
        ),
        // The rest of an API.
        ("source = { v4 = 7 }", Error, 7, 17, "out of range", "8 to 32"),
        ("source = { v6 = 129 }", Error, 7, 17, "out of range", "16 to 128"),
        ("overflow = \"queue\"", Error, 7, 12, "cannot be", "\"aggregate\", \"pass\", \"drop\""),
        ("openapi = \"spec.yaml\"", Error, 7, 11, "cannot read spec.yaml", "put"),
        ("login = {}", Error, 7, 1, "names no routes", "POST /login"),
        (
            "login = { routes = [\"/login\"] }",
            Error,
            7,
            21,
            "not a method and a path",
            "POST /login",
        ),
        ("login = { routes = [] }", Error, 7, 20, "is empty", "POST /login"),
        ("login = { routes = [\"POST /l\"], failed = [99] }", Error, 7, 43, "range", "100 to 599"),
        ("respond = { bruteforce = \"alert\" }", Error, 7, 13, "unknown key", "`brute_force`?"),
        (
            "respond = { banana = \"alert\" }",
            Error,
            7,
            13,
            "unknown key",
            "known in api.respond: brute_force",
        ),
        ("respond = { brute_force = \"kill\" }", Error, 7, 27, "cannot be", "\"ban 10m\""),
        ("respond = { brute_force = \"ban\" }", Error, 7, 27, "for how long", "\"ban 10m\""),
        ("respond = { brute_force = \"ban 31d\" }", Error, 7, 27, "out of range", "1s to 30d"),
        ("respond = { brute_force = \"limit 5\" }", Error, 7, 27, "names no time", "/s"),
        ("respond = { brute_force = \"lockdown b\" }", Error, 7, 27, "unknown group `b`", "\"a\"?"),
        ("respond = { old_tls = \"ban 1h\" }", Error, 7, 23, "name no source", "write \"alert\""),
        ("respond = { rate_shift = \"ban 1h\" }", Error, 7, 26, "name no source", "\"limit 10/s\""),
        (
            "respond = { credential_stuffing = \"ban 1h\" }",
            Error,
            7,
            35,
            "name no source",
            "\"lockdown GROUP\"",
        ),
        ("respond = { enforcement = \"limit 5/s\" }", Error, 7, 27, "cannot answer", "alert"),
        ("respond = { scraping = { ttl = \"1h\" } }", Error, 7, 24, "what to do", "ban 10m"),
        (
            "respond = { scraping = { do = \"ban 1h\", ttl = \"1h\" } }",
            Error,
            7,
            31,
            "two times",
            "with `ttl`",
        ),
        (
            "respond = { scraping = { do = \"alert\", ttl = \"1h\" } }",
            Error,
            7,
            24,
            "lasts no time",
            "leave",
        ),
        ("respond_mode = \"on\"", Error, 7, 16, "cannot be", "\"dry_run\""),
        ("[respond]\nmode = \"yes\"", Error, 8, 8, "cannot be", "\"act\""),
        ("[respond]\nper_minute = 0", Error, 8, 14, "out of range", "1 to 1000"),
        ("[respond]\nmax_share_sources = 1.5", Error, 8, 21, "out of range", "from 0 to 1"),
        (
            "respond = { scraping = { do = \"limit 5/s\", ttl = \"1h\" } }",
            Warning,
            1,
            1,
            "only said, not carried out: x",
            "mode = \"act\"",
        ),
        ("escalate = { v4 = 24, v6 = 65, sources = 20 }", Error, 7, 28, "within one source", "64"),
        ("escalate = { sources = 1 }", Error, 7, 24, "out of range", "2 to 65535"),
        (
            "escalate = { v4 = 28 }",
            Warning,
            7,
            12,
            "a /28 holds 16 of the sources (/32)",
            "shorter",
        ),
        (
            "source = { v6 = 48 }\nescalate = { sources = 256 }",
            Warning,
            8,
            12,
            "never bans an IPv6 network: a /48 holds 1",
            "fewer sources",
        ),
        (
            "kind = \"opaque\"\nlogin = { routes = [\"POST /l\"] }",
            Warning,
            8,
            1,
            "no effect",
            "kind",
        ),
        (
            "proxies = [\"b\"]\n[groups.b]\ncidrs = [\"10.0.0.0/8\"]",
            Warning,
            7,
            11,
            "not in allow",
            "add the group",
        ),
        (
            "proxies = [\"a\"]\nlimit_for.a = { packets = \"5/s\" }",
            Warning,
            8,
            11,
            "has no effect: proxies",
            "per = \"group\"",
        ),
        // Quotas.
        (
            "limit = { requests = \"5/s\" }",
            Error,
            7,
            22,
            "before it is counted",
            "/min, /h or /day",
        ),
        ("limit = { requests = \"5MB/day\" }", Error, 7, 22, "not a unit of requests", "unit"),
        ("limit_total = { requests = \"5/day\" }", Error, 7, 1, "among sources", "`limit`"),
        (
            "limit_for.a = { requests = \"5/day\", per = \"group\" }",
            Error,
            7,
            11,
            "among sources",
            "per = \"source\"",
        ),
        // Playbooks.
        ("[assess]\nevery = \"0s\"", Error, 8, 9, "out of range", "1s to 366d"),
        ("[assess]\nevery = 90", Error, 8, 9, "must be a string, not an integer", "4h"),
        ("[assess]\nevry = \"90d\"", Error, 8, 1, "unknown key `evry`", "did you mean `every`?"),
        ("[playbook.p]\napis = [\"x\"]", Error, 7, 11, "has no steps", "lockdown partners"),
        ("[playbook.p]\nsteps = [\"shutdown\"]", Error, 7, 11, "has no apis", "[\"orders\"]"),
        (
            "[playbook.p]\napis = [\"y\"]\nsteps = [\"shutdown\"]",
            Error,
            8,
            9,
            "unknown API `y`",
            "did you mean \"x\"?",
        ),
        (
            "[playbook.p]\napis = [\"x\"]\nsteps = [\"boom\"]",
            Error,
            9,
            10,
            "cannot be \"boom\"",
            "lockdown GROUP",
        ),
        (
            "[playbook.p]\napis = [\"x\"]\nsteps = [\"lockdown b\"]",
            Error,
            9,
            10,
            "unknown group `b`",
            "\"a\"?",
        ),
        (
            "[playbook.p]\napis = [\"x\"]\nsteps = [{ manual = \"call\", ttl = \"1h\" }]",
            Error,
            9,
            10,
            "either done or manual",
            "manual",
        ),
        (
            "[playbook.p]\napis = [\"x\"]\nsteps = [\"shutdown\"]\nttl = \"0s\"",
            Error,
            10,
            7,
            "out of range",
            "1s to 366d",
        ),
        // Trusted.
        ("[trusted]\ncidrs = [\"192.0.2.1/32\"]", Warning, 8, 1, "never judged", "narrow"),
        (
            "[trusted]\ncidrs = [\"8.0.0.0/7\"]\nports = [\"tcp/22\"]",
            Warning,
            8,
            10,
            "large part",
            "/8",
        ),
        (
            "[trusted]\ncidrs = [\"2000::/16\"]\nports = [\"tcp/22\"]",
            Warning,
            8,
            10,
            "large",
            "/32",
        ),
        ("[trusted]\nports = [\"tcp/22\"]", Warning, 7, 1, "nobody is trusted", "add cidrs"),
        (
            "[trusted]\ncidrs = [\"192.0.2.1\"]\ninterfaces = [\"a-name-too-long-for-it\"]",
            Error,
            9,
            15,
            "not an interface name",
            "`ip link`",
        ),
        (
            "[trusted]\ncidrs = [\"192.0.2.1\"]\nports = [\"ssh\"]",
            Error,
            9,
            10,
            "no protocol",
            "tcp",
        ),
        // The whole.
        ("=[policy]\nversion = 1\n", Warning, 1, 1, "does nothing", "add an [[api]]"),
    ];
    let mut wrong = String::new();
    for (text, severity, line, column, message, hint) in rows {
        let whole = match text.strip_prefix('=') {
            Some(alone) => alone.to_owned(),
            None => format!("{BASE}{text}\n"),
        };
        let found = check(&whole);
        let shown = render(&found.diagnostics);
        let right = matches!(found.diagnostics.as_slice(), [one]
            if (one.severity, one.line, one.column) == (*severity, *line, *column)
                && one.message.contains(message)
                && one.hint.contains(hint));
        if !right || found.policy.is_some() != (*severity == Severity::Warning) {
            wrong += &format!(
                "{text}\nshould give {severity} {line}:{column} {message:?} {hint:?}, gives:\n{shown}\n"
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn automatic_bans_have_at_most_eight_prefix_lengths_a_family() {
    let with = |lengths: std::ops::RangeInclusive<u8>| {
        let api = |length: u8| {
            format!(
                "[[api]]\nname = \"a{length}\"\nlisten = [\"tcp/{length}\"]\nallow = \"any\"\n\
                 escalate = {{ v4 = {length}, v6 = 64, sources = 2 }}\nsource = {{ v6 = 128 }}\n"
            )
        };
        check(&lengths.map(api).collect::<String>())
    };
    assert!(with(16..=23).diagnostics.is_empty(), "eight");
    let found = with(16..=24);
    let [one] = &found.diagnostics[..] else { panic!("{}", render(&found.diagnostics)) };
    let place = (one.severity, one.line, one.column);
    assert_eq!(place, (Severity::Error, 8 * 6 + 5, 12), "{}", one.message);
    for word in ["9 different IPv4", "/16 /17", "at most 8"] {
        assert!(one.message.contains(word), "{word}: {}", one.message);
    }
    let bans = "source = { v4 = 24, v6 = 48 }\nrespond = { brute_force = \"ban 1m\" }\n";
    let rest: String = (16..=23)
        .map(|length| {
            format!(
                "[[api]]\nname = \"a{length}\"\nlisten = [\"tcp/{length}\"]\nallow = \"any\"\n\
                 escalate = {{ v4 = {length}, sources = 2 }}\n"
            )
        })
        .collect();
    let found = check(&format!(
        "{rest}[[api]]\nname = \"z\"\nlisten = [\"tcp/1\"]\nallow = \"any\"\n{bans}[respond]\nmode = \"act\"\n"
    ));
    let [one] = &found.diagnostics[..] else { panic!("{}", render(&found.diagnostics)) };
    assert_eq!(
        (one.line, one.column),
        (8 * 5 + 5, 10),
        "sources that may be banned count: {}",
        one.message
    );
}
