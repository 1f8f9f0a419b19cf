//! Tells systemd how the daemon does (sd_notify(3)): a datagram to `$NOTIFY_SOCKET`. Without that
//! variable, nothing is told and nothing fails.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The supervisor, if there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// From the environment that systemd sets. It is read, not changed: programs that the daemon
    /// starts would inherit it, and it starts none.
    pub fn from_environment() -> io::Result<Self> {
        let mine =
            std::env::var("WATCHDOG_PID").map_or(true, |pid| pid.parse() == Ok(std::process::id()));
        let watchdog = std::env::var("WATCHDOG_USEC").ok().filter(|_| mine);
        Self::new(std::env::var_os("NOTIFY_SOCKET"), watchdog.as_deref())
    }

    /// From the values of `NOTIFY_SOCKET` and `WATCHDOG_USEC`. A path, or an abstract name after
    /// an `@`.
    pub fn new(socket: Option<OsString>, watchdog_usec: Option<&str>) -> io::Result<Self> {
        let Some(socket) = socket.filter(|name| !name.is_empty()) else {
            return Ok(Self::default());
        };
        let address = match socket.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(&socket)?,
        };
        let watchdog = watchdog_usec
            .and_then(|usec| usec.parse().ok())
            .filter(|&usec| usec > 0)
            .map(Duration::from_micros);
        Ok(Self { to: Some((UnixDatagram::unbound()?, address)), watchdog })
    }

    /// How often the supervisor wants [`Self::watchdog`] to be called: half of what it allows.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|allowed| allowed / 2)
    }

    /// Everything is attached and running, also after a reload.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// A reload begins; [`Self::ready`] ends it.
    pub fn reloading(&self) {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_usec()));
    }

    /// The daemon ends.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// The daemon is alive.
    pub fn watchdog(&self) {
        self.send("WATCHDOG=1");
    }

    /// A line for `systemctl status`.
    pub fn status(&self, status: &str) {
        self.send(&format!("STATUS={}", one_line(status)));
    }

    fn send(&self, message: &str) {
        let Some((socket, address)) = &self.to else { return };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            tracing::warn!(%error, "systemd was not told: {}", one_line(message));
        }
    }
}

/// A newline would begin another assignment.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// CLOCK_MONOTONIC in microseconds, with which systemd orders reloads.
fn monotonic_usec() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is valid through the call; this clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        let length = socket.recv(&mut buffer).expect("a datagram");
        String::from_utf8(buffer[..length].to_vec()).expect("text")
    }

    #[test]
    fn tells_a_path_and_an_abstract_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let name = format!("weir-notify-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).expect("a name");
        let rows = [
            (path.clone().into_os_string(), UnixDatagram::bind(&path)),
            (format!("@{name}").into(), UnixDatagram::bind_addr(&abstract_address)),
        ];
        for (address, receiver) in rows {
            let receiver = receiver.expect("a receiver");
            let told = Notifier::new(Some(address), Some("30000000")).expect("a notifier");
            assert_eq!(told.watchdog_interval(), Some(Duration::from_secs(15)));
            told.ready("enforcing `edge`\nREADY=0");
            assert_eq!(receive(&receiver), "READY=1\nSTATUS=enforcing `edge` READY=0");
            told.reloading();
            let reloading = receive(&receiver);
            let usec = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("the form");
            assert!(usec.parse::<u64>().expect("a number") > 0);
            told.watchdog();
            assert_eq!(receive(&receiver), "WATCHDOG=1");
            told.status("a");
            assert_eq!(receive(&receiver), "STATUS=a");
            told.stopping();
            assert_eq!(receive(&receiver), "STOPPING=1");
        }
    }

    #[test]
    fn without_a_supervisor_nothing_is_told() {
        for (socket, usec) in [(None, None), (Some("".into()), Some("5")), (None, Some("x"))] {
            let nobody = Notifier::new(socket, usec).expect("a notifier");
            assert_eq!(nobody.watchdog_interval(), None);
            nobody.ready("");
        }
    }
}
