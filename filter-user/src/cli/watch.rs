//! The hidden verb that the daemon starts for a policy that waits to be confirmed.

use std::path::PathBuf;

use clap::Args;

use super::outcome::{Outcome, Verdict};
use crate::config::Egress;
use crate::kernel::attach::{Driver, EgressHook, Target};
use crate::kernel::held::{self, Watch};

/// See [`Watch`].
#[derive(Args, Clone, Debug)]
pub(super) struct WatchArgs {
    /// The pins' directory
    #[arg(long, value_name = "DIR")]
    pins: PathBuf,
    /// The generation that waits
    #[arg(long, value_name = "NUMBER")]
    number: u32,
    /// When it is rolled back, CLOCK_BOOTTIME in ns
    #[arg(long, value_name = "NS")]
    deadline: u64,
    /// The daemon's process
    #[arg(long, value_name = "PID")]
    daemon: u32,
    /// The generation before drops
    #[arg(long)]
    enforces: bool,
    /// A gated interface, and how what leaves it is seen
    #[arg(long = "interface", value_name = "IFACE=EGRESS", value_parser = interface)]
    interfaces: Vec<(String, Egress)>,
}

fn interface(text: &str) -> Result<(String, Egress), String> {
    let (name, egress) = text.rsplit_once('=').ok_or("write IFACE=EGRESS")?;
    Ok((name.to_owned(), egress.parse()?))
}

pub(super) fn watch(args: &WatchArgs) -> Verdict {
    let target = |(name, egress): &(String, Egress)| {
        let hook = match egress {
            Egress::Auto => EgressHook::Auto,
            Egress::Tcx => EgressHook::Tcx,
            Egress::Clsact => EgressHook::Clsact,
            Egress::Off => EgressHook::Off,
        };
        // An interface that is gone has nothing to put back.
        Target::new(name, Driver::Auto, hook).ok()
    };
    let watch = Watch {
        pins: args.pins.clone(),
        number: args.number,
        deadline: args.deadline,
        targets: args.interfaces.iter().filter_map(target).collect(),
        enforces: args.enforces,
        daemon: args.daemon,
    };
    // What asks the daemon to end is not meant for its watcher.
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        // SAFETY: to ignore a signal needs no handler.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    if held::watch(&watch).map_err(anyhow::Error::new)? {
        eprintln!("weir: generation {} was not confirmed, the one before is back", args.number);
    }
    Ok(Outcome::Done)
}
