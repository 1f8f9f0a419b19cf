//! Losses, and connections that are entered late.

use super::*;

/// What a loss hides is void; what it does not touch is whole.
#[test]
fn losses() {
    let long = [(":status", "200"), ("content-length", "30000")];
    let answer = || [headers(EH, 1, &long), data(0, 1, 16_000), data(ES, 1, 14_000)].concat();
    let rows: Vec<Row> = vec![
        (
            "inside a body",
            vec![
                C(headers(END, 1, GET)),
                S([headers(EH, 1, OK), data(ES, 1, 50)[..20].to_vec()].concat()),
                LoseS(vec![b'z'; 30]),
                S(vec![b'z'; 9]),
                C(headers(END, 3, GET)),
                S(headers(END, 3, OK)),
            ],
            &["GET /a 200 0 50", "GET /a 200 0 0"],
        ),
        (
            "a body and the response behind it: found again, of what is known",
            vec![
                C([headers(END, 1, GET), headers(END, 3, GET)].concat()),
                CutS([answer(), headers(END, 3, OK)].concat(), 4096),
                C(headers(END, 5, GET)),
                S(headers(END, 5, &[(":status", "404")])),
            ],
            &["GET /a 404 0 0", "GET /a 200 0 - !", "GET /a - 0 - !"],
        ),
        (
            "frames of a body: the next response is found, and this one's end",
            vec![
                C([headers(END, 1, GET), headers(END, 3, GET)].concat()),
                CutS([headers(EH, 1, &long), data(0, 1, 16_000), data(0, 1, 4_000)].concat(), 4096),
                S([data(ES, 1, 10_000), headers(EH, 3, OK), data(ES, 3, 8)].concat()),
            ],
            &["GET /a 200 0 30000 !", "GET /a 200 0 8"],
        ),
        (
            "in the middle of a segment",
            vec![
                C([headers(END, 1, GET), headers(END, 3, GET)].concat()),
                CutS(
                    [headers(EH, 1, &long), data(0, 1, 16_000), data(0, 1, 9_000)[..2000].to_vec()]
                        .concat(),
                    4096,
                ),
                S([vec![b'z'; 7009], headers(EH, 3, OK), data(ES, 3, 8), data(ES, 1, 5000)]
                    .concat()),
            ],
            &["GET /a 200 0 8", "GET /a 200 0 30000 !"],
        ),
        (
            "a request",
            vec![
                LoseC(headers(END, 1, GET)),
                S(headers(END, 1, OK)),
                C(headers(END, 3, GET)),
                S(headers(END, 3, &[(":status", "404")])),
            ],
            &["GET /a 404 0 0"],
        ),
        (
            "a response",
            vec![
                C(headers(END, 1, GET)),
                LoseS(headers(END, 1, OK)),
                C(headers(END, 3, GET)),
                S(headers(END, 3, &[(":status", "404")])),
            ],
            &["GET /a 404 0 0", "GET /a - 0 - !"],
        ),
        (
            "the beginning of a response",
            vec![C(headers(END, 1, GET)), LoseS(headers(EH, 1, OK)), S(data(ES, 1, 5))],
            &["GET /a - 0 - !"],
        ),
        (
            "something before a response",
            vec![
                C(headers(END, 1, GET)),
                LoseS(frame(6, 0, 0, b"12345678")),
                S([headers(EH, 1, OK), data(ES, 1, 5)].concat()),
            ],
            &["GET /a 200 0 5"],
        ),
        (
            "the end of a request: its response ends it",
            vec![
                C([headers(EH, 1, POST), data(0, 1, 5)].concat()),
                LoseC(data(ES, 1, 5)),
                S([headers(EH, 1, OK), data(ES, 1, 5)].concat()),
            ],
            &["POST /a 200 - 5 !"],
        ),
        (
            "the end of a block: what is known of it counts",
            vec![
                C(headers(END, 1, GET)),
                CutS(headers(END, 1, &[(":status", "200"), ("server", "something long")]), 40),
                C(headers(END, 3, GET)),
                S(headers(END, 3, OK)),
            ],
            &["GET /a 200 0 0 !", "GET /a 200 0 0"],
        ),
    ];
    for (what, steps, expected) in rows {
        assert_eq!(lines(&steps, usize::MAX), expected, "{what}");
    }
}

/// Entries of the dynamic table that were not seen are unknown; those that come later are known.
#[test]
fn entered_in_the_middle() {
    // ":authority: early" goes into the table unseen, and is referred to as 62.
    let early = [&[0x82, 0x86, 0x84][..], &[0x41, 5], b"early"].concat();
    let later = [0x82, 0x86, 0x84, 0xbe];
    // "user-agent: late" goes into the table; the authority is 63 then.
    let learned = [&[0x82, 0x86, 0x84, 0xbe, 0x7a, 4][..], b"late"].concat();
    let known = [0x82, 0x86, 0x84, 0xbf, 0xbe];
    let mut wire = Wire::new([40_000, 8080], [5, 6]);
    for (stream, block) in [(1, &early[..]), (3, &later), (5, &learned), (7, &known)] {
        wire.send(CLIENT, &frame(1, END, stream, block), usize::MAX);
        wire.send(SERVER, &frame(1, END, stream, &[0x88]), usize::MAX);
    }
    let told = |transaction: &Transaction| {
        let Transaction { host, user_agent, complete, .. } = transaction;
        (host.clone(), user_agent.clone(), *complete)
    };
    let text = |text: &str| Some(text.to_owned());
    let (whole, stats) = seen(&wire);
    let early = text("early");
    let all = [
        (early.clone(), None, true),
        (early.clone(), None, true),
        (early.clone(), text("late"), true),
        (early.clone(), text("late"), true),
    ];
    // Nothing says that no block came before.
    assert_eq!(whole.iter().map(told).collect::<Vec<_>>(), all);
    assert_eq!((stats.http2_flows, stats.http2_resyncs, stats.http2_unknown), (1, 2, 0));
    wire.records.drain(..2);
    let (late, stats) = seen(&wire);
    let all = [(None, None, false), (None, text("late"), false), (None, text("late"), false)];
    assert_eq!(late.iter().map(told).collect::<Vec<_>>(), all);
    assert_eq!((stats.http2_unknown, stats.voided), (3, 3));
    assert!(late.iter().all(|found| found.status == Some(200) && found.target == "/"));
    assert!(late.iter().all(|found| found.method == "GET"));
}

/// What refers to what was not seen is unknown, not guessed: here all of it.
#[test]
fn unknown_method_target_and_status() {
    let mut wire = greeted(usize::MAX);
    wire.lose(CLIENT, &headers(END, 1, GET));
    wire.send(CLIENT, &headers(END, 3, GET), usize::MAX);
    wire.send(CLIENT, &frame(1, EH, 5, &[0xbe, 0xbf, 0xc0]), usize::MAX);
    wire.send(CLIENT, &data(ES, 5, 7), usize::MAX);
    wire.lose(SERVER, &headers(END, 3, OK));
    wire.send(SERVER, &headers(END, 3, OK), usize::MAX);
    wire.send(SERVER, &frame(1, END, 5, &[0xbe]), usize::MAX);
    let (found, stats) = seen(&wire);
    let lines: Vec<String> = found.iter().map(line).collect();
    assert_eq!(lines, ["GET /a 200 0 0", "  - 7 - !"]);
    assert_eq!((found[1].latency, found[1].complete), (None, false));
    assert_eq!((stats.http2_unknown, stats.voided), (2, 1));
}
