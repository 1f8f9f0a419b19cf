//! What the view shows, at sizes that terminals have and at those that they should not have.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;

use super::ask::{Ask, Reply};
use super::draw;
use super::history::Quantile;
use super::look::Look;
use super::model::{Effect, Model, Page};
use crate::control::api::{
    ApiError, ApiStatus, Ban, DaemonStatus, FindingEntry, FindingsStatus, InterfaceStatus, Mode,
    NamedCount, PacketCounts, PolicyStatus, ReasonCount, RequestCount, SampleStatus, SourceCount,
    Status, Top,
};

const SECOND: Duration = Duration::from_secs(1);

/// An API with packets passed, dropped, nearly dropped.
pub(super) fn api(name: &str, [pass, drop, would_drop]: [u64; 3]) -> ApiStatus {
    ApiStatus {
        name: name.to_owned(),
        id: 1,
        listen: vec!["tcp/8080".to_owned()],
        mode: Mode::Enforce,
        criticality: "high".to_owned(),
        owner: "team".to_owned(),
        packets: PacketCounts { pass, drop, would_drop, bytes: 100 * (pass + drop + would_drop) },
        egress_packets: pass,
        egress_bytes: 1000 * pass,
        orders: Vec::new(),
    }
}

/// An answer with these APIs.
pub(super) fn top(apis: Vec<ApiStatus>) -> Top {
    Top { status: Status { apis, ..Status::default() }, ..Top::default() }
}

/// The answer of a daemon that has something to tell, after so many seconds.
fn answer(seconds: u64) -> Top {
    let interface = InterfaceStatus { name: "eth0".to_owned(), ..InterfaceStatus::default() };
    let mut checkout = api("checkout-and-payment-v2", [40 * seconds, 0, 7 * seconds]);
    checkout.mode = Mode::Monitor;
    let source = |source: &str, requests, errors| SourceCount {
        source: source.parse().unwrap(),
        api: "orders".to_owned(),
        country: Some("DE".to_owned()),
        asn: Some(64_500),
        requests,
        errors,
        bytes: 1_234_567,
        idle_seconds: Some(1),
        server: Some("203.0.113.5:8080".parse().unwrap()),
        proxy: None,
        refused: None,
        banned: false,
    };
    let count = |status: &str, each: u64| RequestCount {
        api: "orders".to_owned(),
        status: status.to_owned(),
        requests: each * seconds,
        timed: each * seconds,
        buckets: vec![0, each * seconds, each * seconds],
        seconds: 1.0,
    };
    let finding = FindingEntry {
        id: "f-1".to_owned(),
        detector: "enumeration".to_owned(),
        severity: "critical".to_owned(),
        state: "open".to_owned(),
        api: "orders".to_owned(),
        source: Some("198.51.100.9".to_owned()),
        opened: 1_000,
        why: "198.51.100.9 asked for 812 numbers of /orders/{id} within a minute".to_owned(),
        ..FindingEntry::default()
    };
    let ban = Ban {
        prefix: "198.51.100.66".to_owned(),
        api: None,
        since: 900,
        remaining_seconds: Some(240),
        reason: "ticket 4711".to_owned(),
        automatic: false,
        sources: None,
        hits: 17,
    };
    let reason = |verdict: &str, reason: &str, packets: u64| ReasonCount {
        api: "orders".to_owned(),
        verdict: verdict.to_owned(),
        reason: reason.to_owned(),
        packets,
        bytes: 60 * packets,
    };
    Top {
        clock_ns: seconds * 1_000_000_000,
        bounds: vec![0.001, 0.01, 0.1],
        requests: vec![count("200", 30), count("404", 10)],
        sources: vec![source("198.51.100.7", 600, 6), source("2001:db8::7", 60, 60)],
        source_seconds: 60.0,
        findings: vec![finding],
        bans: vec![ban],
        status: Status {
            daemon: DaemonStatus {
                pid: 7,
                uptime_seconds: 3_600 + seconds,
                time: 43_200 + seconds,
                ready: true,
                ..DaemonStatus::default()
            },
            policy: Some(PolicyStatus {
                name: "edge".to_owned(),
                generation: 12,
                ..PolicyStatus::default()
            }),
            interfaces: vec![interface],
            apis: vec![api("orders", [1_000 * seconds, 25 * seconds, 0]), checkout],
            reasons: vec![
                reason("pass", "allowed", 1_000 * seconds),
                reason("drop", "not_allowed", 25 * seconds),
            ],
            samples: SampleStatus {
                share: 1.0,
                share_now: 1.0,
                completeness: 0.9998,
                ..SampleStatus::default()
            },
            bans: 1,
            findings: FindingsStatus {
                open: 1,
                by_severity: vec![NamedCount { name: "critical".to_owned(), value: 1 }],
                ..FindingsStatus::default()
            },
            ..Status::default()
        },
        ..Top::default()
    }
}

fn model(look: Look) -> Model {
    let mut model = Model::new(look, SECOND);
    for seconds in 100..105 {
        model.take(Ok(answer(seconds)), Duration::from_secs(seconds - 100));
    }
    model
}

const RICH: Look = Look { colour: true, unicode: true };
const PLAIN: Look = Look { colour: false, unicode: false };
const NOW: Duration = Duration::from_millis(4_500);

fn buffer(model: &Model, width: u16, height: u16, now: Duration) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw::draw(model, now, frame.buffer_mut())).unwrap();
    terminal.backend().buffer().clone()
}

fn lines(model: &Model, width: u16, height: u16, now: Duration) -> Vec<String> {
    let buffer = buffer(model, width, height, now);
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| line(y).trim_end().to_owned()).collect()
}

fn press(model: &mut Model, keys: &str) -> Option<Effect> {
    let mut effect = None;
    for c in keys.chars() {
        let code = match c {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\x1b' => KeyCode::Esc,
            c => KeyCode::Char(c),
        };
        effect = model.key(KeyEvent::new(code, KeyModifiers::NONE), NOW);
    }
    effect
}

fn line<'a>(lines: &'a [String], has: &str) -> &'a str {
    let found = lines.iter().find(|line| line.contains(has));
    found.unwrap_or_else(|| panic!("nothing has {has}:\n{}", lines.join("\n")))
}

#[test]
fn the_first_page_at_80_by_24() {
    let lines = lines(&model(RICH), 80, 24, NOW);
    let words = |has: &str| line(&lines, has).split_whitespace().collect::<Vec<_>>();
    assert_eq!(
        line(&lines, "ENFORCING").trim(),
        "weir ENFORCING edge generation 12 on eth0                              12:01:44Z"
    );
    assert!(words("packets/s").join(" ").starts_with("packets/s pass 1040 drop 25 would 7.0 in"));
    assert!(line(&lines, "99.98 % complete").ends_with("findings 1 (1 critical) · bans 1"));
    assert_eq!(&words("orders ")[..6], ["orders", "enforce", "1000", "25", "0", "102"]);
    assert!(words("orders ").contains(&"25.0%"), "a quarter of the answers are errors");
    assert!(line(&lines, "checkout-").contains("7.0"));
    assert!(line(&lines, "198.51.100.7").contains("DE"));
    assert!(line(&lines, "198.51.100.7").ends_with("critical   enumeration  orders"));
    assert!(lines[23].starts_with("? help"), "{}", lines[23]);
    assert!(lines.iter().all(|line| line.chars().count() <= 80));
}

#[test]
fn all_pages_at_all_sizes() {
    let mut model = model(RICH);
    for look in [RICH, PLAIN] {
        model.look = look;
        for (at, page) in Page::ALL.into_iter().enumerate() {
            for dialog in ["", "?", "e", "b", "/", "\n", "b\n", "u"] {
                model.dialog = None;
                press(&mut model, &(at + 1).to_string());
                press(&mut model, dialog);
                assert_eq!(model.page, page);
                let sizes = [
                    (0, 0),
                    (1, 1),
                    (2, 5),
                    (5, 2),
                    (20, 4),
                    (80, 1),
                    (1, 60),
                    (40, 12),
                    (200, 60),
                ];
                for (width, height) in sizes {
                    buffer(&model, width, height, NOW);
                    buffer(&model, width, height, NOW + 60 * SECOND);
                }
            }
        }
    }
}

#[test]
fn a_large_screen_shows_all_columns() {
    let lines = lines(&model(RICH), 200, 60, NOW);
    let titles = line(&lines, "PASS").split_whitespace().collect::<Vec<_>>();
    assert_eq!(
        titles,
        [
            "API", "MODE", "PASS", "DROP", "WOULD", "IN", "OUT", "REQ", "ERR", "P50", "P99",
            "FIND", "PACKETS"
        ]
    );
    assert!(line(&lines, "checkout-and-payment-v2").contains("monitor"));
    assert!(line(&lines, "orders  ").contains('█'), "{lines:?}");
}

#[test]
fn counts_are_those_of_status() {
    let mut model = model(RICH);
    press(&mut model, "t");
    let lines = lines(&model, 100, 24, NOW);
    let words = line(&lines, "orders ").split_whitespace().collect::<Vec<_>>();
    // 104 seconds of 1000 and 25.
    assert_eq!(&words[..4], ["orders", "enforce", "104k", "2600"], "{words:?}");
    assert!(line(&lines, "1 APIs").contains("counts"));
}

#[test]
fn without_colour_and_without_utf8() {
    for (page, dialog) in [("1", ""), ("2", "b"), ("4", "\n"), ("3", "?")] {
        let mut model = model(PLAIN);
        press(&mut model, page);
        press(&mut model, dialog);
        let buffer = buffer(&model, 80, 24, NOW + 60 * SECOND);
        for cell in buffer.content() {
            assert!(cell.symbol().is_ascii(), "{:?}", cell.symbol());
            assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
        }
    }
    let coloured = buffer(&model(RICH), 80, 24, NOW);
    assert!(coloured.content().iter().any(|cell| cell.fg == Color::Red));
}

#[test]
fn what_is_old_is_called_so() {
    let mut model = model(PLAIN);
    assert_eq!(model.stale(NOW), None);
    assert!(!lines(&model, 80, 24, NOW).concat().contains("STALE"));
    let late = NOW + 10 * SECOND;
    let shown = lines(&model, 80, 24, late);
    assert!(shown[0].ends_with("STALE 10s"), "{}", shown[0]);
    assert!(line(&shown, "s old: ").contains("the daemon does not answer"));
    model.take(Err(ApiError::unavailable("no daemon answers on /run/weir.sock")), late);
    let shown = lines(&model, 80, 24, late);
    assert!(line(&shown, "s old: ").contains("no daemon answers on /run/weir.sock"));
    assert!(line(&shown, "orders ").contains("1000"), "what was known stays");
    model.take(Ok(answer(120)), late);
    assert_eq!(model.stale(late), None);
}

#[test]
fn pages_sort_and_filter() {
    let mut model = model(RICH);
    press(&mut model, "2");
    let order = |model: &Model| {
        model.grid().rows.iter().map(|row| row.cells[0].text.clone()).collect::<Vec<_>>()
    };
    assert_eq!(order(&model), ["198.51.100.7", "2001:db8::7"], "by requests");
    press(&mut model, "s");
    assert_eq!(order(&model), ["2001:db8::7", "198.51.100.7"], "by errors");
    press(&mut model, "r");
    assert_eq!(order(&model), ["198.51.100.7", "2001:db8::7"]);
    press(&mut model, "/db8");
    assert_eq!(order(&model), ["2001:db8::7"]);
    assert!(lines(&model, 80, 24, NOW)[23].starts_with("/db8"));
    press(&mut model, "\n");
    assert!(lines(&model, 80, 24, NOW)[23].starts_with("only \"db8\""));
    press(&mut model, "\x1b");
    assert_eq!(order(&model).len(), 2);
    press(&mut model, "\t");
    assert_eq!(model.page, Page::Requests);
    let shown = lines(&model, 80, 24, NOW);
    assert!(line(&shown, "3 Requests").ends_with("last 4 s"));
    let words = line(&shown, "404").split_whitespace().collect::<Vec<_>>();
    assert_eq!(&words[..7], ["orders", "404", "10", "25.0%", "1040", "5.5ms", "9.1ms"]);
    press(&mut model, "5");
    let shown = lines(&model, 80, 24, NOW);
    assert!(line(&shown, "not_allowed").contains(" 25 "), "{shown:?}");
    press(&mut model, "6");
    let shown = lines(&model, 80, 24, NOW);
    assert!(line(&shown, "198.51.100.66").contains("4m left"));
    assert!(shown[23].ends_with("u unban  Enter more"), "{shown:?}");
}

#[test]
fn a_source_is_banned_and_released() {
    let mut model = model(RICH);
    press(&mut model, "2b");
    let shown = lines(&model, 80, 24, NOW);
    assert!(line(&shown, "│ Source").contains("198.51.100.7"), "{shown:?}");
    press(&mut model, "\n");
    line(&lines(&model, 80, 24, NOW), "Ban 198.51.100.7 on the whole host for 10m?");
    let Some(Effect::Ask(Ask::Ban(request))) = press(&mut model, "y") else { panic!("no ban") };
    assert_eq!((request.prefix.as_str(), request.ttl_seconds), ("198.51.100.7", Some(600.0)));
    assert!(!request.force);
    let refused = ApiError::refused("198.51.100.7 is your own address").hint("think again");
    model.reply(Reply::Banned(Err(refused)), NOW);
    line(&lines(&model, 80, 24, NOW), "198.51.100.7 is your own address: think again");
    let ban = answer(100).bans.remove(0);
    model.reply(Reply::Banned(Ok(ban)), NOW);
    assert!(lines(&model, 80, 24, NOW)[23].starts_with("banned 198.51.100.66 on the whole host"));
    assert_eq!(press(&mut model, "6u"), None);
    line(&lines(&model, 80, 24, NOW), "198.51.100.66: end this ban?");
    let Some(Effect::Ask(Ask::Unban(request))) = press(&mut model, "y") else { panic!("no end") };
    assert_eq!((request.prefix.as_str(), request.api), ("198.51.100.66", None));
}

#[test]
fn rows_are_explained() {
    // Page, and from where to where.
    for (keys, from, to) in [
        ("1e", "", "203.0.113.5:tcp/8080"),
        ("2e", "198.51.100.7", "203.0.113.5:8080"),
        ("4e", "198.51.100.9", "203.0.113.5:tcp/8080"),
    ] {
        let mut model = model(RICH);
        press(&mut model, keys);
        let shown = lines(&model, 80, 24, NOW);
        assert!(line(&shown, "From").contains(from), "{keys}");
        assert!(line(&shown, "To ").contains(to), "{keys}: {shown:?}");
    }
    let mut model = model(RICH);
    press(&mut model, "2e");
    let Some(Effect::Ask(Ask::Explain(request))) = press(&mut model, "\n") else {
        panic!("nothing is asked")
    };
    assert_eq!((request.dport, request.proto.as_str()), (Some(8080), "tcp"));
}

#[test]
fn a_held_picture_stays() {
    let mut model = model(RICH);
    press(&mut model, "p");
    model.take(Ok(answer(200)), 5 * SECOND);
    let shown = lines(&model, 80, 24, 5 * SECOND);
    assert!(shown[0].ends_with("HELD") && shown.concat().contains("1000"), "{}", shown[0]);
    press(&mut model, "p");
    model.take(Ok(answer(201)), 6 * SECOND);
    assert!(lines(&model, 80, 24, 6 * SECOND)[0].ends_with("12:03:21Z"));
}

#[test]
fn the_pace_is_bounded() {
    let mut model = model(RICH);
    for (key, millis) in [("+", 500), ("+", 250), ("+", 200), ("+", 200), ("-", 400)] {
        let wanted = Effect::Interval(Duration::from_millis(millis));
        assert_eq!(press(&mut model, key), Some(wanted));
    }
    assert_eq!(press(&mut model, "q"), Some(Effect::Quit));
    let quit = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    press(&mut model, "b");
    assert_eq!(model.key(quit, NOW), Some(Effect::Quit), "also from a dialog");
}

#[test]
fn esc_and_a_key_may_come_as_one() {
    let mut model = model(RICH);
    press(&mut model, "?");
    let both = KeyEvent::new(KeyCode::Char('3'), KeyModifiers::ALT);
    assert_eq!(model.key(both, NOW), None);
    assert_eq!((model.page, model.dialog), (Page::Requests, None));
}

#[test]
fn nothing_to_show_yet() {
    let mut model = Model::new(RICH, SECOND);
    assert_eq!(lines(&model, 80, 24, NOW)[0], "waiting for the daemon");
    model.take(Ok(Top::default()), NOW);
    line(&lines(&model, 80, 24, NOW), "ATTACHED NOWHERE");
    let sum = model.history.requests(|_| ());
    assert!(sum.is_empty());
    let unknown = super::history::Requests::default().quantile(0.5, &[1.0]);
    assert_eq!(unknown, Quantile::Unknown);
}
