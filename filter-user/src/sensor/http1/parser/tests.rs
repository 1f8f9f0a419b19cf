use super::*;

fn piece(data: &[u8]) -> Piece<'_> {
    Piece { data, seq: 0, ack: None, time: 0, peer: None }
}

/// Heads and body lengths of a stream of requests, cut after every `step` bytes.
fn read(bytes: &[u8], step: usize) -> Vec<String> {
    let mut parser = Parser::new(true, true);
    let mut found = Vec::new();
    for part in bytes.chunks(step) {
        let mut cursor = Cursor::new(piece(part));
        loop {
            match parser.next(&mut cursor) {
                Progress::Idle => break,
                Progress::Head(head) => {
                    let head = String::from_utf8(head.into_owned()).unwrap();
                    let framing = if head.contains("chunked") {
                        Framing::Chunked
                    } else if head.contains("five") {
                        Framing::Fixed(5)
                    } else {
                        Framing::Fixed(0)
                    };
                    found.push(head);
                    if parser.begin(framing) {
                        found.push("0".to_owned());
                    }
                }
                Progress::End => found.push(parser.body().to_string()),
                Progress::Malformed => return vec!["malformed".to_owned()],
                Progress::TooLong => return vec!["long".to_owned()],
            }
        }
    }
    found
}

#[test]
fn every_split_reads_alike() {
    for (stream, expected) in [
        ("GET / HTTP/1.1\r\na: b\r\n\r\n", vec!["GET / HTTP/1.1\r\na: b\r\n\r\n", "0"]),
        ("\r\n\n\rGET / HTTP/1.1\n\n", vec!["GET / HTTP/1.1\n\n", "0"]),
        ("GET /\r\n", vec!["GET /\r\n", "0"]),
        ("GET /\r\n\r\nGET /\r\n", vec!["GET /\r\n", "0", "GET /\r\n", "0"]),
        (
            "P /five HTTP/1.1\r\n\r\n12345P /five HTTP/1.1\n\r\n\r\n345",
            vec!["P /five HTTP/1.1\r\n\r\n", "5", "P /five HTTP/1.1\n\r\n", "5"],
        ),
        (
            "P /chunked HTTP/1.1\r\n\r\n5;x=y\r\n\r\n345\r\n00A \r\n1234567890\n0\r\nt: u\r\n\r\n",
            vec!["P /chunked HTTP/1.1\r\n\r\n", "15"],
        ),
        ("P /chunked HTTP/1.1\r\n\r\n0\r\n\r\n", vec!["P /chunked HTTP/1.1\r\n\r\n", "0"]),
        ("P /chunked HTTP/1.1\r\n\r\n\r\n", vec!["malformed"]),
        ("P /chunked HTTP/1.1\r\n\r\n11111111111111111\r\n", vec!["malformed"]),
        ("P /chunked HTTP/1.1\r\n\r\n1\r\nab", vec!["malformed"]),
    ] {
        for step in 1..=stream.len() {
            assert_eq!(read(stream.as_bytes(), step), expected, "{stream:?} by {step}");
        }
    }
}

#[test]
fn heads_and_trailers_are_bounded() {
    let long = "a: b\r\n".repeat(20_000);
    for stream in
        [format!("GET / HTTP/1.1\r\n{long}"), format!("P /chunked HTTP/1.1\r\n\r\n0\r\n{long}")]
    {
        assert_eq!(read(stream.as_bytes(), 1000), ["long"]);
    }
}

#[test]
fn missing_bytes() {
    use Missing::{Ended, Inside, Lost};
    for (framing, before, length, expected, body) in [
        (Framing::Fixed(10), "123", 6, Inside, 9),
        (Framing::Fixed(10), "123", 7, Ended(0), 10),
        (Framing::Fixed(10), "123", 9, Ended(2), 10),
        (Framing::Chunked, "a\r\n123", 6, Inside, 9),
        (Framing::Chunked, "a\r\n123", 7, Inside, 10),
        (Framing::Chunked, "a\r\n123", 8, Lost, 3),
        (Framing::Chunked, "a\r", 1, Lost, 0),
        (Framing::Chunked, "1\r\na", 1, Lost, 1),
        (Framing::Chunked, "0\r\n", 1, Lost, 0),
        (Framing::UntilClose, "123", 100, Inside, 103),
    ] {
        let mut parser = Parser::new(true, true);
        let head = piece(b"P / HTTP/1.1\r\n\r\n");
        assert!(matches!(parser.next(&mut Cursor::new(head)), Progress::Head(_)));
        parser.begin(framing);
        let mut cursor = Cursor::new(piece(before.as_bytes()));
        assert!(matches!(parser.next(&mut cursor), Progress::Idle));
        assert_eq!(parser.missing(length), expected, "{framing:?} {before:?} {length}");
        assert_eq!(parser.body(), body, "{framing:?} {before:?} {length}");
    }
}
