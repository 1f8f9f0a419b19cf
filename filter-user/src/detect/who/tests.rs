//! People, programs and thieves: who is found, who is not, and whom the finding names.

use std::net::IpAddr;

use crate::detect::simulation::{Random, client, orders};
use crate::detect::{Config, Detector, Engine, Finding, Observation, SECOND, State};

const OBJECT: &str = "/orders/{id}";

/// One request of a script: when (ms), who, which user, and what.
struct Ask {
    ms: u64,
    source: IpAddr,
    user: Option<u64>,
    target: String,
    route: &'static str,
    status: u16,
    bytes: u64,
}

impl Ask {
    fn object(ms: u64, source: IpAddr, user: Option<u64>, number: u64, status: u16) -> Self {
        let target = format!("/orders/{number}");
        Self { ms, source, user, target, route: OBJECT, status, bytes: 900 }
    }
}

fn engine() -> Engine {
    let mut engine = Engine::new(Config::default(), 1);
    engine.set_apis([orders()]);
    engine
}

/// Plays a script in order, ticks every second, and for a quarter of an hour after it. Findings of
/// other detectors are left out.
fn play(engine: &mut Engine, mut script: Vec<Ask>) -> Vec<Finding> {
    script.sort_by_key(|ask| ask.ms);
    let mut found = Vec::new();
    let mut next = script.first().map_or(0, |ask| ask.ms / 1000);
    let end = script.last().map_or(0, |ask| ask.ms / 1000) + 900;
    let mut asks = script.iter().peekable();
    while next <= end {
        while let Some(ask) = asks.next_if(|ask| ask.ms / 1000 <= next) {
            engine.observe(&Observation {
                time: ask.ms * 1_000_000,
                source: ask.source,
                credential: ask.user,
                target: &ask.target,
                route: ask.route,
                status: Some(ask.status),
                response_bytes: Some(ask.bytes),
                ..Observation::example()
            });
        }
        next += 1;
        found.extend(engine.tick(next * SECOND, 0, 1.0));
    }
    let ours =
        [Detector::Enumeration, Detector::Probing, Detector::Scraping, Detector::Exfiltration];
    found.retain(|finding: &Finding| ours.contains(&finding.detector));
    found
}

fn opened(found: &[Finding]) -> Vec<&Finding> {
    found.iter().filter(|finding| finding.state == State::Open).collect()
}

/// How somebody browses: so many steps, of which some look at an order, some at a list, some at a
/// page with five pictures; now and then something is missing.
fn browse(
    random: &mut Random,
    script: &mut Vec<Ask>,
    source: IpAddr,
    user: Option<u64>,
    from: u64,
    steps: u32,
) {
    let mut ms = from;
    let mut ask = |ms, target: String, route, status, bytes| {
        script.push(Ask { ms, source, user, target, route, status, bytes });
    };
    for _ in 0..steps {
        ms += 500 + (-15_000.0 * (1.0 - random.share()).ln()) as u64;
        let size = (800.0 * (1.0 - random.share()).powf(-0.6)).min(3e6) as u64;
        match (random.share() * 10.0) as u32 {
            0..=4 => {
                let number = (random.share() * 5000.0) as u64;
                ask(ms, format!("/orders/{number}"), OBJECT, 200, size);
            }
            5 | 6 => ask(ms, format!("/orders?page={}", random.poisson(2.0)), "/orders", 200, size),
            7 => ask(ms, "/favicon.ico".to_owned(), "/favicon.ico", 404, 100),
            _ => {
                for number in 0..5 {
                    let target = format!("/static/{}.png", number + 5 * random.poisson(1.0));
                    ask(ms + 20 * u64::from(number), target, "/static/{value}", 200, size * 3);
                }
            }
        }
    }
}

/// Two hours of an API: people, a network of a hundred users behind one address with credentials and
/// another of thirty without, a cron job, health checks, a mobile application that pages through what
/// its list says, and a crowd that comes all at once.
fn benign(random: &mut Random) -> Vec<Ask> {
    let mut script = Vec::new();
    let at = |random: &mut Random| (random.share() * 7_200_000.0) as u64;
    for person in 0..400 {
        let from = at(random);
        let steps = 2 + random.poisson(15.0);
        browse(random, &mut script, client(person), Some(u64::from(person) + 100), from, steps);
    }
    for user in 0..100 {
        let from = at(random);
        browse(random, &mut script, client(1000), Some(5000 + user), from, 20);
    }
    for _ in 0..30 {
        let from = at(random);
        browse(random, &mut script, client(1001), None, from, 15);
    }
    for person in 0..300 {
        let from = 3_600_000 + (random.share() * 120_000.0) as u64;
        browse(random, &mut script, client(2000 + person), None, from, 8);
    }
    // The application: a list, then what is on it, one after another.
    for phone in 0..60_u32 {
        let from = at(random);
        let first = (random.share() * 5000.0) as u64;
        for step in 0..25 {
            let ms = from + step * 400;
            let user = Some(u64::from(phone) + 9000);
            script.push(Ask::object(ms, client(3000 + phone), user, first + step, 200));
        }
    }
    for tick in 0..1440 {
        let mut every = |source, target: &str, route, status| {
            let (target, ms) = (target.to_owned(), tick * 5000);
            script.push(Ask { ms, source, user: None, target, route, status, bytes: 20 });
        };
        every(client(4000), "/health", "/health", 200);
        every(client(4001), &format!("/status?_={tick}"), "/status", 200);
        every(client(4002), "/gone", "/gone", 404);
        if tick % 60 == 0 {
            every(client(4003), &format!("/orders?since={tick}"), "/orders", 200);
        }
    }
    script
}

#[test]
fn benign_life_raises_nothing() {
    for seed in 0..20 {
        let script = benign(&mut Random::new(seed));
        let found = play(&mut engine(), script);
        let told: Vec<_> = found.iter().map(|finding| &finding.measure.why).collect();
        assert!(found.is_empty(), "seed {seed}: {told:#?}");
    }
}

/// What an attacker at 10.0.255.1 does, beside benign life or alone.
type Attack = fn(&mut Random, &mut Vec<Ask>);

const THIEF: u32 = 0xff01;
const START: u64 = 4_000_000;

#[test]
fn attacks_are_found() {
    let rows: &[(&str, Detector, bool, Attack)] = &[
        ("100 orders in a row, two a second", Detector::Enumeration, true, |_, script| {
            (0..100).for_each(|n| {
                script.push(Ask::object(START + n * 500, client(THIEF), None, 70 + n, 200));
            });
        }),
        ("down by threes, most refused", Detector::Enumeration, true, |random, script| {
            for n in 0..150 {
                let status = if random.share() < 0.8 { 403 } else { 200 };
                let ask =
                    Ask::object(START + n * 1000, client(THIEF), Some(7), 9000 - 3 * n, status);
                script.push(ask);
            }
        }),
        ("guessed at random, nearly all missing", Detector::Enumeration, true, |random, script| {
            for n in 0..400 {
                let number = (random.share() * 1e9) as u64;
                let status = if random.share() < 0.95 { 404 } else { 200 };
                script.push(Ask::object(START + n * 300, client(THIEF), None, number, status));
            }
        }),
        ("one every six seconds", Detector::Enumeration, true, |_, script| {
            (0..400).for_each(|n| {
                script.push(Ask::object(START + n * 6000, client(THIEF), None, n, 200));
            });
        }),
        ("a new cookie for each", Detector::Enumeration, true, |random, script| {
            for n in 0..300 {
                let user = Some((random.share() * 1e15) as u64 + 2);
                script.push(Ask::object(START + n * 300, client(THIEF), user, n, 200));
            }
        }),
        ("a list of words", Detector::Probing, true, |_, script| {
            for n in 0..40 {
                let target = format!("/admin{n}.php");
                let (ms, source) = (START + n * 250, client(THIEF));
                script.push(Ask {
                    ms,
                    source,
                    user: None,
                    target,
                    route: "__other__",
                    status: 404,
                    bytes: 90,
                });
            }
        }),
        ("a list of words, one in three there", Detector::Probing, true, |_, script| {
            for n in 0..300 {
                let target = format!("/word{n}");
                let (ms, source) = (START + n * 250, client(THIEF));
                let status = if n % 3 == 0 { 200 } else { 404 };
                script.push(Ask {
                    ms,
                    source,
                    user: None,
                    target,
                    route: "/{value}",
                    status,
                    bytes: 90,
                });
            }
        }),
        ("every page, one a second", Detector::Scraping, true, |_, script| {
            for n in 0..500 {
                let target = format!("/page/p{n}");
                let (ms, source) = (START + n * 1000, client(THIEF));
                script.push(Ask {
                    ms,
                    source,
                    user: None,
                    target,
                    route: "/page/{value}",
                    status: 200,
                    bytes: 90,
                });
            }
        }),
        ("every page, with jitter", Detector::Scraping, true, |random, script| {
            for n in 0..300 {
                let target = format!("/page/p{n}");
                let (ms, source) =
                    (START + n * 2000 + (random.share() * 900.0) as u64, client(THIEF));
                script.push(Ask {
                    ms,
                    source,
                    user: None,
                    target,
                    route: "/page/{value}",
                    status: 200,
                    bytes: 90,
                });
            }
        }),
        ("2 GB at once", Detector::Exfiltration, true, |_, script| {
            for n in 0..20 {
                let (ms, source) = (START + n * 1000, client(THIEF));
                let target = "/export".to_owned();
                script.push(Ask {
                    ms,
                    source,
                    user: Some(8),
                    target,
                    route: "/export",
                    status: 200,
                    bytes: 100_000_000,
                });
            }
        }),
    ];
    for &(what, detector, beside, attack) in rows {
        let mut random = Random::new(77);
        let mut script = if beside { benign(&mut random) } else { Vec::new() };
        attack(&mut random, &mut script);
        let found = play(&mut engine(), script);
        let told: Vec<_> = found.iter().map(|f| (f.state, &f.measure.why)).collect();
        let thief = |f: &&Finding| f.source.is_some_and(|source| source.address == client(THIEF));
        assert!(found.iter().all(|f| thief(&f)), "{what}: nobody else: {told:#?}");
        let open: Vec<_> = opened(&found).into_iter().filter(|f| f.detector == detector).collect();
        assert_eq!(open.len(), 1, "{what}: {told:#?}");
        let last = found.iter().rfind(|f| f.id == open[0].id).unwrap();
        assert_eq!(last.state, State::Closed, "{what}: {told:#?}");
        println!(
            "{what}: after {} s: {}",
            open[0].opened / SECOND - START / 1000,
            open[0].measure.why
        );
    }
}

#[test]
fn the_guilty_user_is_named_and_not_the_network() {
    let mut random = Random::new(5);
    let mut script = benign(&mut random);
    // One of the users behind the address of many.
    (0..200)
        .for_each(|n| script.push(Ask::object(START + n * 400, client(1000), Some(5003), n, 200)));
    let found = play(&mut engine(), script);
    let open = opened(&found);
    for finding in &open {
        assert_eq!(finding.source.map(|source| source.address), Some(client(1000)));
        assert_eq!(finding.credential, Some(5003));
    }
    let ours: Vec<_> = open.iter().filter(|f| f.detector == Detector::Enumeration).collect();
    assert_eq!(ours.len(), 1, "{open:#?}");
    let finding = ours[0];
    assert_eq!(finding.endpoint.as_ref().map(|at| &*at.route), Some(OBJECT));
    assert!(finding.measure.why.starts_with("one user of 10.0.3.232 asked orders for"));
}

/// Ten within ten minutes are few, three hundred within a day are not.
#[test]
fn one_a_minute_is_found_by_its_day() {
    let walk = |count| {
        let mut script = benign(&mut Random::new(6));
        script.extend(
            (0..count).map(|n| Ask::object(n * 60_000, client(THIEF), Some(7), 70_000 + n, 200)),
        );
        play(&mut engine(), script)
    };
    assert!(walk(200).is_empty(), "fewer than a day's minimum");
    let found = walk(420);
    let open = opened(&found);
    assert_eq!(open.len(), 1, "{open:#?}");
    assert_eq!((open[0].detector, open[0].measure.window_seconds), (Detector::Enumeration, 86_400));
}

#[test]
fn forged_evidence_is_marked() {
    let mut engine = engine();
    for (handshake, expected) in [(false, true), (true, false)] {
        let source = client(u32::from(handshake));
        let mut found = Vec::new();
        for n in 0..120_u64 {
            let target = format!("/orders/{n}");
            engine.observe(&Observation {
                time: n * SECOND / 4,
                source,
                target: &target,
                route: OBJECT,
                handshake,
                ..Observation::example()
            });
            found.extend(engine.tick(n * SECOND / 4, 0, 1.0));
        }
        let open = opened(&found);
        let ours: Vec<_> = open.iter().filter(|f| f.detector == Detector::Enumeration).collect();
        assert_eq!(ours.len(), 1);
        assert_eq!(ours[0].measure.evidence_forgeable, expected);
    }
}

#[test]
fn a_flood_of_sources_is_bounded_and_the_suspect_stays() {
    let mut config = Config::default();
    config.who.sources = 1000;
    config.who.pairs = 1000;
    let mut engine = Engine::new(config, 1);
    engine.set_apis([orders()]);
    let mut found = Vec::new();
    let mut random = Random::new(1);
    for n in 0..120_u64 {
        let time = n * SECOND / 2;
        let target = format!("/orders/{n}");
        let ask = Observation {
            time,
            source: client(1),
            target: &target,
            route: OBJECT,
            ..Observation::example()
        };
        engine.observe(&ask);
        for _ in 0..100 {
            let source = client((random.share() * 1e7) as u32 + 100);
            engine.observe(&Observation { source, ..ask });
        }
        found.extend(engine.tick(time, 0, 1.0));
    }
    let thief = |f: &Finding| f.source.is_some_and(|source| source.address == client(1));
    assert!(opened(&found).iter().any(|f| f.detector == Detector::Enumeration && thief(f)));
    let counts = engine.state_counts();
    let of = |detector| *counts.iter().find(|count| count.detector == detector).unwrap();
    for detector in [Detector::Exfiltration, Detector::Enumeration] {
        let count = of(detector);
        assert_eq!(count.states, 1000);
        assert!(count.evicted > 10_000, "{count:?}");
    }
}

#[test]
fn bytes_inside_tls_count() {
    use crate::detect::TurnSeen;
    let mut engine = engine();
    let mut found = Vec::new();
    for second in 0..600_u64 {
        for number in 0..20 {
            let response_bytes = if number == 7 && second > 500 { 40_000_000 } else { 4000 };
            let time = second * SECOND;
            let source = client(number);
            engine.turn(&TurnSeen {
                time,
                api: 1,
                source,
                latency: None,
                response_bytes,
                complete: true,
                handshake: true,
                weight: 1 << 16,
            });
        }
        found.extend(engine.tick((second + 1) * SECOND, 0, 1.0));
    }
    let open = opened(&found);
    let ours: Vec<_> = open.iter().filter(|f| f.detector == Detector::Exfiltration).collect();
    assert_eq!(ours.len(), 1, "{ours:#?}");
    assert_eq!(ours[0].source.map(|source| source.address), Some(client(7)));
}

#[test]
fn a_crawler_that_is_allowed_raises_nothing() {
    use crate::policy::{Addresses, Cidr, Prefixes};
    let mut prefixes = Prefixes::default();
    prefixes.add(Cidr::parse(b"10.0.255.1").unwrap(), 0, 1);
    let crawlers = Some(std::sync::Arc::new(Addresses::of(std::iter::once(&prefixes))));
    for (crawlers, expected) in [(crawlers, 0), (None, 1)] {
        let mut engine = engine();
        engine.set_apis([crate::detect::ApiProfile { crawlers, ..orders() }]);
        let page = |n: u64| Ask {
            target: format!("/orders/{n}"),
            ..Ask::object(START + n * 1000, client(THIEF), None, n, 200)
        };
        let found = play(&mut engine, (0..400).map(page).collect());
        assert_eq!(opened(&found).len(), expected, "{found:#?}");
    }
}

#[test]
fn what_others_do_is_known_after_a_restart() {
    let thief = |random: &mut Random| {
        let one = |number: u64| {
            let at = 8_000_000 + number * 700;
            Ask::object(at, client(9000), None, (random.share() * 1e6) as u64, 404)
        };
        (0..400).map(one).collect::<Vec<_>>()
    };
    let baseline = |engine: &mut Engine| {
        let found = play(engine, thief(&mut Random::new(5)));
        let enumeration = found.iter().find(|one| one.detector == Detector::Enumeration);
        enumeration.expect("the thief is found").measure.baseline
    };
    let mut before = engine();
    play(&mut before, benign(&mut Random::new(77)));
    let saved = before.save_api(1);
    // Another run of the daemon has another seed.
    let mut after = Engine::new(Config::default(), 2);
    after.set_apis([orders()]);
    assert!(after.load_api(1, &saved, 7_300 * SECOND, 0));
    assert_eq!(after.save_api(1).len(), saved.len());
    let (goes_on, anew) = (baseline(&mut after), baseline(&mut engine()));
    let uninterrupted = baseline(&mut before);
    assert!((goes_on / uninterrupted - 1.0).abs() < 0.1, "{goes_on} and {uninterrupted}");
    assert!((anew / uninterrupted - 1.0).abs() > 0.2, "{anew} and {uninterrupted}");

    let mut damaged = Engine::new(Config::default(), 3);
    damaged.set_apis([orders()]);
    for length in (0..saved.len()).step_by(7) {
        damaged.load_api(1, &saved[..length], 0, 0);
    }
    assert!(damaged.save_api(1).len() <= saved.len());
}
