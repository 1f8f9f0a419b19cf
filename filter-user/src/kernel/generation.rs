//! One generation: the programs with one policy's tables, loaded and ready to be attached.

use aya::maps::Map;
use aya::programs::{ProgramError, SchedClassifier, TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use filter_common::hash;
use filter_common::tables::{Config, feature};

use super::agreement::{self, Agreement, Entries};
use super::error::{Error, Result};
use super::state::State;
use super::trial::{Trial, run_xdp};
use super::{host, object};
use crate::image::Image;

/// Bursts shorter than this many ticks need the exact clock.
const COARSE_TICKS: u64 = 2;

/// The programs' log records on their way into the `log` crate.
pub type Logger = aya_log::EbpfLogger<&'static dyn log::Log>;

/// What it took to load a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// The program's name.
    pub program: &'static str,
    /// Its id in the kernel.
    pub id: u32,
    /// Instructions the verifier followed, on all paths together; `None` before kernel 5.16.
    pub verified: Option<u32>,
    /// Bytes of the program after the verifier removed what the policy does not use.
    pub bytes: Option<u32>,
}

/// Loaded programs over filled tables.
pub struct Generation {
    ebpf: Ebpf,
    agreement: Agreement,
    /// Its number.
    pub number: u32,
    /// The constants it was loaded with.
    pub config: Config,
}

impl Generation {
    /// Loads a fresh program with the tables of an image. Nothing is attached yet.
    ///
    /// # Errors
    /// When a table or program does not go in: the cause names it.
    pub fn load(state: &mut State, image: &Image) -> Result<Self> {
        let config = constants(state, image)?;
        let mut loader = EbpfLoader::new();
        state.share_with(&mut loader);
        loader.override_global("CONFIG", &config, true);
        let level: u8 = if state.settings.log { log::Level::Info as u8 } else { 0 };
        loader.override_global("AYA_LOG_LEVEL", &level, false);
        for (name, cells) in [
            ("V4_TOP", image.v4_top.len()),
            ("V6_ROOT", image.v6_root.len()),
            ("ENTRIES", image.entries.len()),
            ("NODES", image.nodes.len()),
            ("LISTENS", image.listens.len()),
            ("CLASS_GROUPS", image.class_groups.len()),
        ] {
            let cells = u32::try_from(cells.max(1))
                .map_err(|_| Error::new(format!("table {name} has {cells} cells, too many")))?;
            loader.map_max_entries(name, cells);
        }
        let object = object::with_sizes(&[
            sized(agreement::PORTS, &image.ports),
            sized(agreement::APIS, &image.apis),
            sized(agreement::RULES, &image.rules),
            sized(agreement::PROFILES, &image.profiles),
        ])?;
        let mut ebpf = loader
            .load(&object)
            .map_err(|e| Error::new("cannot create the tables of the policy").because(e))?;
        let agreement = Agreement::fill(&ebpf, image)?;

        let ingress: &mut Xdp = program(&mut ebpf, "weir_ingress")?;
        ingress.load().map_err(|e| refused("weir_ingress", e))?;
        let egress: &mut SchedClassifier = program(&mut ebpf, "weir_egress")?;
        egress.load().map_err(|e| refused("weir_egress", e))?;
        Ok(Self { ebpf, agreement, number: config.generation, config })
    }

    /// A map of this generation, its own or shared.
    pub(super) fn map(&self, name: &str) -> Result<&Map> {
        let found = self.ebpf.map(name);
        found.ok_or_else(|| Error::new(format!("the object has no map {name}")))
    }

    /// The maps of this generation, its own and shared.
    pub(super) fn maps(&self) -> impl Iterator<Item = (&str, &Map)> {
        self.ebpf.maps()
    }

    /// Whether trust is narrowed to the interfaces of these names as they are now: one that was made
    /// anew has another index than the one the programs were loaded with.
    pub fn knows(&self, trusted: &[String]) -> bool {
        trusted
            .iter()
            .filter_map(|name| host::interface_index(name).ok())
            .all(|index| self.config.trusted_interfaces.contains(&index))
    }

    /// The program for XDP.
    pub(super) fn ingress(&mut self) -> Result<&mut Xdp> {
        program(&mut self.ebpf, "weir_ingress")
    }

    /// The program for TC.
    pub(super) fn egress(&mut self) -> Result<&mut SchedClassifier> {
        program(&mut self.ebpf, "weir_egress")
    }

    /// What it took to load the programs.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn efforts(&mut self) -> Result<[Effort; 2]> {
        let untold = |e| Error::new("cannot inspect a loaded program").because(e);
        let ingress = self.ingress()?.info().map_err(untold)?;
        let egress = self.egress()?.info().map_err(untold)?;
        Ok([("weir_ingress", ingress), ("weir_egress", egress)].map(|(program, info)| Effort {
            program,
            id: info.id(),
            verified: info.verified_instruction_count(),
            bytes: info.size_translated(),
        }))
    }

    /// Compares a part of the tables with the image they were made from: of the small ones all, of
    /// the others 4 MiB.
    pub fn compare(&mut self, image: &Image) {
        self.agreement.step(image);
    }

    /// Cells of the tables by kind, as far as [`Self::compare`] has come.
    pub fn entries(&self, image: &Image) -> Vec<Entries> {
        self.agreement.entries(image)
    }

    /// What the programs log, to be flushed into this process's log now and then.
    ///
    /// # Errors
    /// When the programs were loaded without logging.
    pub fn logger(&mut self) -> Result<Logger> {
        aya_log::EbpfLogger::init(&mut self.ebpf)
            .map_err(|e| Error::new("cannot read the programs' log").because(e))
    }

    /// Runs the ingress program on a frame, `repeat` times, as if it came in by the loopback
    /// interface of this network namespace.
    ///
    /// # Errors
    /// When the kernel does not run it, as with a frame of less than 14 bytes.
    pub fn try_ingress(&mut self, frame: &[u8], repeat: u32) -> Result<Trial> {
        run_xdp(self.ingress()?, "weir_ingress", frame, None, repeat)
    }

    /// Runs the ingress program once on a frame, as if it came in by the interface with this index.
    ///
    /// # Errors
    /// As [`Self::try_ingress`], and when there is no such interface.
    pub fn try_ingress_on(&mut self, frame: &[u8], interface: u32) -> Result<Trial> {
        // An xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let length = frame.len() as u32;
        let context = [0, length, 0, interface, 0, 0].map(u32::to_ne_bytes).concat();
        run_xdp(self.ingress()?, "weir_ingress", frame, Some(&context), 1)
    }

    /// Runs the egress program once on a frame that this host made.
    ///
    /// # Errors
    /// When the kernel does not run it, as with a frame of less than 14 bytes.
    pub fn try_egress(&mut self, frame: &[u8]) -> Result<Trial> {
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::new() };
        let result = self
            .egress()?
            .test_run(options)
            .map_err(|e| Error::new("cannot run weir_egress on a packet").because(e))?;
        Ok(Trial { action: result.return_value, time: result.duration })
    }
}

fn constants(state: &mut State, image: &Image) -> Result<Config> {
    let tick = state.tick();
    let mut features = image.features;
    if state.settings.sample > 0.0 {
        features |= feature::SENSOR;
    }
    if image.shortest_burst < COARSE_TICKS * u64::from(tick.length) {
        features |= feature::EXACT_CLOCK;
    }
    let mut trusted_interfaces = [0; 8];
    for (to, name) in trusted_interfaces.iter_mut().zip(&image.trusted_interfaces) {
        // No packet comes in by one that is not there; see `knows`.
        *to = host::interface_index(name).unwrap_or(0);
    }
    let seed = state.seed()?;
    Ok(Config {
        features,
        generation: state.next_generation()?,
        seed,
        source_keys: hash::source_keys(seed),
        jiffies_offset: tick.offset,
        tick: tick.length,
        limiter_mask: state.limiter_cells() - 1,
        trusted_classes: image.trusted_classes,
        snap: state.settings.snap,
        classes: image.classes(),
        drops: image.drops,
        watches: image.watches,
        apis: cells(&image.apis)?,
        rules: cells(&image.rules)?,
        profiles: cells(&image.profiles)?,
        turn: state.settings.turn,
        reserved: 0,
        trusted_interfaces,
    })
}

/// A section and the bytes it is to have: those of a table, or of one cell, since no map is empty.
fn sized<T>(section: &'static str, table: &[T]) -> (&'static str, usize) {
    (section, size_of_val(table).max(size_of::<T>()))
}

/// How many cells a table has.
fn cells<T>(table: &[T]) -> Result<u32> {
    let cells = table.len();
    u32::try_from(cells).map_err(|_| Error::new(format!("a table has {cells} cells, too many")))
}

fn program<'a, T>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut T>
where
    &'a mut T: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
{
    ebpf.program_mut(name)
        .ok_or_else(|| Error::new(format!("the object has no program {name}")))?
        .try_into()
        .map_err(|e| Error::new(format!("{name} is not a program of its kind")).because(e))
}

/// A refused program, with the end of what the verifier said.
fn refused(name: &str, error: ProgramError) -> Error {
    if let ProgramError::LoadError { io_error, verifier_log } = &error {
        let text = verifier_log.to_string();
        let lines: Vec<_> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(12)..].join("\n");
        return Error::new(format!("the kernel refuses the program {name}: {io_error}\n{tail}"))
            .hint("report this with the output of `weir doctor --json`");
    }
    Error::new(format!("cannot load the program {name}")).because(error)
}
