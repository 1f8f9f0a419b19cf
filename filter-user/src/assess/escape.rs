//! Texts of policies and of strangers made harmless where they are put.

/// Within HTML, in an element or a quoted attribute.
pub(super) fn html(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if is_odd(c) => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// Within a line or a cell of Markdown: no markup, no HTML, no end of the cell.
pub(super) fn markdown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '|' | '\\' | '`' | '*' | '[' | ']' | '!' | '~' | '_' => {
                safe.push('\\');
                safe.push(c);
            }
            c if is_odd(c) => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// Control characters, and those that turn the direction of a text.
fn is_odd(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_gets_out_of_its_place() {
        // text, in HTML, in Markdown
        let rows = [
            ("orders", "orders", "orders"),
            ("<b>&\"'", "&lt;b&gt;&amp;&quot;&#39;", "&lt;b&gt;&amp;\"'"),
            ("a|b\n`c`", "a|b\u{fffd}`c`", "a\\|b\u{fffd}\\`c\\`"),
            ("[x](y)*_", "[x](y)*_", "\\[x\\](y)\\*\\_"),
            ("\u{202e}evil", "\u{fffd}evil", "\u{fffd}evil"),
        ];
        for (text, html, markdown) in rows {
            assert_eq!(super::html(text), html);
            assert_eq!(super::markdown(text), markdown);
        }
    }
}
