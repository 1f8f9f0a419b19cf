//! Routes of all kinds of traffic.

use super::*;
use crate::inventory::openapi;

fn ask(routes: &mut Routes, api: u32, target: &str, status: Option<u16>) -> Arc<str> {
    routes.route(&Request { api, target, status })
}

#[test]
fn templates() {
    let mut routes = Routes::new(RouteLimits::default());
    for (target, expected) in [
        ("/", "/"),
        ("/orders/17?token=SECRET", "/orders/{id}"),
        ("/orders/17/", "/orders/{id}"),
        ("http://shop/orders/17/items/3", "/orders/{id}/items/{id}"),
        ("/u/f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "/u/{uuid}"),
        ("/reports/2024-05-31", "/reports/{date}"),
        ("/blobs/deadbee5", "/blobs/{hex}"),
        ("/reset/V1StGXR8_Z5jdHi6B-myT", "/reset/{token}"),
        ("*", OTHER),
    ] {
        assert_eq!(&*ask(&mut routes, 1, target, Some(200)), expected, "{target}");
        assert_eq!(&*ask(&mut routes, 1, target, None), expected, "{target} again");
    }
    assert!(ask(&mut routes, 1, &"/a".repeat(100), None).ends_with("/a/{rest}"));
}

#[test]
fn is_bounded_and_stable_whatever_is_asked_for() {
    let mut routes = Routes::new(RouteLimits { fan_out: usize::MAX, ..RouteLimits::default() });
    assert_eq!(&*ask(&mut routes, 1, "/login", Some(401)), "/login");
    // A scanner: only a tenth of the room, and none of it for good.
    let scanned: Vec<_> = (0..10_000)
        .map(|n| ask(&mut routes, 1, &format!("/{}", word(n)), Some(404)))
        .filter(|route| &**route != OTHER)
        .collect();
    assert_eq!(scanned.len(), 20);
    assert_eq!(routes.overflowed(), 9_980);
    assert_eq!(&*ask(&mut routes, 1, "/orders/1", Some(200)), "/orders/{id}");
    // A route that turns out to exist makes room for another missing one.
    assert_eq!(ask(&mut routes, 1, &scanned[0], Some(200)), scanned[0]);
    assert_eq!(&*ask(&mut routes, 1, "/zzz", None), "/zzz");
    // An API that answers everything is bounded too, and keeps what it had.
    for n in 0..10_000 {
        ask(&mut routes, 1, &format!("/x{}", word(n)), Some(200));
    }
    assert_eq!(routes.len(), 200);
    assert_eq!(&*ask(&mut routes, 1, "/orders/9", Some(500)), "/orders/{id}");
    assert_eq!(&*ask(&mut routes, 1, "/new", Some(200)), OTHER);
    // Other APIs have their own room; forgetting one gives it back.
    assert_eq!(&*ask(&mut routes, 2, "/new", Some(200)), "/new");
    routes.retain(|api| api == 2);
    assert_eq!(routes.len(), 1);
}

#[test]
fn apis_and_names_are_bounded() {
    let limits = RouteLimits { apis: 1, bytes: 20, ..RouteLimits::default() };
    let mut routes = Routes::new(limits);
    for (api, target, expected) in [
        (1, "/a", "/a"),
        (2, "/a", OTHER),
        (1, "/aaaaaaaaaaaaaaaaaaaa", OTHER),
        (1, "example.org:443", OTHER),
    ] {
        assert_eq!(&*ask(&mut routes, api, target, Some(200)), expected, "{target}");
    }
    assert_eq!(routes.overflowed(), 1);
    assert!(!routes.is_empty());
}

#[test]
fn many_literals_of_one_parent_are_values() {
    let mut routes = Routes::new(RouteLimits::default());
    let named = ["/users/me", "/other/{any}/x"].map(|path| Path::of(path).unwrap().into_owned());
    routes.declare(1, Declared { spec: None, named: named.to_vec() });
    let words: Vec<String> = (0..100).map(|n| format!("n{}", word(n))).collect();
    ask(&mut routes, 1, "/users/me", Some(200));
    ask(&mut routes, 1, "/users/gone", Some(404));
    assert_eq!(routes.take_changed(), [1]);
    for word in &words[..32] {
        let target = format!("/users/{word}/posts/{word}");
        assert_eq!(*ask(&mut routes, 1, &target, Some(200)), *target);
    }
    assert_eq!(routes.take_changed(), [] as [u32; 0]);
    // One too many: those that were are called by the new name, whatever lies below goes along.
    let target = format!("/users/{}/posts/x", words[32]);
    assert_eq!(&*ask(&mut routes, 1, &target, Some(200)), "/users/{value}/posts/{value}");
    assert_eq!(routes.take_changed(), [1]);
    let now = |routes: &Routes, route: &str| routes.renamed(1, route).unwrap().to_string();
    let old = format!("/users/{}/posts/{}", words[3], words[3]);
    assert_eq!(now(&routes, &old), "/users/{value}/posts/{value}");
    assert_eq!(routes.len(), 3, "values, me, and what was merged with the missing one");
    for (target, expected) in [
        ("/users/me", "/users/me"),
        ("/users/17", "/users/{id}"),
        ("/users/someone", "/users/{value}"),
        ("/users/me/posts/x", "/users/me/posts/x"),
        ("/users", "/users"),
    ] {
        assert_eq!(&*ask(&mut routes, 1, target, Some(200)), expected, "{target}");
        assert_eq!(now(&routes, expected), expected, "a name stays");
    }
    // After a restart it goes on as before.
    let merged: Vec<String> = routes.merged(1).map(str::to_owned).collect();
    let mut again = Routes::new(RouteLimits::default());
    again.restore(1, [("/users/{value}", true), ("/users/me", true)], merged);
    again.declare(1, Declared { spec: None, named: named.to_vec() });
    for target in ["/users/you", "/users/me", "/users/you/posts/x"] {
        let expected = ask(&mut routes, 1, target, Some(200));
        assert_eq!(ask(&mut again, 1, target, Some(200)), expected, "{target}");
    }
}

#[test]
fn calls_are_words_however_many() {
    let mut routes = Routes::new(RouteLimits::default());
    for n in 0..150 {
        let target = format!("/shop.v1.Orders/Get{}", word(n));
        assert_eq!(*ask(&mut routes, 1, &target, Some(200)), *target);
    }
    for n in 0..40 {
        ask(&mut routes, 1, &format!("/v2.1/{}", word(n)), Some(200));
    }
    assert_eq!(&*ask(&mut routes, 1, "/v2.1/zzz", Some(200)), "/v2.1/{value}");
}

#[test]
fn the_document_decides() {
    let text = "
openapi: 3.0.0
servers: [{url: /v1}]
paths:
  /orders/{orderId}: {get: {}}
  /orders/open: {get: {}}
  /files/{name}: {get: {}}
  /files/{name}/raw: {get: {}}
";
    let spec = openapi::read(text.as_bytes(), "s", |told| panic!("{told}")).map(Arc::new);
    assert!(spec.is_some());
    let mut routes = Routes::new(RouteLimits::default());
    assert_eq!(&*ask(&mut routes, 1, "/v1/orders/7", Some(200)), "/v1/orders/{id}");
    routes.declare(1, Declared { spec: spec.clone(), named: Vec::new() });
    assert_eq!(routes.take_changed(), [1]);
    let renamed = routes.renamed(1, "/v1/orders/{id}");
    assert_eq!(renamed.as_deref(), Some("/v1/orders/{orderId}"));
    for n in 0..100 {
        for (target, expected) in [
            (format!("/v1/files/{}", word(n)), "/v1/files/{name}"),
            (format!("/v1/files/{}/raw?key=x", word(n)), "/v1/files/{name}/raw"),
            ("/v1/orders/7".to_owned(), "/v1/orders/{orderId}"),
            ("/v1/orders/open".to_owned(), "/v1/orders/open"),
        ] {
            assert_eq!(&*ask(&mut routes, 1, &target, Some(404)), expected, "{target}");
        }
    }
    assert_eq!(routes.len(), 4);
    // What the document does not have is told apart as ever, and what it names is never a value.
    for n in 0..40 {
        ask(&mut routes, 1, &format!("/v1/orders/open/{}", word(n)), Some(200));
        ask(&mut routes, 1, &format!("/v1/files/a/x{}", word(n)), Some(200));
    }
    assert_eq!(&*ask(&mut routes, 1, "/v1/orders/open/zz", None), "/v1/orders/open/{value}");
    assert_eq!(&*ask(&mut routes, 1, "/v1/files/a/zz", None), "/v1/files/a/{value}");
    assert_eq!(&*ask(&mut routes, 1, "/v1/files/a/raw", None), "/v1/files/{name}/raw");
}

/// Letters only, so that it stays a literal.
fn word(mut n: usize) -> String {
    let mut word = String::new();
    loop {
        word.push(char::from(b'a' + u8::try_from(n % 26).unwrap()));
        n /= 26;
        if n == 0 {
            return word;
        }
    }
}
