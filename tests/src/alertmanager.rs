//! Prometheus' Alertmanager.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::curl;
use crate::lab::Host;
use crate::process::Background;

/// Where it listens, inside the namespace.
pub const LISTEN: &str = "127.0.0.1:9093";
const START: Duration = Duration::from_secs(20);

/// A running Alertmanager; stopped when dropped.
#[derive(Debug)]
pub struct Alertmanager {
    process: Background,
}

impl Alertmanager {
    /// Starts it on a host, without anybody to notify, and waits until it is ready. What it had in
    /// the same `directory` before, it has again.
    pub fn start(host: &Host, directory: &Path) -> Result<Self> {
        let home = directory.join("alertmanager");
        std::fs::create_dir_all(&home)
            .with_context(|| format!("cannot create {}", home.display()))?;
        let configuration = home.join("alertmanager.yml");
        let text = "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n";
        std::fs::write(&configuration, text)
            .with_context(|| format!("cannot write {}", configuration.display()))?;
        let mut command = host.netns.command("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.path={}", home.join("data").display()))
            .arg(format!("--web.listen-address={LISTEN}"))
            .arg("--cluster.listen-address=");
        let process = Background::start("prometheus-alertmanager", command, &home.join("log"))?;
        let mut alertmanager = Self { process };
        alertmanager.process.ready("Alertmanager is ready", START, || {
            let response = curl::one(host, &[&format!("http://{LISTEN}/-/ready")])?;
            ensure!(response.status == 200, "it answers {}", response.status);
            Ok(())
        })?;
        Ok(alertmanager)
    }

    /// The alerts that are firing, by their labels' `alertname`.
    pub fn alerts(&self, host: &Host) -> Result<Vec<Value>> {
        let response = curl::one(host, &[&format!("http://{LISTEN}/api/v2/alerts")])?;
        let mut alerts: Vec<Value> = serde_json::from_str(&response.body)
            .with_context(|| format!("Alertmanager answers {}", response.body))?;
        alerts.sort_by_key(|alert| alert["labels"]["alertname"].to_string());
        Ok(alerts)
    }

    /// What it complained about.
    pub fn log(&self) -> String {
        self.process.log()
    }
}
