//! docs/performance.md: what was measured goes between two lines that name the number.

use anyhow::{Context, Result};

/// Where the numbers go.
const PAGE: &str = "docs/performance.md";

fn begin(number: u8) -> String {
    format!("<!-- {number}: written by `cargo xtask bench --write` -->")
}

fn end(number: u8) -> String {
    format!("<!-- {number}: end -->")
}

/// Puts a number into the page in place of what was there.
pub(super) fn write(number: u8, measured: &str) -> Result<()> {
    let path = crate::root().join(PAGE);
    let page = std::fs::read_to_string(&path).with_context(|| format!("cannot read {PAGE}"))?;
    let page = replace(&page, number, measured).with_context(|| {
        format!("{PAGE} has no line `{}`, or no `{}` after it", begin(number), end(number))
    })?;
    std::fs::write(&path, page).with_context(|| format!("cannot write {PAGE}"))?;
    println!("\n{PAGE} has these numbers now");
    Ok(())
}

/// The page with other numbers.
fn replace(page: &str, number: u8, measured: &str) -> Option<String> {
    let (begin, end) = (begin(number), end(number));
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n{end}{after}", measured.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_replace_those_before() {
        let (begin, end) = (begin(3), end(3));
        let page = format!("# Title\n{begin}\nold\n{end}\nmore\n");
        let new = replace(&page, 3, "\nnew\nnumbers\n\n").expect("both marks");
        assert_eq!(new, format!("# Title\n{begin}\nnew\nnumbers\n{end}\nmore\n"));
        assert_eq!(replace(&new, 3, "new\nnumbers"), Some(new), "the same again changes nothing");
        for page in ["", &begin, &end, &format!("{end}\n{begin}")] {
            assert_eq!(replace(page, 3, "new"), None, "{page}");
        }
        assert_eq!(replace(&page, 4, "new"), None, "another number's place");
    }

    #[test]
    fn the_page_has_a_place_for_every_number() {
        let page = std::fs::read_to_string(crate::root().join(PAGE)).expect("the page");
        for number in 1..=10 {
            assert!(replace(&page, number, "x").is_some(), "number {number}");
        }
    }
}
