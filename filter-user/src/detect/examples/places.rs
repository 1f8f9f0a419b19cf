//! Where examples are kept: tables of a fixed size in which who asks most holds his place.
//!
//! With every request a place is looked up, and seldom is something put there: so what is looked at
//! lies apart from the examples, 24 bytes a place, and stays in the cache.

use std::sync::Arc;

use super::{Example, MOST};

/// Places of a table; a power of two.
pub(super) const PLACES: usize = 4096;
/// Endpoints whose names are held once for all examples of them; a power of two.
const NAMES: usize = 1024;

#[derive(Clone, Copy, Debug, Default)]
struct Head {
    key: u64,
    /// Time of the latest example, ns.
    last: u64,
    /// How often it was used, less how often others wanted it.
    used: u32,
    /// Where the next example goes.
    next: u8,
    /// Examples that are of this key: those behind are of who was here before.
    held: u8,
}

/// A table.
#[derive(Debug)]
pub(super) struct Places {
    heads: Vec<Head>,
    kept: Vec<[Option<Example>; MOST]>,
}

/// Somebody's place.
pub(super) struct Place<'a> {
    head: &'a mut Head,
    kept: &'a mut [Option<Example>; MOST],
}

impl Places {
    pub(super) fn new() -> Self {
        let kept = std::iter::repeat_with(Default::default).take(PLACES).collect();
        Self { heads: vec![Head::default(); PLACES], kept }
    }

    /// A place for this key, unless it is another's who uses it more.
    #[inline]
    pub(super) fn claim(&mut self, key: u64) -> Option<Place<'_>> {
        let number = key as usize & (PLACES - 1);
        let head = self.heads.get_mut(number)?;
        if head.key != key {
            head.used /= 2;
            if head.used > 0 {
                return None;
            }
            *head = Head { key, ..Head::default() };
        }
        head.used = head.used.saturating_add(1).min(1 << 16);
        Some(Place { head, kept: self.kept.get_mut(number)? })
    }

    /// What is kept of this key.
    pub(super) fn of(&self, key: u64) -> impl Iterator<Item = &Example> {
        let number = key as usize & (PLACES - 1);
        let head = self.heads.get(number).filter(|head| head.key == key);
        let held = head.map_or(0, |head| usize::from(head.held));
        self.kept.get(number).into_iter().flatten().take(held).flatten()
    }

    /// How many places there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heads.len().max(self.kept.len())
    }
}

impl Place<'_> {
    /// How often it was used, less how often others wanted it.
    pub(super) fn used(&self) -> u32 {
        self.head.used
    }

    /// Time of the latest example, ns.
    pub(super) fn last(&self) -> u64 {
        self.head.last
    }

    /// Keeps an example in place of the oldest.
    pub(super) fn put(&mut self, example: Example) {
        self.head.last = example.time;
        let next = usize::from(self.head.next) % MOST;
        self.kept[next] = Some(example);
        self.head.next = (next as u8 + 1) % MOST as u8;
        self.head.held = (self.head.held + 1).min(MOST as u8);
    }
}

/// Methods and routes, each pair held once.
#[derive(Debug)]
pub(super) struct Names {
    nothing: Arc<str>,
    held: Vec<(Arc<str>, Arc<str>)>,
}

impl Names {
    pub(super) fn new() -> Self {
        let nothing: Arc<str> = Arc::from("");
        let held = vec![(Arc::clone(&nothing), Arc::clone(&nothing)); NAMES];
        Self { nothing, held }
    }

    /// Neither.
    pub(super) fn none(&self) -> (Arc<str>, Arc<str>) {
        (Arc::clone(&self.nothing), Arc::clone(&self.nothing))
    }

    /// Method and route, of which `hash` is one; where two share a place the later holds it.
    pub(super) fn of(&mut self, hash: u64, method: &str, route: &str) -> (Arc<str>, Arc<str>) {
        let Some(held) = self.held.get_mut(hash as usize & (NAMES - 1)) else {
            return (method.into(), route.into());
        };
        if *held.0 != *method || *held.1 != *route {
            *held = (method.into(), route.into());
        }
        held.clone()
    }
}
