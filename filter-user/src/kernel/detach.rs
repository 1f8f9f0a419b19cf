//! Taking weir's programs off interfaces, with their pins or without. Works without a daemon.

use std::path::{Path, PathBuf};

use super::attach::{Gated, links, program_of, remove_pin, xdp_pin};
use super::error::{Error, Result};
use super::{egress, host, netlink};

/// What [`detach`] removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Interfaces that had a link or filter of ours, by name or, when gone, by index.
    pub interfaces: Vec<String>,
    /// Pins that were removed.
    pub pins: Vec<PathBuf>,
}

/// Takes the filter off every interface and removes every pin.
///
/// # Errors
/// When a pin or filter cannot be removed.
pub fn detach(pins: &Path) -> Result<Removed> {
    let mut removed = Removed::default();
    let names = host::interface_names();
    for pin in files(&links(pins))? {
        let index = pin
            .file_name()
            .and_then(|name| name.to_str()?.strip_prefix("xdp-")?.parse::<u32>().ok());
        let interface = index.map(|index| interface_of(&pin, index, &names));
        remove_pin(&pin)?;
        removed.interfaces.extend(interface);
        removed.pins.push(pin);
    }
    for name in &names {
        let Ok(index) = host::interface_index(name) else { continue };
        if egress::unwatch(pins, index)? && !removed.interfaces.contains(name) {
            removed.interfaces.push(name.clone());
        }
    }
    // Marks of interfaces that are gone.
    for mark in directories(&links(pins))? {
        std::fs::remove_dir(&mark).map_err(|e| Error::path("remove", mark.as_path(), e))?;
    }
    for directory in directories(pins)? {
        clear(&directory, &mut removed.pins)?;
    }
    if pins.exists() {
        std::fs::remove_dir(pins).map_err(|e| Error::path("remove", pins, e))?;
    }
    Ok(removed)
}

/// Removes a directory of pins, with those below it: a daemon that was killed while it tried a policy
/// out has left a whole tree.
fn clear(directory: &Path, removed: &mut Vec<PathBuf>) -> Result<()> {
    for pin in files(directory)? {
        remove_pin(&pin)?;
        removed.push(pin);
    }
    for below in directories(directory)? {
        clear(&below, removed)?;
    }
    std::fs::remove_dir(directory).map_err(|e| Error::path("remove", directory, e))
}

/// The name of the interface that a link holds, if it is of this network namespace: indices of
/// another one mean other interfaces here.
fn interface_of(pin: &Path, index: u32, names: &[String]) -> String {
    let held = program_of(pin);
    let here = netlink::xdp_programs(index)
        .is_ok_and(|programs| programs.iter().any(|program| Some(program.program) == held));
    let name = names
        .iter()
        .find(|name| here && host::interface_index(name).is_ok_and(|known| known == index));
    name.cloned().unwrap_or_else(|| format!("interface {index} of another network namespace"))
}

/// Removes the links but keeps the state: `on_exit = "open"`.
///
/// # Errors
/// When a pin or filter cannot be removed.
pub fn open_gate(pins: &Path, gated: &[Gated]) -> Result<()> {
    for interface in gated {
        remove_pin(&xdp_pin(pins, interface.index))?;
        egress::unwatch(pins, interface.index)?;
    }
    Ok(())
}

pub(super) fn directories(path: &Path) -> Result<Vec<PathBuf>> {
    Ok(list(path)?.into_iter().filter(|path| path.is_dir()).collect())
}

pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>> {
    Ok(list(path)?.into_iter().filter(|path| !path.is_dir()).collect())
}

fn list(path: &Path) -> Result<Vec<PathBuf>> {
    match std::fs::read_dir(path) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::path("list", path, e)),
    }
}
