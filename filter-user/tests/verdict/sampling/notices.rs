//! Notices of refusals: few, but never none.

use filter_common::reason::Reason;
use filter_common::record::{NOTICE, WOULD};
use filter_common::stat::Stat;
use filter_common::tables::NOTICE_WINDOW_SHIFT;
use filter_user::kernel::clock::monotonic_ns;
use filter_user::sensor::transaction::addr;

use super::{Sensor, data};
use crate::frame::{ACK, syn, tcp, udp};
use crate::rows::{STRANGER, STRANGER6};
use crate::script::{Change, Until, World as _};

/// Runs until no window of notices has ended meanwhile: they are counted by window.
fn within_a_window(mut run: impl FnMut(u16) -> bool) {
    let window = || (monotonic_ns() * 16) >> NOTICE_WINDOW_SHIFT;
    for attempt in 0..20 {
        let before = window();
        let sound = run(attempt);
        // The kernel's clock is behind by up to a tick: a window may end a little later for it.
        std::thread::sleep(std::time::Duration::from_millis(12));
        if window() == before {
            assert!(sound, "attempt {attempt}");
            return;
        }
    }
    panic!("no window was long enough");
}

#[test]
fn one_notice_for_each_source_and_reason_in_a_window() {
    let mut sensor = Sensor::open(|_| {});
    let banned = ["192.0.2.200", "2001:db8:bad:2::"];
    for network in ["192.0.2.200", "2001:db8:bad:2::/64"] {
        let until = Until::Never;
        sensor.kernel.change(&Change::Ban { network, api: "", until, automatic: false });
    }
    let (web, watched) = (sensor.api("web"), sensor.api("watched"));
    within_a_window(|_| {
        sensor.records();
        let before = [Stat::NoticeSubmitted, Stat::NoticeSuppressed].map(|stat| sensor.stat(stat));
        let mut found = Vec::new();
        for _ in 0..5 {
            for frame in [
                data(STRANGER, 8080, b"x"),
                udp(STRANGER, 8080),
                // The same source and reason at another API, where it is only watched.
                tcp(STRANGER, 9090, ACK),
                syn(banned[0], 8080),
                syn(STRANGER6, 8080),
                // The same /64.
                syn("2001:db8:bad::78", 8080),
                syn(banned[1], 8080),
                syn("2001:db8:bad:2::9", 8080),
            ] {
                sensor.comes_in(&frame);
                let notices = sensor.records().into_iter().filter(|one| one.0.kind == NOTICE);
                found.extend(notices.map(|(header, payload, _)| {
                    assert_eq!((payload.len(), header.captured), (0, 0));
                    assert_eq!(header.source, addr(frame.source));
                    (header.api, header.reason, header.flags & WOULD != 0)
                }));
            }
        }
        let after = [Stat::NoticeSubmitted, Stat::NoticeSuppressed].map(|stat| sensor.stat(stat));
        let changes = [after[0] - before[0], after[1] - before[1]];
        let (refused, ban) = (Reason::NotAllowed as u8, Reason::Banned as u8);
        let expected = [
            (web, refused, false),
            (watched, refused, true),
            (web, ban, false),
            (web, refused, false),
            (web, ban, false),
        ];
        found == expected && changes == [5, 35]
    });
}

#[test]
fn notices_have_a_budget() {
    let mut sensor = Sensor::open(|settings| settings.ring_bytes = 1 << 22);
    let start = monotonic_ns();
    for number in 0..6_000u32 {
        let source = format!("172.16.{}.{}", number >> 8, number & 255);
        assert!(!sensor.comes_in(&syn(&source, 8080)));
    }
    let elapsed = monotonic_ns() - start;
    let [submitted, suppressed, dropped] =
        [Stat::NoticeSubmitted, Stat::NoticeSuppressed, Stat::NoticeDropped]
            .map(|stat| sensor.stat(stat));
    assert_eq!((submitted + suppressed, dropped), (6_000, 0));
    // 2000 a second with a burst of a second, a tick more or less.
    let most = 2_000 + 2 * (elapsed / 1_000_000) + 30;
    assert!((2_000..=most).contains(&submitted), "{submitted} of 6000, at most {most}");
    assert_eq!(sensor.records().len() as u64, submitted);
}

#[test]
fn a_full_ring_counts_lost_notices() {
    let mut sensor = Sensor::open(|settings| settings.ring_bytes = 4096);
    for number in 0..100u32 {
        assert!(!sensor.comes_in(&syn(&format!("172.16.1.{number}"), 8080)));
    }
    let submitted = sensor.stat(Stat::NoticeSubmitted);
    let dropped = sensor.stat(Stat::NoticeDropped);
    assert!(submitted > 5 && dropped > 5 && submitted + dropped == 100, "{submitted} {dropped}");
    assert_eq!(sensor.records().len() as u64, submitted);
    sensor.comes_in(&syn("172.16.2.1", 8080));
    assert!(matches!(&sensor.records()[..], [(_, _, lost)] if *lost == dropped));
}
