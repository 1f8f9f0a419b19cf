//! Everything that touches the kernel: loading, attaching, swapping, tables, bans, counters.
//!
//! With the ring reader this is the only place that knows aya. It carries out; what to enforce is
//! `policy`'s and whether to is `respond`'s and the daemon's.

pub mod addresses;
pub mod agreement;
pub mod attach;
pub mod bans;
pub mod before;
mod bpf;
pub mod clock;
pub mod counters;
pub mod detach;
pub mod device;
pub mod egress;
pub mod error;
pub mod forecast;
pub mod generation;
pub mod held;
pub mod holders;
pub mod host;
pub mod live;
pub mod loaded;
pub mod mapped;
pub mod memory;
pub mod netlink;
pub mod object;
pub mod orders;
pub mod own;
pub mod rehearsal;
pub mod ring;
pub mod stale;
pub mod state;
pub mod trial;
pub mod whole;

pub use error::Error;
