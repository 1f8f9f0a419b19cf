//! Receivers and their threads, against servers that hang, refuse, break off and come back.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::format::tests::{closed, opened};
use super::*;
use crate::config::{Paths, parse};
use crate::export::events::Kind;

/// How a server answers the next request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Take,
    Fail(u16),
    Busy,
    Hang,
    BreakOff,
    /// 400 to a body with this in it.
    Refuse(&'static str),
}

/// A server of HTTP that says what it got.
struct Server {
    port: u16,
    mood: Arc<Mutex<Mood>>,
    /// Head and body of each request, taken or not.
    seen: Arc<Mutex<Vec<(String, String, bool)>>>,
    stop: Arc<AtomicBool>,
}

impl Server {
    fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let server = Self {
            port,
            mood: Arc::new(Mutex::new(mood)),
            seen: Arc::default(),
            stop: Arc::default(),
        };
        let (mood, seen) = (Arc::clone(&server.mood), Arc::clone(&server.seen));
        let stop = Arc::clone(&server.stop);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let (mood, seen) = (*mood.lock().expect("mood"), Arc::clone(&seen));
                std::thread::spawn(move || answer(stream, mood, &seen));
            }
        });
        server
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().expect("mood") = mood;
    }

    fn requests(&self) -> usize {
        self.seen.lock().expect("seen").len()
    }

    /// Ids of the events that were taken, in order.
    fn taken(&self) -> Vec<u64> {
        let seen = self.seen.lock().expect("seen");
        let bodies = seen.iter().filter(|(.., taken)| *taken);
        let events = bodies.flat_map(|(_, body, _)| {
            serde_json::from_str::<Vec<Value>>(body).expect("an array of events")
        });
        events.map(|event| event["time"].as_str().map(number).expect("a time")).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _wake = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn answer(mut stream: TcpStream, mood: Mood, seen: &Mutex<Vec<(String, String, bool)>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("clones"));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).expect("a body");
    let body = String::from_utf8(body).expect("UTF-8");
    let (status, more) = match mood {
        Mood::Take => (200, ""),
        Mood::Fail(status) => (status, ""),
        Mood::Busy => (503, "Retry-After: 2\r\n"),
        Mood::Refuse(part) if body.contains(part) => (400, ""),
        Mood::Refuse(_) => (200, ""),
        Mood::Hang | Mood::BreakOff => (0, ""),
    };
    seen.lock().expect("seen").push((head, body, status == 200));
    if mood == Mood::Hang {
        std::thread::sleep(Duration::from_secs(3));
    }
    if status > 0 {
        let text = format!("HTTP/1.1 {status} x\r\nContent-Length: 4\r\n{more}\r\nsaid");
        let _gone = stream.write_all(text.as_bytes());
    }
}

/// The number of an event made by [`event`].
fn number(time: &str) -> u64 {
    let format = &time::format_description::well_known::Rfc3339;
    let time = time::OffsetDateTime::parse(time, format).expect("a time");
    u64::try_from(time.unix_timestamp()).expect("after 1970")
}

/// An event that is told from others by its second.
fn event(number: u64) -> Event {
    Event { time: number * 1_000_000_000, ..opened() }
}

fn settings(text: &str) -> Vec<Sink> {
    let paths = Paths::of(None).expect("paths");
    parse(text, Path::new("/"), "t", paths).config.expect("valid").sinks
}

fn webhook(server: &Server, more: &str) -> Vec<Sink> {
    settings(&format!(
        "[[sink]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:{}/in\"\n\
         timeout = \"500ms\"\n{more}",
        server.port
    ))
}

fn standing(sinks: &Sinks) -> Standing {
    sinks.standings().remove(0)
}

fn until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < end, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn dropped(standing: &Standing) -> u64 {
    standing.dropped.values().sum()
}

#[test]
fn nothing_is_lost_by_a_receiver_that_hangs_fails_and_comes_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(Mood::Hang);
    let sinks = Sinks::start(&webhook(&server, "batch = 7"), directory.path()).expect("starts");
    for (mood, from) in
        [(Mood::Hang, 0), (Mood::Fail(500), 10), (Mood::BreakOff, 20), (Mood::Fail(429), 30)]
    {
        server.set(mood);
        let before = server.requests();
        (from..from + 10).for_each(|n| sinks.tell(&event(n)));
        until("another request", || server.requests() > before);
    }
    let now = standing(&sinks);
    assert!(now.pending == 40 && now.delivered == 0 && now.retried > 0, "{now:?}");
    assert!(now.failing_since.is_some() && now.last_error.is_some(), "{now:?}");
    server.set(Mood::Take);
    until("all delivered", || standing(&sinks).pending == 0);
    assert_eq!(server.taken(), (0..40).collect::<Vec<_>>(), "all, in order, none twice");
    let now = standing(&sinks);
    assert_eq!((now.delivered, dropped(&now), now.failing_since), (40, 0, None));
    let seen = server.seen.lock().expect("seen");
    let largest = seen.iter().map(|(_, body, _)| body.matches("\"schema\"").count()).max();
    assert_eq!(largest, Some(7), "a batch is no larger");
    assert!(seen[0].0.starts_with("POST /in HTTP/1.1\r\n"), "{}", seen[0].0);
}

#[test]
fn what_waits_survives_the_daemon() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(Mood::Fail(503));
    let config = webhook(&server, "");
    let sinks = Sinks::start(&config, directory.path()).expect("starts");
    (0..5).for_each(|n| sinks.tell(&event(n)));
    until("all in the spool", || standing(&sinks).pending == 5);
    sinks.stop();
    let sinks = Sinks::start(&config, directory.path()).expect("starts");
    until("they are found again", || standing(&sinks).pending == 5);
    sinks.tell(&event(5));
    server.set(Mood::Take);
    until("all delivered", || standing(&sinks).delivered == 6);
    assert_eq!(server.taken(), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn one_that_is_refused_does_not_take_others_along() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(Mood::Fail(500));
    let sinks = Sinks::start(&webhook(&server, ""), directory.path()).expect("starts");
    for n in 0..20 {
        let message = if n == 13 { "bad event" } else { "good" };
        sinks.tell(&Event { message: message.to_owned(), ..event(n) });
    }
    until("all in the spool", || standing(&sinks).pending == 20);
    server.set(Mood::Refuse("bad event"));
    let over = |count| move |now: Standing| now.delivered + dropped(&now) == count;
    until("nothing waits", || over(20)(standing(&sinks)));
    let now = standing(&sinks);
    assert_eq!((now.delivered, now.dropped.get("http_400")), (19, Some(&1)), "{now:?}");
    assert_eq!(server.taken(), (0..20).filter(|n| *n != 13).collect::<Vec<_>>());
    assert!(sinks.take_events().iter().any(|event| event.kind == Kind::SinkLost));
    server.set(Mood::Fail(403));
    (20..25).for_each(|n| sinks.tell(&event(n)));
    until("nothing waits", || over(25)(standing(&sinks)));
    let now = standing(&sinks);
    assert!(now.dropped.get("http_403") == Some(&5) && now.delivered == 19, "{now:?}");
    assert!(now.last_error.is_some_and(|error| error.contains("HTTP 403: said")));
}

#[test]
fn a_receiver_is_not_asked_before_it_wants_to_be() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(Mood::Busy);
    let sinks = Sinks::start(&webhook(&server, ""), directory.path()).expect("starts");
    let started = Instant::now();
    sinks.tell(&event(0));
    until("the first request", || server.requests() == 1);
    server.set(Mood::Take);
    until("the second request", || server.requests() == 2);
    assert!(started.elapsed() >= Duration::from_millis(1_900), "{:?}", started.elapsed());
    until("it is well again", || standing(&sinks).next_try.is_none());
}

#[test]
fn one_receiver_does_not_hold_up_another() {
    let directory = tempfile::tempdir().expect("a directory");
    let (stuck, quick) = (Server::start(Mood::Hang), Server::start(Mood::Take));
    let mut config = webhook(&stuck, "");
    config.extend(webhook(&quick, "").into_iter().map(|s| Sink { name: "quick".into(), ..s }));
    let sinks = Sinks::start(&config, directory.path()).expect("starts");
    let started = Instant::now();
    (0..2_000).for_each(|n| sinks.tell(&event(n)));
    assert!(
        started.elapsed() < Duration::from_millis(400),
        "telling waits: {:?}",
        started.elapsed()
    );
    until("the quick one has all", || quick.taken().len() == 2_000);
    let now = sinks.standings();
    assert_eq!((now[0].pending + now[0].delivered, dropped(&now[0])), (2_000, 0));
}

#[test]
fn what_comes_too_fast_is_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(Mood::Take);
    let config = webhook(&server, "spool = \"64KiB\"\nbatch = 1000");
    let sinks = Sinks::start(&config, directory.path()).expect("starts");
    for n in 0..30_000 {
        let other = Event::new(Kind::SourceRefused, n * 1_000_000_000, "");
        sinks.tell(&if n % 3 == 0 { event(n) } else { other });
    }
    let sum = |now: &Standing| now.delivered + dropped(now) + now.pending;
    until("all are accounted for", || {
        let now = standing(&sinks);
        sum(&now) == 30_000 && now.pending == 0
    });
    let now = standing(&sinks);
    assert_eq!(server.taken().len() as u64, now.delivered);
    assert!(dropped(&now) > 0, "it was too fast: {now:?}");
}

#[test]
fn secrets_prove_who_sends_and_are_not_shown() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("secret");
    let allow = |mode| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("sets");
    };
    std::fs::write(&path, "s3cret\n").expect("writes");
    allow(0o644);
    let server = Server::start(Mood::Take);
    let more = format!("token_file = \"{}\"\nheaders = {{ X-Tenant = \"a\" }}", path.display());
    let sinks = Sinks::start(&webhook(&server, &more), directory.path()).expect("starts");
    let tested = sinks.test("hook").expect("is there");
    assert!(!tested.taken && tested.said.contains("everybody"), "{tested:?}");
    assert!(!format!("{tested:?}").contains("s3cret") && server.requests() == 0);
    allow(0o600);
    let tested = sinks.test("hook").expect("is there");
    assert!(tested.taken && tested.said == "HTTP 200", "{tested:?}");
    let head = server.seen.lock().expect("seen")[0].0.to_ascii_lowercase();
    assert!(head.contains("authorization: bearer s3cret\r\n"), "{head}");
    assert!(head.contains("x-tenant: a\r\n"), "{head}");
    assert!(server.seen.lock().expect("seen")[0].1.contains("\"sink_test\""));
    assert!(sinks.test("other").is_none());
    let now = standing(&sinks);
    assert_eq!((now.delivered, now.pending), (0, 0), "a test is not counted");
}

#[test]
fn an_alertmanager_is_told_again_and_ends_are_not_forgotten() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(Mood::Take);
    let config = settings(&format!(
        "[[sink]]\nname = \"am\"\nkind = \"alertmanager\"\nresend = \"1s\"\n\
         url = \"http://127.0.0.1:{}\"\n",
        server.port
    ));
    let ends = || {
        let seen = server.seen.lock().expect("seen");
        let alerts = seen.iter().flat_map(|(_, body, _)| {
            serde_json::from_str::<Vec<Value>>(body).expect("an array of alerts")
        });
        alerts.map(|alert| number(alert["endsAt"].as_str().expect("a time"))).collect::<Vec<_>>()
    };
    let now = || worker::now_ns() / 1_000_000_000;
    let started = now();
    let sinks = Sinks::start(&config, directory.path()).expect("starts");
    sinks.tell(&Event::new(Kind::BanAdded, 0, "no finding"));
    sinks.tell(&opened());
    until("it is told three times", || server.requests() >= 3);
    assert!(ends().iter().all(|end| *end >= started + 3), "it goes on: {:?}", ends());
    assert_eq!(standing(&sinks).alerts, 1);
    // The daemon dies. When it starts, the finding is over: nobody told of its end.
    sinks.stop();
    let before = server.requests();
    let sinks = Sinks::start(&config, directory.path()).expect("starts");
    sinks.begin(|_| true, [].iter(), &[], |_| None);
    until("it is ended", || server.requests() > before);
    until("and forgotten", || standing(&sinks).alerts == 0);
    assert!(ends().last().is_some_and(|end| *end <= now()), "{:?}", ends());
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(server.requests(), before + 1, "once");
    sinks.tell(&closed());
    until("an end of what is not open is nothing", || standing(&sinks).pending == 0);
    assert_eq!(server.requests(), before + 1);
}

#[test]
fn files_and_formats() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = directory.path().join("out/events.jsonl");
    let config = settings(&format!(
        "[[sink]]\nname = \"a\"\nkind = \"file\"\nformat = \"ocsf\"\npath = \"{}\"\n",
        text.display()
    ));
    let sinks = Sinks::start(&config, directory.path()).expect("starts");
    for event in [opened(), Event::new(Kind::BanAdded, 0, ""), closed()] {
        sinks.tell(&event);
    }
    until("both are there", || standing(&sinks).delivered == 2);
    let lines = std::fs::read_to_string(&text).expect("is there");
    let kinds: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["type_uid"].clone())
        .collect();
    assert_eq!(kinds, [200_401, 200_403]);
}

#[test]
fn messages_of_syslog_are_delivered_when_the_receiver_has_read_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("an address").port();
    let config = settings(&format!(
        "[[sink]]\nname = \"s\"\nkind = \"syslog\"\nurl = \"tcp://127.0.0.1:{port}\"\n\
         timeout = \"500ms\"\n"
    ));
    let sinks = Sinks::start(&config, directory.path()).expect("starts");
    sinks.tell(&event(1));
    // Accepted, and not read: the kernel takes the bytes, but nobody has them.
    let (ignored, _) = listener.accept().expect("a connection");
    until("it is given up", || standing(&sinks).retried == 1);
    drop(ignored);
    let (mut stream, _) = listener.accept().expect("another connection");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("reads to the end");
    assert_eq!(standing(&sinks).delivered, 0, "not yet");
    drop(stream);
    until("delivered", || standing(&sinks).delivered == 1);
    let (length, message) = text.split_once(' ').expect("octets are counted");
    assert_eq!(length.parse(), Ok(message.len()));
    assert!(message.starts_with("<28>1 1970-01-01T00:00:01.000Z "), "{message}");
}

/// Settings of two receivers, as `first` and `second`.
fn pair(first: &Server, second: &Server) -> [Sink; 2] {
    let [mut first, mut second] = [first, second].map(|server| webhook(server, "").remove(0));
    (first.name, second.name) = ("first".into(), "second".into());
    [first, second]
}

#[test]
fn receivers_change_and_what_waits_goes_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let (down, up, other) =
        (Server::start(Mood::Fail(500)), Server::start(Mood::Take), Server::start(Mood::Take));
    let [first, second] = pair(&down, &other);
    let both = [first.clone(), second.clone()];
    let sinks = Sinks::start(&both, directory.path()).expect("starts");
    (0..5).for_each(|n| sinks.tell(&event(n)));
    until("it is down", || {
        let now = standing(&sinks);
        now.pending == 5 && now.failing_since.is_some()
    });
    assert!(sinks.change(&both).expect("changes").is_nothing(), "the same");

    // The one that is down moves, the other stays.
    let moved = Sink { name: "first".into(), ..webhook(&up, "").remove(0) };
    let changed = sinks.change(&[second.clone(), moved.clone()]).expect("changes");
    let expected = Changed { changed: vec!["first".to_owned()], ..Changed::default() };
    assert_eq!(changed, expected, "their order is nothing");
    (5..8).for_each(|n| sinks.tell(&event(n)));
    until("it has all", || up.taken().len() == 8 && other.taken().len() == 8);
    assert_eq!((up.taken(), other.taken()), ((0..8).collect(), (0..8).collect()));
    until("nothing waits", || sinks.standings().iter().all(|now| now.pending == 0));
    let now = sinks.standings().remove(1);
    assert_eq!((now.delivered, dropped(&now), now.failing_since), (8, 0, None), "{now:?}");
    assert!(now.place.ends_with(&format!(":{}/in", up.port)), "{}", now.place);

    // Removed while it is down, and named again: its spool is still there.
    up.set(Mood::Fail(500));
    (8..11).for_each(|n| sinks.tell(&event(n)));
    until("they wait", || sinks.standings()[1].pending == 3);
    let changed = sinks.change(std::slice::from_ref(&second)).expect("changes");
    assert_eq!(changed.removed, ["first"]);
    assert_eq!(sinks.names(), ["second"]);
    sinks.tell(&event(11));
    up.set(Mood::Take);
    let changed = sinks.change(&[moved, second]).expect("changes");
    assert_eq!(changed.added, ["first"]);
    sinks.tell(&event(12));
    until("what waited is told", || up.taken().len() == 12);
    let without: Vec<_> = (0..13).filter(|n| *n != 11).collect();
    assert_eq!(up.taken(), without, "but not what happened while it was not named");
    until("the other has all", || other.taken() == (0..13).collect::<Vec<_>>());
}

#[test]
fn nothing_is_lost_while_receivers_change() {
    let directory = tempfile::tempdir().expect("a directory");
    let servers = [Server::start(Mood::Take), Server::start(Mood::Take)];
    let sinks = Sinks::start(&webhook(&servers[0], ""), directory.path()).expect("starts");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..3_000 {
                sinks.tell(&event(n));
                std::thread::sleep(Duration::from_micros(200));
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut turn = 0;
        while !done.load(Ordering::Relaxed) {
            turn += 1;
            sinks.change(&webhook(&servers[turn % 2], "")).expect("changes");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(turn > 10, "{turn} changes");
    });
    until("all delivered", || {
        let now = standing(&sinks);
        now.delivered == 3_000 && now.pending == 0
    });
    assert_eq!(dropped(&standing(&sinks)), 0);
    let mut taken: Vec<u64> = servers.iter().flat_map(Server::taken).collect();
    taken.sort_unstable();
    assert_eq!(taken, (0..3_000).collect::<Vec<_>>(), "each once");
}

#[test]
fn an_end_is_told_after_a_change_where_the_beginning_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(Mood::Take);
    let config = |more: &str| webhook(&server, &format!("min_severity = \"warning\"\n{more}"));
    let sinks = Sinks::start(&config(""), directory.path()).expect("starts");
    sinks.tell(&opened());
    until("it is told", || standing(&sinks).delivered == 1);
    assert_eq!(sinks.change(&config("batch = 7")).expect("changes").changed, ["hook"]);
    sinks.tell(&closed());
    until("and its end, which is but `info`", || standing(&sinks).delivered == 2);
}
