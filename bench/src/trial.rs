//! Policies loaded without a daemon, to be run on packets that nobody sent.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, anyhow};
use filter_user::kernel::attach;
use filter_user::kernel::error::Error;
use filter_user::kernel::generation::Generation;
use filter_user::kernel::state::{Settings, State};
use filter_user::kernel::trial::Program;
use filter_user::policy::{Policy, compile, parse_with};
use filter_user::text::render;

use crate::prefixes::Feed;

/// Pins of this process's own, removed when dropped.
pub(crate) struct Pins(PathBuf);

impl Pins {
    /// Nothing is there yet.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(format!("/sys/fs/bpf/weir-bench-{}-{number}", std::process::id()).into())
    }

    /// State of the kernel half as the daemon would have it, without sampling.
    pub(crate) fn state(&self) -> Result<State> {
        State::open(settings(&self.0)).map_err(told)
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        if self.0.exists()
            && let Err(error) = attach::detach(&self.0)
        {
            eprintln!("{} stays behind: {error}", self.0.display());
        }
    }
}

fn settings(pins: &Path) -> Settings {
    Settings {
        pins: pins.to_owned(),
        max_apis: 64,
        max_bans: 1024,
        sources: 262_144,
        ring_bytes: 1 << 20,
        snap: 4096,
        turn: 16_384,
        sample: 0.0,
        log: false,
    }
}

/// Reads a policy with its one feed.
pub(crate) fn policy(text: &str, feed: &Feed) -> Result<Policy> {
    let loaded = parse_with(text, "bench", feed);
    loaded.policy.ok_or_else(|| anyhow!("{}", render(&loaded.diagnostics)))
}

/// Loads a policy's programs; they live as long as the generation.
pub(crate) fn load(state: &mut State, policy: &Policy) -> Result<(Generation, Program)> {
    let mut ids = state.ids();
    let image = compile(policy, &mut ids).map_err(|e| anyhow!("{}", e.message))?;
    state.keep_ids(ids, &image).map_err(told)?;
    let mut generation = Generation::load(state, &image).map_err(told)?;
    let [ingress, _] = generation.efforts().map_err(told)?;
    let program = Program::by_id(ingress.id).map_err(told)?;
    Ok((generation, program))
}

/// An error of the kernel half, with what it says to do.
#[expect(clippy::needless_pass_by_value, reason = "it is an argument of map_err")]
pub(crate) fn told(error: Error) -> anyhow::Error {
    anyhow!("{error}")
}

/// Length of a jiffy of the running kernel, in seconds.
pub(crate) fn tick() -> Result<f64> {
    let pins = Pins::new();
    let state = pins.state()?;
    Ok(f64::from(state.tick().length) / 1e9)
}
