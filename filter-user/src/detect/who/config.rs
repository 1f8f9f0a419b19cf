//! Parameters of the detectors that compare sources with others.

#[cfg(doc)]
use super::ApiCohorts;
use super::UNIT;
use crate::detect::enumeration::EnumerationConfig;
use crate::detect::exfiltration::ExfiltrationConfig;
use crate::detect::probing::ProbingConfig;
use crate::detect::scraping::ScrapingConfig;

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WhoConfig {
    /// See [`crate::detect::enumeration`].
    pub enumeration: EnumerationConfig,
    /// See [`crate::detect::probing`].
    pub probing: ProbingConfig,
    /// See [`crate::detect::scraping`].
    pub scraping: ScrapingConfig,
    /// See [`crate::detect::exfiltration`].
    pub exfiltration: ExfiltrationConfig,
    /// Seconds without more of the same after which a finding closes.
    pub quiet: u64,
    /// Most records of sources and users.
    pub sources: usize,
    /// Most records of sources or users at routes.
    pub pairs: usize,
    /// Most routes that are told apart.
    pub routes: usize,
}

impl Default for WhoConfig {
    fn default() -> Self {
        Self {
            enumeration: EnumerationConfig::default(),
            probing: ProbingConfig::default(),
            scraping: ScrapingConfig::default(),
            exfiltration: ExfiltrationConfig::default(),
            quiet: 300,
            sources: 1_000_000,
            pairs: 500_000,
            routes: 100_000,
        }
    }
}

impl WhoConfig {
    /// What nine in ten sources may be expected to stay below, as [`ApiCohorts::each`].
    pub(super) fn usual(&self) -> [f64; 4] {
        let [minute, day] = self.exfiltration.usual;
        [self.probing.usual, self.scraping.usual, minute / UNIT, day / UNIT]
    }
}
