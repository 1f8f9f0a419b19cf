//! `weir detach`: everything is taken away, with a daemon or without.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use super::Common;
use super::human::plural;
use super::outcome::{Failure, Outcome, Verdict};
use super::settings::settings;
use super::style::{Style, Tone, clean};
use crate::control::api::{Code, Detached};
use crate::control::client::Client;
use crate::control::ssh::own;
use crate::export::audit::{AuditLog, Change, MAX_BYTES};
use crate::kernel::attach;
use crate::store::{self, Store};

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "After this nothing of weir judges packets, and bans, limits and counters are gone. A daemon\n\
    that runs ends. Without one, what it pinned is found under --pins.\n\n\
    Examples:\n  weir detach\n  weir detach --config /etc/weir/weir.toml"
)]
pub(super) struct DetachArgs {
    /// Where kernel objects are pinned [default: /sys/fs/bpf/weir]
    #[arg(long, value_name = "DIR")]
    pins: Option<PathBuf>,
    /// The daemon's settings, which name the pins and the socket
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) fn detach(args: &DetachArgs) -> Verdict {
    let config = settings(args.config.as_deref(), &args.common.target)?;
    // Only when nobody answers may it be done behind the daemon's back.
    let nobody = || UnixStream::connect(&config.socket).is_err();
    let detached = match Client::new(config.socket.clone())?.detach() {
        Ok(detached) => detached,
        Err(error) if error.code == Code::Unavailable && nobody() => {
            let pins = args.pins.as_ref().unwrap_or(&config.pins);
            let detached = attach::detach(pins).map_err(anyhow::Error::new)?.into();
            note(&config.state_dir, &detached);
            detached
        }
        Err(error) => return Err(Failure::Api(error)),
    };
    args.common.output.printer().print(&detached, |style| text(&detached, style))?;
    Ok(Outcome::Done)
}

/// Notes it for the next start, which begins anew then, and in the audit log. A state directory
/// that is not there has nothing to start from either.
fn note(state_dir: &Path, detached: &Detached) {
    if state_dir.is_dir() {
        let interfaces = ("interfaces".to_owned(), detached.interfaces.clone().into());
        let change = Change {
            what: "detach",
            who: own(),
            about: std::iter::once(interfaces).collect(),
            ..Change::default()
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        if let Err(error) = AuditLog::new(state_dir, MAX_BYTES).write(time, &change) {
            eprintln!("weir: the audit log has no line of this: {error}");
        }
    }
    if state_dir.join(store::FILE).exists()
        && let Err(error) = Store::open(state_dir).and_then(|mut store| store.set_detached())
    {
        eprintln!("weir: the next start will put in force again what was: {error}");
    }
}

pub(super) fn text(detached: &Detached, style: Style) -> String {
    if detached.interfaces.is_empty() && detached.removed.is_empty() {
        return "nothing was attached\n".to_owned();
    }
    let interfaces = match detached.interfaces.as_slice() {
        [] => "no interface".to_owned(),
        names => names.join(", "),
    };
    let done = style.paint(Tone::Good, "detached");
    let removed = plural(detached.removed.len() as u64, "pinned object");
    format!("{done} from {}, {removed} removed\n", clean(&interfaces))
}
