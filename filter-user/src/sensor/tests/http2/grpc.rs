//! Calls by gRPC.

use super::*;
use crate::sensor::transaction::Credential;

#[test]
fn grpc() {
    let call = |path| {
        [
            (":method", "POST"),
            (":path", path),
            (":authority", "h"),
            ("content-type", "application/grpc+proto"),
            ("authorization", "Bearer secret"),
        ]
    };
    const HEAD: Fields<'_> = &[(":status", "200"), ("content-type", "application/grpc")];
    const TRAILERS: Fields<'_> = &[("grpc-status", "5"), ("grpc-message", "not there")];
    let only: Fields<'_> =
        &[(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "12")];
    let message = |stream| frame(0, ES, stream, b"\0\0\0\0\x02hi");
    let rows: Vec<(&str, Vec<Step>, &str)> = vec![
        (
            "trailers",
            vec![
                C([headers(EH, 1, &call("/pkg.Greeter/Say")), message(1)].concat()),
                S([headers(EH, 1, HEAD), data(0, 1, 9), headers(END, 1, TRAILERS)].concat()),
            ],
            "pkg.Greeter Say Some(5) true",
        ),
        (
            "trailers only",
            vec![
                C([headers(EH, 1, &call("/Greeter/Say")), message(1)].concat()),
                S(headers(END, 1, only)),
            ],
            "Greeter Say Some(12) true",
        ),
        (
            "no trailers",
            vec![
                C([headers(EH, 1, &call("/Greeter/Say")), message(1)].concat()),
                S([headers(EH, 1, HEAD), reset(1)].concat()),
            ],
            "Greeter Say None false",
        ),
        (
            "lost head",
            vec![
                C([headers(EH, 1, &call("/a/b/Say")), message(1)].concat()),
                LoseS(headers(EH, 1, HEAD)),
                S([data(0, 1, 9), headers(END, 1, TRAILERS)].concat()),
            ],
            "a/b Say Some(5) false",
        ),
        (
            "no path of a call",
            vec![C([headers(EH, 1, &call("/")), message(1)].concat()), S(headers(END, 1, only))],
            "  Some(12) true",
        ),
    ];
    for (what, steps, expected) in rows {
        let mut wire = greeted(usize::MAX);
        play(&mut wire, &steps, usize::MAX);
        let (found, _) = seen(&wire);
        let [found] = found.as_slice() else { panic!("{what}: {found:?}") };
        let grpc = found.grpc.as_deref().unwrap();
        let told = format!("{} {} {:?} {}", grpc.service, grpc.method, grpc.status, found.complete);
        assert_eq!(told, expected, "{what}");
        assert!(found.credentials.has(Credential::Bearer));
        assert!(!format!("{found:?}").contains("secret"));
    }
    for other in ["application/grpc-web", "application/json", "application/grpcx"] {
        let mut wire = greeted(usize::MAX);
        let fields = [(":method", "POST"), (":path", "/a/b"), ("content-type", other)];
        wire.send(CLIENT, &headers(END, 1, &fields), usize::MAX);
        wire.send(SERVER, &headers(END, 1, OK), usize::MAX);
        assert_eq!(seen(&wire).0[0].grpc, None, "{other}");
    }
}
