//! Pages with measured numbers in them: what was measured goes between two lines that name it.

use anyhow::{Context, Result};

/// A page and who writes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    /// Where it is, from the root of the repository.
    pub(crate) path: &'static str,
    /// The command line that puts numbers there.
    pub(crate) by: &'static str,
}

impl Page {
    fn begin(self, name: &str) -> String {
        format!("<!-- {name}: written by `{}` -->", self.by)
    }

    /// Puts numbers into the page in place of what was there.
    pub(crate) fn write(self, name: &str, measured: &str) -> Result<()> {
        let path = crate::root().join(self.path);
        let page =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", self.path))?;
        let page = self.replace(&page, name, measured).with_context(|| {
            let (path, begin) = (self.path, self.begin(name));
            format!("{path} has no line `{begin}`, or no `{}` after it", end(name))
        })?;
        std::fs::write(&path, page).with_context(|| format!("cannot write {}", self.path))?;
        println!("\n{} has these numbers now", self.path);
        Ok(())
    }

    /// The page with other numbers.
    pub(crate) fn replace(self, page: &str, name: &str, measured: &str) -> Option<String> {
        let (begin, end) = (self.begin(name), end(name));
        let (before, rest) = page.split_once(&begin)?;
        let (_, after) = rest.split_once(&end)?;
        Some(format!("{before}{begin}\n{}\n{end}{after}", measured.trim()))
    }
}

fn end(name: &str) -> String {
    format!("<!-- {name}: end -->")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Page = Page { path: "page.md", by: "a command" };

    #[test]
    fn numbers_replace_those_before() {
        let (begin, end) = (PAGE.begin("3"), end("3"));
        let page = format!("# Title\n{begin}\nold\n{end}\nmore\n");
        let new = PAGE.replace(&page, "3", "\nnew\nnumbers\n\n").expect("both marks");
        assert_eq!(new, format!("# Title\n{begin}\nnew\nnumbers\n{end}\nmore\n"));
        assert_eq!(PAGE.replace(&new, "3", "new\nnumbers"), Some(new), "the same changes nothing");
        for page in ["", &begin, &end, &format!("{end}\n{begin}")] {
            assert_eq!(PAGE.replace(page, "3", "new"), None, "{page}");
        }
        assert_eq!(PAGE.replace(&page, "4", "new"), None, "another number's place");
    }
}
