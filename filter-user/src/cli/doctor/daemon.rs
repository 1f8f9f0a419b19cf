//! The daemon, its address and its policy.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use super::Check;
use crate::cli::human::span;
use crate::config;
use crate::control::api::{Answer, Code, Status};
use crate::control::client::Client;
use crate::geo::Database;
use crate::policy::load;
use crate::text::Diagnostic;

/// Whether a daemon answers, and whether the scrape address is free for one. `start`: the command
/// that starts it.
pub(super) fn checks(socket: &Path, metrics: SocketAddr, start: &str) -> Vec<Check> {
    let status = Client::new(socket.to_owned()).and_then(|client| client.status());
    let served = status.as_ref().ok().and_then(served_at);
    vec![daemon(&status, start), scrape(metrics, served)]
}

fn served_at(status: &Status) -> Option<SocketAddr> {
    status.daemon.metrics.as_deref()?.parse().ok()
}

fn daemon(status: &Answer<Status>, start: &str) -> Check {
    let name = "daemon";
    match status {
        Ok(status) => {
            let (daemon, up) = (&status.daemon, span(status.daemon.uptime_seconds));
            let mine = env!("CARGO_PKG_VERSION");
            let finding = format!("weir {}, pid {}, up {up}", daemon.version, daemon.pid);
            if daemon.version != mine {
                let hint = format!("this is {mine}: restart the daemon after an upgrade");
                return Check::warn(name, finding, hint);
            }
            Check::ok(name, finding)
        }
        Err(error) if error.code == Code::Unavailable => {
            Check::warn(name, &error.message, format!("start it: `{start}`"))
        }
        Err(error) => Check::warn(name, &error.message, &error.hint),
    }
}

fn scrape(address: SocketAddr, served: Option<SocketAddr>) -> Check {
    let name = "metrics";
    if served == Some(address) {
        return Check::ok(name, format!("the daemon serves http://{address}/metrics"));
    }
    match TcpListener::bind(address) {
        Ok(_) => Check::ok(name, format!("{address} is free")),
        Err(error) => {
            let finding = match error.kind() {
                ErrorKind::AddrInUse => format!("another process has {address}"),
                _ => format!("cannot listen on {address}: {error}"),
            };
            Check::fail(name, finding, "choose another: `metrics` in weir.toml, or --metrics")
        }
    }
}

/// Whether the databases of where sources are can be read. One that is not there is no failure:
/// everything else works without.
pub(super) fn geo(settings: &config::Geo) -> Vec<Check> {
    let named = [("countries", &settings.country, "country"), ("asns", &settings.asn, "asn")];
    named
        .into_iter()
        .map(|(name, path, key)| {
            let status = Database::read(path.as_deref()).status();
            match (status.path, status.kind, status.problem) {
                (None, ..) => Check::ok(name, format!("no database: `geo.{key}` is not set")),
                (Some(path), Some(kind), None) => {
                    Check::ok(name, format!("{} is a database of {kind}", path.display()))
                }
                (_, _, problem) => Check::warn(
                    name,
                    problem.unwrap_or_default(),
                    "put a file in MaxMind's format there: the daemon reads it within seconds",
                ),
            }
        })
        .collect()
}

/// Whether a policy can be applied.
pub(super) fn policy(file: &Path) -> Check {
    let name = "policy";
    let shown = file.display();
    let loaded = load(file);
    let errors = loaded.diagnostics.iter().filter(|found| found.is_error()).count();
    let warnings = loaded.diagnostics.len() - errors;
    match (loaded.diagnostics.iter().find(|found| found.is_error()), warnings) {
        (Some(first), _) => {
            let Diagnostic { line, message, .. } = first;
            let finding = format!("{shown}: errors: {errors}; the first, line {line}: {message}");
            Check::fail(name, finding, format!("`weir check {shown}` shows all"))
        }
        (None, 0) => Check::ok(name, format!("{shown} is valid")),
        (None, _) => {
            let finding = format!("{shown} is valid; warnings: {warnings}");
            Check::warn(name, finding, format!("`weir check {shown}` shows them"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use crate::control::api::ApiError;

    #[test]
    fn daemons() {
        let with = |version: &str| {
            let mut status = Status::default();
            status.daemon.version = version.into();
            Ok(status)
        };
        let rows = [
            (with(env!("CARGO_PKG_VERSION")), State::Ok, "pid 0"),
            (with("0.0.1"), State::Warn, "weir 0.0.1"),
            (Err(ApiError::unavailable("no daemon answers on /x")), State::Warn, "/x"),
            (Err(ApiError::new(Code::Forbidden, "may not")), State::Warn, "may not"),
        ];
        for (status, state, part) in rows {
            let check = daemon(&status, "weir run");
            assert_eq!(check.state, state, "{check:?}");
            assert!(check.finding.contains(part), "{check:?}");
        }
    }

    #[test]
    fn addresses() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = taken.local_addr().expect("an address");
        assert_eq!(scrape(address, None).state, State::Fail);
        assert_eq!(scrape(address, Some(address)).state, State::Ok);
        drop(taken);
        assert_eq!(scrape(address, None).state, State::Ok);
    }

    #[test]
    fn policies() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("policy.toml");
        let valid = "[policy]\nname = \"p\"\nversion = 1\n[[api]]\nname = \"a\"\n\
                     listen = [\"tcp/80\"]\nallow = \"any\"\n";
        let rows = [(valid.to_owned(), State::Ok), (format!("{valid}alow = 1\n"), State::Fail)];
        for (text, state) in rows {
            std::fs::write(&file, &text).expect("writes");
            assert_eq!(policy(&file).state, state, "{text}");
        }
        assert_eq!(policy(&directory.path().join("none")).state, State::Fail);
    }
}
