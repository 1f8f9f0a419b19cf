//! `weir replay` over a recording that is written into it: the detectors as the daemon runs them.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::plan::EPOCH;

/// Something that opened.
#[derive(Clone, Debug)]
pub struct Found {
    /// Name of the detector.
    pub detector: String,
    /// How much it matters.
    pub severity: String,
    /// Name of the API.
    pub api: String,
    /// Whose doing it is.
    pub source: Option<IpAddr>,
    /// Method and route, where it is about one.
    pub endpoint: String,
    /// When it opened, seconds since the plan's beginning.
    pub opened: f64,
    /// When it closed; never, when the recording ended before.
    pub closed: Option<f64>,
    /// A sentence.
    pub why: String,
    pub(crate) id: String,
}

/// Runs the detectors over what `recording` writes, under a policy; what opened, in the order of time.
///
/// # Errors
/// weir cannot be run, or does not understand all of it.
pub fn replay(
    weir: &Path,
    policy: &Path,
    recording: impl FnOnce(&mut dyn Write) -> Result<()> + Send,
) -> Result<Vec<Found>> {
    let mut command = Command::new(weir);
    command.args(["replay", "/dev/stdin", "--json", "--policy"]).arg(policy);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", weir.display()))?;
    let input = child.stdin.take().context("weir replay has no input")?;
    let output = child.stdout.take().context("weir replay has no output")?;
    let read = std::thread::scope(|scope| {
        let writer = scope.spawn(move || recording(&mut BufWriter::with_capacity(1 << 18, input)));
        let read = read(BufReader::new(output));
        let written = writer.join();
        let read = read?;
        match written {
            Ok(written) => written.context("cannot write to weir replay")?,
            Err(_) => bail!("the thread that writes to weir replay panicked"),
        }
        Ok(read)
    });
    let status = child.wait().context("cannot wait for weir replay")?;
    ensure!(status.success(), "weir replay ended with {status}");
    read
}

fn read(output: impl BufRead) -> Result<Vec<Found>> {
    let mut found: Vec<Found> = Vec::new();
    let mut summary = None;
    for line in output.lines() {
        let line = line.context("cannot read what weir replay prints")?;
        let value: Value =
            serde_json::from_str(&line).with_context(|| format!("not JSON: {line}"))?;
        match value["type"].as_str() {
            Some("finding") => note(&value, &mut found)?,
            Some("summary") => summary = Some(value),
            _ => {}
        }
    }
    let summary = summary.context("weir replay prints no summary")?;
    for nothing in ["skipped", "unknown_api", "clock_jumps"] {
        ensure!(summary[nothing] == 0, "{nothing} is {} in {summary}", summary[nothing]);
    }
    Ok(found)
}

fn note(value: &Value, found: &mut Vec<Found>) -> Result<()> {
    let finding = &value["finding"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let id = text(&finding["id"]);
    let time = value["ts"].as_f64().context("a finding without a time")? - EPOCH as f64;
    match finding["state"].as_str() {
        Some("open") => {
            let http = &value["http"];
            let endpoint = match http["route"].as_str() {
                Some(route) => format!("{} {route}", text(&http["method"])),
                None => String::new(),
            };
            found.push(Found {
                detector: text(&finding["detector"]),
                severity: text(&value["severity"]),
                api: text(&value["api"]["name"]),
                source: value["source"]["ip"].as_str().and_then(|text| text.parse().ok()),
                endpoint,
                opened: time,
                closed: None,
                why: text(&finding["why"]),
                id,
            });
        }
        Some("closed") => {
            if let Some(found) = found.iter_mut().rfind(|found| found.id == id) {
                found.closed = Some(time);
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &str = r#"{"type":"finding","ts":1767571260.5,"severity":"warning","api":{"name":"orders"},"source":{"ip":"198.19.0.7"},"http":{"method":"GET","route":"/a"},"finding":{"id":"1-1","state":"open","detector":"enumeration","why":"so"}}"#;
    const SUMMARY: &str =
        r#"{"type":"summary","lines":3,"skipped":0,"unknown_api":0,"clock_jumps":0}"#;

    #[test]
    fn findings_are_read() {
        let closed = OPEN.replace("\"open\"", "\"closed\"").replace("260.5", "320.5");
        let found = read(format!("{OPEN}\n{closed}\n{SUMMARY}\n").as_bytes()).expect("findings");
        assert_eq!(found.len(), 1);
        let one = &found[0];
        assert_eq!((one.opened, one.closed), (60.5, Some(120.5)));
        assert_eq!(
            (&*one.detector, &*one.api, &*one.endpoint),
            ("enumeration", "orders", "GET /a")
        );
        assert_eq!(one.source, "198.19.0.7".parse().ok());
    }

    #[test]
    fn what_was_not_understood_is_an_error() {
        for bad in ["skipped", "unknown_api", "clock_jumps"] {
            let summary = SUMMARY.replace(&format!("\"{bad}\":0"), &format!("\"{bad}\":1"));
            assert!(read(summary.as_bytes()).is_err(), "{bad}");
        }
        assert!(read(OPEN.as_bytes()).is_err(), "no summary");
    }
}
