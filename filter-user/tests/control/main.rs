//! The server, the client and the command line over a real socket, with a daemon that keeps its
//! state in memory.

mod admission;
mod cli;
mod daemon;
mod metrics;
mod round_trip;
mod socket;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use tempfile::TempDir;
use tokio::sync::watch;

use daemon::InMemory;
use filter_user::control::client::Client;
use filter_user::control::peer::Admission;
use filter_user::control::server::ControlSocket;

/// A served socket; dropping it ends the server.
struct Served {
    daemon: Arc<InMemory>,
    socket: PathBuf,
    end: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    directory: TempDir,
}

impl Served {
    fn start() -> Self {
        Self::start_for(Admission::of_host())
    }

    fn start_for(admission: Admission) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("run/weir.sock");
        let daemon = Arc::new(InMemory::default());
        let bound = ControlSocket::bind_for(&socket, admission).expect("binds");
        let (end, ending) = watch::channel(false);
        let served = Arc::clone(&daemon);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            let runtime = runtime.expect("a runtime");
            runtime.block_on(bound.serve(served, ending)).expect("serves");
        });
        Self { daemon, socket, end, thread: Some(thread), directory }
    }

    fn client(&self) -> Client {
        Client::new(self.socket.clone()).expect("a client")
    }

    fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn stop(&mut self) {
        self.end.send_replace(true);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server ends well");
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}
