//! The store on files of a test's own.

use super::*;

fn file(name: &str, bytes: &[u8]) -> NamedFile {
    NamedFile { name: name.into(), shown: format!("/etc/{name}").into(), bytes: bytes.to_vec() }
}

fn new<'a>(hash: &'a str, files: &'a [NamedFile], who: &'a Who) -> New<'a> {
    New {
        kernel: 7,
        name: "edge",
        hash,
        path: Path::new("/etc/weir/edge.toml"),
        text: "the text",
        files,
        applied_at: 1_700_000_000,
        who,
        state: State::Confirmed,
        previous: None,
        restores: None,
        why: None,
    }
}

fn count(store: &Store, table: &str) -> i64 {
    let statement = format!("SELECT count(*) FROM {table}");
    store.connection.query_row(&statement, [], |row| row.get(0)).expect("counts")
}

#[test]
fn a_generation_comes_back_as_it_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let who = Who { uid: 3, login_uid: Some(4), pid: 5, ssh: Some("192.0.2.1:99".into()) };
    let files = [file("b", b"192.0.2.0/24\n"), file("a", b"\xff\0"), file("c", b"\xff\0")];
    let number = {
        let mut store = Store::open(directory.path()).expect("opens");
        assert_eq!(store.last_confirmed().expect("reads"), None);
        store.add(&new("aa", &files, &who)).expect("writes")
    };
    let mut store = Store::open(directory.path()).expect("opens again");
    let record = store.last_confirmed().expect("reads").expect("a generation");
    assert_eq!((record.number, record.kernel, &record.who), (number, 7, &who));
    assert_eq!((record.hash.as_str(), record.applied_at), ("aa", 1_700_000_000));
    let contents = store.contents(number).expect("reads");
    assert_eq!(contents, Contents { text: "the text".into(), files: files.to_vec() });
    assert_eq!(count(&store, "feed"), 2, "equal contents are kept once");
    assert!(store.knows(Path::new("/etc/weir/edge.toml")).expect("reads"));
    assert!(!store.knows(Path::new("/etc/weir/other.toml")).expect("reads"));
    store.set_kernel(number, 8).expect("writes");
    assert_eq!(store.record(number).expect("reads").expect("it").kernel, 8);
    let mode = std::os::unix::fs::MetadataExt::mode(
        &std::fs::metadata(directory.path().join(FILE)).expect("a file"),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn states_decide_what_is_started_from_and_rolled_back_to() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = Store::open(directory.path()).expect("opens");
    let who = Who::default();
    let add = |store: &mut Store, hash, state, restores| {
        store.add(&New { state, restores, ..new(hash, &[], &who) }).expect("writes")
    };
    let first = add(&mut store, "aa", State::Confirmed, None);
    let second = add(&mut store, "bb", State::Confirmed, None);
    let again = add(&mut store, "bb", State::Confirmed, None);
    let pending = add(&mut store, "cc", State::Pending, None);
    let last = |store: &Store| store.last_confirmed().expect("reads").map(|record| record.number);
    let before = |store: &Store, number| {
        let record = store.record(number).expect("reads").expect("it is there");
        store.before(&record).expect("reads").map(|record| record.number)
    };
    assert_eq!(last(&store), Some(again), "what is not confirmed is not started from");
    assert_eq!(before(&store, pending), Some(again));
    assert_eq!(before(&store, again), Some(first), "the same again is no step back");
    assert_eq!(before(&store, first), None);
    let given_up = store.give_up_pending().expect("writes");
    assert_eq!(given_up.iter().map(|record| record.number).collect::<Vec<_>>(), [pending]);
    assert_eq!(store.record(pending).expect("reads").map(|r| r.state), Some(State::RolledBack));

    let third = add(&mut store, "dd", State::Confirmed, None);
    let restored = add(&mut store, "bb", State::Confirmed, Some(second));
    assert_eq!(before(&store, third), Some(again));
    assert_eq!(before(&store, restored), Some(first), "a second rollback goes further back");

    store.set_detached().expect("writes");
    assert_eq!(last(&store), None, "taken off on purpose");
    let anew = add(&mut store, "ee", State::Confirmed, None);
    assert_eq!(last(&store), Some(anew));
}

#[test]
fn it_stays_small() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = Store::open(directory.path()).expect("opens");
    let who = Who::default();
    let shared = file("shared", b"all");
    store.add(&new("confirmed", &[file("own", b"0"), shared.clone()], &who)).expect("writes");
    for number in 0..u64::from(KEPT) + 5 {
        let own = file("own", format!("feed {number}").as_bytes());
        let state = State::RolledBack;
        let files = [own, shared.clone()];
        store.add(&New { state, ..new("x", &files, &who) }).expect("writes");
    }
    assert_eq!(count(&store, "generation"), i64::from(KEPT) + 1, "and the one in force");
    assert_eq!(count(&store, "feed"), i64::from(KEPT) + 2);
    assert_eq!(store.last_confirmed().expect("reads").expect("it").number, 1);
    assert_eq!(store.contents(1).expect("reads").files.len(), 2);
    let numbers: Vec<u64> = store.history().expect("reads").iter().map(|r| r.number).collect();
    assert!(numbers.is_sorted_by(|a, b| a > b), "{numbers:?}");
}

#[test]
fn what_is_damaged_is_told_and_set_aside() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(FILE);
    let open = || Store::open(directory.path());
    std::fs::write(&path, "no database, but long enough to be taken for one ".repeat(99))
        .expect("writes");
    let error = open().expect_err("refused");
    assert!(error.is_corrupt() && error.to_string().contains("weir.db"), "{error}");
    let aside = set_aside(directory.path(), "20260102T030405Z").expect("renames");
    assert!(aside.ends_with("weir.db.corrupt-20260102T030405Z") && aside.exists());
    let who = Who::default();
    open().expect("a new one").add(&new("aa", &[], &who)).expect("writes");

    // A page in the middle is overwritten: found when it is read.
    let mut bytes = std::fs::read(&path).expect("reads");
    for byte in &mut bytes[4096..] {
        *byte = 0xa5;
    }
    std::fs::write(&path, bytes).expect("writes");
    let found = open().and_then(|store| store.history());
    assert!(found.expect_err("refused").is_corrupt());

    std::fs::remove_file(&path).expect("removes");
    drop(open().expect("a new one"));
    let connection = Connection::open(&path).expect("opens");
    connection.pragma_update(None, "user_version", 99).expect("writes");
    let error = open().expect_err("refused");
    assert!(!error.is_corrupt() && error.to_string().contains("newer"), "{error}");

    let missing = Store::open(Path::new("/proc/none")).expect_err("refused");
    assert!(!missing.is_corrupt(), "{missing}");
}

#[test]
fn feeds_that_change_often_leave_room_for_what_people_did() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = Store::open(directory.path()).expect("opens");
    let who = Who::default();
    store.add(&new("by hand", &[], &who)).expect("writes");
    for number in 0..KEPT_FEEDS + 5 {
        let files = [file("feed", format!("192.0.2.{number}\n").as_bytes())];
        let hash = format!("by feed {number}");
        store.add(&New { why: Some("feed"), ..new(&hash, &files, &who) }).expect("writes");
    }
    let history = store.history().expect("reads");
    assert_eq!(history.len(), KEPT_FEEDS as usize + 1);
    assert_eq!(history[0].why.as_deref(), Some("feed"));
    assert_eq!(history.last().map(|record| record.hash.as_str()), Some("by hand"));
    assert_eq!(count(&store, "feed"), i64::from(KEPT_FEEDS));
}

#[test]
fn what_somebody_went_back_behind_is_remembered() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = Path::new("/etc/weir/feed.txt");
    let mut store = Store::open(directory.path()).expect("opens");
    assert_eq!(store.held(path).expect("reads"), None);
    for hash in [[1; 32], [2; 32]] {
        store.set_held(path, Some(hash)).expect("writes");
        drop(store);
        store = Store::open(directory.path()).expect("opens again");
        assert_eq!(store.held(path).expect("reads"), Some(hash));
    }
    store.set_held(path, None).expect("writes");
    assert_eq!(store.held(path).expect("reads"), None);
}

#[test]
fn a_store_of_the_version_before_is_brought_along() {
    let directory = tempfile::tempdir().expect("a directory");
    let who = Who::default();
    let number = {
        let mut store = Store::open(directory.path()).expect("opens");
        store.add(&new("aa", &[], &who)).expect("writes")
    };
    let connection = Connection::open(directory.path().join(FILE)).expect("opens");
    connection
        .execute_batch(
            "ALTER TABLE generation DROP COLUMN why; DROP TABLE held; DROP TABLE ban; \
             DROP TABLE api_order; DROP TABLE api_seen; DROP TABLE endpoint; \
             DROP TABLE exchange; DROP TABLE finding; DROP TABLE drill; DROP TABLE action; \
             DROP TABLE stop; DROP TABLE quota; DROP TABLE mute; \
             DROP TABLE maintenance; PRAGMA user_version = 1",
        )
        .expect("goes back");
    drop(connection);
    let store = Store::open(directory.path()).expect("opens again");
    let record = store.record(number).expect("reads").expect("a generation");
    assert_eq!((record.hash.as_str(), record.why), ("aa", None));
}
