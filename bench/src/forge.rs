//! The programs of bench/ebpf: loading them, putting them on interfaces, reading what they counted.

use std::path::Path;

use anyhow::{Context as _, Result};
use aya::maps::{Map, PerCpuArray};
use aya::programs::{SchedClassifier, TcAttachType, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader, Pod};
use weir_tests::lab::{Host, INTERFACE};

use crate::wire;

/// Where a sender's packets claim to come from; the layout is that of bench/ebpf's.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    /// First of the sources.
    pub(crate) base: u32,
    /// How many there are; 0: all unicast addresses.
    pub(crate) span: u32,
    /// One packet of so many is of a known source instead; 0: none.
    pub(crate) every: u32,
    /// First of the known sources.
    pub(crate) known: u32,
    /// How many there are.
    pub(crate) knowns: u32,
    /// Sum of the IPv4 header's words without source and checksum; see [`Plan::for_frame`].
    pub(crate) sum: u32,
}

// SAFETY: integers without padding.
unsafe impl Pod for Plan {}

impl Plan {
    /// The same plan for an IPv4 frame without options.
    fn for_frame(self, frame: &[u8]) -> Self {
        let words = frame[14..34].chunks(2).enumerate();
        // Words 5 to 7 are the checksum and the source.
        let sum = words
            .filter(|(place, _)| !(5..8).contains(place))
            .map(|(_, word)| u32::from(word[0]) << 8 | u32::from(word[1]))
            .sum();
        Self { sum, ..self }
    }
}

/// How much of a sender's counters is what.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Sequence {
    state: u64,
    known: u64,
    since: u64,
}

// SAFETY: integers without padding.
unsafe impl Pod for Sequence {}

/// The object with its own maps. Links it made live as long as it does.
pub(crate) struct Forge(pub(crate) Ebpf);

impl Forge {
    /// Loads the object as it is.
    pub(crate) fn new(object: &Path) -> Result<Self> {
        Self::with(object, |_| {})
    }

    /// Loads it after changes to its constants and sizes.
    pub(crate) fn with<'a>(
        object: &Path,
        change: impl FnOnce(&mut EbpfLoader<'a>),
    ) -> Result<Self> {
        let mut loader = EbpfLoader::new();
        change(&mut loader);
        let ebpf = loader.load_file(object);
        ebpf.with_context(|| format!("cannot load {}", object.display())).map(Self)
    }

    /// A sender to a host, with a plan.
    pub(crate) fn sender(object: &Path, plan: Plan, to: &Host) -> Result<Self> {
        let plan = &plan.for_frame(&wire::datagram(to)?);
        let mut forge = Self::with(object, |loader| {
            loader.override_global("PLAN", plan, true);
        })?;
        forge.xdp("bench_send_random")?;
        Ok(forge)
    }

    /// An XDP program, loaded on first use.
    pub(crate) fn xdp(&mut self, name: &str) -> Result<&mut Xdp> {
        let program = self.0.program_mut(name).with_context(|| format!("no program {name}"))?;
        let xdp: &mut Xdp = program.try_into()?;
        if xdp.fd().is_err() {
            xdp.load().with_context(|| format!("cannot load {name}"))?;
        }
        Ok(xdp)
    }

    /// Puts an XDP program on the interface of a host.
    pub(crate) fn gate(&mut self, name: &str, host: &Host) -> Result<()> {
        let xdp = self.xdp(name)?;
        host.netns.enter(|| {
            let attached = xdp.attach(INTERFACE, XdpMode::Driver);
            attached.with_context(|| format!("cannot attach {name}")).map(drop)
        })
    }

    /// Ends what comes past the gate of a host.
    pub(crate) fn sink(&mut self, host: &Host) -> Result<()> {
        self.classify("bench_sink", host, TcAttachType::Ingress)
    }

    /// Puts a program that does nothing on the way out of a host.
    pub(crate) fn watch(&mut self, host: &Host) -> Result<()> {
        self.classify("bench_watch", host, TcAttachType::Egress)
    }

    fn classify(&mut self, name: &str, host: &Host, at: TcAttachType) -> Result<()> {
        let program = self.0.program_mut(name).with_context(|| format!("no program {name}"))?;
        let program: &mut SchedClassifier = program.try_into()?;
        if program.fd().is_err() {
            program.load().with_context(|| format!("cannot load {name}"))?;
        }
        host.netns.enter(|| {
            let attached = program.attach(INTERFACE, at);
            attached.with_context(|| format!("cannot attach {name}")).map(drop)
        })
    }

    /// A map.
    pub(crate) fn map(&mut self, name: &str) -> Result<&mut Map> {
        self.0.map_mut(name).with_context(|| format!("no map {name}"))
    }

    /// A counter of all processors together.
    pub(crate) fn count(&mut self, name: &str, place: u32) -> Result<u64> {
        let map: PerCpuArray<_, u64> = PerCpuArray::try_from(self.map(name)?)?;
        Ok(map.get(&place, 0)?.iter().sum())
    }

    /// Packets of known sources that a sender has sent.
    pub(crate) fn known_sent(&mut self) -> Result<u64> {
        let map: PerCpuArray<_, Sequence> = PerCpuArray::try_from(self.map("SEQUENCES")?)?;
        Ok(map.get(&0, 0)?.iter().map(|sequence| sequence.known).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_leaves_out_what_a_sender_writes() {
        let mut frame = vec![0; 34];
        frame[14..34].copy_from_slice(&[
            0x45, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 9, 9, 9, 9, 0, 0, 0, 2,
        ]);
        assert_eq!(Plan::default().for_frame(&frame).sum, 0x4500 + 1 + 2);
    }
}
