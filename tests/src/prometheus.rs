//! The monitoring: Prometheus itself, scraping.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::curl;
use crate::lab::Host;
use crate::process::{self, Background};

/// Where it listens, inside the namespace.
const LISTEN: &str = "127.0.0.1:9090";
/// It replays its log before it answers.
const START: Duration = Duration::from_secs(30);

/// A running Prometheus; stopped when dropped.
#[derive(Debug)]
pub struct Prometheus {
    process: Background,
}

/// One sample of a query's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its labels.
    pub labels: Value,
    /// Its value.
    pub value: f64,
}

impl Prometheus {
    /// Starts it on a host to scrape this address every second; waits until it answers queries.
    /// `directory` receives its files in a directory `prometheus`.
    pub fn start(host: &Host, directory: &Path, target: &str) -> Result<Self> {
        let home = directory.join("prometheus");
        std::fs::create_dir_all(&home)
            .with_context(|| format!("cannot create {}", home.display()))?;
        let configuration = home.join("prometheus.yml");
        let text = format!(
            "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n  \
             - job_name: weir\n    static_configs:\n      - targets: ['{target}']\n"
        );
        std::fs::write(&configuration, text)
            .with_context(|| format!("cannot write {}", configuration.display()))?;
        let mut command = host.netns.command("prometheus");
        command
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", home.join("data").display()))
            .arg(format!("--web.listen-address={LISTEN}"));
        let process = Background::start("prometheus", command, &home.join("log"))?;
        let mut prometheus = Self { process };
        prometheus.process.ready("Prometheus is ready", START, || {
            let response = curl::one(host, &[&format!("http://{LISTEN}/-/ready")])?;
            ensure!(response.status == 200, "it answers {}", response.status);
            Ok(())
        })?;
        Ok(prometheus)
    }

    /// Asks for the present value of an expression.
    pub fn query(&self, host: &Host, expression: &str) -> Result<Vec<Sample>> {
        let url = format!("http://{LISTEN}/api/v1/query");
        let parameter = format!("query={expression}");
        let response = curl::one(host, &["--get", "--data-urlencode", &parameter, &url])?;
        parse(&response.body).with_context(|| {
            format!("{expression}: Prometheus answers {} {}", response.status, response.body)
        })
    }

    /// What it complained about.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn parse(body: &str) -> Result<Vec<Sample>> {
    let value: Value = serde_json::from_str(body).context("unexpected answer")?;
    if value["status"] != "success" {
        bail!("the query failed");
    }
    let samples = value["data"]["result"].as_array().context("no result")?;
    samples
        .iter()
        .map(|sample| {
            let value = sample["value"][1].as_str().context("a sample without a value")?;
            let value = value.parse().context("a value that is not a number")?;
            Ok(Sample { labels: sample["metric"].clone(), value })
        })
        .collect()
}

/// Lets `promtool check metrics` judge an exposition; its complaints are the error.
pub fn check_metrics(exposition: &Path) -> Result<()> {
    let file = std::fs::File::open(exposition)
        .with_context(|| format!("cannot open {}", exposition.display()))?;
    let output = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::from(file))
        .output()
        .context("cannot start promtool")?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    // Its linter reports with exit code 3 and on standard error.
    if !output.status.success() || !text.trim().is_empty() {
        bail!("promtool check metrics ended with {}\n{}", output.status, process::tail(&text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let good = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"job":"weir"},"value":[1.5,"1"]}]}}"#;
        let samples = parse(good).expect("a good answer");
        assert_eq!(samples.len(), 1);
        assert_eq!((samples[0].value, &samples[0].labels["job"]), (1.0, &"weir".into()));
        for bad in ["", r#"{"status":"error"}"#, r#"{"status":"success","data":{}}"#] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
