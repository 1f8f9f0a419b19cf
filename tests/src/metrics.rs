//! Reading the Prometheus text exposition format, to compare what a daemon counted with what a
//! client saw.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// One line of an exposition.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name, suffixes such as `_bucket` included.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Value.
    pub value: f64,
}

/// A scrape.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics(Vec<Series>);

impl Metrics {
    /// Parses a whole exposition.
    pub fn parse(text: &str) -> Result<Self> {
        text.lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| series(line).with_context(|| format!("not a metric: {line}")))
            .collect::<Result<_>>()
            .map(Self)
    }

    /// The series of a name that carry at least these labels.
    pub fn select<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Series> {
        let carries = |series: &Series| {
            labels.iter().all(|(key, value)| series.labels.get(*key).is_some_and(|v| v == value))
        };
        self.0.iter().filter(move |series| series.name == name && carries(series))
    }

    /// Their sum; 0 when there are none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.select(name, labels).map(|series| series.value).sum()
    }
}

fn series(line: &str) -> Option<Series> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (key, tail) = rest.split_once("=\"")?;
            let (value, tail) = quoted(tail)?;
            labels.insert(key.to_owned(), value);
            rest = tail.strip_prefix(',').unwrap_or(tail);
        }
        rest = &rest[1..];
    }
    // A time stamp may follow the value.
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Series { name: name.to_owned(), labels, value })
}

/// A label's value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let rows = [
            ("up 1", Some(("up", vec![], 1.0))),
            ("a{b=\"c\"} 2.5 1700000000", Some(("a", vec![("b", "c")], 2.5))),
            ("a{b=\"c\",d=\"e\",} 3", Some(("a", vec![("b", "c"), ("d", "e")], 3.0))),
            (r#"a{b="q\"}, \\ \n"} 4"#, Some(("a", vec![("b", "q\"}, \\ \n")], 4.0))),
            ("a_bucket{le=\"+Inf\"} 7", Some(("a_bucket", vec![("le", "+Inf")], 7.0))),
            ("a{} +Inf", Some(("a", vec![], f64::INFINITY))),
            ("a{b=\"c\" 3", None),
            ("a{b=\"c} 3", None),
            ("a", None),
            ("a x", None),
        ];
        for (line, expected) in rows {
            let expected = expected.map(|(name, labels, value)| Series {
                name: name.to_owned(),
                labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
                value,
            });
            assert_eq!(series(line), expected, "{line}");
        }
    }

    #[test]
    fn sums_select_by_label() {
        let text = "# HELP p x\n# TYPE p counter\np{api=\"a\",v=\"pass\"} 1\np{api=\"a\",v=\"drop\"} 2\n\
                    p{api=\"b\",v=\"drop\"} 4\n\nq 8\n";
        let metrics = Metrics::parse(text).expect("valid");
        let rows = [
            ("p", vec![], 7.0),
            ("p", vec![("api", "a")], 3.0),
            ("p", vec![("v", "drop"), ("api", "b")], 4.0),
            ("p", vec![("api", "c")], 0.0),
            ("q", vec![], 8.0),
        ];
        for (name, labels, expected) in rows {
            assert_eq!(metrics.sum(name, &labels), expected, "{name} {labels:?}");
        }
        Metrics::parse("p{").expect_err("cut short");
    }
}
