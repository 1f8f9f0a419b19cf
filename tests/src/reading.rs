//! What a daemon says it counted, by its two mouths: `weir status --json` (the kernel's counters)
//! and /metrics. Tests and the demo compare both with what clients and servers saw.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::metrics::Metrics;
use crate::wait;
use crate::weir::Weir;

/// How long counters may take to come to rest after the last packet.
const REST: Duration = Duration::from_secs(5);
/// Counters that stay the same for so long are at rest.
const CALM: Duration = Duration::from_millis(60);

/// A moment at which nothing moved: both sides are of the same packets.
#[derive(Debug, Clone)]
pub struct Reading {
    /// `weir status --json`.
    pub status: Value,
    /// /metrics.
    pub metrics: Metrics,
}

impl Reading {
    /// Waits until all counters rest and the sensor has read all that the kernel gave it.
    pub fn at_rest(weir: &Weir<'_>) -> Result<Self> {
        wait::until("counters at rest", REST, || {
            let before = weir.status()?;
            wait::pause(CALM)?;
            let metrics = weir.metrics()?;
            let status = weir.status()?;
            for part in ["reasons", "samples", "sensor"] {
                ensure!(before[part] == status[part], "{part} moves: {}", status[part]);
            }
            let pending = metrics.sum("weir_ring_pending_bytes", &[]);
            ensure!(pending == 0.0, "{pending} bytes of samples are not read");
            Ok(Self { status, metrics })
        })
    }

    /// Both sides as they are now: where asking moves counters, as on loopback.
    pub fn now(weir: &Weir<'_>) -> Result<Self> {
        Ok(Self { metrics: weir.metrics()?, status: weir.status()? })
    }

    /// Packets of an API with a reason, as the kernel counted them.
    pub fn kernel(&self, api: &str, reason: &str) -> u64 {
        let reasons = self.status["reasons"].as_array().map_or(&[][..], Vec::as_slice);
        let chosen = reasons.iter().filter(|row| row["api"] == api && row["reason"] == reason);
        chosen.filter_map(|row| row["packets"].as_u64()).sum()
    }

    /// Packets of an API that were dropped, or would have been, for any reason.
    pub fn dropped(&self, api: &str) -> u64 {
        let reasons = self.status["reasons"].as_array().map_or(&[][..], Vec::as_slice);
        let chosen = reasons.iter().filter(|row| row["api"] == api && row["verdict"] != "pass");
        chosen.filter_map(|row| row["packets"].as_u64()).sum()
    }

    /// The same packets as [`Reading::kernel`], as /metrics has them.
    pub fn exported(&self, api: &str, reason: &str) -> u64 {
        self.metrics.sum("weir_packets_total", &[("api", api), ("reason", reason)]) as u64
    }

    /// Requests with these labels that were answered.
    pub fn requests(&self, labels: &[(&str, &str)]) -> u64 {
        self.metrics.sum("http_server_request_duration_seconds_count", labels) as u64
    }

    /// Seconds all of them took together.
    pub fn seconds(&self, labels: &[(&str, &str)]) -> f64 {
        self.metrics.sum("http_server_request_duration_seconds_sum", labels)
    }

    /// A number of `samples` in the status.
    pub fn samples(&self, name: &str) -> Result<u64> {
        let samples = &self.status["samples"];
        samples[name].as_u64().with_context(|| format!("no number {name} in {samples}"))
    }
}
