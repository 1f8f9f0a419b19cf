//! The load over HTTP/2: h2load, with its numbers.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::lab::Host;

/// A whole run takes no longer than this.
const LIMIT: Duration = Duration::from_secs(60);

/// What a run of h2load came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Requests that were answered in full.
    pub succeeded: u64,
    /// Requests that failed, for whatever reason.
    pub failed: u64,
    /// Answers by the first digit of their status, 2 to 5.
    pub statuses: [u64; 4],
    /// Bytes of the answers' bodies.
    pub body: u64,
}

/// Asks for URLs in turn: so many requests on so many connections, so many at a time on each.
pub fn run(
    host: &Host,
    requests: u32,
    connections: u32,
    streams: u32,
    urls: &[&str],
) -> Result<Report> {
    let [n, c, m] = [requests, connections, streams].map(|number| number.to_string());
    let arguments = [&["-n", &n, "-c", &c, "-m", &m], urls].concat();
    let text = host.netns.run("h2load", &arguments, LIMIT)?.success()?;
    parse(&text).with_context(|| format!("unexpected output of h2load:\n{text}"))
}

fn parse(text: &str) -> Option<Report> {
    let line = |mark: &str| text.lines().find_map(|line| line.trim().strip_prefix(mark));
    // `600 total, 600 started, …`: the number before a word.
    let number = |line: &str, word: &str| {
        let part = line.split(", ").find(|part| part.ends_with(word))?;
        part.split_whitespace().next()?.parse::<u64>().ok()
    };
    let requests = line("requests: ")?;
    let codes = line("status codes: ")?;
    // `traffic: 1.2MB (1234) total, … 1.1KB (1126) data`
    let data = line("traffic: ")?.split(", ").find(|part| part.ends_with(" data"))?;
    let body = data.split_once('(')?.1.split_once(')')?.0;
    let [two, three, four, five] = ["2xx", "3xx", "4xx", "5xx"].map(|word| number(codes, word));
    Some(Report {
        succeeded: number(requests, "succeeded")?,
        failed: number(requests, "failed")? + number(requests, "errored")?,
        statuses: [two?, three?, four?, five?],
        body: body.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "finished in 60.55ms, 9908.67 req/s, 12.03MB/s\n\
        requests: 600 total, 600 started, 600 done, 450 succeeded, 150 failed, 0 errored, 0 timeout\n\
        status codes: 450 2xx, 0 3xx, 150 4xx, 0 5xx\n\
        traffic: 9.54MB (10006725) total, 11.44KB (11715) headers (space savings 92.85%), 9.53MB (9990450) data\n\
        \x20                    min         max         mean         sd        +/- sd\n";

    #[test]
    fn reports_are_read() {
        let report = parse(GOOD).expect("a good report");
        assert_eq!((report.succeeded, report.failed, report.body), (450, 150, 9_990_450));
        assert_eq!(report.statuses, [450, 0, 150, 0]);
        for bad in ["", "requests: 1 total\n", &GOOD.replace("data", "")] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
