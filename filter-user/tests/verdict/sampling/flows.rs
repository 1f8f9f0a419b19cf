//! Which flows are taken, and that the counters add up.

use std::sync::atomic::Ordering;

use filter_common::tables::feature;

use super::{Sensor, data};
use crate::frame::{Frame, syn};
use crate::rows::{CLIENT, STRANGER};

/// The connection number `n` of clients that may reach the API.
fn flow(n: u16) -> Frame {
    let source = if n.is_multiple_of(2) {
        format!("10.0.{}.{}", n >> 8, n & 255)
    } else {
        format!("2001:db8:1::{n:x}")
    };
    data(&source, 8080, b"hello").with(|f| f.source_port = 20_000 + n)
}

#[test]
fn a_flow_is_in_the_sample_both_ways_or_not_at_all() {
    const FLOWS: u16 = 400;
    let mut sensor = Sensor::open(|settings| settings.sample = 0.25);
    let mut taken = 0;
    for number in 0..FLOWS {
        let frame = flow(number);
        sensor.comes_in(&frame);
        let seen = sensor.records();
        sensor.goes_out(&frame.clone().back());
        let answered = sensor.records();
        sensor.comes_in(&frame.with(|f| f.body = syn(CLIENT, 1).body));
        let again = sensor.records();
        assert_eq!((seen.len(), seen.len()), (answered.len(), again.len()), "flow {number}");
        for (header, ..) in seen.iter().chain(&answered) {
            assert_eq!(header.weight.next_multiple_of(16), 4 << 16, "stands for four flows");
        }
        taken += seen.len();
    }
    // Four standard deviations of a fair draw.
    assert!((65..=135).contains(&taken), "{taken} of {FLOWS} flows at a share of 0.25");
    let [attempted, submitted, dropped, sampled_out] = sensor.outcomes();
    assert_eq!(attempted, 3 * u64::from(FLOWS));
    assert_eq!((submitted, dropped), (3 * taken as u64, 0));
    assert_eq!(sampled_out, attempted - submitted);
    assert_eq!(sensor.received.segments.load(Ordering::Relaxed), submitted);
    assert_eq!(sensor.received.lost.load(Ordering::Relaxed), 0);
}

#[test]
fn the_share_is_tuned_while_it_runs() {
    let mut sensor = Sensor::open(|_| {});
    for (share, expected) in [(1.0, 50), (0.0, 0), (1.0, 50)] {
        sensor.kernel.state.set_sample(share);
        for number in 0..50 {
            sensor.comes_in(&flow(number));
        }
        assert_eq!(sensor.records().len(), expected, "share {share}");
        sensor.outcomes();
    }
}

#[test]
fn a_share_of_zero_removes_the_sensor() {
    let mut sensor = Sensor::open(|settings| settings.sample = 0.0);
    assert_eq!(sensor.kernel.generation.config.features & feature::SENSOR, 0);
    // Were the code still there, this would bring it back.
    sensor.kernel.state.set_sample(1.0);
    for number in 0..20 {
        assert!(sensor.comes_in(&flow(number)));
        sensor.goes_out(&flow(number).back());
    }
    assert_eq!(sensor.records().len(), 0);
    assert_eq!(sensor.outcomes(), [0; 4]);
    assert!(!sensor.comes_in(&syn(STRANGER, 8080)));
    assert_eq!(sensor.records().len(), 1, "a notice is no sample");
}

#[test]
fn a_full_ring_loses_nothing_silently() {
    let mut sensor =
        Sensor::open(|settings| (settings.ring_bytes, settings.turn) = (16 * 1024, 1 << 20));
    let frame = data(CLIENT, 8080, &[7; 1_000]);
    sensor.comes_in(&frame);
    assert_eq!(sensor.records().len(), 1);
    for round in 1..=3 {
        let [_, submitted, dropped, _] = sensor.outcomes();
        for _ in 0..40 {
            assert!(sensor.comes_in(&frame), "a full ring drops no packet");
        }
        let [_, now_submitted, now_dropped, _] = sensor.outcomes();
        let (went, lost) = (now_submitted - submitted, now_dropped - dropped);
        assert!(went > 5 && lost > 5 && went + lost == 40, "{went} went, {lost} did not");
        let records = sensor.records();
        assert_eq!(records.len() as u64, went);
        assert!(records.windows(2).all(|pair| pair[0].0.sequence < pair[1].0.sequence));
        // The gap shows in the next record that comes.
        sensor.comes_in(&frame);
        let [(_, payload, gap)] = &sensor.records()[..] else { panic!("one record") };
        assert_eq!((*gap, payload.len()), (lost, 1_000), "round {round}");
        assert_eq!(sensor.received.lost.load(Ordering::Relaxed), now_dropped);
    }
}
