//! The sensor's bounds.

/// How much the sensor remembers, and for how long. Times are in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SensorConfig {
    /// Most flows in the table, at least 8. A quarter of them may be without payload.
    pub max_flows: usize,
    /// A flow without a record for this long is taken out.
    pub idle_ns: u64,
    /// How late a record may come after one that was made later: CPUs write their records
    /// independently of each other.
    pub reorder_ns: u64,
    /// How long a missing segment is waited for when nothing says that it was lost on the way to
    /// the sensor; more than a retransmission takes.
    pub hole_ns: u64,
    /// How long a closed flow stays, for the last packets on their way.
    pub linger_ns: u64,
    /// Most bytes kept of one flow: segments kept back, unfinished heads, waiting requests.
    pub flow_bytes: usize,
    /// Most bytes kept of all flows together, before those that hold more than their share of it
    /// (this by [`Self::max_flows`]) lose what they hold.
    pub total_bytes: usize,
    /// Seed of the table's hash, so that nobody can aim at a bucket.
    pub seed: u64,
}

impl Default for SensorConfig {
    fn default() -> Self {
        Self {
            max_flows: 100_000,
            idle_ns: 120_000_000_000,
            reorder_ns: 50_000_000,
            hole_ns: 3_000_000_000,
            linger_ns: 100_000_000,
            flow_bytes: 1 << 20,
            total_bytes: 128 << 20,
            seed: 0,
        }
    }
}
