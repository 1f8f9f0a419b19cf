//! What the kernel says that maps and programs take: its own accounting, as `/proc/PID/fdinfo` has it.

use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};

use aya::maps::{Map, MapData};

use super::error::{Error, Result};
use super::generation::Generation;
use super::state::is_pinned;

/// Kernel memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The tables of a generation and its scratch space.
    pub tables: u64,
    /// Its programs.
    pub programs: u64,
    /// State that generations share, without the next two.
    pub state: u64,
    /// The limiter.
    pub limiter: u64,
    /// The ring.
    pub ring: u64,
}

impl Memory {
    /// What a generation has of its own.
    pub const fn own(&self) -> u64 {
        self.tables + self.programs
    }

    /// All of it.
    pub const fn total(&self) -> u64 {
        self.own() + self.state + self.limiter + self.ring
    }
}

impl Generation {
    /// What this generation and the shared state take now.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn memory(&mut self) -> Result<Memory> {
        let mut memory = Memory::default();
        for (name, map) in self.maps() {
            let bytes = map_bytes(name, map)?;
            *match name {
                "LIMITER" => &mut memory.limiter,
                "RING" => &mut memory.ring,
                _ if is_pinned(name) => &mut memory.state,
                _ => &mut memory.tables,
            } += bytes;
        }
        let untold = |e| Error::new("cannot inspect a loaded program").because(e);
        let untold_file =
            |e| Error::new("the kernel does not tell what a program takes").because(e);
        // Asking by id, as `memory_locked` of its information does, takes CAP_SYS_ADMIN.
        for fd in [
            self.ingress()?.fd().map_err(untold)?.as_fd().as_raw_fd(),
            self.egress()?.fd().map_err(untold)?.as_fd().as_raw_fd(),
        ] {
            memory.programs += locked(fd).map_err(untold_file)?;
        }
        Ok(memory)
    }
}

fn map_bytes(name: &str, map: &Map) -> Result<u64> {
    let (Map::Array(data) | Map::PerCpuArray(data) | Map::HashMap(data) | Map::RingBuf(data)) = map
    else {
        return Err(Error::new(format!("map {name} is of a kind that weir does not make")));
    };
    locked(descriptor(data)).map_err(|e| {
        Error::new(format!("the kernel does not tell what map {name} takes")).because(e)
    })
}

fn descriptor(data: &MapData) -> RawFd {
    data.fd().as_fd().as_raw_fd()
}

/// The line `memlock` of a descriptor of this process.
fn locked(descriptor: RawFd) -> std::io::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix("memlock:"));
    let bytes = value.and_then(|value| value.trim().parse().ok());
    bytes.ok_or_else(|| std::io::Error::other("fdinfo has no number under memlock"))
}
