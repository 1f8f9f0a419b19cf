//! The load: wrk, with its numbers.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::lab::Host;

/// What a run of wrk came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Responses received.
    pub requests: u64,
    /// Responses a second.
    pub rate: f64,
    /// Responses with a status outside 200–399.
    pub bad_status: u64,
    /// Sockets that failed to connect, to read, to write, or answered too late.
    pub socket_errors: u64,
    /// Median latency in seconds.
    pub median: f64,
    /// 99th percentile of the latency in seconds.
    pub p99: f64,
}

/// Loads a URL with a number of connections from one thread.
pub fn run(host: &Host, connections: u32, duration: Duration, url: &str) -> Result<Report> {
    let connections = connections.to_string();
    let seconds = format!("{}s", duration.as_secs().max(1));
    let arguments =
        ["-t1", "-c", &connections, "-d", &seconds, "--timeout", "2s", "--latency", url];
    let limit = duration + Duration::from_secs(20);
    let text = host.netns.run("wrk", &arguments, limit)?.success()?;
    parse(&text).with_context(|| format!("unexpected output of wrk:\n{text}"))
}

fn parse(text: &str) -> Option<Report> {
    let after = |mark: &str| text.lines().find_map(|line| line.trim().strip_prefix(mark));
    let requests =
        text.lines().find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok());
    let count =
        |words: &str| words.split_whitespace().filter_map(|word| word.parse::<u64>().ok()).sum();
    Some(Report {
        requests: requests?,
        rate: after("Requests/sec:")?.trim().parse().ok()?,
        bad_status: after("Non-2xx or 3xx responses:")
            .map_or(Some(0), |n| n.trim().parse().ok())?,
        socket_errors: after("Socket errors:").map_or(0, |rest| count(&rest.replace(',', " "))),
        median: duration(after("50%")?)?,
        p99: duration(after("99%")?)?,
    })
}

/// wrk's `12.00us`, `1.50ms`, `2.00s`, `1.00m` in seconds.
fn duration(text: &str) -> Option<f64> {
    let text = text.trim();
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let value: f64 = text[..unit].parse().ok()?;
    let scale = match &text[unit..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    Some(value * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Running 1s test @ http://192.0.2.1:8080/\n  1 threads and 4 connections\n  \
        Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency   200.00us  100.00us   5.00ms   90.00%\n    \
        Req/Sec    20.00k     1.00k   25.00k    70.00%\n  Latency Distribution\n     50%  150.00us\n     \
        75%  200.00us\n     90%  300.00us\n     99%    1.50ms\n  20000 requests in 1.00s, 3.00MB read\n";

    #[test]
    fn reports_are_read() {
        let rows = [
            ("good", format!("{GOOD}Requests/sec:  20000.50\n"), Some((20_000, 0, 0))),
            (
                "bad statuses and sockets",
                format!(
                    "{GOOD}  Socket errors: connect 1, read 2, write 0, timeout 3\n  \
                     Non-2xx or 3xx responses: 17\nRequests/sec: 20000.50\n"
                ),
                Some((20_000, 17, 6)),
            ),
            ("cut short", GOOD.to_owned(), None),
            ("nothing", String::new(), None),
        ];
        for (name, text, expected) in rows {
            let report = parse(&text);
            let got = report.as_ref().map(|r| (r.requests, r.bad_status, r.socket_errors));
            assert_eq!(got, expected, "{name}");
            if let Some(report) = report {
                assert!(
                    (report.median - 150e-6).abs() < 1e-9 && (report.p99 - 1.5e-3).abs() < 1e-9
                );
            }
        }
    }

    #[test]
    fn durations_are_read() {
        let rows =
            [("2.00s", Some(2.0)), (" 1.00m", Some(60.0)), ("5", None), ("1h", None), ("s", None)];
        for (text, expected) in rows {
            assert_eq!(duration(text), expected, "{text}");
        }
    }
}
