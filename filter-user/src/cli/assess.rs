//! `weir assess`: the posture report.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::Common;
use super::outcome::{Outcome, Verdict, write_out};
use crate::assess::{Facts, Format, LARGEST, Level, REPORT, Report};
use crate::control::api::ApiError;

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "For every API: who owns it, who may reach it, its limits, how requests log in, which layers are present and \
    missing, what is open and overdue, the OWASP API Security Top 10, and what changed since the last report that was \
    kept. A report is kept in the state directory, as Markdown, HTML and JSON, when it is written (--output), with \
    --keep, and when `[assess] every` of the policy says so.\n\n\
    --fail-on ends with exit code 1 when a point at or above the level is open; `high` is `warning`.\n\n\
    Examples:\n  weir assess\n  weir assess --output report.html\n  weir assess --output reports/ --fail-on high\n  \
    weir assess --from report.json --format html --output again.html"
)]
pub(super) struct AssessArgs {
    /// Write the report: into this file, or into this directory in every format
    #[arg(long, value_name = "DIR|FILE")]
    output: Option<PathBuf>,
    /// The format [default: as the file ends, else Markdown]
    #[arg(long, value_enum, conflicts_with = "json")]
    format: Option<FormatName>,
    /// End with exit code 1 when something at or above this level is open
    #[arg(long, value_enum, value_name = "LEVEL")]
    fail_on: Option<LevelName>,
    /// Keep the report, although it is only printed
    #[arg(long, conflicts_with = "from")]
    keep: bool,
    /// Write down again the report of this JSON file; needs no daemon
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum FormatName {
    Md,
    Html,
    Json,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Md => Self::Markdown,
            FormatName::Html => Self::Html,
            FormatName::Json => Self::Json,
        }
    }
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum LevelName {
    Info,
    Notice,
    Warning,
    High,
    Critical,
}

impl From<LevelName> for Level {
    fn from(name: LevelName) -> Self {
        match name {
            LevelName::Info => Self::Info,
            LevelName::Notice => Self::Notice,
            // What other scales call high is what someone should look at today.
            LevelName::Warning | LevelName::High => Self::Warning,
            LevelName::Critical => Self::Critical,
        }
    }
}

impl AssessArgs {
    pub(super) fn json(&self) -> bool {
        self.common.output.json
    }
}

pub(super) fn assess(args: &AssessArgs) -> Verdict {
    let report = match &args.from {
        Some(path) => read(path)?,
        None => Report::of(ask(args)?),
    };
    let json = args.common.output.json;
    let format = args.format.map(Format::from).or(json.then_some(Format::Json));
    match &args.output {
        None => write_out(&report.write(format.unwrap_or(Format::Markdown)))?,
        Some(path) => {
            let written = write(path, &report, format)?;
            if json {
                write_out(&report.write(Format::Json))?;
            } else {
                write_out(&written)?;
            }
        }
    }
    let failed = args.fail_on.is_some_and(|level| report.at_least(level.into()).next().is_some());
    Ok(if failed { Outcome::No } else { Outcome::Done })
}

fn ask(args: &AssessArgs) -> Result<Facts, ApiError> {
    let client = args.common.target.client()?;
    if args.keep || args.output.is_some() {
        return Ok(client.assess_keep()?.facts);
    }
    client.assess()
}

fn read(path: &Path) -> Result<Report, super::Failure> {
    let shown = path.display();
    let text = crate::text::read_regular(path, LARGEST)
        .map_err(|error| anyhow::anyhow!("cannot read {shown}: {}", crate::text::reason(&error)))?;
    let report: Report =
        serde_json::from_slice(&text).with_context(|| format!("{shown} is no report"))?;
    if report.report != REPORT {
        let (found, known) = (report.report, REPORT);
        return Err(
            anyhow::anyhow!("{shown} is of version {found}, this weir knows {known}").into()
        );
    }
    Ok(report)
}

/// Who may reach what is not for everyone on the host.
fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o640).open(path)?.write_all(bytes)
}

/// Writes into a file, or into a directory every format or the one that was asked for. Returns what to
/// say.
fn write(path: &Path, report: &Report, format: Option<Format>) -> Result<String, super::Failure> {
    let is_directory = path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/");
    let mut files = Vec::new();
    if is_directory {
        std::fs::create_dir_all(path)
            .with_context(|| format!("cannot make the directory {}", path.display()))?;
        for one in Format::ALL.into_iter().filter(|one| format.is_none_or(|asked| asked == *one)) {
            let name = format!("{}.{}", report.file_name(), one.ending());
            files.push((path.join(name), one));
        }
    } else {
        let ending = path.extension().and_then(|ending| ending.to_str());
        let by_name = Format::ALL.into_iter().find(|one| ending == Some(one.ending()));
        files.push((path.to_owned(), format.or(by_name).unwrap_or(Format::Markdown)));
    }
    let mut said = String::new();
    for level in Level::WORST_FIRST {
        said.push_str(&format!("{} {}\n", report.count(level), level.name()));
    }
    let mut said = format!("open points: {}\n", said.trim_end().replace('\n', ", "));
    for (file, one) in files {
        put(&file, report.write(one).as_bytes())
            .with_context(|| format!("cannot write {}", file.display()))?;
        said.push_str(&format!(
            "written to {}\n",
            super::style::clean(&file.display().to_string())
        ));
    }
    Ok(said)
}
