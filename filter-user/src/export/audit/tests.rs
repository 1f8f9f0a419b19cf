//! The chain, whole and broken.

use std::fs::OpenOptions;

use super::*;

fn change(what: &'static str) -> Change {
    let mut about = serde_json::Map::new();
    about.insert("reason".into(), "a \"quoted\",\"hash\":\"word\"".into());
    let ssh = Some("192.0.2.1:50000".to_owned());
    let who = Who { uid: 0, login_uid: Some(1000), pid: 42, ssh };
    Change { what, who, about, before: None, after: Some("ab".into()) }
}

fn written(directory: &Path, lines: usize) -> AuditLog {
    let mut log = AuditLog::new(directory, MAX_BYTES);
    for _ in 0..lines {
        log.write(1_700_000_000_123_456_789, &change("apply")).expect("writes");
    }
    log
}

#[test]
fn lines_are_chained_across_restarts() {
    let directory = tempfile::tempdir().expect("a directory");
    written(directory.path(), 2);
    let log = written(directory.path(), 2);
    let found = verify(log.path()).expect("reads");
    assert_eq!((found.intact, found.lines), (true, 4));
    let last = log.last(3).expect("reads");
    assert_eq!(last.iter().map(|entry| entry.number).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(last[2].previous, last[1].hash);
    assert_eq!(last[2].time, "2023-11-14T22:13:20.123Z");
    assert_eq!((last[2].what.as_str(), last[2].who.login_uid), ("apply", Some(1000)));
}

#[test]
fn tampering_shows() {
    type Edit = fn(&mut Vec<String>);
    let rows: [(&str, Edit, u64, &str); 8] = [
        ("a changed word", |l| l[2] = l[2].replace("apply", "check"), 3, "changed"),
        ("a changed hash", |l| l[2] = l[2].replace("\"hash\":\"", "\"hash\":\"0"), 3, "changed"),
        ("not JSON", |l| l[0] = "nonsense".into(), 1, "not a line"),
        ("a line taken out", |l| drop(l.remove(1)), 2, "missing"),
        ("the first line taken out", |l| drop(l.remove(0)), 1, "missing"),
        ("the last line taken out", |l| drop(l.pop()), 5, "missing at the end"),
        ("two lines swapped", |l| l.swap(1, 2), 2, "moved"),
        ("a line twice", |l| l.insert(1, l[0].clone()), 2, "put in"),
    ];
    for (what, edit, line, problem) in rows {
        let directory = tempfile::tempdir().expect("a directory");
        let log = written(directory.path(), 5);
        let text = std::fs::read_to_string(log.path()).expect("reads");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        edit(&mut lines);
        std::fs::write(log.path(), lines.join("\n") + "\n").expect("writes");
        let found = verify(log.path()).expect("reads");
        assert_eq!((found.intact, found.line), (false, Some(line)), "{what}: {found:?}");
        assert!(found.problem.contains(problem), "{what}: {found:?}");
    }
}

#[test]
fn a_chain_written_anew_is_not_the_one_that_was_noted() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = written(directory.path(), 3);
    let noted = std::fs::read(head(log.path())).expect("reads");
    std::fs::remove_file(log.path()).expect("removes");
    let mut forged = AuditLog::new(directory.path(), MAX_BYTES);
    for _ in 0..3 {
        forged.write(1, &change("nothing")).expect("writes");
    }
    assert!(verify(log.path()).expect("reads").intact, "with a note of its own");
    std::fs::write(head(log.path()), noted).expect("writes");
    assert!(!verify(log.path()).expect("reads").intact);
}

#[test]
fn a_line_cut_short_is_taken_away_and_what_was_lost_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = written(directory.path(), 2);
    let mut file = OpenOptions::new().append(true).open(log.path()).expect("opens");
    file.write_all(b"{\"number\":3,\"ti").expect("writes");
    assert_eq!(verify(log.path()).expect("reads").line, Some(3));
    let log = written(directory.path(), 1);
    assert_eq!(verify(log.path()).map(|found| (found.intact, found.lines)).ok(), Some((true, 3)));

    // The directory goes away under a log that is open, and comes back.
    let mut log = AuditLog::new(&directory.path().join("later"), MAX_BYTES);
    log.write(1, &change("ban_add")).expect_err("no directory");
    log.write(1, &change("ban_add")).expect_err("no directory");
    std::fs::create_dir(directory.path().join("later")).expect("creates");
    log.write(1, &change("ban_add")).expect("writes");
    log.write(1, &change("ban_add")).expect("writes");
    let lost: Vec<u64> = log.last(9).expect("reads").iter().map(|entry| entry.lost).collect();
    assert_eq!(lost, [2, 0]);
}

#[test]
fn a_log_goes_on_after_tampering_but_stays_broken() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = written(directory.path(), 2);
    let text = std::fs::read_to_string(log.path()).expect("reads").replace("apply", "check");
    std::fs::write(log.path(), text).expect("writes");
    let log = written(directory.path(), 1);
    assert_eq!(log.last(9).expect("reads").len(), 3);
    assert_eq!(verify(log.path()).expect("reads").line, Some(1));
}

#[test]
fn a_chain_goes_on_over_files_and_restarts() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    // Two lines a file.
    let bytes = {
        let log = written(directory.path(), 1);
        std::fs::metadata(log.path()).expect("a file").len() * 5 / 2
    };
    for _ in 0..6 {
        let mut log = AuditLog::new(directory.path(), bytes);
        log.write(1_700_000_000_123_456_789, &change("apply")).expect("writes");
    }
    let log = AuditLog::new(directory.path(), bytes);
    let older = ["audit-00000001.jsonl", "audit-00000003.jsonl", "audit-00000005.jsonl"];
    assert_eq!(files::older(log.path()).expect("reads"), older.map(path));
    let found = verify(log.path()).expect("reads");
    assert_eq!((found.intact, found.lines), (true, 7), "{found:?}");
    let numbers = |limit| -> Vec<u64> {
        log.last(limit).expect("reads").iter().map(|entry| entry.number).collect()
    };
    assert_eq!((numbers(3), numbers(99).len()), (vec![5, 6, 7], 7));

    // Put aside, and then the daemon died.
    std::fs::rename(log.path(), path("audit-00000007.jsonl")).expect("renames");
    assert!(verify(log.path()).expect("reads").intact);
    let mut next = AuditLog::new(directory.path(), bytes);
    next.write(1, &change("apply")).expect("writes");
    assert_eq!(verify(log.path()).map(|found| (found.intact, found.lines)).ok(), Some((true, 8)));

    // One that is gone, and one that was tampered with.
    let third = path(older[1]);
    let text = std::fs::read_to_string(&third).expect("reads");
    std::fs::remove_file(&third).expect("removes");
    let found = verify(log.path()).expect("reads");
    assert_eq!((found.line, found.file.ends_with(older[2])), (Some(3), true), "{found:?}");
    assert!(found.problem.contains("older file"), "{found:?}");
    std::fs::write(&third, text.replacen("1000", "1001", 1)).expect("writes");
    let found = verify(log.path()).expect("reads");
    assert_eq!((found.line, found.file.ends_with(older[1])), (Some(3), true), "{found:?}");
}
