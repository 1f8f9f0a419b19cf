//! What waits is there after a crash; what has no room goes in its order, and is counted.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn open(directory: &Path, limit: u64) -> Spool {
    Spool::open(directory, limit, "t").0
}

fn all(spool: &mut Spool) -> Vec<String> {
    let batch = spool.peek(usize::MAX, usize::MAX);
    spool.keep();
    batch.payloads
}

fn journal(directory: &Path) -> Vec<u8> {
    fs::read(directory.join("events")).unwrap_or_default()
}

#[test]
fn goes_on_where_it_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a");
    let mut spool = open(&path, 1 << 20);
    assert_eq!(spool.peek(9, 9), Batch::default());
    for number in 0..5 {
        spool.push(Class::Kept, &format!("{{\"n\":{number}}}"));
    }
    spool.sync();
    let batch = spool.peek(2, usize::MAX);
    assert_eq!(batch.payloads, ["{\"n\":0}", "{\"n\":1}"]);
    // Killed before it was acknowledged: all of it again.
    drop(spool);
    let mut spool = open(&path, 1 << 20);
    assert_eq!(all(&mut spool).len(), 5);
    let batch = spool.peek(2, usize::MAX);
    spool.done(batch.last);
    drop(spool);
    let mut spool = open(&path, 1 << 20);
    assert_eq!(all(&mut spool), ["{\"n\":2}", "{\"n\":3}", "{\"n\":4}"]);
    assert_eq!(spool.peek(9, 10).payloads, ["{\"n\":2}"], "bytes bound a batch");
    assert_eq!(spool.peek(9, 1).payloads.len(), 1, "but one is always there");
    let last = spool.peek(9, 999).last;
    spool.done(last);
    assert_eq!(spool.pending(), (0, 0));
    assert!(journal(&path).is_empty(), "cut to nothing");
    spool.push(Class::Other, "x");
    drop(spool);
    // An id is not used again while its end is in the journal.
    let mut spool = open(&path, 1 << 20);
    assert_eq!((all(&mut spool), spool.take_lost()), (vec!["x".to_owned()], Lost::new()));
    let mode = fs::metadata(path.join("events")).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn a_crash_at_any_byte_loses_only_what_was_being_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut spool = open(directory.path(), 1 << 20);
    for number in 0..3 {
        spool.push(Class::Kept, &number.to_string());
    }
    let first = spool.peek(1, 99).last;
    spool.done(first);
    let whole = journal(directory.path());
    let ends: Vec<usize> =
        whole.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1).collect();
    assert_eq!(ends.len(), 4, "three events and an end");
    for cut in 0..=whole.len() {
        fs::write(directory.path().join("events"), &whole[..cut]).expect("writes");
        let (mut spool, aside) = Spool::open(directory.path(), 1 << 20, "t");
        let lines = ends.iter().filter(|end| **end <= cut).count();
        let expected: &[&str] = match lines {
            0 => &[],
            1 => &["0"],
            2 => &["0", "1"],
            3 => &["0", "1", "2"],
            _ => &["1", "2"],
        };
        assert_eq!(
            (all(&mut spool), aside),
            (expected.iter().map(|s| (*s).into()).collect(), None)
        );
        // And it can be gone on with.
        spool.push(Class::Kept, "new");
        drop(spool);
        let after = all(&mut open(directory.path(), 1 << 20));
        assert_eq!(after.last().map(String::as_str), Some("new"), "cut at {cut}");
        assert_eq!(after.len(), expected.len() + 1, "cut at {cut}");
    }
}

#[test]
fn a_damaged_file_is_set_aside_and_its_whole_lines_kept() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut spool = open(directory.path(), 1 << 20);
    for number in 0..4 {
        spool.push(Class::Kept, &format!("event {number}"));
    }
    drop(spool);
    let path = directory.path().join("events");
    let mut bytes = journal(directory.path());
    let at = bytes.windows(7).position(|part| part == b"event 1").expect("is there");
    bytes[at] = b'E';
    let long = vec![b'a'; 3 * LARGEST];
    let rows: [(&[u8], &[&str]); 4] = [
        (b"", &["event 0", "event 2", "event 3"]),
        (b"nonsense\n", &["event 0", "event 2", "event 3"]),
        (&long, &["event 0", "event 2", "event 3"]),
        (b"\xff\xfe\n", &["event 0", "event 2", "event 3"]),
    ];
    for (more, expected) in rows {
        fs::write(&path, [&bytes, more].concat()).expect("writes");
        let (mut spool, aside) = Spool::open(directory.path(), 1 << 20, "t");
        let aside = aside.expect("is damaged");
        assert!(aside.file_name().is_some_and(|n| n.to_string_lossy().starts_with("damaged-")));
        assert_eq!(fs::read(&aside).expect("is kept").len(), bytes.len() + more.len());
        assert_eq!(all(&mut spool), expected);
        drop(spool);
        let (mut spool, aside) = Spool::open(directory.path(), 1 << 20, "t");
        assert_eq!((all(&mut spool).len(), aside), (3, None), "the new file is whole");
    }
    let kept = fs::read_dir(directory.path()).expect("lists").count();
    assert!(kept <= 1 + 3, "damaged files are bounded: {kept}");
}

#[test]
fn without_room_the_oldest_that_may_be_lost_goes_first() {
    let directory = tempfile::tempdir().expect("a directory");
    let payload = |n: u32| format!("{n:0100}");
    let number = |text: &String| text.trim_start_matches('0').parse::<u32>().unwrap_or(0);
    let mut spool = open(directory.path(), 1_200);
    let numbers = |spool: &mut Spool| all(spool).iter().map(number).collect::<Vec<_>>();
    for n in 0..8 {
        spool.push(if n % 2 == 0 { Class::Kept } else { Class::Other }, &payload(n));
    }
    assert_eq!(numbers(&mut spool), [0, 1, 2, 3, 4, 5, 6, 7]);
    let lost = |spool: &mut Spool| spool.take_lost().remove("spool_full").unwrap_or_default();
    for n in 8..11 {
        spool.push(Class::Kept, &payload(n));
    }
    let now = numbers(&mut spool);
    let [kept, others] = lost(&mut spool);
    let earlier = kept + others;
    assert!(kept == 0 && others > 0 && !now.contains(&1) && now.contains(&0), "{now:?}");
    for n in 11..40 {
        spool.push(Class::Kept, &payload(n));
    }
    let now = numbers(&mut spool);
    assert!(now.iter().all(|n| n % 2 == 0 || *n > 7) && now.ends_with(&[39]), "{now:?}");
    assert!(now.is_sorted() && now[0] > 10, "then the oldest of all: {now:?}");
    let gone = earlier + lost(&mut spool).iter().sum::<u64>();
    assert_eq!(gone + now.len() as u64, 40, "all counted");
    spool.push(Class::Other, &payload(99));
    assert_eq!(lost(&mut spool), [0, 1], "nothing goes for one that may be lost");
    assert!(journal(directory.path()).len() < 1_200 * 5 / 4 + LARGEST, "the file is bounded");
    drop(spool);
    assert_eq!(numbers(&mut open(directory.path(), 1_200)), now, "and so after a restart");
    let mut spool = open(directory.path(), 300);
    assert!(numbers(&mut spool).len() <= 2, "a smaller limit holds at once");
    spool.push(Class::Kept, &"x".repeat(LARGEST + 1));
    spool.push(Class::Kept, "a\nb");
    assert_eq!(spool.take_lost().remove("too_large"), Some([2, 0]));
}

#[test]
fn what_is_on_its_way_is_not_thrown_out_and_others_formats_are() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut spool = open(directory.path(), 400);
    spool.push(Class::Other, &"a".repeat(100));
    spool.push(Class::Other, &"b".repeat(100));
    let batch = spool.peek(1, 999);
    for _ in 0..9 {
        spool.push(Class::Kept, &"c".repeat(100));
    }
    assert_eq!(spool.entries.front().map(|entry| entry.id), Some(batch.last));
    spool.done(batch.last);
    assert!(all(&mut spool).iter().all(|payload| payload.starts_with('c')));
    let waiting = spool.pending().0;
    drop(spool);
    let (mut spool, _) = Spool::open(directory.path(), 400, "another");
    assert_eq!(spool.pending().0, 0);
    let lost = spool.take_lost();
    assert!(lost["other_format"][1] >= waiting, "{lost:?}");
}

#[test]
fn a_long_life_does_not_fill_the_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut spool = open(directory.path(), 4_000);
    spool.push(Class::Kept, "first");
    for n in 0..20_000 {
        spool.push(Class::Other, &format!("{n:0200}"));
        if n % 3 == 0 {
            let last = spool.peek(2, 9_999).last;
            spool.done(last);
        }
    }
    let most = 4_000 + 1_000 + LARGEST;
    assert!(journal(directory.path()).len() <= most, "{}", journal(directory.path()).len());
    let (waiting, _) = spool.pending();
    drop(spool);
    assert_eq!(open(directory.path(), 4_000).pending().0, waiting);
}

#[test]
fn without_a_disk_events_wait_in_memory() {
    let directory = tempfile::tempdir().expect("a directory");
    // A file where the directory should be: nothing can be written.
    let path = directory.path().join("spool");
    fs::write(&path, "in the way").expect("writes");
    let mut spool = open(&path, 16 << 20);
    spool.push(Class::Kept, "one");
    spool.push(Class::Other, "two");
    assert_eq!(all(&mut spool), ["one", "two"]);
    assert!(spool.problem().is_some_and(|problem| problem.contains("memory")));
    let large = "x".repeat(100_000);
    for _ in 0..20 {
        spool.push(Class::Kept, &large);
    }
    let lost = spool.take_lost();
    assert!(spool.in_memory <= MEMORY && lost["disk_full"][1] == 1, "{lost:?}");
    assert_eq!(lost["disk_full"].iter().sum::<u64>() + spool.pending().0, 22, "all counted");
    // The disk is there again.
    fs::remove_file(&path).expect("removes");
    std::thread::sleep(std::time::Duration::from_millis(600));
    spool.tend();
    let waiting = spool.pending().0;
    assert_eq!((spool.in_memory, spool.problem()), (0, None));
    drop(spool);
    assert_eq!(open(&path, 16 << 20).pending().0, waiting, "and has all of them");
}

#[test]
fn a_limit_that_became_much_smaller_is_no_work_for_hours() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut spool = open(directory.path(), 64 << 20);
    for n in 0..20_000 {
        let class = if n % 10 == 0 { Class::Other } else { Class::Kept };
        spool.push(class, &format!("{n:0300}"));
    }
    drop(spool);
    let started = std::time::Instant::now();
    let mut spool = open(directory.path(), 100_000);
    assert!(started.elapsed() < std::time::Duration::from_secs(10), "{:?}", started.elapsed());
    let lost: u64 = spool.take_lost()["spool_full"].iter().sum();
    let waiting = spool.pending().0;
    assert!(waiting > 200 && waiting + lost == 20_000, "{waiting} {lost}");
    assert!(journal(directory.path()).len() <= 100_000, "written anew");
    drop(spool);
    let mut spool = open(directory.path(), 100_000);
    assert_eq!((spool.pending().0, spool.take_lost()), (waiting, Lost::new()));
}

/// Random lives of a spool against a plain list of what should wait: batches that arrive or do not,
/// crashes at any moment, with the last line torn or not.
#[test]
fn whatever_happens_what_was_pushed_waits_is_done_or_is_counted() {
    for seed in 1..=40 {
        let directory = tempfile::tempdir().expect("a directory");
        let mut random = crate::text::Random::new(seed);
        let limit = [400, 3_000, 1 << 20][random.below(3)];
        let mut spool = open(directory.path(), limit);
        // What should wait, oldest first, and whether it may be lost before others.
        let mut model: Vec<(String, Class)> = Vec::new();
        let (mut pushed, mut done, mut lost) = (0_u64, 0, [0, 0]);
        for step in 0..400 {
            match random.below(10) {
                0..=4 => {
                    let class = *random.pick(&[Class::Kept, Class::Other]);
                    let payload = format!("{pushed}:{}", "x".repeat(random.below(90)));
                    spool.push(class, &payload);
                    model.push((payload, class));
                    pushed += 1;
                }
                5..=7 => {
                    let batch = spool.peek(1 + random.below(6), 1 + random.below(300));
                    if random.below(3) == 0 {
                        spool.keep();
                    } else if !batch.payloads.is_empty() {
                        spool.done(batch.last);
                        done += batch.payloads.len() as u64;
                        model.retain(|(payload, _)| !batch.payloads.contains(payload));
                    }
                }
                8 => spool.sync(),
                _ => {
                    drop(spool);
                    if random.below(2) == 0 {
                        // Torn while something more was being written.
                        let path = directory.path().join("events");
                        let mut bytes = fs::read(&path).unwrap_or_default();
                        bytes.extend_from_slice(&b"0badc0de + 99999 k t half"[..random.below(25)]);
                        fs::write(&path, bytes).expect("writes");
                    }
                    let (again, aside) = Spool::open(directory.path(), limit, "t");
                    assert_eq!(aside, None, "seed {seed}, step {step}");
                    spool = again;
                }
            }
            for (reason, counts) in spool.take_lost() {
                assert_eq!(reason, "spool_full", "seed {seed}, step {step}");
                lost = [lost[0] + counts[0], lost[1] + counts[1]];
            }
            // What waits is what should, in its order, but for what was counted as lost.
            let waiting = all(&mut spool);
            let mut rest = model.iter();
            for payload in &waiting {
                let found = rest.any(|(expected, _)| expected == payload);
                assert!(found, "seed {seed}, step {step}: {payload} in {waiting:?}");
            }
            assert_eq!(
                waiting.len() as u64 + done + lost[0] + lost[1],
                pushed,
                "seed {seed}, step {step}"
            );
            model.retain(|(payload, _)| waiting.contains(payload));
            assert_eq!(spool.pending().0, waiting.len() as u64);
            assert!(spool.pending().1 <= limit, "seed {seed}, step {step}");
        }
        assert!(pushed > 100 && done > 20, "seed {seed}: {pushed} {done}");
    }
}
