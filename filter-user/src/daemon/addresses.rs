//! Keeps what the packet path knows of the host's own addresses true: at the start, and from then on
//! whenever the kernel says that they change.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::kernel::addresses;
use crate::kernel::netlink::Changes;
use crate::kernel::state::State;

use super::core::Core;

/// How often the thread looks whether the daemon ends; and how often it asks for the addresses when
/// nobody tells of changes.
const PAUSE: Duration = Duration::from_millis(500);

/// Tells the packet path which addresses are the host's own. What it cannot learn stays as it is:
/// the filter goes on.
pub(super) fn learn(state: &mut State) {
    match addresses::list().and_then(|addresses| state.own.set(&addresses)) {
        Ok(0) => {}
        Ok(left_out) => tracing::warn!(
            left_out,
            "this host has more addresses than weir has room for: of these, packets that claim to \
             come from them are not told from others"
        ),
        Err(error) => tracing::warn!(%error, "the host's own addresses are not known"),
    }
}

/// Starts the thread.
pub(super) fn start(core: Arc<Core>) -> Result<JoinHandle<()>> {
    let changes = Changes::of_addresses()?;
    // Whatever changed before there was a listener.
    learn(&mut core.gate().state);
    std::thread::Builder::new()
        .name("weir-addresses".to_owned())
        .spawn(move || follow(&core, &changes))
        .context("cannot start the thread that follows the host's addresses")
}

fn follow(core: &Core, changes: &Changes) {
    while !core.stopping() {
        match changes.wait(PAUSE) {
            Ok(false) => {}
            Ok(true) => learn(&mut core.gate().state),
            Err(error) => {
                tracing::debug!(%error, "asking instead");
                std::thread::sleep(PAUSE);
                learn(&mut core.gate().state);
            }
        }
    }
}
