//! The memory of a process and of its BPF maps, by the kernel's own accounting.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use aya::maps::loaded_maps;

/// Bytes of every map that a process holds, by id: `memlock` of its descriptors.
pub(crate) fn maps(pid: u32) -> Result<BTreeMap<u32, u64>> {
    let directory = format!("/proc/{pid}/fdinfo");
    let entries =
        std::fs::read_dir(&directory).with_context(|| format!("cannot read {directory}"))?;
    // A descriptor may be closed meanwhile.
    let texts = entries.flatten().filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    Ok(texts.filter_map(|text| map(&text)).collect())
}

/// Id and bytes of a map, from the text about its descriptor.
fn map(text: &str) -> Option<(u32, u64)> {
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    Some((u32::try_from(field("map_id:")?).ok()?, field("memlock:")?))
}

/// Names of the maps in the kernel, by id.
pub(crate) fn names() -> BTreeMap<u32, String> {
    let known = loaded_maps().flatten();
    known.map(|map| (map.id(), map.name_as_str().unwrap_or_default().to_owned())).collect()
}

/// Forgets the most memory a process had so far.
pub(crate) fn reset_peak(pid: u32) -> Result<()> {
    let path = format!("/proc/{pid}/clear_refs");
    std::fs::write(&path, "5").with_context(|| format!("cannot write {path}"))
}

/// The most memory of its own that a process had, in bytes.
pub(crate) fn peak(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text =
        std::fs::read_to_string(Path::new(&path)).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.map(|kb| kb * 1024).with_context(|| format!("no VmHWM in {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_maps_are_told_from_others() {
        let text = "pos:\t0\nflags:\t02000002\nmap_type:\t2\nkey_size:\t4\nmemlock:\t8192\n\
                    map_id:\t77\nfrozen:\t0\n";
        assert_eq!(map(text), Some((77, 8192)));
        assert_eq!(map("pos:\t0\nprog_type:\t6\nmemlock:\t4096\nprog_id:\t3\n"), None);
    }
}
