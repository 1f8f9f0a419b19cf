//! The client: curl, with its numbers.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::lab::Host;

/// One transfer takes no longer than this unless `--max-time` says otherwise.
const TRANSFER: &str = "3";
/// A whole command takes no longer than this.
const LIMIT: Duration = Duration::from_secs(60);

/// What one transfer came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// Status code; 0 when there was no answer.
    pub status: u16,
    /// curl's own result: 0 good, 7 refused, 28 timed out, …
    pub result: i64,
    /// Bytes of the body received.
    pub size: u64,
    /// Seconds from start to end.
    pub seconds: f64,
    /// Seconds from when the request could be sent to the first byte of the answer.
    pub wait: f64,
    /// New connections made for it.
    pub connects: u64,
    /// The body; empty with [`many`].
    pub body: String,
}

/// One request; `arguments` are curl's, the URL among them. No answer is a result as well.
pub fn one(host: &Host, arguments: &[&str]) -> Result<Response> {
    let mut all = vec!["--write-out", "\n%{json}"];
    all.extend_from_slice(arguments);
    let text = run(host, &all)?;
    let (body, report) = text.rsplit_once('\n').unwrap_or(("", &text));
    let mut response = parse(report).with_context(|| format!("curl {}", arguments.join(" ")))?;
    body.clone_into(&mut response.body);
    Ok(response)
}

/// Several requests on as few connections as possible; URLs may hold curl's ranges, for example
/// `http://192.0.2.1/items/[1-20]`. Bodies are not kept.
pub fn many(host: &Host, arguments: &[&str]) -> Result<Vec<Response>> {
    let mut all = vec!["--write-out", "%{json}\n", "--output", "/dev/null"];
    all.extend_from_slice(arguments);
    run(host, &all)?
        .lines()
        .map(|line| parse(line).with_context(|| format!("curl {}", arguments.join(" "))))
        .collect()
}

fn run(host: &Host, arguments: &[&str]) -> Result<String> {
    let mut all = vec!["--silent", "--max-time", TRANSFER];
    all.extend_from_slice(arguments);
    let output = host.netns.run("curl", &all, LIMIT)?;
    // A wrong use of curl prints no report.
    if output.stdout.is_empty() { output.success() } else { Ok(output.stdout) }
}

fn parse(report: &str) -> Result<Response> {
    let value: Value = serde_json::from_str(report).context("unexpected output of curl")?;
    let number = |name: &str| {
        value[name].as_f64().with_context(|| format!("curl reports no {name}: {report}"))
    };
    Ok(Response {
        status: number("http_code")? as u16,
        result: number("exitcode")? as i64,
        size: number("size_download")? as u64,
        seconds: number("time_total")?,
        wait: (number("time_starttransfer")? - number("time_pretransfer")?).max(0.0),
        connects: number("num_connects")? as u64,
        body: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read() {
        let good = r#"{"http_code":200,"exitcode":0,"size_download":5,"time_total":0.25,"time_pretransfer":0.05,"time_starttransfer":0.2,"num_connects":1,"x":null}"#;
        let response = parse(good).expect("a good report");
        assert_eq!((response.status, response.result, response.size), (200, 0, 5));
        assert_eq!((response.seconds, response.connects), (0.25, 1));
        assert!((response.wait - 0.15).abs() < 1e-9);
        for bad in ["", "{}", r#"{"http_code":"200"}"#] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
