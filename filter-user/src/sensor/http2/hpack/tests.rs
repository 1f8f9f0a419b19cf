use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

/// The fields of a block as lines; `?` for what is unknown.
fn fields(decoder: &mut Decoder, block: &[u8]) -> Result<(Vec<String>, usize), Fault> {
    let text =
        |text: Text<'_>| text.map_or("?".into(), |text| String::from_utf8_lossy(text).into_owned());
    let mut found = Vec::new();
    let used = decoder.read(block, |field| {
        found.push(format!("{}: {}", text(field.name), text(field.value)));
    })?;
    Ok((found, used))
}

fn whole(decoder: &mut Decoder, block: &[u8]) -> Vec<String> {
    let (found, used) = fields(decoder, block).unwrap();
    assert_eq!(used, block.len(), "all of it is read");
    found
}

const LOCATION: &str = "location: https://www.example.com";
const DATE: &str = "date: Mon, 21 Oct 2013 20:13:21 GMT";

/// A block, and the fields that it says.
type Said = (&'static str, Vec<&'static str>);

/// The sequences of RFC 7541, C.2 to C.6: the table before, the blocks, and what each says.
fn sequences() -> Vec<(&'static str, &'static str, Vec<Said>)> {
    let requests = [
        vec![":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
        vec![
            ":method: GET",
            ":scheme: http",
            ":path: /",
            ":authority: www.example.com",
            "cache-control: no-cache",
        ],
        vec![
            ":method: GET",
            ":scheme: https",
            ":path: /index.html",
            ":authority: www.example.com",
            "custom-key: custom-value",
        ],
    ];
    let responses = [
        vec![":status: 302", "cache-control: private", DATE, LOCATION],
        vec![":status: 307", "cache-control: private", DATE, LOCATION],
        vec![
            ":status: 200",
            "cache-control: private",
            "date: Mon, 21 Oct 2013 20:13:22 GMT",
            LOCATION,
            "content-encoding: gzip",
            "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
        ],
    ];
    let said = |blocks: [&'static str; 3], fields: &[Vec<&'static str>; 3]| {
        blocks.into_iter().zip(fields.iter().cloned()).collect::<Vec<_>>()
    };
    vec![
        (
            "C.2.1",
            "",
            vec![(
                "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
                vec!["custom-key: custom-header"],
            )],
        ),
        ("C.2.2", "", vec![("040c 2f73 616d 706c 652f 7061 7468", vec![":path: /sample/path"])]),
        (
            "C.2.3",
            "",
            vec![("1008 7061 7373 776f 7264 0673 6563 7265 74", vec!["password: secret"])],
        ),
        ("C.2.4", "", vec![("82", vec![":method: GET"])]),
        (
            "C.3",
            "",
            said(
                [
                    "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                    "8286 84be 5808 6e6f 2d63 6163 6865",
                    "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
                ],
                &requests,
            ),
        ),
        (
            "C.4",
            "",
            said(
                [
                    "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
                    "8286 84be 5886 a8eb 1064 9cbf",
                    "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
                ],
                &requests,
            ),
        ),
        (
            "C.5",
            "3fe1 01",
            said(
                [
                    "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 \
                     2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 \
                     6c65 2e63 6f6d",
                    "4803 3330 37c1 c0bf",
                    "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d \
                     54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 \
                     5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e \
                     3d31",
                ],
                &responses,
            ),
        ),
        (
            "C.6",
            "3fe1 01",
            said(
                [
                    "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 \
                     2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                    "4883 640e ffc1 c0bf",
                    "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab \
                     77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f \
                     9587 3160 65c0 03ed 4ee5 b106 3d50 07",
                ],
                &responses,
            ),
        ),
    ]
}

#[test]
fn examples_of_the_rfc() {
    for (what, before, blocks) in sequences() {
        let mut decoder = Decoder::new();
        assert_eq!(whole(&mut decoder, &bytes(before)), [""; 0], "{what}");
        for (block, expected) in blocks {
            assert_eq!(whole(&mut decoder, &bytes(block)), expected, "{what}");
        }
    }
}

/// A block that comes in two parts is read as far as its fields are whole, and on from there.
#[test]
fn cut_anywhere() {
    for (what, before, blocks) in sequences() {
        let longest = blocks.iter().map(|(block, _)| bytes(block).len()).max().unwrap();
        for cut in 0..longest {
            let mut decoder = Decoder::new();
            whole(&mut decoder, &bytes(before));
            for (block, expected) in &blocks {
                let block = bytes(block);
                let (first, second) = block.split_at(cut.min(block.len()));
                let (mut found, used) = fields(&mut decoder, first).unwrap();
                let rest = [&first[used..], second].concat();
                found.extend(whole(&mut decoder, &rest));
                assert_eq!(&found, expected, "{what} cut at {cut}");
            }
        }
    }
}

/// After a loss what refers to entries from before it is unknown, and what comes later is not.
#[test]
fn after_a_loss() {
    let all = sequences();
    let (_, _, blocks) = all.iter().find(|(what, ..)| *what == "C.3").unwrap();
    let mut decoder = Decoder::new();
    whole(&mut decoder, &bytes(blocks[0].0));
    decoder.lose();
    let second = whole(&mut decoder, &bytes(blocks[1].0));
    assert_eq!(second[3..], ["?: ?", "cache-control: no-cache"], "the authority was not seen");
    let third = whole(&mut decoder, &bytes(blocks[2].0));
    assert_eq!(third[3..], ["?: ?", "custom-key: custom-value"]);
    // 62 is custom-key, 63 cache-control, 64 the authority, whose name alone is asked for next.
    assert_eq!(
        whole(&mut decoder, &bytes("be bf c0 0f31 0161 0f7f 0161")),
        ["custom-key: custom-value", "cache-control: no-cache", "?: ?", "?: a", "?: a"]
    );
}

#[test]
fn what_is_no_block() {
    for (what, block, expected) in [
        ("index 0", "80", Fault::Malformed),
        ("beyond the table", "be", Fault::Malformed),
        ("a name beyond the table", "7f00 0161", Fault::Malformed),
        ("an endless integer", "ff ff ff ff ff ff ff", Fault::Malformed),
        ("no Huffman code", "00 82 ffff 00", Fault::Malformed),
        ("a value of 1 MiB", "0001 617f 81ff 3f", Fault::TooLong),
    ] {
        let mut decoder = Decoder::new();
        assert_eq!(fields(&mut decoder, &bytes(block)), Err(expected), "{what}");
    }
}
