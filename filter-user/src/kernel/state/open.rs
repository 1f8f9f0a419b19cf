//! Opening the pinned state, or making it.

use std::sync::Arc;

use aya::maps::{Array, Map, MapData};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use filter_common::tables::{META_JIFFIES, META_MONOTONIC, META_OFFSET, META_SEED, META_TICK};

use super::names::restore_ids;
use super::pinned::{
    META, PINNED, adopt_size, configure, mapped, other_schemas, take, typed, wanted_sizes,
};
use super::{Settings, State, directory, get, set};
use crate::kernel::bans::Bans;
use crate::kernel::clock::{self, Tick};
use crate::kernel::counters::Counters;
use crate::kernel::error::{Error, Result};
use crate::kernel::forecast::Apart;
use crate::kernel::host;
use crate::kernel::object::OBJECT;
use crate::kernel::orders::Orders;
use crate::kernel::own::Own;

impl State {
    /// Opens the state under the pins' directory, making what is not there.
    ///
    /// # Errors
    /// When the host lacks something, or what is pinned is not what this version makes.
    pub fn open(settings: Settings) -> Result<Self> {
        Apart::sweep(&settings.pins);
        Self::open_with(settings, None)
    }

    /// Opens state of its own under other pins, with what this one has learned of the clock.
    pub(in crate::kernel) fn open_apart(&self, settings: Settings) -> Result<Self> {
        Self::open_with(settings, Some(self.tick))
    }

    /// The same for who has no state at hand.
    pub(in crate::kernel) fn open_beside(settings: Settings, tick: Tick) -> Result<Self> {
        Self::open_with(settings, Some(tick))
    }

    fn open_with(settings: Settings, tick: Option<Tick>) -> Result<Self> {
        host::check(&settings.pins)?;
        let directory = directory(&settings.pins);
        let mut notes = other_schemas(&settings.pins);
        std::fs::create_dir_all(&directory)
            .map_err(|e| Error::path("create", directory.as_path(), e))?;
        let adopted = directory.join(META.0).exists();

        let mut sizes = wanted_sizes(&settings);
        for (name, value_bytes) in PINNED.into_iter().chain([META]) {
            let path = directory.join(name);
            if path.exists() {
                adopt_size(name, value_bytes, &path, &mut sizes, &mut notes)?;
            }
        }
        let mut loader = EbpfLoader::new();
        configure(&mut loader, &directory, &sizes);
        let mut ebpf = loader.load(OBJECT).map_err(|e| {
            let error = Error::new(format!("cannot create the maps under {}", directory.display()));
            let error = error.because(e);
            // The rights were looked at before this.
            match error.cause.as_deref().is_some_and(|why| why.contains("os error 1)")) {
                true => error.hint(
                    "the rights are there, and yet it is not permitted: in a user namespace (a \
                     rootless container) they do not count, a container's filter may keep bpf(2) \
                     out, and so may the kernel's lockdown; `weir doctor` says what is refused",
                ),
                false => error,
            }
        })?;

        let mut meta: Array<_, u64> = typed(&mut ebpf, META.0)?;
        if get(&meta, META_SEED)? == 0 {
            set(&mut meta, META_SEED, random_seed()?)?;
        }
        let seed = get(&meta, META_SEED)?;
        let tick = match (tick, get(&meta, META_TICK)?, get(&meta, META_OFFSET)?) {
            (Some(tick), ..) => tick,
            (None, length, offset) if length != 0 => Tick { length: length as u32, offset },
            _ => measure(&mut ebpf, &mut meta)?,
        };
        let api_names = typed(&mut ebpf, "API_NAMES")?;
        let group_names = typed(&mut ebpf, "GROUP_NAMES")?;
        let shared = mapped(&ebpf, "SHARED")?;
        let ids = restore_ids(&api_names, &group_names, &shared, sizes["API_NAMES"])?;
        let ring = match take(&mut ebpf, "RING")? {
            Map::RingBuf(data) => Some(data),
            _ => None,
        };
        let state = Self {
            directory,
            meta,
            api_names,
            group_names,
            interfaces: typed(&mut ebpf, "INTERFACES")?,
            shared,
            control: Arc::new(mapped(&ebpf, "CONTROL")?),
            seen: mapped(&ebpf, "SEEN")?,
            notices: mapped(&ebpf, "NOTICES")?,
            ring,
            tick,
            ids,
            own: Own::open(typed(&mut ebpf, "OWN")?, mapped(&ebpf, "CONTROL")?),
            bans: Bans::open(
                typed(&mut ebpf, "BANS")?,
                mapped(&ebpf, "BAN_BITS")?,
                mapped(&ebpf, "CONTROL")?,
                seed,
                sizes["BANS"],
            )?,
            orders: Orders::open(mapped(&ebpf, "OVERRIDES")?, mapped(&ebpf, "CONTROL")?),
            counters: Counters::open(
                typed(&mut ebpf, "COUNTS")?,
                typed(&mut ebpf, "EGRESS")?,
                typed(&mut ebpf, "STATS")?,
            ),
            notes,
            adopted,
            sizes,
            settings,
        };
        state.set_sample(state.settings.sample);
        Ok(state)
    }

    /// Prepares a loader so that its programs use this state.
    pub(in crate::kernel) fn share_with(&self, loader: &mut EbpfLoader<'_>) {
        configure(loader, &self.directory, &self.sizes);
    }
}

fn random_seed() -> Result<u64> {
    let mut bytes = [0u8; 8];
    // SAFETY: the buffer is valid for its length.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if got != 8 {
        return Err(
            Error::new("cannot draw a random seed").because(std::io::Error::last_os_error())
        );
    }
    Ok(u64::from_ne_bytes(bytes).max(1))
}

/// Measures the jiffy by running the clock program.
fn measure(ebpf: &mut Ebpf, meta: &mut Array<MapData, u64>) -> Result<Tick> {
    let failed = |e| Error::new("cannot run the clock program").because(e);
    let program: &mut Xdp = ebpf
        .program_mut("weir_clock")
        .ok_or_else(|| Error::new("the object has no clock program"))?
        .try_into()
        .map_err(failed)?;
    program.load().map_err(failed)?;
    let frame = [0u8; 64];
    let tick = clock::measure(|| {
        let options = TestRunOptions { data_in: Some(&frame), ..TestRunOptions::new() };
        program.test_run(options).map_err(failed)?;
        Ok::<_, Error>((get(meta, META_JIFFIES)?, get(meta, META_MONOTONIC)?))
    })?
    .ok_or_else(|| {
        Error::new("the kernel's tick fits none of 100, 250, 300 and 1000 Hz")
            .hint("report this with the output of `weir doctor --json`")
    })?;
    set(meta, META_OFFSET, tick.offset)?;
    set(meta, META_TICK, u64::from(tick.length))?;
    Ok(tick)
}
