use super::places::PLACES;
use super::*;
use crate::detect::Endpoint;
use crate::detect::simulation::orders;

fn kept(requests: &[(u64, u8, &str, u16, u64)]) -> Examples {
    let mut examples = Examples::new(7);
    for &(second, source, route, status, ms) in requests {
        examples.request(
            &orders(),
            &Observation {
                time: second * SECOND,
                source: [192, 0, 2, source].into(),
                credential: Some(u64::from(source)),
                route,
                target: "/orders/1?token=secret",
                status: Some(status),
                latency: Some(ms * 1_000_000),
                ..Observation::example()
            },
        );
    }
    examples
}

fn times(examples: &[Example]) -> Vec<u64> {
    examples.iter().map(|example| example.time / SECOND).collect()
}

#[test]
fn the_latest_of_whom_it_is_about() {
    let mut requests: Vec<_> = (0..40).map(|n| (n, 1, "/orders/{id}", 200, 3)).collect();
    requests.extend([(40, 2, "/a", 200, 3), (41, 2, "/a", 401, 3), (42, 2, "/b", 200, 3)]);
    let examples = kept(&requests);
    let source = |last: u8| Source::of([192, 0, 2, last].into(), orders().sources);
    let of = |subject: &Subject| times(&examples.of(subject, true, 50 * SECOND));
    let about = |detector, last| Subject::source(detector, 1, source(last));
    let one = of(&about(Detector::Scraping, 1));
    assert_eq!(one.len(), MOST);
    assert!(one.is_sorted() && one[4] >= 32, "{one:?}");
    assert_eq!(of(&about(Detector::Scraping, 2)), [41, 42], "from the second on");
    assert_eq!(of(&about(Detector::Probing, 2)), [41], "only what failed");
    assert_eq!(of(&about(Detector::Scraping, 3)), [0; 0], "never seen");
    let stranger = Subject { credential: Some(9), ..about(Detector::Scraping, 1) };
    assert_eq!(of(&stranger), [0; 0], "another user of it");
    let late = examples.of(&about(Detector::Scraping, 1), true, OLD + 100 * SECOND);
    assert!(late.is_empty(), "of long ago");
}

#[test]
fn those_of_an_endpoint_that_tell_most() {
    let requests: Vec<_> = (0..60)
        .map(|n| {
            let status = if n % 20 == 0 { 500 } else { 200 };
            (10 * n, 1 + (n % 9) as u8, if n % 2 == 0 { "/a" } else { "/b" }, status, n)
        })
        .collect();
    let examples = kept(&requests);
    let endpoint = Endpoint { method: "GET".into(), route: "/a".into() };
    let about = |detector, named: bool| Subject {
        endpoint: named.then(|| endpoint.clone()),
        ..Subject::api(detector, 1)
    };
    let of = |detector, named, up| examples.of(&about(detector, named), up, 600 * SECOND);
    let failed = of(Detector::ErrorShift, true, true);
    assert_eq!(times(&failed), [0, 200, 400]);
    assert!(failed.iter().all(|example| example.status == Some(500)));
    let slow = of(Detector::LatencyShift, true, true);
    assert_eq!(slow.len(), MOST);
    assert!(slow.iter().all(|example| &*example.route == "/a"), "{slow:?}");
    let [up, down] = [true, false].map(|up| {
        let found = of(Detector::LatencyTail, false, up);
        found.iter().filter_map(|example| example.latency).sum::<u64>()
    });
    assert!(up > down, "{up} and {down}");
}

#[test]
fn who_asks_on_and_on_is_not_pushed_out() {
    let mut examples = Examples::new(7);
    let request = |examples: &mut Examples, n: u64, source: IpAddr| {
        let time = n * 1_000_000;
        examples.request(&orders(), &Observation { time, source, ..Observation::example() });
    };
    let one: IpAddr = [198, 51, 100, 1].into();
    for n in 0..200_000_u64 {
        let crowd: IpAddr = [10, (n >> 16) as u8, (n >> 8) as u8, n as u8].into();
        request(&mut examples, n, crowd);
        if n % 100 == 0 {
            request(&mut examples, n, one);
        }
    }
    let subject = Subject::source(Detector::Scraping, 1, Source::from(one));
    assert!(!examples.of(&subject, true, 200 * SECOND).is_empty());
    assert_eq!(examples.sources.len(), PLACES);
}

#[test]
fn written_and_read() {
    let examples = kept(&[(1, 1, "/a", 200, 3), (2, 1, "/a", 404, 4)]);
    let subject =
        Subject::source(Detector::Scraping, 1, Source::from(IpAddr::from([192, 0, 2, 1])));
    let all = examples.of(&subject, true, 9 * SECOND);
    let mut to = Writer::default();
    all.iter().for_each(|example| example.write(100, &mut to));
    assert!(!String::from_utf8_lossy(&to.0).contains("secret"));
    let read = Example::read(&mut Reader(&to.0), 100).expect("what was written");
    assert_eq!(read, Example { credential: None, ..all[0].clone() });
    for length in 0..to.0.len() {
        assert_eq!(Example::read(&mut Reader(&to.0[..length]), 100), None);
    }
}

#[test]
fn names_are_held_once_and_a_place_tells_nothing_of_before() {
    let examples = kept(&[(1, 1, "/a", 200, 3), (2, 1, "/a", 404, 4), (3, 1, "/a", 404, 4)]);
    let about = |last: u8| {
        let source = Source::from(IpAddr::from([192, 0, 2, last]));
        Subject::source(Detector::Scraping, 1, source)
    };
    let found = examples.of(&about(1), true, 9 * SECOND);
    assert!(Arc::ptr_eq(&found[0].route, &found[1].route), "{found:?}");
    assert!(Arc::ptr_eq(&found[0].method, &found[1].method), "{found:?}");

    let mut places = Places::new();
    // Two keys of one place.
    let (one, other) = (5, 5 + PLACES as u64);
    let put = |places: &mut Places, key| {
        if let Some(mut place) = places.claim(key) {
            place.put(found[0].clone());
        }
    };
    (0..3).for_each(|_| put(&mut places, one));
    assert_eq!((places.of(one).count(), places.of(other).count()), (3, 0));
    put(&mut places, other);
    assert_eq!((places.of(one).count(), places.of(other).count()), (3, 0), "used more");
    put(&mut places, other);
    assert_eq!((places.of(one).count(), places.of(other).count()), (0, 1), "not those of before");
    (0..9).for_each(|_| put(&mut places, other));
    assert_eq!(places.of(other).count(), MOST);
}
