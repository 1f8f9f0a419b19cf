//! Documents good and bad.

use crate::inventory::path::Path;
use crate::text::{Diagnostic, Severity};

use super::{Spec, read};

fn of(text: &str) -> (Option<Spec>, Vec<Diagnostic>) {
    let mut told = Vec::new();
    let spec = read(text.as_bytes(), "spec.yaml", |diagnostic| told.push(diagnostic));
    (spec, told)
}

fn good(text: &str) -> Spec {
    let (spec, told) = of(text);
    assert_eq!(told, []);
    spec.expect("a good document")
}

fn routes(spec: &Spec) -> Vec<String> {
    let shown = |path: &super::SpecPath| {
        let methods: Vec<&str> = path.methods.keys().map(String::as_str).collect();
        format!("{} {}", methods.join(","), path.route)
    };
    spec.paths().iter().map(shown).collect()
}

#[test]
fn paths_methods_and_base_paths() {
    let yaml = "
openapi: 3.0.3
info: {title: Orders, version: '2'}
servers:
  - url: https://api.example.org/v1/
  - url: '{where}/v2'
    variables: {where: {default: /eu, enum: [/eu, /us]}}
paths:
  x-note: not a path
  /orders:
    parameters: []
    get: {operationId: list, responses: {}}
    post: {deprecated: true}
  /orders/{id}/:
    servers: [{url: /}]
    delete: {}
  /shared: {$ref: '#/components/pathItems/shared~1one'}
components:
  pathItems:
    shared/one: {patch: {servers: [{url: /only}]}, x-a: 1}
";
    let spec = good(yaml);
    assert_eq!(
        routes(&spec),
        [
            "GET,POST /eu/v2/orders",
            "GET,POST /us/v2/orders",
            "GET,POST /v1/orders",
            "DELETE /orders/{id}",
            "PATCH /only/shared"
        ]
    );
    assert_eq!((spec.title.as_deref(), spec.operations()), (Some("Orders"), 8));
    let found = |target: &str| {
        let path = Path::of(target).expect("a path");
        spec.find(&path).map(|path| path.route.to_string())
    };
    assert_eq!(found("/v1/orders/?page=2").as_deref(), Some("/v1/orders"));
    assert_eq!(found("/orders/17").as_deref(), Some("/orders/{id}"));
    assert_eq!(found("/orders"), None, "the base path belongs to it");
    let path = spec.route("/v1/orders").expect("a route");
    assert!(path.methods["POST"].deprecated && path.methods["GET"].line == 12);
    for (method, expected) in
        [("GET", true), ("HEAD", true), ("OPTIONS", true), ("PUT", false), ("get", false)]
    {
        assert_eq!(path.documents(method), expected, "{method}");
    }
    let json = r##"{"openapi": "3.1.0", "info": {}, "paths": {
        "/a/{b}.json": {"get": {}}, "/é": {"$ref": "#/x"}}, "x": {"put": {}}}"##;
    assert_eq!(routes(&good(json)), ["GET /a/{b}.json", "PUT /é"]);
}

#[test]
fn mistakes() {
    use Severity::{Error, Warning};
    let head = "openapi: 3.1.0\npaths:\n";
    let rows = [
        ("", Warning, 1, "documents nothing"),
        ("openapi: 3.1.0\n", Warning, 1, "documents no path"),
        ("openapi: 3.2.0\npaths: {}\n", Warning, 1, "as if it were 3.1"),
        ("- a\n", Error, 1, "no OpenAPI document"),
        ("info: {}\n", Error, 1, "has no `openapi`"),
        ("info: {}\nswagger: '2.0'\n", Error, 2, "Swagger 2.0"),
        ("info: {}\nopenapi: 4\n", Error, 2, "`4` is not known"),
        ("openapi: 3.1.0\npaths: [a]\n", Error, 2, "not a mapping"),
        ("openapi: 3.1.0\npaths:\n  /a\n  /b: {}\n", Error, 4, "not YAML"),
        ("openapi: 3.1.0\nservers: /v1\npaths: {}\n", Error, 2, "not a list"),
        ("openapi: 3.1.0\nservers: [{}]\npaths: {}\n", Error, 2, "no `url`"),
        (&format!("{head}  orders: {{}}\n"), Error, 3, "`orders` is not a path"),
        (&format!("{head}  /a: {{}}\n  /b: 7\n"), Error, 4, "not a mapping"),
        (&format!("{head}  /a:\n    get: 7\n"), Error, 4, "`GET` of `/a`"),
        (&format!("{head}  /a:\n    GET: {{}}\n"), Warning, 4, "`GET` is no method"),
        (&format!("{head}  /{{a:\n    get: {{}}\n"), Error, 3, "do not match"),
        (
            &format!("{head}  /{{a}}:\n    get: {{}}\n  /{{b}}:\n    put: {{}}\n"),
            Warning,
            5,
            "the same path",
        ),
        (&format!("{head}  /a: {{$ref: 'b.yaml'}}\n"), Warning, 3, "not followed"),
        (&format!("{head}  /a: {{$ref: '#/b'}}\n"), Error, 3, "leads nowhere"),
        (&format!("{head}  /a: {{$ref: '#/paths/~1a'}}\n"), Error, 3, "leads nowhere"),
        ("{\n\"openapi\": \"3.1.0\",\n\"paths\": {\"a\": {}}}", Error, 3, "`a` is not a path"),
        ("{\"openapi\": \"3.1.0\"\n", Error, 2, "not JSON"),
    ];
    for (text, severity, line, words) in rows {
        let (spec, told) = of(text);
        let [only] = &told[..] else { panic!("{text:?}: {told:?}") };
        assert_eq!((only.severity, only.line), (severity, line), "{text:?}: {only}");
        assert!(only.message.contains(words), "{text:?}: {only}");
        assert_eq!(spec.is_some(), severity == Warning, "{text:?}");
    }
    let (spec, told) = {
        let mut told = Vec::new();
        let spec = read(b"openapi: 3.1.0\n# \xe9\n", "s", |diagnostic| told.push(diagnostic));
        (spec, told)
    };
    assert!(spec.is_none() && told[0].message.contains("line 2"), "{told:?}");
}

#[test]
fn many_mistakes_are_not_told_one_by_one() {
    let paths: String = (0..500).map(|n| format!("  p{n}: {{}}\n")).collect();
    let (spec, told) = of(&format!("openapi: 3.1.0\npaths:\n{paths}"));
    assert!(spec.is_none());
    assert_eq!(told.len(), 21);
    assert_eq!(told[20].message, "and 480 more problems");
}
