//! What a policy says of packets that are odd whatever they are for.

use filter_common::oddity::{Oddity, Treatment};

use crate::text::Location;

/// A treatment for every kind.
#[derive(Clone, Debug)]
pub struct Packets {
    treatments: [Treatment; Oddity::ALL.len()],
    /// Where those that are not left at their default are written.
    written: Vec<(Oddity, Location)>,
}

impl Default for Packets {
    fn default() -> Self {
        let mut all = [Treatment::Pass; Oddity::ALL.len()];
        for (treatment, kind) in all.iter_mut().zip(Oddity::ALL) {
            *treatment = kind.default_treatment();
        }
        Self { treatments: all, written: Vec::new() }
    }
}

impl Packets {
    /// Every kind with its treatment, in the order of the kinds.
    pub fn iter(&self) -> impl Iterator<Item = (Oddity, Treatment)> {
        Oddity::ALL.iter().copied().zip(self.treatments)
    }

    /// Says what becomes of a kind.
    pub(super) fn set(&mut self, kind: Oddity, treatment: Treatment, at: Location) {
        for (cell, _) in self.treatments.iter_mut().zip(Oddity::ALL).filter(|(_, of)| **of == kind)
        {
            *cell = treatment;
        }
        self.written.push((kind, at));
    }

    /// Where the policy says what becomes of a kind; `None`: it leaves that to the default.
    pub fn at(&self, kind: Oddity) -> Option<&Location> {
        self.written.iter().find(|(of, _)| *of == kind).map(|(_, at)| at)
    }

    /// The kinds that are dropped and those that are watched, as masks. Where no policy is in force
    /// nothing is dropped, and what would be is watched.
    pub(super) fn masks(&self, enforce: bool) -> (u32, u32) {
        let mask = |wanted| {
            let kinds = self.iter().filter(|&(_, treatment)| treatment == wanted);
            kinds.fold(0, |mask, (kind, _)| mask | kind.bit())
        };
        let (drops, watches) = (mask(Treatment::Drop), mask(Treatment::Monitor));
        if enforce { (drops, watches) } else { (0, drops | watches) }
    }
}

/// The word for a treatment.
pub const fn treatment_name(treatment: Treatment) -> &'static str {
    match treatment {
        Treatment::Pass => "pass",
        Treatment::Monitor => "monitor",
        Treatment::Drop => "drop",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_follow_the_treatments() {
        let mut packets = Packets::default();
        let (drops, watches) = packets.masks(true);
        assert!(drops & Oddity::BadIp.bit() != 0 && drops & Oddity::VlanTags.bit() == 0);
        assert_eq!((watches, packets.masks(false)), (0, (0, drops)));
        let at = Location { file: "p.toml".into(), line: 3, column: 1 };
        packets.set(Oddity::BadIp, Treatment::Pass, at.clone());
        packets.set(Oddity::VlanTags, Treatment::Monitor, at.clone());
        assert_eq!((packets.at(Oddity::BadIp), packets.at(Oddity::TcpFlags)), (Some(&at), None));
        let without = drops & !Oddity::BadIp.bit();
        assert_eq!(packets.masks(true), (without, Oddity::VlanTags.bit()));
        assert_eq!(packets.masks(false), (0, without | Oddity::VlanTags.bit()));
    }

    /// The table of docs/policy.md has a row for every kind, with its default and its reason.
    #[test]
    fn every_kind_is_documented() {
        let page = include_str!("../../../docs/policy.md");
        for (kind, treatment) in Packets::default().iter() {
            let row = format!(
                "| `{}` | `{}` | `{}` |",
                kind.key(),
                treatment_name(treatment),
                kind.reason().name()
            );
            assert!(page.contains(&row), "docs/policy.md lacks the row {row}");
        }
    }
}
