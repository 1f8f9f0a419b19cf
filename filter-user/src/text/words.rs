//! Short texts with rules of their own that both settings files use.

use super::Problem;

/// An interface name as Linux takes it: 1 to 15 bytes, no slash, no colon, no white space.
///
/// # Errors
/// Anything else.
pub fn interface(text: &str) -> Result<String, Problem> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '/' || c == ':';
    if text.is_empty() || text.len() > 15 || text == "." || text == ".." || text.contains(bad) {
        let shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
        return Err(Problem::new(
            format!("\"{shown}\" is not an interface name"),
            "a name has 1 to 15 characters without `/`, `:` or spaces; `ip link` lists them",
        ));
    }
    Ok(text.to_owned())
}

/// A name that the user chooses: 1 to 63 of a–z, 0–9, `.`, `_`, `-`, beginning with a letter or
/// digit. Names that begin with `__` are weir's own.
///
/// # Errors
/// Anything else.
pub fn name(text: &str) -> Result<String, Problem> {
    let hint = "1 to 63 of a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit";
    let shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.starts_with("__") {
        let message = format!("names that begin with `__` are reserved: \"{shown}\"");
        return Err(Problem::new(message, hint));
    }
    if !name_fits(text) {
        let lower = text.to_ascii_lowercase().replace(' ', "-");
        let hint = match name_fits(&lower) {
            true => format!("write \"{lower}\": {hint}"),
            false => hint.to_owned(),
        };
        return Err(Problem::new(format!("\"{shown}\" is not a name"), hint));
    }
    Ok(text.to_owned())
}

fn name_fits(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    let first = text.bytes().next().is_some_and(|b| inner(b) && b.is_ascii_alphanumeric());
    first && text.len() <= 63 && text.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let rows = [
            ("orders", true),
            ("0rders.v2_x-y", true),
            (&"a".repeat(63), true),
            (&"a".repeat(64), false),
            ("", false),
            ("Orders", false),
            ("my orders", false),
            (".x", false),
            ("_x", false),
            ("__other__", false),
            ("naïve", false),
        ];
        for (text, good) in rows {
            assert_eq!(name(text).is_ok(), good, "{text}");
        }
        let hint = name("My Orders").expect_err("refused").hint;
        assert!(hint.starts_with("write \"my-orders\""), "{hint}");
        assert!(name("__x").expect_err("refused").message.contains("reserved"));
    }

    #[test]
    fn interfaces() {
        let rows = [
            ("eth0", true),
            ("br-0123456789ab", true),
            ("br-0123456789abc", false),
            ("", false),
            ("..", false),
            ("a/b", false),
            ("a b", false),
            ("eth0:1", false),
        ];
        for (text, good) in rows {
            assert_eq!(interface(text).is_ok(), good, "{text}");
        }
    }
}
