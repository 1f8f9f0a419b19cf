//! What detection costs a transaction, and what its state weighs.
//!
//! `cargo run --release -p filter-user --example detection_cost`

use std::time::Instant;

use filter_user::detect::{ApiProfile, Config, Engine, Observation, Origin, SECOND};

const APIS: u32 = 1000;
const ROUTES: u32 = 100;

/// Bytes that this process has allocated and not given back.
fn allocated() -> usize {
    // SAFETY: no arguments; it only counts.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

fn main() {
    let routes: Vec<String> =
        (0..ROUTES).map(|route| format!("/v1/things/{route}/{{id}}")).collect();
    for (what, apis, sources, requests) in [
        ("one API", 1_u32, 50_000_u32, 2_000_000_u32),
        ("1,000 APIs", APIS, 50_000, 1_000_000),
        ("1,000 APIs, a million sources", APIS, 1_000_000, 3_000_000),
    ] {
        let before = allocated();
        let mut engine = Engine::new(Config::default(), 1);
        engine.set_apis((1..=apis).map(|id| ApiProfile {
            id,
            name: "api".into(),
            ..ApiProfile::unclaimed()
        }));
        let (mut spent, mut ticked) = (0.0, 0.0);
        // Three steps: the first is not whole, the second makes the series, the third is judged.
        for step in 0..3_u64 {
            let start = Instant::now();
            for number in 0..requests / 3 {
                let source = u32::wrapping_mul(number, 2_654_435_761) % sources;
                let route = &routes[(number / apis % ROUTES) as usize];
                engine.observe(&Observation {
                    time: step * 300 * SECOND + u64::from(number),
                    api: 1 + number % apis,
                    source: std::net::Ipv4Addr::from(0x0a00_0000 + source).into(),
                    credential: None,
                    origin: Origin::default(),
                    method: "GET",
                    target: route,
                    route,
                    status: Some(if number % 50 == 0 { 500 } else { 200 }),
                    latency: Some(3_000_000 + u64::from(number % 1000) * 1000),
                    request_bytes: Some(0),
                    response_bytes: Some(1234),
                    handshake: true,
                    weight: 1 << 16,
                });
            }
            spent += start.elapsed().as_secs_f64();
            let start = Instant::now();
            for tick in 0..6000_u64 {
                std::hint::black_box(engine.tick(
                    (step * 300 + 299) * SECOND + tick * SECOND / 20,
                    0,
                    1.0,
                ));
            }
            ticked += start.elapsed().as_secs_f64();
        }
        let each = spent / f64::from(requests) * 1e9;
        println!(
            "{what}, {ROUTES} routes each: {each:.0} ns a transaction; {:.2} % of a core for ticks; \
             {} MiB",
            ticked / 900.0 * 100.0,
            allocated().saturating_sub(before) / (1 << 20),
        );
    }
}
