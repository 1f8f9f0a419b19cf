//! The daemon: what `weir run` does, put together from the parts that each do one thing.
//!
//! Everything that can be refused is refused before the kernel is touched: arguments, sockets,
//! policy. Then state is opened, the policy put in force, and three things run until the end: the
//! pipeline (ring to findings, its own thread), the sockets (tokio), and the signals.

mod actions;
mod addresses;
mod answer;
mod assess;
mod auditor;
mod bans;
mod breach;
mod change;
pub(crate) mod clients;
mod core;
mod drill;
mod enforcement;
mod escalate;
mod evidence;
mod explain;
mod feeds;
mod gate;
mod guards;
mod in_force;
mod interfaces;
mod inventory;
mod keeper;
mod learned;
mod lockout;
mod losses;
mod maintenance;
mod observed;
mod orders;
mod pipeline;
mod places;
pub(crate) mod profile;
mod quota;
mod reload;
mod said;
mod sampling;
mod settings;
mod sinks;
mod size;
mod snapshot;
mod sources;
mod standing;
mod start;
mod status;
mod top;
mod trouble;
mod waiting;
pub(crate) mod watcher;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::cli::RunRequest;
use crate::control::metrics_http::MetricsSocket;
use crate::control::notify::Notifier;
use crate::control::server::ControlSocket;
use crate::control::ssh;
use crate::export::events;
use crate::export::sinks::Sinks;

use self::core::Core;
use self::gate::Gate;

/// How long an orderly end waits for connections.
const PATIENCE: Duration = Duration::from_secs(3);

/// Runs the daemon until it is told to end.
///
/// # Errors
/// When it cannot start, with what to do; nothing has been changed then.
pub fn run(request: &RunRequest) -> Result<()> {
    let RunRequest { config, origin, instance, force } = request.clone();
    let control = ControlSocket::bind(&config.socket)?;
    let metrics = MetricsSocket::bind(config.metrics)?;
    if let Err(error) = std::fs::create_dir_all(&config.state_dir) {
        // With no disk, the filter goes on.
        tracing::warn!(directory = %config.state_dir.display(), %error, "no state directory");
    }
    let mut keeper = keeper::Keeper::open(config.state_dir.clone());
    let mut choice = start::choose(&config, &mut keeper)?;
    let log = events::Config { path: Some(config.events_path()), ..events::Config::default() };
    let events = Arc::new(events::EventLog::start(log).context("cannot start the event log")?);

    let sinks = Sinks::start(&config.sinks, &config.state_dir.join("spool"))
        .context("cannot start the threads of the sinks")?;

    // A service manager has no SSH connection, and what it starts enforces.
    let guards = (!force).then(|| ssh::connection(std::process::id())).flatten();
    let (gate, reader) = Gate::open(&config, &mut choice, keeper, guards)?;
    let (stop, stopped) = watch::channel(false);
    let core = Arc::new(Core::new(config, origin, instance, gate, events, sinks, stop)?);
    core.told_at_start(choice, force);
    let addresses = addresses::start(Arc::clone(&core))?;
    let pipeline = pipeline::start(Arc::clone(&core), reader)?;
    let feeds = feeds::start(Arc::clone(&core))?;
    let inventory = inventory::start(Arc::clone(&core))?;
    interfaces::watch(Arc::clone(&core))?;
    let assess = assess::start(Arc::clone(&core))?;

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("weir-io")
        .enable_all()
        .build()
        .context("cannot start the I/O threads")?;
    let served = runtime.block_on(serve(&core, control, metrics, stopped));
    core.begin_stop();
    runtime.shutdown_timeout(PATIENCE);
    let threads = [
        ("pipeline", pipeline),
        ("watch over the feeds", feeds),
        ("follower of addresses", addresses),
        ("inventory", inventory),
        ("schedule of reports", assess),
    ];
    for (what, thread) in threads {
        if thread.join().is_err() {
            tracing::error!("the {what} ended by a panic");
        }
    }
    core.finish();
    served
}

/// Serves the sockets and obeys signals until the end.
async fn serve(
    core: &Arc<Core>,
    control: ControlSocket,
    metrics: MetricsSocket,
    mut stopped: watch::Receiver<bool>,
) -> Result<()> {
    let notifier = Notifier::from_environment().context("cannot reach the service manager")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
    tracing::info!(socket = %control.path().display(), metrics = %metrics.address(), "serving");
    let control = tokio::spawn(control.serve(Arc::clone(core) as _, stopped.clone()));
    let metrics = tokio::spawn(metrics.serve(Arc::clone(core) as _, stopped.clone()));
    core.set_ready();
    notifier.ready(&core.summary());
    let mut watchdog =
        tokio::time::interval(notifier.watchdog_interval().unwrap_or(Duration::from_secs(10)));
    loop {
        tokio::select! {
            _ = terminate.recv() => break tracing::info!("SIGTERM: ending"),
            _ = interrupt.recv() => break tracing::info!("SIGINT: ending"),
            _ = stopped.changed() => break,
            _ = watchdog.tick() => notifier.watchdog(),
            _ = hangup.recv() => {
                notifier.reloading();
                let reloading = Arc::clone(core);
                let reloaded = tokio::task::spawn_blocking(move || reloading.reload()).await;
                if let Err(error) = reloaded {
                    tracing::error!(%error, "the reload broke off");
                }
                notifier.ready(&core.summary());
            }
        }
    }
    notifier.stopping();
    core.begin_stop();
    for (name, task) in [("control socket", control), ("metrics", metrics)] {
        match tokio::time::timeout(PATIENCE, task).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::error!("{name}: {error:#}"),
            Ok(Err(error)) => tracing::error!("{name}: {error}"),
            Err(_) => tracing::warn!("{name}: connections are still open, they are cut"),
        }
    }
    Ok(())
}
