//! A BPF array as memory of this process (BPF_F_MMAPABLE), so that millions of cells are filled in
//! milliseconds instead of by one call each.

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::ptr::NonNull;

use aya::maps::{Map, MapData};
use filter_common::slot::Slot;
use filter_common::{classify, tables};

use super::error::{Error, Result};

/// What may lie in a mapped array: plain integers, or words that are accessed atomically.
///
/// # Safety
/// Any bytes are a value, there is no padding, and the size is a multiple of eight.
pub unsafe trait Cell {}

// SAFETY: integers only, sizes asserted beside the types.
unsafe impl Cell for u64 {}
// SAFETY: as above.
unsafe impl Cell for u16 {}
// SAFETY: as above.
unsafe impl Cell for Slot {}
// SAFETY: as above.
unsafe impl Cell for filter_common::seen::Cell {}
// SAFETY: as above.
unsafe impl Cell for classify::Node {}
// SAFETY: as above.
unsafe impl Cell for tables::Listen {}
// SAFETY: as above.
unsafe impl Cell for tables::Api {}
// SAFETY: as above.
unsafe impl Cell for tables::Rule {}
// SAFETY: as above.
unsafe impl Cell for tables::Profile {}
// SAFETY: as above.
unsafe impl Cell for tables::ClassGroups {}
// SAFETY: as above.
unsafe impl Cell for tables::Override {}
// SAFETY: as above.
unsafe impl Cell for tables::Shared {}
// SAFETY: as above.
unsafe impl Cell for [Slot; tables::CONTROL_WORDS] {}

/// A mapped array of `T`.
#[derive(Debug)]
pub struct Mapped<T> {
    start: NonNull<T>,
    cells: usize,
    bytes: usize,
}

// SAFETY: the memory belongs to the mapping, which any thread may use and unmap; cells that the
// kernel or other threads change are `Slot`s.
unsafe impl<T> Send for Mapped<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Mapped<T> {}

impl<T: Cell> Mapped<T> {
    /// Maps a whole array.
    ///
    /// # Errors
    /// When the map is no mappable array of cells of this size, or the kernel refuses.
    pub fn new(name: &str, map: &Map) -> Result<Self> {
        let Map::Array(data) = map else {
            return Err(Error::new(format!("map {name} is not an array")));
        };
        Self::of(name, data)
    }

    fn of(name: &str, data: &MapData) -> Result<Self> {
        let info =
            data.info().map_err(|e| Error::new(format!("cannot inspect map {name}")).because(e))?;
        if info.value_size() as usize != size_of::<T>() {
            return Err(Error::new(format!(
                "map {name} has cells of {} bytes, not {}",
                info.value_size(),
                size_of::<T>()
            )));
        }
        let cells = info.max_entries() as usize;
        let bytes = cells * size_of::<T>();
        // SAFETY: a fresh shared mapping of a file descriptor that is open for the call.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                data.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        match NonNull::new(start.cast::<T>()) {
            Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => {
                Ok(Self { start, cells, bytes })
            }
            _ => Err(Error::new(format!("cannot map {name} ({bytes} bytes) into memory"))
                .because(std::io::Error::last_os_error())),
        }
    }

    /// The cells.
    pub fn cells(&self) -> &[T] {
        // SAFETY: the mapping has `cells` cells and lives as long as `self`; cells that change
        // under the reference are `Slot`s, others are only written before their program runs.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.cells) }
    }
}

impl<T: Cell + Copy> Mapped<T> {
    /// Copies cells in, from the first on.
    ///
    /// # Errors
    /// When there are more than the array holds.
    pub fn fill(&mut self, name: &str, from: &[T]) -> Result<()> {
        if from.len() > self.cells {
            return Err(Error::new(format!(
                "map {name} holds {} cells, {} are needed",
                self.cells,
                from.len()
            )));
        }
        // SAFETY: both are valid for `from.len()` cells and do not overlap.
        unsafe {
            std::ptr::copy_nonoverlapping(from.as_ptr(), self.start.as_ptr(), from.len());
        }
        Ok(())
    }
}

impl<T: Cell + Copy + PartialEq> Mapped<T> {
    /// How many of the cells from `from` on are not as `wanted`; those beyond the end are not.
    pub fn differing(&self, wanted: &[T], from: usize) -> usize {
        let held = self.cells.saturating_sub(from);
        let differs = |(place, wanted): &(usize, &T)| {
            // SAFETY: below `cells`. Volatile, because whoever can write to the map may do so
            // meanwhile; any bytes are a value.
            let cell = unsafe { self.start.as_ptr().add(from + place).read_volatile() };
            cell != **wanted
        };
        let missing = wanted.len().saturating_sub(held);
        wanted.iter().take(held).enumerate().filter(differs).count() + missing
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: mapped by `of` with this length; nothing refers to it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
