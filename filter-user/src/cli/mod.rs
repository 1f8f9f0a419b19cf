//! The command line: one file a verb.
//!
//! Arguments are parsed by clap, turned into a request, and answered by the daemon through
//! [`crate::control::client`] or, for the verbs that need no daemon, here. The daemon itself comes
//! from outside, as a [`Run`]. Exit codes are set in
//! `outcome` only: 0 done, 1 the answer is no, 2 could not do it.

mod actions;
mod apis;
mod apply;
mod assess;
mod audit;
mod ban;
mod breach;
mod check;
mod completions;
mod confirm;
mod detach;
mod diff;
mod doctor;
mod events;
mod evidence;
mod explain;
mod findings;
mod history;
mod human;
mod init;
mod log;
mod maintenance;
mod man;
mod monitor;
mod order;
mod outcome;
pub mod replay;
mod rollback;
mod run;
mod settings;
mod sink;
mod size;
mod status;
mod style;
mod support;
mod table;
#[cfg(test)]
mod tests;
mod top;
mod tune;
mod value;
mod version;
mod waiting;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::Paths;
use crate::control::api::{Answer, ApiError};
use crate::control::client::Client;
use outcome::{Printer, Verdict, exit};

pub use outcome::{Failure, Outcome};
pub use run::RunRequest;

/// Runs the daemon until it is told to end. Logging is set up, tokio is not.
pub type Run = fn(&RunRequest) -> anyhow::Result<()>;

#[derive(Debug, Parser)]
#[command(
    name = "weir",
    version,
    about = "A gate and a gauge in front of every API on this host",
    long_about = "A gate and a gauge in front of every API on this host: allowlists and limits \
                  enforced by XDP, metrics and findings from what passes.",
    after_help = "Exit codes: 0 done, 1 the answer is no, 2 could not do it.\n\n\
                  Start here:\n  \
                  weir doctor                                      can this host run it?\n  \
                  weir run --interface eth0                        observe, drop nothing\n  \
                  weir init --output policy.toml                   a first policy, which drops nothing\n  \
                  weir check policy.toml                           is the policy right?\n  \
                  weir run --interface eth0 --policy policy.toml   enforce it",
    subcommand_required = true,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the daemon: attach to interfaces, enforce, measure
    Run(run::RunArgs),
    /// Write a first policy for this host, which drops nothing
    Init(init::InitArgs),
    /// Check a policy and report every mistake in it
    Check(check::CheckArgs),
    /// Propose limits for each API from what was seen, as a diff to the policy file
    Tune(tune::TuneArgs),
    /// Put a policy in force, on every interface or on none
    Apply(apply::ApplyArgs),
    /// Show what a policy would change
    Diff(diff::DiffArgs),
    /// Let a policy stay that was applied with --confirm
    Confirm(confirm::ConfirmArgs),
    /// Put in force what was in force before
    Rollback(rollback::RollbackArgs),
    /// List what was in force, and who put it there
    History(history::HistoryArgs),
    /// Show the audit log, and check that it is whole
    Audit(audit::AuditArgs),
    /// Show what is in force and what it does
    Status(status::StatusArgs),
    /// Watch traffic, sources, requests and findings, full screen
    Top(top::TopArgs),
    /// Say what would happen to a packet, and why
    Explain(explain::ExplainArgs),
    /// Ban sources, for a while
    Ban(ban::BanArgs),
    /// Let an API's drops pass and only count them, or stop doing so
    Monitor(monitor::MonitorArgs),
    /// Act in a breach: shut an API down, lock it down, lift it again
    Breach(breach::BreachArgs),
    /// Show, approve, undo or stop what weir does by itself
    Actions(actions::ActionsArgs),
    /// Show which APIs and endpoints really exist
    Apis(apis::ApisArgs),
    /// Show what was found: attacks, shifts, undeclared and undocumented APIs
    Findings(findings::FindingsArgs),
    /// Leave out what an API does while it is being maintained
    Maintenance(maintenance::MaintenanceArgs),
    /// Put together what is kept of a source or an API, sealed by hashes
    Evidence(evidence::EvidenceArgs),
    /// Write the posture report: what protects each API, what is missing, what changed
    Assess(assess::AssessArgs),
    /// Print events as JSON Lines
    Events(events::EventsArgs),
    /// Show receivers of events, and test them
    Sink(sink::SinkArgs),
    /// Run a capture through parser, verdict and sensor, and print what is in it
    Replay(replay::ReplayArgs),
    /// Take the filter off and remove all of its state
    Detach(detach::DetachArgs),
    /// Say whether this host can run weir, and what to do where not
    Doctor(doctor::DoctorArgs),
    /// Write what somebody who helps needs to see into one file, masked
    SupportBundle(support::SupportArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Write the manual pages to a directory
    Man(man::ManArgs),
    /// Print the version
    Version(version::VersionArgs),
    /// Roll back what the daemon cannot (started by it)
    #[command(name = crate::daemon::watcher::VERB, hide = true)]
    Watch(watch::WatchArgs),
}

/// Which daemon is meant.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
struct Target {
    /// The daemon's control socket [default: /run/weir/weir.sock]
    #[arg(long, value_name = "PATH", help_heading = "Which daemon")]
    socket: Option<PathBuf>,
    /// The daemon of this name, where several run on one host
    #[arg(long, value_name = "NAME", value_parser = value::instance, help_heading = "Which daemon")]
    instance: Option<String>,
}

impl Target {
    /// Where the parts of this daemon are, when nothing else is said.
    fn paths(&self) -> Answer<Paths> {
        Paths::of(self.instance.as_deref())
            .map_err(|problem| ApiError::invalid(problem.message).hint(problem.hint))
    }

    /// Where its socket is.
    fn socket(&self) -> Answer<PathBuf> {
        self.socket.clone().map_or_else(|| Ok(self.paths()?.socket), Ok)
    }

    fn client(&self) -> Answer<Client> {
        Client::new(self.socket()?)
    }
}

/// What the verbs that ask the daemon have in common.
#[derive(Args, Clone, Debug, Default)]
struct Common {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    target: Target,
}

/// How to print.
#[derive(Args, Clone, Copy, Debug, Default)]
struct Output {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Output {
    fn printer(self) -> Printer {
        Printer { json: self.json }
    }
}

/// The whole program: arguments in, exit code out.
pub fn main(daemon: Run) -> ExitCode {
    main_of(std::env::args_os(), daemon)
}

/// The same with these arguments, the program's name first.
fn main_of(arguments: impl IntoIterator<Item = OsString>, daemon: Run) -> ExitCode {
    match Cli::try_parse_from(arguments) {
        Ok(cli) => {
            let json = cli.verb.json();
            exit(cli.verb.run(daemon), json)
        }
        // Help and version are answers and go to standard output; the rest is usage, exit code 2.
        Err(error) => {
            let asked = !error.use_stderr();
            match error.print() {
                Ok(()) if asked => exit(Ok(Outcome::Done), false),
                _ => ExitCode::from(2),
            }
        }
    }
}

/// The grammar, for completion scripts.
fn grammar() -> clap::Command {
    Cli::command()
}

impl Verb {
    fn run(&self, daemon: Run) -> Verdict {
        match self {
            Self::Run(args) => run::run(args, daemon),
            Self::Init(args) => init::init(args),
            Self::Check(args) => check::check(args),
            Self::Tune(args) => tune::tune(args),
            Self::Apply(args) => apply::apply(args),
            Self::Diff(args) => diff::diff(args),
            Self::Confirm(args) => confirm::confirm(args),
            Self::Rollback(args) => rollback::rollback(args),
            Self::History(args) => history::history(args),
            Self::Audit(args) => audit::audit(args),
            Self::Status(args) => status::status(args),
            Self::Top(args) => top::top(args),
            Self::Explain(args) => explain::explain(args),
            Self::Ban(args) => ban::ban(args),
            Self::Monitor(args) => monitor::monitor(args),
            Self::Breach(args) => breach::breach(args),
            Self::Actions(args) => actions::actions(args),
            Self::Apis(args) => apis::apis(args),
            Self::Findings(args) => findings::findings(args),
            Self::Maintenance(args) => maintenance::maintenance(args),
            Self::Evidence(args) => evidence::evidence(args),
            Self::Assess(args) => assess::assess(args),
            Self::Events(args) => events::events(args),
            Self::Sink(args) => sink::sink(args),
            Self::Replay(args) => Ok(replay::replay(args)?),
            Self::Detach(args) => detach::detach(args),
            Self::Doctor(args) => doctor::doctor(args),
            Self::SupportBundle(args) => support::support(args),
            Self::Completions(args) => completions::completions(args),
            Self::Man(args) => man::man(args),
            Self::Version(args) => version::version(args),
            Self::Watch(args) => watch::watch(args),
        }
    }

    /// Whether a failure is to be printed as JSON.
    fn json(&self) -> bool {
        match self {
            Self::Run(_) | Self::Completions(_) | Self::Man(_) | Self::Watch(_) => false,
            Self::Init(args) => args.output.json,
            Self::Check(args) => args.common.output.json,
            Self::Tune(args) => args.json(),
            Self::Apply(args) => args.common.output.json,
            Self::Diff(args) => args.common.output.json,
            Self::Confirm(args) => args.common.output.json,
            Self::Rollback(args) => args.common.output.json,
            Self::History(args) => args.common.output.json,
            Self::Audit(args) => args.json(),
            Self::Status(args) => args.common.output.json,
            Self::Top(args) => args.common.output.json,
            Self::Explain(args) => args.common.output.json,
            Self::Ban(args) => args.json(),
            Self::Monitor(args) => args.json(),
            Self::Breach(args) => args.json(),
            Self::Actions(args) => args.json(),
            Self::Apis(args) => args.json(),
            Self::Findings(args) => args.json(),
            Self::Maintenance(args) => args.json(),
            Self::Evidence(args) => args.json(),
            Self::Assess(args) => args.json(),
            Self::Events(args) => args.common.output.json,
            Self::Sink(args) => args.json(),
            Self::Replay(args) => args.json,
            Self::Detach(args) => args.common.output.json,
            Self::Doctor(args) => args.output.json,
            Self::SupportBundle(args) => args.output.json,
            Self::Version(args) => args.output.json,
        }
    }
}
