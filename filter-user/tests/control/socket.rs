//! The socket itself: mode, directory, leftovers, rivals.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Served;
use filter_user::control::api::Code;
use filter_user::control::client::Client;
use filter_user::control::server::ControlSocket;

#[test]
fn it_is_closed_to_others_and_gone_at_the_end() {
    let mut served = Served::start();
    let mode =
        |path: &std::path::Path| fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    assert_eq!(mode(&served.socket), 0o660);
    assert_eq!(mode(&served.directory().join("run")) & 0o007, 0);
    served.stop();
    assert!(!served.directory().join("run").exists(), "with the lock, and what was made for both");
}

#[test]
fn what_others_made_stays() {
    let directory = tempfile::tempdir().expect("a directory");
    let (there, made) = (directory.path().join("there"), directory.path().join("made"));
    fs::create_dir(&there).expect("makes");
    drop(ControlSocket::bind(&there.join("weir.sock")).expect("binds"));
    assert_eq!(fs::read_dir(&there).expect("is there").count(), 0);
    let bound = ControlSocket::bind(&made.join("weir.sock")).expect("binds");
    fs::write(made.join("note"), "mine").expect("writes");
    drop(bound);
    let left = fs::read_dir(&made).expect("is there").map(|entry| entry.expect("is").file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["note"]);
}

#[test]
fn of_rivals_one_has_it_at_a_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("weir.sock");
    let (held, bound) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let Ok(socket) = ControlSocket::bind(&path) else { continue };
                    assert_eq!(held.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                    bound.fetch_add(1, Ordering::SeqCst);
                    held.fetch_sub(1, Ordering::SeqCst);
                    drop(socket);
                }
            });
        }
    });
    assert!(bound.load(Ordering::SeqCst) > 4, "{bound:?}");
    assert!(!path.exists());
}

#[test]
fn what_is_in_the_way() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("weir.sock");

    drop(UnixListener::bind(&path).expect("binds"));
    assert!(path.exists(), "a dead daemon left its socket");
    let first = ControlSocket::bind(&path).expect("a stale socket is replaced");

    let error = format!("{:#}", ControlSocket::bind(&path).expect_err("another weir lives"));
    assert!(error.contains("another weir") && error.contains("--instance"), "{error}");
    drop(first);
    drop(ControlSocket::bind(&path).expect("after it has ended"));

    let _other = UnixListener::bind(&path).expect("binds");
    let error = format!("{:#}", ControlSocket::bind(&path).expect_err("somebody answers"));
    assert!(error.contains("another process answers"), "{error}");
    fs::remove_file(&path).expect("removes");

    fs::write(&path, "precious").expect("writes");
    let error = format!("{:#}", ControlSocket::bind(&path).expect_err("not a socket"));
    assert!(error.contains("is not a socket"), "{error}");
    assert_eq!(fs::read_to_string(&path).expect("is still there"), "precious");
}

#[test]
fn without_a_daemon_the_client_says_where_it_looked() {
    let directory = tempfile::tempdir().expect("a directory");
    let dead = directory.path().join("dead.sock");
    drop(UnixListener::bind(&dead).expect("binds"));
    for path in [directory.path().join("none.sock"), dead] {
        let error = Client::new(path.clone()).expect("a client").status().expect_err("nobody");
        assert_eq!(error.code, Code::Unavailable);
        assert_eq!(error.message, format!("no daemon answers on {}", path.display()));
        assert!(error.hint.contains("weir run"), "{}", error.hint);
    }
}
