//! Packets as people paste them: hexadecimal digits with or without separators, or the dump that
//! `tcpdump -x`, `-xx`, `-X` and `-XX` print.

/// Reads the bytes.
///
/// # Errors
/// What is not a hexadecimal digit, or that one is missing.
pub fn decode(text: &str) -> Result<Vec<u8>, String> {
    // With offsets, what has none is the line above that says what the packet is.
    let dump: Vec<&str> = text.lines().filter_map(dump_line).collect();
    let parts = if dump.is_empty() { vec![text] } else { dump };
    let between = |c: char| c.is_whitespace() || matches!(c, ':' | '-' | ',');
    let mut digits = Vec::new();
    for token in parts.iter().flat_map(|part| part.split(between)) {
        let bare = token.strip_prefix("0x").or_else(|| token.strip_prefix("0X")).unwrap_or(token);
        for letter in bare.chars() {
            let digit = letter.to_digit(16).ok_or_else(|| {
                format!(
                    "{:?} after {} bytes is not a hexadecimal digit",
                    letter.to_string(),
                    digits.len() / 2
                )
            })?;
            digits.push(digit as u8);
        }
    }
    if digits.len() % 2 != 0 {
        return Err(format!(
            "{} hexadecimal digits are not whole bytes: one is missing",
            digits.len()
        ));
    }
    Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// The digits of a line of a dump: behind its offset, before the same bytes as text.
fn dump_line(line: &str) -> Option<&str> {
    let (offset, rest) = line.trim().split_once(':')?;
    let offset = offset.strip_prefix("0x")?;
    if offset.len() < 4 || !offset.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let rest = rest.trim_start();
    Some(rest.split("  ").next().unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let dump = "12:00:01.000001 IP 192.0.2.1.40000 > 192.0.2.2.8080: Flags [S]\n\
                    \t0x0000:  4500 003c 1c46 4000 4006 b1e6 ac10 0a63  E..<.F@.@......c\n\
                    \t0x0010:  ac10 0a0c 01                             .....\n";
        let dumped = [
            0x45, 0, 0, 0x3c, 0x1c, 0x46, 0x40, 0, 0x40, 6, 0xb1, 0xe6, 0xac, 0x10, 0x0a, 0x63,
            0xac, 0x10, 0x0a, 0x0c, 1,
        ];
        let rows: [(&str, &[u8]); 8] = [
            ("", &[]),
            ("00ffA5", &[0, 0xff, 0xa5]),
            ("0x00ff", &[0, 0xff]),
            ("00 ff\n a5", &[0, 0xff, 0xa5]),
            ("00:ff:a5", &[0, 0xff, 0xa5]),
            ("0x00, 0xff, 0xa5", &[0, 0xff, 0xa5]),
            ("00-ff-a5\n", &[0, 0xff, 0xa5]),
            (dump, &dumped),
        ];
        for (text, bytes) in rows {
            assert_eq!(decode(text).as_deref(), Ok(bytes), "{text}");
        }
        for (text, word) in
            [("abc", "3 hexadecimal digits"), ("00 0g", "\"g\" after 1 bytes"), ("é0", "\"é\"")]
        {
            let problem = decode(text).expect_err(text);
            assert!(problem.contains(word), "{problem}");
        }
    }
}
