//! `weir detach`: everything is taken away, with a daemon or without.

use std::path::PathBuf;

use clap::Args;

use super::human::plural;
use super::outcome::{Failure, Outcome, Printer, Verdict};
use super::style::{Style, clean};
use super::{Hooks, Target};
use crate::control::api::{Code, Detached};

/// Arguments of `weir detach`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(
    after_help = "After this nothing of weir judges packets, and bans, limits and counters are gone. A daemon\n\
    that runs ends. Without one, what it pinned is found under --pins.\n\n\
    Example:\n  weir detach"
)]
pub struct DetachArgs {
    /// Where kernel objects are pinned [default: /sys/fs/bpf/weir, or the instance's]
    #[arg(long, value_name = "DIR")]
    pub pins: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Which daemon.
    #[command(flatten)]
    pub target: Target,
}

pub(super) fn detach(args: &DetachArgs, hooks: Hooks) -> Verdict {
    let detached = match args.target.client()?.detach() {
        Ok(detached) => detached,
        // Only when nobody answers may it be done behind the daemon's back.
        Err(error) if error.code == Code::Unavailable && nobody(args) => (hooks.detach)(args)?,
        Err(error) => return Err(Failure::Api(error)),
    };
    Printer { json: args.json }.print(&detached, |style| text(&detached, style))?;
    Ok(Outcome::Done)
}

/// Whether no process listens on the socket.
fn nobody(args: &DetachArgs) -> bool {
    std::os::unix::net::UnixStream::connect(args.target.socket()).is_err()
}

pub(super) fn text(detached: &Detached, _style: Style) -> String {
    if detached.interfaces.is_empty() && detached.removed.is_empty() {
        return "nothing was attached\n".to_owned();
    }
    let interfaces = match detached.interfaces.as_slice() {
        [] => "no interface".to_owned(),
        names => names.join(", "),
    };
    let removed = plural(detached.removed.len() as u64, "pinned object");
    format!("detached from {}, {removed} removed\n", clean(&interfaces))
}
