//! What a path segment is: a literal word of the API, or a value that differs from call to call.

/// Characters from which on a segment is a value, whatever it is made of.
const LONGEST_LITERAL: usize = 64;
/// Characters from which on a mix of letters and digits may be opaque.
const SHORTEST_TOKEN: usize = 16;
/// Hexadecimal digits from which on they are a value.
const SHORTEST_HEX: usize = 8;
/// Digits in a row from which on a segment with letters is numbered (`user-12345`).
const NUMBERED_RUN: usize = 5;
/// Digits in all from which on it is.
const NUMBERED: usize = 8;

/// What stands for a segment in a route, or `None` when the segment itself does.
///
/// `{id}` an integer, `{uuid}` a UUID (RFC 9562), `{hex}` eight or more hexadecimal digits, `{date}`
/// an ISO 8601 date or time, `{token}` anything else that no one would write by hand: identifiers of
/// mixed case and digits, JWTs, mail addresses, encoded or very long text.
pub fn placeholder(segment: &str) -> Option<&'static str> {
    let bytes = segment.as_bytes();
    if is_integer(bytes) {
        return Some("{id}");
    }
    if is_uuid(bytes) {
        return Some("{uuid}");
    }
    if is_date(bytes) {
        return Some("{date}");
    }
    if is_hex(bytes) {
        return Some("{hex}");
    }
    is_token(bytes).then_some("{token}")
}

fn is_integer(bytes: &[u8]) -> bool {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `2024-05`, `2024-05-31`, or either with a time behind a `T`.
fn is_date(bytes: &[u8]) -> bool {
    let day = bytes.split(|byte| matches!(byte, b'T' | b't')).next().unwrap_or_default();
    let time = &bytes[day.len()..];
    let shape = |pattern: &[u8]| {
        day.len() == pattern.len()
            && day.iter().zip(pattern).all(|(byte, want)| match want {
                b'9' => byte.is_ascii_digit(),
                _ => byte == want,
            })
    };
    let number = |at: usize| usize::from(day[at] - b'0') * 10 + usize::from(day[at + 1] - b'0');
    let dated = (shape(b"9999-99") || shape(b"9999-99-99") && (1..=31).contains(&number(8)))
        && (1..=12).contains(&number(5));
    dated
        && (time.is_empty()
            || time[1..].first().is_some_and(u8::is_ascii_digit)
                && time[1..]
                    .iter()
                    .all(|byte| byte.is_ascii_hexdigit() || b":.+-Zz%".contains(byte)))
}

/// Words that happen to have only the letters a to f are short: a digit is asked for.
fn is_hex(bytes: &[u8]) -> bool {
    let digits = bytes.strip_prefix(b"0x").unwrap_or(bytes);
    digits.len() >= SHORTEST_HEX
        && digits.iter().all(u8::is_ascii_hexdigit)
        && digits.iter().any(u8::is_ascii_digit)
}

fn is_token(bytes: &[u8]) -> bool {
    if bytes.len() > LONGEST_LITERAL {
        return true;
    }
    // Encoded, quoted or foreign text is a value; so is an address, which may be someone's.
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$*+=:,@()'".contains(byte);
    if !bytes.iter().all(plain) {
        return true;
    }
    if bytes.iter().skip(1).any(|byte| *byte == b'@') {
        return true;
    }
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let run = bytes.split(|byte| !byte.is_ascii_digit()).map(<[u8]>::len).max().unwrap_or_default();
    if run >= NUMBERED_RUN || digits >= NUMBERED {
        return true;
    }
    // Words in camel case have switches too, but hardly digits.
    bytes.len() >= SHORTEST_TOKEN && digits >= 2 && switches(bytes) * 5 >= bytes.len()
}

/// How often the kind of character changes between lower case, upper case and digit. Separators
/// change nothing, and a capital before small letters is one word, not two kinds.
fn switches(bytes: &[u8]) -> usize {
    let kinds: Vec<u8> = bytes
        .iter()
        .filter_map(|byte| match byte {
            b'a'..=b'z' => Some(b'a'),
            b'A'..=b'Z' => Some(b'A'),
            b'0'..=b'9' => Some(b'0'),
            _ => None,
        })
        .collect();
    kinds.windows(2).filter(|pair| pair[0] != pair[1] && pair != b"Aa").count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        for (segment, expected) in [
            ("orders", ""),
            ("v1", ""),
            ("v2.1", ""),
            ("api_v2", ""),
            ("orders.json", ""),
            ("app.3f9a1c.js", ""),
            ("listOpenOrdersOfCustomer", ""),
            ("getUserByIdAndName", ""),
            ("how-to-write-a-good-rest-api-in-2024", ""),
            ("internationalization-settings", ""),
            ("@scope", ""),
            ("deadbeef", ""),
            ("facade", ""),
            ("beef", ""),
            ("ISO-8859-1", ""),
            ("{id}", "{token}"),
            ("0", "{id}"),
            ("-17", "{id}"),
            ("12345678901234567890123", "{id}"),
            ("20240131", "{id}"),
            ("-", ""),
            ("2024-01-31", "{date}"),
            ("2024-01", "{date}"),
            ("2024-01-31T10:00:00Z", "{date}"),
            ("2024-01-31T10%3A00%3A00+02", "{date}"),
            ("2024-13-01", "{token}"),
            ("2024-01-99", "{token}"),
            ("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "{uuid}"),
            ("F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6", "{uuid}"),
            ("f81d4fae7dec11d0a76500a0c91e6bf6", "{hex}"),
            ("deadbee5", "{hex}"),
            ("0x00ffeedd", "{hex}"),
            ("dead5", ""),
            ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "{token}"),
            ("cjld2cjxh0000qzrmn831i7rn", "{token}"),
            ("V1StGXR8_Z5jdHi6B-myT", "{token}"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP", "{token}"),
            ("user-12345", "{token}"),
            ("alice@example.org", "{token}"),
            ("a%20b", "{token}"),
            ("naïve", "{token}"),
            ("a\"b", "{token}"),
        ] {
            assert_eq!(placeholder(segment).unwrap_or_default(), expected, "{segment}");
        }
        assert_eq!(placeholder(&"a".repeat(64)), None);
        assert_eq!(placeholder(&"a".repeat(65)), Some("{token}"));
    }
}
