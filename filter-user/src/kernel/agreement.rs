//! Whether the kernel holds what was meant: the tables of a generation against the image they were
//! made from, read from the maps themselves. All of it once before the programs are attached, and
//! from then on a part at a time, at a cost that does not grow with the policy.

use aya::Ebpf;
use aya::maps::Map;

use super::error::{Error, Result};
use super::mapped::{Cell, Mapped};
use super::whole::Whole;
use crate::image::Image;

/// Sections of the object that are tables: the map of each has its name.
pub(super) const PORTS: &str = ".bss.ports";
/// See [`PORTS`].
pub(super) const APIS: &str = ".bss.apis";
/// See [`PORTS`].
pub(super) const RULES: &str = ".bss.rules";
/// See [`PORTS`].
pub(super) const PROFILES: &str = ".bss.profiles";

/// Tables up to this size are compared at every step, in bytes.
const SMALL: usize = 64 << 10;
/// Of the larger ones together, this many bytes are compared at a step.
const STEP: usize = 4 << 20;

/// Cells of one kind: as they were meant, and how many of them are so in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entries {
    /// `apis`, `rules`, `limits`, `listens`, `ports`, `groups`, `sources` or `bans`.
    pub kind: &'static str,
    /// Cells there are to be.
    pub desired: u64,
    /// Cells that are as they are to be.
    pub enforced: u64,
}

/// One table and the part of the image that it was made from.
trait Table: Send + Sync {
    fn cell_bytes(&self) -> usize;
    fn cells(&self, image: &Image) -> usize;
    /// Cells from `from` to before `to` that are not as in the image.
    fn differing(&self, image: &Image, from: usize, to: usize) -> usize;
}

struct Of<T> {
    held: Mapped<T>,
    wanted: fn(&Image) -> &[T],
}

impl<T: Cell + Copy + PartialEq> Table for Of<T> {
    fn cell_bytes(&self) -> usize {
        size_of::<T>()
    }

    fn cells(&self, image: &Image) -> usize {
        (self.wanted)(image).len()
    }

    fn differing(&self, image: &Image, from: usize, to: usize) -> usize {
        let wanted = (self.wanted)(image).get(from..to).unwrap_or_default();
        self.held.differing(wanted, from)
    }
}

/// As [`Of`], for a table that is a section.
struct Section<T> {
    held: Whole<T>,
    wanted: fn(&Image) -> &[T],
}

impl<T: Cell + Copy + PartialEq> Table for Section<T> {
    fn cell_bytes(&self) -> usize {
        size_of::<T>()
    }

    fn cells(&self, image: &Image) -> usize {
        (self.wanted)(image).len()
    }

    fn differing(&self, image: &Image, from: usize, to: usize) -> usize {
        let wanted = (self.wanted)(image).get(from..to).unwrap_or_default();
        // What cannot be read is not known to be as it should.
        let Ok(held) = self.held.read() else { return wanted.len() };
        let held = held.get(from..).unwrap_or_default();
        let missing = wanted.len().saturating_sub(held.len());
        held.iter().zip(wanted).filter(|(held, wanted)| held != wanted).count() + missing
    }
}

struct Part {
    kind: &'static str,
    name: &'static str,
    table: Box<dyn Table>,
    /// As the last whole pass found.
    differing: usize,
    /// As this pass has found so far.
    found: usize,
}

fn map<'e>(ebpf: &'e Ebpf, name: &str) -> Result<&'e Map> {
    ebpf.map(name).ok_or_else(|| Error::new(format!("the object has no map {name}")))
}

/// Fills the tables of a generation, and then watches over them.
pub(super) struct Agreement {
    parts: Vec<Part>,
    /// Where the next step goes on: a part, and a cell of it.
    next: (usize, usize),
}

impl Agreement {
    /// Fills every table of a generation that has just been created, and reads it back.
    pub(super) fn fill(ebpf: &Ebpf, image: &Image) -> Result<Self> {
        let mut parts = Vec::new();
        fn part<T: Cell + Copy + PartialEq + 'static>(
            ebpf: &Ebpf,
            image: &Image,
            (kind, name): (&'static str, &'static str),
            wanted: fn(&Image) -> &[T],
        ) -> Result<Option<Part>> {
            let cells = wanted(image);
            if cells.is_empty() {
                return Ok(None);
            }
            let mut held = Mapped::new(name, map(ebpf, name)?)?;
            held.fill(name, cells)?;
            let table = Box::new(Of { held, wanted });
            Ok(Some(Part { kind, name, table, differing: 0, found: 0 }))
        }
        fn section<T: Cell + Copy + PartialEq + Default + 'static>(
            ebpf: &Ebpf,
            image: &Image,
            (kind, name): (&'static str, &'static str),
            wanted: fn(&Image) -> &[T],
        ) -> Result<Option<Part>> {
            let cells = wanted(image);
            if cells.is_empty() {
                return Ok(None);
            }
            let held = Whole::new(name, map(ebpf, name)?)?;
            held.fill(cells, T::default())?;
            let table = Box::new(Section { held, wanted });
            Ok(Some(Part { kind, name, table, differing: 0, found: 0 }))
        }
        parts.extend(section(ebpf, image, ("apis", APIS), |image| &image.apis)?);
        parts.extend(section(ebpf, image, ("rules", RULES), |image| &image.rules)?);
        parts.extend(section(ebpf, image, ("limits", PROFILES), |image| &image.profiles)?);
        parts.extend(part(ebpf, image, ("listens", "LISTENS"), |image| &image.listens)?);
        parts.extend(section(ebpf, image, ("ports", PORTS), |image| &image.ports)?);
        parts.extend(part(ebpf, image, ("groups", "CLASS_GROUPS"), |image| &image.class_groups)?);
        parts.extend(part(ebpf, image, ("sources", "V4_TOP"), |image| &image.v4_top)?);
        parts.extend(part(ebpf, image, ("sources", "V6_ROOT"), |image| &image.v6_root)?);
        parts.extend(part(ebpf, image, ("sources", "ENTRIES"), |image| &image.entries)?);
        parts.extend(part(ebpf, image, ("sources", "NODES"), |image| &image.nodes)?);
        for part in &mut parts {
            let cells = part.table.cells(image);
            let differing = part.table.differing(image, 0, cells);
            if differing > 0 {
                return Err(Error::new(format!(
                    "map {} was filled, and {differing} of its {cells} cells read back otherwise",
                    part.name
                ))
                .hint("nothing was changed; report this with the output of `weir doctor --json`"));
            }
        }
        Ok(Self { parts, next: (0, 0) })
    }

    /// Compares every small table, and goes on with the larger ones where the last step ended.
    pub(super) fn step(&mut self, image: &Image) {
        for part in &mut self.parts {
            let cells = part.table.cells(image);
            if cells * part.table.cell_bytes() <= SMALL {
                part.differing = part.table.differing(image, 0, cells);
            }
        }
        let mut left = STEP;
        for _ in 0..=self.parts.len() {
            let (place, from) = self.next;
            let Some(part) = self.parts.get_mut(place) else {
                self.next = (0, 0);
                continue;
            };
            let (cells, bytes) = (part.table.cells(image), part.table.cell_bytes());
            if cells * bytes <= SMALL {
                self.next = (place + 1, 0);
                continue;
            }
            let to = cells.min(from + left / bytes);
            part.found += part.table.differing(image, from, to);
            left -= (to - from) * bytes;
            if to < cells {
                // A difference shows at once, its end after a whole pass.
                part.differing = part.differing.max(part.found);
                self.next = (place, to);
                return;
            }
            part.differing = std::mem::take(&mut part.found);
            self.next = (place + 1, 0);
        }
    }

    /// Cells by kind, as far as they are known.
    pub(super) fn entries(&self, image: &Image) -> Vec<Entries> {
        let mut entries: Vec<Entries> = Vec::new();
        for part in &self.parts {
            let desired = part.table.cells(image) as u64;
            let enforced = desired.saturating_sub(part.differing as u64);
            match entries.iter_mut().find(|known| known.kind == part.kind) {
                Some(known) => {
                    known.desired += desired;
                    known.enforced += enforced;
                }
                None => entries.push(Entries { kind: part.kind, desired, enforced }),
            }
        }
        entries
    }
}
