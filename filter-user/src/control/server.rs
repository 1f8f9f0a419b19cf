//! The control socket: made with the right owner and mode, never over a living daemon's, served
//! until the daemon ends, and taken away then. The requests are [`super::routes`]'.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio::sync::watch;

use super::api::Daemon;
use super::peer::{self, Admission};
use super::{http, routes};

/// A socket that is bound and listens, not served yet. Dropping it takes the socket away, and what was made
/// for it.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    listener: UnixListener,
    admission: Admission,
    /// Held as long as the socket is ours.
    _lock: Lock,
    /// The last to go.
    _directory: Option<Directory>,
}

/// The lock that goes with a socket; dropping it takes its file away.
#[derive(Debug)]
struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Whether the file of this name is still the one that is locked: the daemon before may have taken it away
    /// after it was opened here.
    fn is_in_place(&self) -> bool {
        let place = |about: fs::Metadata| (about.dev(), about.ino());
        let named = fs::symlink_metadata(&self.path).map(place);
        named.is_ok_and(|named| self.file.metadata().map(place).is_ok_and(|mine| mine == named))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Still locked: whoever opened it meanwhile sees that it is gone, and makes another.
        if self.is_in_place() {
            let _stays = fs::remove_file(&self.path);
        }
    }
}

/// A directory that was made for a socket. Dropping it takes it away, unless somebody has put something there.
#[derive(Debug)]
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _stays = fs::remove_dir(&self.0);
    }
}

impl ControlSocket {
    /// Makes the socket and its directory. One that a dead daemon left is replaced; while a daemon
    /// lives, this fails and says so.
    pub fn bind(path: &Path) -> Result<Self> {
        let admission = Admission::of_host();
        Self::bind_for(path, admission)
    }

    /// The same, for whom to say who may speak.
    pub fn bind_for(path: &Path, admission: Admission) -> Result<Self> {
        let told = || format!("cannot make the control socket {}", path.display());
        let directory = make_directory(path, admission).with_context(told)?;
        let lock = lock(path)?;
        clear_stale(path)?;
        let listener = UnixListener::bind(path).with_context(told)?;
        if let Some(group) = admission.group {
            chown(path, None, Some(group)).with_context(told)?;
        }
        fs::set_permissions(path, Permissions::from_mode(0o660)).with_context(told)?;
        listener.set_nonblocking(true).with_context(told)?;
        let path = path.to_owned();
        Ok(Self { path, listener, admission, _lock: lock, _directory: directory })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Serves until `shutdown` says true or its sender is gone. Must run inside tokio.
    pub async fn serve(
        self,
        daemon: Arc<dyn Daemon>,
        shutdown: watch::Receiver<bool>,
    ) -> Result<()> {
        let told = || format!("cannot serve the control socket {}", self.path.display());
        let listener = self.listener.try_clone().with_context(told)?;
        let listener = tokio::net::UnixListener::from_std(listener).with_context(told)?;
        let router = routes::router(daemon, shutdown.clone());
        let admission = self.admission;
        let app = move |stream: &tokio::net::UnixStream| {
            let caller = peer::caller(stream)
                .map_err(|error| routes::unknown_peer(&error))
                .and_then(|caller| admission.admit(&caller).map(|()| caller));
            router.clone().layer(axum::Extension(caller))
        };
        http::serve(listener, http::Limits::USUAL, app, shutdown).await;
        Ok(())
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // The lock is still held here, so this is not another daemon's socket.
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(socket = %self.path.display(), %error, "the socket was gone already");
        }
    }
}

/// Makes the directory, closed to all who may not speak. One that is there stays as it is.
fn make_directory(path: &Path, admission: Admission) -> io::Result<Option<Directory>> {
    let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
        return Ok(None);
    };
    if directory.is_dir() {
        return Ok(None);
    }
    if let Some(above) = directory.parent() {
        fs::create_dir_all(above)?;
    }
    let mode = if admission.group.is_some() { 0o750 } else { 0o700 };
    fs::DirBuilder::new().mode(mode).create(directory)?;
    let made = Directory(directory.to_owned());
    if let Some(group) = admission.group {
        chown(directory, None, Some(group))?;
        fs::set_permissions(directory, Permissions::from_mode(mode))?;
    }
    Ok(Some(made))
}

/// How often a lock is taken anew whose file a daemon that ends has just taken away.
const TRIES: usize = 10;

/// Takes the lock that goes with the socket, so that of two daemons that start at once one fails.
fn lock(socket: &Path) -> Result<Lock> {
    let mut name = socket.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    for _ in 0..TRIES {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot open the lock file {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => break,
            Err(fs::TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        let lock = Lock { file, path: path.clone() };
        if lock.is_in_place() {
            return Ok(lock);
        }
    }
    bail!(
        "another weir runs with the control socket {}: stop it, or give this one its own name \
         with --instance NAME",
        socket.display()
    )
}

/// Removes what a dead daemon left. Anything that is not a dead socket is somebody's.
fn clear_stale(path: &Path) -> Result<()> {
    let told = || format!("cannot replace {}", path.display());
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(told),
    };
    if !kind.is_socket() {
        bail!(
            "{} is there and is not a socket: move it, or choose another --socket",
            path.display()
        );
    }
    match UnixStream::connect(path) {
        Ok(_) => bail!(
            "another process answers on {}: stop it, or choose another --instance or --socket",
            path.display()
        ),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            tracing::info!(socket = %path.display(), "replacing the socket of a dead daemon");
            fs::remove_file(path).with_context(told)
        }
        Err(error) => Err(error).with_context(told),
    }
}
