//! The kernel, memory and a naive reading against each other on packets that nobody thought of: built
//! at random from parts that matter to the policies, then bent, cut and flipped. Kernel and memory share
//! their code, but not their compiler, their tables or their way of reading a packet; the naive model
//! shares nothing with either.
//!
//! `WEIR_PACKETS` says how many packets, `WEIR_SEED` which ones.

use std::collections::{HashMap, HashSet};

use filter_common::reason::{Reason, Verdict};
use filter_common::tables::Count;
use filter_user::kernel::clock::boot_ns;
use filter_user::kernel::host::interface_index;
use filter_user::kernel::orders::Order;

use crate::frame::{
    ACK, Body, Extension, Frame, RST, SYN, authentication, fragment, icmp, options, other, routing,
    tcp, udp,
};
use crate::kernel::{Kernel, PASS, own_namespace};
use crate::loading::EVERYTHING;
use crate::memory::{Memory, policy};
use crate::naive::{Judged, Naive};
use crate::script::{
    Change, LOOPBACK, OTHER_INTERFACE, Script, Step, Until, World, ban, ban_with, lockdown, order,
    script,
};

/// Enough to meet every reason many times, in a few seconds.
const PACKETS: u64 = 20_000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most as u64) as usize
    }

    /// One time in so many.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

fn setting(name: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}"))
}

/// Every limit there is, of so few packets a day that time does not matter, and other treatments of
/// odd packets than [`EVERYTHING`] has.
const LIMITED: &str = r#"
[packets]
vlan_tags = "monitor"
extension_depth = "monitor"
bad_ip = "pass"
evil_fragments = "monitor"
first_fragments = "drop"
ipv4_options = "monitor"
source_routes = "monitor"
tcp_flags = "monitor"
multicast_sources = "monitor"
[groups.partners]
cidrs = ["198.51.100.0/24", "2001:db8:1::/48"]
[groups.few]
cidrs = ["198.51.100.64/26", "10.0.0.0/8"]
[groups.cdn]
cidrs = ["203.0.113.0/24", "2001:db8:cd::/48"]
[[api]]
name = "web"
listen = ["tcp/8080", "udp/8080"]
allow = "any"
limit = { packets = "8/day", connections = "2/day", burst = "23h" }
limit_for.few = { packets = "7/day", burst = "23h", per = "source" }
limit_for.partners = { packets = "9/day", connections = "3/day", burst = "23h", per = "group" }
limit_total = { packets = "200/day", connections = "100/day", burst = "23h" }
source = { v4 = 24, v6 = 48 }
[[api]]
name = "elsewhere"
listen = ["203.0.113.5:tcp/8443"]
allow = ["partners", "cdn", "few"]
proxies = ["cdn"]
limit = { connections = "2/day", burst = "23h" }
limit_total = { packets = "3/day", burst = "23h" }
[[api]]
name = "watched"
listen = ["tcp/9090", "udp/9090"]
mode = "monitor"
allow = ["partners"]
limit = { packets = "3/day", burst = "23h" }
[[api]]
name = "secret"
listen = ["tcp/22"]
allow = "any"
[[api]]
name = "narrow"
listen = ["tcp/7070"]
allow = "any"
limit_total = { connections = "2/day", burst = "23h" }
[groups.listed]
cidrs = ["172.16.0.0/12"]
"#;

const V4: [&str; 19] = [
    "192.0.2.76",
    "192.0.2.80",
    "198.51.100.7",
    "198.51.100.64",
    "198.51.100.127",
    "198.51.100.9",
    "203.0.113.9",
    "10.1.2.3",
    "10.1.2.4",
    "10.127.255.255",
    "10.128.0.0",
    "172.16.0.1",
    "172.31.255.255",
    "100.64.1.1",
    "100.64.2.1",
    "8.8.8.8",
    "127.0.0.1",
    "224.0.0.5",
    "203.0.113.5",
];
const V6: [&str; 16] = [
    "2001:db8:bad::",
    "2001:db8:bad:1::",
    "2001:db8:1::7",
    "2001:db8:1:bad::7",
    "2001:db8:1:bae::",
    "2001:db8:cd::1",
    "2001:db8:7::7",
    "2001:db8:7::8",
    "2001:db8:8::1",
    "2001:db8:9::1",
    "2001:db8:8:1::",
    "fe80::1",
    "::ffff:198.51.100.7",
    "::1",
    "ff02::5",
    "2001:db8:5::5",
];
const TO_V4: [&str; 3] = ["203.0.113.5", "203.0.113.6", "224.0.0.1"];
const TO_V6: [&str; 3] = ["2001:db8:5::5", "2001:db8:5::6", "ff02::1"];
const PORTS: [u16; 12] = [0, 22, 53, 67, 68, 546, 7070, 7071, 8080, 8443, 9090, 33_000];

/// A frame that is right, or lies in a field or two.
fn frame(random: &mut Random) -> Frame {
    let is_v4 = random.once_in(2);
    let source = if is_v4 { random.pick(&V4) } else { random.pick(&V6) };
    let port = random.pick(&PORTS);
    let mut frame = match random.below(8) {
        0..3 => tcp(source, port, flags(random)),
        3..6 => udp(source, port),
        6 => {
            icmp(source, random.pick(&[0, 2, 3, 8, 128, 133, 135, 137, 138]), random.pick(&[0, 4]))
        }
        _ => other(source, random.pick(&[0, 1, 6, 17, 43, 44, 50, 51, 58, 59, 60, 132, 255])),
    };
    frame = frame.to(if is_v4 { random.pick(&TO_V4) } else { random.pick(&TO_V6) });
    frame.source_port = random.pick(&[53, 67, 547, 40_000]);
    frame.hop_limit = random.pick(&[0, 64, 255]);
    frame.payload = vec![random.next() as u8; random.pick(&[0, 1, 4, 24, 300])];
    frame.padding = random.pick(&[0, 0, 0, 6, 40]);
    if random.once_in(4) {
        let count = 1 + random.below(3);
        frame.tags = (0..count).map(|_| random.pick(&[0x8100, 0x88a8, 0x9100])).collect();
        frame.tag = random.next() as u16;
    }
    if random.once_in(4) {
        frame.options = (0..random.pick(&[4, 8, 40])).map(|_| option(random)).collect();
    }
    if random.once_in(4) {
        frame.fragment = random.pick(&[0x4000, 0x2000, 0x2001, 1, 2, 0x1fff, 0x3fff]);
        frame.headless = random.once_in(2);
    }
    if random.once_in(3) {
        let most = random.pick(&[2, 3, 3, 3, 10]);
        let count = 1 + random.below(most);
        frame.extensions = (0..count).map(|_| extension(random)).collect();
    }
    if random.once_in(8) {
        frame.length = Some(random.pick(&[0, 8, 20, 28, 40, 44, 60, 1500, 0xffff]));
    }
    if random.once_in(20) {
        frame.words = Some(random.below(16) as u8);
    }
    if random.once_in(40) {
        frame.version = Some(random.below(16) as u8);
    }
    if random.once_in(40) {
        frame.ethertype = Some(random.pick(&[0x0800, 0x86dd, 0x0806, 0x0600, 0x8100]));
    }
    let lie = random.next() as u8;
    match &mut frame.body {
        Body::Tcp { data_offset, .. } if lie < 16 => *data_offset = Some(lie),
        Body::Udp { length } if lie < 32 => *length = Some(u16::from(lie)),
        _ => {}
    }
    frame
}

fn flags(random: &mut Random) -> u8 {
    let any = random.next() as u8;
    random.pick(&[SYN, SYN, SYN, ACK, ACK, SYN | ACK, RST, RST | ACK, 0, 0xff, any])
}

/// A byte of IPv4 options: mostly nothing, or something that begins or measures one.
fn option(random: &mut Random) -> u8 {
    let any = random.next() as u8;
    random.pick(&[1, 1, 1, 1, 1, 0, 2, 3, 4, 68, 131, 137, 148, any])
}

fn extension(random: &mut Random) -> Extension {
    match random.below(6) {
        0 => authentication(random.below(6) as u8),
        2 => routing(random.pick(&[0, 0, 2, 4]), random.pick(&[0, 1, 255])),
        1 => fragment(random.pick(&[0, 0, 1, 9]), random.once_in(2)),
        _ => options(random.pick(&[0, 43, 60]), random.pick(&[0, 0, 1, 5, 30])),
    }
}

/// The bytes of a packet, bent now and then.
fn packet(random: &mut Random) -> Vec<u8> {
    let mut bytes = frame(random).bytes();
    if random.once_in(6) {
        for _ in 0..1 + random.below(4) {
            // Headers rather than payload.
            let place = random.below(bytes.len().min(100));
            bytes[place] = if random.once_in(2) {
                random.next() as u8
            } else {
                bytes[place] ^ (1 << random.below(8))
            };
        }
    }
    if random.once_in(8) {
        bytes.truncate(random.below(bytes.len()));
    }
    if random.once_in(50) {
        bytes = (0..random.below(200)).map(|_| random.next() as u8).collect();
    }
    // The kernel runs no program on less.
    if bytes.len() < 14 {
        bytes.resize(14, 0);
    }
    bytes
}

// Frames stay below what the kernel has in one piece: of a longer one whose IP length is a lie it
// counts the first piece.

/// What is banned and ordered meanwhile.
fn changes() -> Vec<Step> {
    vec![
        ban("8.8.8.8"),
        ban("2001:db8:7::7"),
        ban("2001:db8:8::/64"),
        ban("100.64.1.0/24"),
        ban("2001:db8:9::/48"),
        ban_with("198.51.100.9", "watched", Until::InAnHour, true),
        ban_with("10.1.0.0/16", "web", Until::AMinuteAgo, false),
        ban_with("10.127.255.255", "", Until::InAnHour, true),
        lockdown("watched", "listed", true, Until::InAnHour),
        order("elsewhere", Order::Monitor(true), Until::InAnHour),
        order("secret", Order::Shutdown, Until::InAnHour),
    ]
}

/// A question of this host that some of the packets answer.
fn question() -> Frame {
    udp("198.51.100.7", 33_000).with(|f| f.source_port = 53).back()
}

#[test]
fn the_kernel_memory_and_a_naive_reading_agree() {
    let (packets, seed) = (setting("WEIR_PACKETS", PACKETS), setting("WEIR_SEED", 1));
    let mut met = HashSet::new();
    for (about, policy) in [("everything", EVERYTHING), ("limited", LIMITED)] {
        met.extend(agree(&script(about, policy, Vec::new()), packets / 2, seed));
    }
    if packets >= PACKETS {
        for &reason in Reason::ALL {
            // Of limits in bytes the naive model knows nothing, and there is room for all sources.
            let is_left_out =
                matches!(reason, Reason::LimitBytes | Reason::TotalBytes | Reason::LimitOverflow);
            assert!(is_left_out || met.contains(&reason), "no packet was {reason:?}");
        }
    }
}

/// Judges packets three ways under one policy; returns the reasons met.
fn agree(script: &Script, packets: u64, seed: u64) -> HashSet<Reason> {
    own_namespace();
    let about = script.about;
    let mut kernel = Kernel::open(script);
    let mut memory = Memory::open(script);
    let mut naive = Naive::open(policy(script));
    memory.seed = kernel.state.seed().expect("the seed");
    memory.boot_ns = boot_ns();
    for step in changes() {
        let Step::Change(change) = step else { continue };
        kernel.change(&change);
        memory.change(&change);
        naive.change(&change);
    }
    for change in [Change::Sent(question), Change::Own(&["203.0.113.5", "2001:db8:5::5"])] {
        for world in [&mut kernel as &mut dyn World, &mut memory] {
            world.change(&change);
        }
        naive.change(&change);
    }
    let other = interface_index(OTHER_INTERFACE).expect("the interface");

    let mut random = Random(seed);
    let mut expected: HashMap<(u32, Reason, bool), Count> = HashMap::new();
    for number in 0..packets {
        let bytes = packet(&mut random);
        let interface = random.pick(&[LOOPBACK, OTHER_INTERFACE]);
        let (decision, counted) = memory.decide(&bytes, interface);
        // What is said of a packet takes dozens of calls: not of every one.
        if number % 8 == 0 {
            assert_eq!(kernel.foretell(&bytes, interface), decision, "packet {number}");
        }
        let trial = if interface == LOOPBACK {
            kernel.generation.try_ingress(&bytes, 1)
        } else {
            kernel.generation.try_ingress_on(&bytes, other)
        };
        let action = trial.expect("runs").action;
        let cell = expected.entry((decision.api, decision.reason, decision.would)).or_default();
        cell.packets += 1;
        cell.bytes += counted;
        let found = kernel
            .state
            .counters
            .one(decision.api, decision.reason, decision.would)
            .expect("counters");
        let agrees = (action == PASS) == (decision.verdict() == Verdict::Pass) && found == *cell;
        let shown = || bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert!(
            agrees && counted == bytes.len() as u64,
            "packet {number} of WEIR_SEED={seed}, {about}, on {interface}: memory says {decision:?} \
             for {counted} bytes, the kernel's action is {action} and its counter {found:?} instead \
             of {cell:?}\n{}",
            shown()
        );
        let api = memory.ids.api_name(decision.api).unwrap_or_default().to_owned();
        let by_code = Judged { reason: decision.reason, would: decision.would, api };
        let by_text = naive.judge(&bytes, interface);
        assert_eq!(
            by_code,
            by_text,
            "packet {number} of WEIR_SEED={seed}, {about}, on {interface}: code and documentation \
             differ\n{}",
            shown()
        );
    }
    // Nothing else was counted either.
    let found: HashMap<_, _> = kernel
        .counts()
        .into_iter()
        .map(|row| {
            let count = Count { packets: row.packets, bytes: row.bytes };
            ((row.api, row.reason, row.would), count)
        })
        .collect();
    assert_eq!(found, expected);
    assert!(kernel.is_sound() && memory.is_sound());
    expected.into_keys().map(|(_, reason, _)| reason).collect()
}
