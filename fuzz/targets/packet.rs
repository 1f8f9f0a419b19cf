//! A frame as the packet path gets it: parsed and judged under a policy that uses everything.
#![no_main]

use std::cell::RefCell;
use std::path::Path;

use filter_common::bytes::Slice;
use filter_common::packet::{self, Packet};
use filter_common::verdict::{judge, judge_unparsed};
use filter_user::image::view::{State, View};
use filter_user::image::{Ids, Image};
use filter_user::policy;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static WORLD: RefCell<(Image, State)> = RefCell::new(world());
}

fn world() -> (Image, State) {
    let text = include_str!("../../filter-user/tests/data/everything.toml");
    let loaded = policy::parse(text, Path::new(""), "everything.toml");
    let policy = loaded.policy.expect("a good policy");
    let image = policy::compile(&policy, &mut Ids::new(8)).expect("compiles");
    (image, State::new(8, 64))
}

fuzz_target!(|frame: &[u8]| {
    let bytes = Slice::whole(frame);
    let mut packet = Packet::default();
    let parsed = packet::parse(&bytes, &mut packet);
    let mut by_the_long_way = Packet::default();
    assert_eq!(packet::parse_any(&bytes, &mut by_the_long_way), parsed);
    assert!(parsed.is_err() || by_the_long_way == packet);
    if parsed.is_ok() {
        let end = packet.payload_offset as usize + packet.payload_len as usize;
        assert!(end <= frame.len(), "payload beyond the frame: {packet:?}");
    }
    assert_eq!(packet.wire_len as usize, frame.len());
    WORLD.with_borrow(|(image, state)| {
        let view = View { now: 1 << 50, interface: "eth0", ..View::new(image, state) };
        let decision = match parsed {
            Ok(()) => judge(&view, &packet),
            Err(reason) => judge_unparsed(&view, &packet, reason),
        };
        assert!(!view.missed.get(), "a table was read beyond its end: {decision:?}");
    });
});
