//! What goes in on one side comes out on the other.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::Served;
use filter_user::control::api::*;

fn ban(prefix: &str, api: Option<&str>) -> BanAdd {
    BanAdd {
        prefix: prefix.into(),
        ttl_seconds: Some(30.0),
        api: api.map(str::to_owned),
        reason: "a test".into(),
        force: false,
    }
}

#[test]
fn state_changes_and_is_read_back() {
    let served = Served::start();
    let client = served.client();
    assert_eq!(client.status().expect("a status").policy, None);
    assert_eq!(client.top().expect("counts").clock_ns, 1);

    let path = served.directory().join("policy.toml");
    let applied = client
        .apply(&ApplyRequest { path: path.clone(), confirm_seconds: None, force: false })
        .expect("applies");
    assert_eq!((applied.generation, applied.previous_hash), (1, None));
    let again = client
        .apply(&ApplyRequest { path: path.clone(), confirm_seconds: None, force: false })
        .expect("applies");
    assert_eq!(again.previous_hash.as_ref(), Some(&applied.hash));
    let status = client.status().expect("a status").policy.expect("a policy");
    assert_eq!((status.generation, status.path), (2, path.clone()));

    assert_eq!(client.confirm().expect_err("nothing waits").code, Code::Refused);
    let waits = ApplyRequest { path: path.clone(), confirm_seconds: Some(60.0), force: false };
    assert_eq!(client.apply(&waits).expect("applies").confirm_seconds, Some(60));
    assert_eq!(client.confirm().expect("confirms").generation, 3);
    let found = client.diff(&DiffRequest { path: path.clone() }).expect("an answer");
    assert_eq!((found.difference.added.len(), found.same, found.in_force), (1, false, None));
    let back =
        client.rollback(&RollbackRequest { number: Some(1), force: false }).expect("goes back");
    assert_eq!(back.generation, 4);
    let nowhere = client.rollback(&RollbackRequest::default()).expect_err("nothing before");
    assert_eq!(nowhere.code, Code::NotFound);
    let history = client.history().expect("a history");
    assert_eq!((history[0].number, history[0].who.login_uid), (4, Some(1000)));
    assert_eq!(client.audit(&AuditQuery { limit: 2 }).expect("lines").len(), 2);
    assert_eq!(client.audit_verify().expect("an answer").line, Some(2));

    let facts = client.assess().expect("facts");
    assert_eq!((facts.host.as_str(), facts.previous.is_some()), ("gate-1", false));
    let kept = client.assess_keep().expect("a report");
    let changes = Report::of(kept.facts).changes.expect("a report before");
    assert_eq!((changes.layers.len(), kept.files.len()), (1, 1), "{changes:?}");

    let added = client.ban_add(&ban("192.0.2.1", None)).expect("bans");
    assert_eq!((added.remaining_seconds, added.reason.as_str()), (Some(30), "a test"));
    client.ban_add(&ban("2001:db8::/64", Some("orders"))).expect("bans");
    assert_eq!(client.bans().expect("bans").len(), 2);

    let question = ExplainRequest {
        src: "192.0.2.1".parse().ok(),
        dst: "192.0.2.2".parse().ok(),
        proto: "tcp".into(),
        dport: Some(80),
        ..ExplainRequest::default()
    };
    assert_eq!(client.explain(&question).expect("explains").reason, "banned");
    let remove = BanRemove { prefix: "192.0.2.1".into(), api: None };
    assert_eq!(client.ban_remove(&remove).expect("removes").prefix, "192.0.2.1");
    assert_eq!(client.explain(&question).expect("explains").reason, "allowed");
    assert_eq!(client.status().expect("a status").bans, 1);

    for order in [
        Order::Shutdown,
        Order::Lockdown { group: Some("partners".into()) },
        Order::Lockdown { group: None },
        Order::Mode { mode: Mode::Monitor },
        Order::Limit { packets: "100/s".into() },
    ] {
        let set = OrderSet {
            api: "orders".into(),
            order: order.clone(),
            ttl_seconds: None,
            reason: String::new(),
            force: false,
        };
        client.order_set(&set).expect("orders");
        let orders = client.orders().expect("orders");
        assert_eq!(orders[0].orders[0].order, order);
        let lift = OrderLift { api: "orders".into(), kinds: vec![order.kind()] };
        assert_eq!(client.order_lift(&lift).expect("lifts").orders, []);
    }
    let test = |sink: &str| client.sink_test(&SinkTest { sink: sink.to_owned() });
    let tested = test("siem").expect("is there");
    assert!(tested.taken && tested.answer == "HTTP 200" && tested.seconds == 0.5);
    assert_eq!(test("none").expect_err("is not").code, Code::NotFound);
    assert_eq!(client.apis().expect("APIs")[0].name, "orders");
    let orders = ApiQuery { name: "orders".into() };
    assert_eq!(client.api(&orders).expect("an API").api.name, "orders");
    assert_eq!(client.api_openapi(&orders).expect("a document")["openapi"], "3.1.0");
    assert!(client.api_drift(&orders).expect("a comparison").differs());
    // What a query cannot carry as it is arrives as it was said.
    let odd = "tcp/9000 &limit=7#ä".to_owned();
    let missing = client.api(&ApiQuery { name: odd.clone() }).expect_err("no such API");
    assert_eq!(missing.code, Code::NotFound);
    let rare = client.api_rare(&RareQuery { limit: 3, api: Some(odd.clone()) }).expect("endpoints");
    assert_eq!((rare.len(), &rare[0].api), (3, &odd));
    let query = FindingQuery { all: true, api: Some(odd.clone()), limit: 5, unacknowledged: true };
    let findings = client.findings(&query).expect("findings");
    assert_eq!((&findings[0].api, findings[0].state.as_str()), (&odd, "closed"));
    assert!(findings[0].muted, "what is asked for arrives");
    assert_eq!(client.findings(&FindingQuery::default()).expect("findings")[0].api, "orders");

    let ack = |id: &str| FindingAck { id: id.into(), note: "ticket 9".into() };
    let seen = client.finding_ack(&ack("f-1")).expect("acknowledges").acknowledged.expect("is");
    assert_eq!((seen.time, seen.note.as_str()), (7, "ticket 9"));
    assert_eq!(client.finding_ack(&ack("f-2")).expect_err("none").code, Code::NotFound);
    let back = client.finding_unack(&ack("f-1")).expect("takes back");
    assert_eq!((back.acknowledged, back.muted), (None, true));
    let muted = MuteSet {
        detector: "rate_shift".into(),
        api: odd.clone(),
        ttl_seconds: Some(60.0),
        reason: "campaign".into(),
    };
    let entry = client.mute(&muted).expect("mutes");
    assert_eq!(
        (entry.api, entry.until, entry.reason.as_str()),
        (odd.clone(), Some(60), "campaign")
    );
    assert_eq!(client.mutes().expect("mutes")[0].findings, 3);
    let lift = MuteLift { detector: "rate_shift".into(), api: odd.clone() };
    assert_eq!(client.unmute(&lift).expect("ends").api, odd);

    let start = MaintenanceStart { api: odd.clone(), ttl_seconds: 60.0, reason: "release".into() };
    let entry = client.maintenance_start(&start).expect("starts");
    assert_eq!((entry.api, entry.until, entry.reason.as_str()), (odd.clone(), 60, "release"));
    assert_eq!(client.maintenance().expect("lists")[0].until, 9);
    let stop = MaintenanceStop { api: odd.clone() };
    assert_eq!(client.maintenance_stop(&stop).expect("stops").api, odd);

    assert_eq!(client.detach().expect("detaches").interfaces, ["eth0"]);

    let callers = served.daemon.callers();
    assert!(callers.iter().all(|caller| caller.pid == std::process::id()));
    assert_eq!(callers.len(), 29);
}

#[test]
fn a_no_comes_back_as_it_was_said() {
    let served = Served::start();
    let client = served.client();
    let bad = ApplyRequest { path: "/x/bad.toml".into(), confirm_seconds: None, force: false };
    let refused = client.apply(&bad).expect_err("refused");
    assert_eq!((refused.code, refused.diagnostics.len()), (Code::Refused, 1));
    assert_eq!(refused.diagnostics[0].excerpt, "alow = []");
    let missing = client.ban_add(&ban("192.0.2.1", Some("no"))).expect_err("no such API");
    assert_eq!((missing.code, missing.hint.as_str()), (Code::NotFound, "there is `orders`"));
    let remove = BanRemove { prefix: "192.0.2.9".into(), api: None };
    assert_eq!(client.ban_remove(&remove).expect_err("not banned").code, Code::NotFound);
}

#[test]
fn a_panic_in_the_daemon_is_an_answer_and_the_next_request_works() {
    let served = Served::start();
    let client = served.client();
    let question = serde_json::json!({"src": "::1", "dst": "::1", "proto": "panic"});
    let question = serde_json::from_value(question).expect("a question");
    assert_eq!(client.explain(&question).expect_err("a bug").code, Code::Internal);
    assert_eq!(client.bans().expect("still answers"), []);
}

/// Sends bytes as they are and reads to the end.
fn raw(served: &Served, request: &str) -> String {
    let mut stream = UnixStream::connect(&served.socket).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("writes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("reads");
    answer
}

#[test]
fn bad_requests_get_json_that_says_what_is_wrong() {
    let served = Served::start();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let post = |path: &str, body: &str| {
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let long = format!("{{\"path\":\"{}\"}}", "a".repeat(70_000));
    let rows = [
        ("unknown route", get("/v2/status"), 404, "/v2/status"),
        ("wrong method", post("/v1/status", ""), 405, "POST"),
        ("not JSON", post("/v1/apply", "policy.toml"), 400, "body"),
        ("no body", post("/v1/apply", ""), 400, "body"),
        ("unknown field", post("/v1/bans", r#"{"prefix":"::1","tll":1}"#), 400, "tll"),
        (
            "unknown field of an order",
            post("/v1/orders", r#"{"api":"orders","order":{"kind":"shutdown"},"tll_seconds":1}"#),
            400,
            "tll_seconds",
        ),
        ("too long", post("/v1/apply", &long), 400, "65536"),
        ("unknown parameter", get("/v1/events?folow=1"), 400, "folow"),
        ("bad parameter", get("/v1/events?follow=yes"), 400, "yes"),
        ("bad number", get("/v1/events?limit=-1"), 400, "limit"),
    ];
    for (what, request, status, word) in rows {
        let answer = raw(&served, &request);
        let (head, body) = answer.split_once("\r\n\r\n").expect(what);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {head}");
        assert!(head.contains("content-type: application/json"), "{what}: {head}");
        let body: ErrorBody = serde_json::from_str(body).expect(what);
        assert!(body.error.message.contains(word), "{what}: {}", body.error.message);
        assert_eq!(body.error.code, Code::Invalid, "{what}");
    }
    assert_eq!(served.daemon.callers(), []);
}

#[test]
fn past_events_come_in_order_and_within_the_limit() {
    let served = Served::start();
    for number in 1..=5 {
        served.daemon.event(&format!("{{\"n\":{number}}}"));
    }
    let mut lines = Vec::new();
    let query = EventQuery { limit: 3, ..EventQuery::default() };
    let keep = &mut |line: &str| {
        lines.push(line.to_owned());
        Ok(())
    };
    served.client().events(&query, keep).expect("events");
    assert_eq!(lines, ["{\"n\":3}", "{\"n\":4}", "{\"n\":5}"]);
}

#[test]
fn following_goes_on_from_the_past_until_the_daemon_ends() {
    let mut served = Served::start();
    served.daemon.event("{\"n\":1}");
    let client = served.client();
    let (to, lines) = std::sync::mpsc::channel();
    let follower = std::thread::spawn(move || {
        let query = EventQuery { follow: true, ..EventQuery::default() };
        client.events(&query, &mut |line| {
            to.send(line.to_owned()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
        })
    });
    let next = || lines.recv_timeout(Duration::from_secs(10)).expect("a line");
    assert_eq!(next(), "{\"n\":1}");
    served.daemon.event("{\"n\":2}");
    assert_eq!(next(), "{\"n\":2}");
    let started = Instant::now();
    served.stop();
    assert!(started.elapsed() < Duration::from_secs(2), "a follower does not hold up the end");
    follower.join().expect("no panic").expect("ends without an error");
}

#[test]
fn a_follower_that_hangs_up_is_let_go() {
    let served = Served::start();
    served.daemon.event("{\"n\":1}");
    let query = EventQuery { follow: true, ..EventQuery::default() };
    let hang_up = &mut |_: &str| Err(io::Error::from(io::ErrorKind::BrokenPipe));
    let error = served.client().events(&query, hang_up).expect_err("the sink failed");
    assert_eq!(error.code, Code::Internal);
    let deadline = Instant::now() + Duration::from_secs(10);
    while served.daemon.followers() > 0 {
        assert!(Instant::now() < deadline, "the daemon still feeds a client that is gone");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn followers_leave_room_for_orders() {
    let served = Served::start();
    served.daemon.event("{\"n\":1}");
    let request = "GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n";
    let follow = || {
        let mut stream = UnixStream::connect(&served.socket).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        stream.write_all(request.as_bytes()).expect("writes");
        let mut head = [0; 12];
        stream.read_exact(&mut head).expect("an answer");
        (String::from_utf8_lossy(&head).into_owned(), stream)
    };
    let mut followers = Vec::new();
    let refused = loop {
        let (head, stream) = follow();
        if head != "HTTP/1.1 200" {
            break head;
        }
        followers.push(stream);
        assert!(followers.len() < 64, "there is no end to them");
    };
    assert_eq!(refused, "HTTP/1.1 503");
    assert_eq!(served.client().bans().expect("others still get answers"), []);
    followers.clear();
    let deadline = Instant::now() + Duration::from_secs(10);
    while follow().0 != "HTTP/1.1 200" {
        assert!(Instant::now() < deadline, "the places of those that left stay taken");
        std::thread::sleep(Duration::from_millis(10));
    }
}
