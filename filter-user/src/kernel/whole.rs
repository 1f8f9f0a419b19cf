//! A table that is the one value of a map, as the kernel makes of a section of the object: written and
//! read whole, by one call each.

use std::marker::PhantomData;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use aya::maps::{Map, MapData};

use super::bpf;
use super::error::{Error, Result};
use super::mapped::Cell;

/// `BPF_MAP_LOOKUP_ELEM` and `BPF_MAP_UPDATE_ELEM` of the kernel's uapi/linux/bpf.h.
const LOOKUP: libc::c_long = 1;
const UPDATE: libc::c_long = 2;

/// What both want to know (`union bpf_attr`).
#[repr(C)]
struct Element {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// A table in one value.
#[derive(Debug)]
pub struct Whole<T> {
    map: OwnedFd,
    name: &'static str,
    cells: usize,
    of: PhantomData<fn() -> T>,
}

impl<T: Cell + Copy> Whole<T> {
    /// Opens it.
    ///
    /// # Errors
    /// As [`Self::of`], and when the map is no array.
    pub fn new(name: &'static str, map: &Map) -> Result<Self> {
        let Map::Array(data) = map else {
            return Err(Error::new(format!("map {name} is not an array")));
        };
        Self::of(name, data)
    }

    /// Opens it.
    ///
    /// # Errors
    /// When the map is not one value that cells of this size fill, or cannot be inspected.
    pub fn of(name: &'static str, data: &MapData) -> Result<Self> {
        let failed = |e| Error::new(format!("cannot inspect map {name}")).because(e);
        let info = data.info().map_err(failed)?;
        let bytes = info.value_size() as usize;
        if info.max_entries() != 1 || !bytes.is_multiple_of(size_of::<T>()) {
            return Err(Error::new(format!("map {name} is not one value of whole cells")));
        }
        let map = data.fd().as_fd().try_clone_to_owned();
        let map = map.map_err(|e| Error::new(format!("cannot keep map {name}")).because(e))?;
        Ok(Self { map, name, cells: bytes / size_of::<T>(), of: PhantomData })
    }

    /// Writes all of it; what is beyond the end of `cells` becomes `rest`.
    ///
    /// # Errors
    /// When there are more cells than the table holds, or the kernel refuses.
    pub fn fill(&self, cells: &[T], rest: T) -> Result<()> {
        if cells.len() > self.cells {
            return Err(Error::new(format!(
                "map {} holds {} cells, {} are needed",
                self.name,
                self.cells,
                cells.len()
            )));
        }
        let mut all = cells.to_vec();
        all.resize(self.cells, rest);
        // The kernel reads the value, and writes nothing to it.
        self.call(UPDATE, all.as_mut_ptr())
            .map_err(|e| Error::new(format!("cannot fill map {}", self.name)).because(e))
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// When the kernel does not give it.
    pub fn read(&self) -> std::io::Result<Vec<T>> {
        let mut cells = Vec::with_capacity(self.cells);
        self.call(LOOKUP, cells.as_mut_ptr())?;
        // SAFETY: the kernel has written the whole value, and any bytes are a cell.
        unsafe { cells.set_len(self.cells) };
        Ok(cells)
    }

    /// `value` has room for all cells.
    fn call(&self, command: libc::c_long, value: *mut T) -> std::io::Result<()> {
        let key = 0u32;
        let mut element = Element {
            map: self.map.as_raw_fd() as u32,
            padding: 0,
            key: (&raw const key) as u64,
            value: value as u64,
            flags: 0,
        };
        // SAFETY: key and value are as large as the map's, which `of` has asked for.
        unsafe { bpf::call(command, &mut element) }.map(drop)
    }
}
