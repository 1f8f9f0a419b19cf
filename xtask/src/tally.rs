//! Counting what test runners report.

use std::ops::AddAssign;

/// How many checks passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Passed.
    pub(crate) passed: u64,
    /// Failed.
    pub(crate) failed: u64,
}

impl Tally {
    /// One check.
    pub(crate) fn one(passed: bool) -> Self {
        Self { passed: passed.into(), failed: (!passed).into() }
    }

    /// Reads a line of libtest's output: `test result: ok. 3 passed; 0 failed; …`.
    pub(crate) fn from_libtest(line: &str) -> Option<Self> {
        let counts = line.trim().strip_prefix("test result: ")?.split_once(". ")?.1;
        let count = |name: &str| {
            counts.split(';').find_map(|part| part.trim().strip_suffix(name)?.trim().parse().ok())
        };
        Some(Self { passed: count("passed")?, failed: count("failed")? })
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_lines_are_read() {
        let rows = [
            (
                "all passed",
                "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s",
                Some((12, 0)),
            ),
            ("some failed", "test result: FAILED. 3 passed; 2 failed; 0 ignored", Some((3, 2))),
            ("a test", "test tests::a ... ok", None),
            ("cut short", "test result: ok. 3 passed", None),
            ("words", "test result: ok. no passed; 0 failed", None),
        ];
        for (name, line, expected) in rows {
            let expected = expected.map(|(passed, failed)| Tally { passed, failed });
            assert_eq!(Tally::from_libtest(line), expected, "{name}");
        }
    }

    #[test]
    fn the_closing_line() {
        let mut tally = Tally::one(true);
        tally += Tally::one(false);
        tally += Tally { passed: 10, failed: 0 };
        assert_eq!(tally.to_string(), "11 passed, 1 failed");
    }
}
