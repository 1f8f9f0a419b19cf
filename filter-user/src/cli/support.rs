//! `weir support-bundle`: what somebody else needs to see of this host, in one file, with what is
//! nobody's business taken out. It changes nothing.

mod archive;
mod collect;
mod mask;

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::human::bytes;
use super::outcome::{Outcome, Verdict};
use super::settings::settings;
use super::style::{Style, Tone, clean};
use super::{Output, Target, doctor};
use crate::config::{Config, Overrides};
use archive::Manifest;
use collect::Places;
use mask::Mask;

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Secrets are taken out in any case; addresses become names that mean nothing, the same for the same one.\n\
    Look into it before you give it away: `tar tzf FILE`, `tar xzOf FILE NAME`.\n\n\
    Examples:\n  weir support-bundle\n  weir support-bundle --config /etc/weir/weir.toml --output /tmp/bundle.tar.gz\n  \
    weir support-bundle --no-mask --json | jq .missing"
)]
pub(super) struct SupportArgs {
    /// The file to write, which must not be there yet [default: weir-support-TIME.tar.gz here]
    #[arg(short, long = "output", value_name = "FILE")]
    output_file: Option<PathBuf>,
    /// The daemon's settings
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep addresses as they are
    #[arg(long)]
    no_mask: bool,
    #[command(flatten)]
    pub(super) output: Output,
    #[command(flatten)]
    target: Target,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Bundle {
    path: PathBuf,
    bytes: u64,
    #[serde(flatten)]
    manifest: Manifest,
}

/// What is going on, on a terminal.
struct Progress {
    shown: bool,
}

impl Progress {
    fn step(&self, what: &str) {
        if self.shown {
            // A terminal that is gone does not matter.
            let _gone = write!(stderr(), "\r\x1b[K{what} ...");
            let _gone = stderr().flush();
        }
    }

    fn end(&self) {
        if self.shown {
            let _gone = write!(stderr(), "\r\x1b[K");
        }
    }
}

fn key() -> anyhow::Result<[u8; 32]> {
    let mut key = [0_u8; 32];
    // SAFETY: the buffer is writable for its whole length.
    let got = unsafe { libc::getrandom(key.as_mut_ptr().cast(), key.len(), 0) };
    anyhow::ensure!(got == 32, "the kernel gives no random numbers");
    Ok(key)
}

/// Now, as a part of a file's name.
fn stamp(time: SystemTime) -> String {
    let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    let time = time::OffsetDateTime::from(time);
    time.format(&format).unwrap_or_else(|_| "now".to_owned())
}

pub(super) fn support(args: &SupportArgs) -> Verdict {
    let progress = Progress { shown: stderr().is_terminal() };
    let now = SystemTime::now();
    let name = format!("weir-support-{}", stamp(now));
    let path = args.output_file.clone().unwrap_or_else(|| format!("{name}.tar.gz").into());
    let mask = Mask::new(key()?, !args.no_mask);
    let config = match settings(args.config.as_deref(), &args.target) {
        Ok(config) => config,
        // That they are wrong is in the report.
        Err(_) => {
            let mut config = Config::with_paths(args.target.paths()?);
            config.socket = args.target.socket()?;
            config
        }
    };
    progress.step("checking the host");
    let report = doctor::look(args.config.as_deref(), &args.target, Overrides::default())?;
    let places = Places { config, settings: args.config.clone(), report };
    let parts = collect::collect(&places, &mask, |what| progress.step(what));
    progress.step("writing");
    let time = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let manifest = Manifest {
        weir: env!("CARGO_PKG_VERSION"),
        time,
        masked: !args.no_mask,
        ..Manifest::default()
    };
    let written = archive::write(&path, &name, parts, manifest)
        .with_context(|| format!("cannot write {}", path.display()));
    progress.end();
    let manifest = written?;
    let bytes = path.metadata().map_or(0, |about| about.len());
    let bundle = Bundle { path, bytes, manifest };
    args.output.printer().print(&bundle, |style| text(&bundle, style))?;
    Ok(Outcome::Done)
}

fn text(bundle: &Bundle, style: Style) -> String {
    let manifest = &bundle.manifest;
    let mut text = format!(
        "{}  {}, {} files\n",
        style.paint(Tone::Strong, clean(&bundle.path.display().to_string())),
        bytes(bundle.bytes),
        manifest.files.len() + 1
    );
    for missing in &manifest.missing {
        let (what, why) = (clean(&missing.what), clean(&missing.why));
        let _infallible = writeln!(text, "{} without {what}: {why}", style.paint(Tone::Warn, "!"));
    }
    text.push_str(if manifest.masked {
        "addresses are pseudonyms, secrets are left out; look into it before you give it away\n"
    } else {
        "addresses are as they are, secrets are left out; look into it before you give it away\n"
    });
    text
}
