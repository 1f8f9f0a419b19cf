//! The compiled tables against a naive reading of the policy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use filter_common::addr::Addr;
use filter_common::classify::{class_v4, class_v6};
use filter_common::packet::{Packet, protocol, tcp_flags};
use filter_common::reason::Reason;
use filter_common::tables::{RULE_DENIED, RULE_NOT_ALLOWED, RULE_PASS, feature};
use filter_common::verdict::{Decision, judge};

use super::*;
use crate::image::view::{State, View};
use crate::policy::api::Allow;
use crate::policy::{Api, GroupIndex, parse};
use crate::text::{Random, render};

fn policy(text: &str) -> Policy {
    let loaded = parse(text, std::path::Path::new("/nonexistent"), "policy.toml");
    loaded.policy.unwrap_or_else(|| panic!("{}", render(&loaded.diagnostics)))
}

fn image(policy: &Policy) -> (Image, Ids) {
    let mut ids = Ids::new(256);
    let image = compile(policy, &mut ids).expect("compiles");
    (image, ids)
}

/// The class of an address, by the tables.
fn class_of(image: &Image, address: IpAddr) -> u32 {
    let state = State::new(1, 1);
    let view = View::new(image, &state);
    let class = match address {
        IpAddr::V4(v4) if image.features & feature::V4_CLASSES != 0 => {
            class_v4(&view, u32::from(v4))
        }
        IpAddr::V6(v6) if image.features & feature::V6_CLASSES != 0 => {
            let bits = u128::from(v6);
            class_v6(&view, (bits >> 64) as u64, bits as u64)
        }
        _ => 0,
    };
    assert!(!view.missed.get(), "{address} reads beyond a table");
    class
}

/// What the policy says about a source at an API, read group by group.
fn naive(policy: &Policy, api: &Api, address: IpAddr) -> u8 {
    let inside = |index: GroupIndex| {
        policy.group(index).is_some_and(|group| group.prefixes.covering(address).is_some())
    };
    if api.deny.iter().any(|entry| inside(entry.value)) {
        return RULE_DENIED;
    }
    match &api.allow {
        Allow::Any(_) => RULE_PASS,
        Allow::Groups(groups) if groups.iter().any(|entry| inside(entry.value)) => RULE_PASS,
        Allow::Groups(_) => RULE_NOT_ALLOWED,
    }
}

/// Random prefixes, crowded so that they nest and touch.
fn crowded(random: &mut Random) -> String {
    if random.below(3) == 0 {
        let length = *random.pick(&[3u32, 15, 16, 17, 24, 32, 47, 48, 56, 63, 64, 65, 127, 128]);
        // Most in global unicast space, which has a root of its own; its last /16; and outside of it.
        let top = *random.pick(&[0x2001_0db8u128, 0x2001_0db8, 0x3fff_ffb8, 0xfd00_0db8]);
        let mut bits = top << 96;
        for shift in [88, 80, 64, 56, 0] {
            bits |= (random.below(3) as u128 * 127) << shift;
        }
        return format!("{}/{length}", Ipv6Addr::from(bits & (u128::MAX << (128 - length))));
    }
    let length = *random.pick(&[1u32, 6, 8, 15, 20, 21, 22, 23, 24, 25, 26, 30, 31, 32]);
    let bits = random_v4(random) & (u64::from(u32::MAX) << (32 - length)) as u32;
    format!("{}/{length}", Ipv4Addr::from(bits))
}

fn random_v4(random: &mut Random) -> u32 {
    let octets = [
        *random.pick(&[0, 10, 10, 10, 255]),
        random.below(2) as u8 * 255,
        random.below(6) as u8,
        *random.pick(&[0, 1, 2, 63, 64, 127, 128, 254, 255]),
    ];
    u32::from_be_bytes(octets)
}

/// Random policies; for each, addresses at and beside every border of a prefix, and others.
#[test]
fn classes_and_rules_agree_with_a_naive_reading() {
    let mut random = Random::new(20);
    let mut seen = [0usize; 3];
    for round in 0..25 {
        let groups = 1 + random.below(6);
        let mut text = String::new();
        for group in 0..groups {
            let count = random.below(if round % 10 == 0 { 200 } else { 12 });
            let list: Vec<_> = (0..count).map(|_| format!("{:?}", crowded(&mut random))).collect();
            text += &format!("[groups.g{group}]\ncidrs = [{}]\n", list.join(", "));
        }
        for api in 0..3 {
            let some = |random: &mut Random| {
                let mut list: Vec<_> = (0..groups).filter(|_| random.below(2) == 0).collect();
                list.truncate(3);
                list.iter().map(|g| format!("\"g{g}\"")).collect::<Vec<_>>().join(", ")
            };
            let (allow, deny) = (some(&mut random), some(&mut random));
            let allow = if allow.is_empty() { "\"any\"".into() } else { format!("[{allow}]") };
            text += &format!("[[api]]\nname = \"a{api}\"\nlisten = [\"tcp/{}\"]\n", 8000 + api);
            text += &format!("allow = {allow}\ndeny = [{deny}]\n");
        }
        let trusted: Vec<_> =
            (0..random.below(3)).map(|_| format!("{:?}", crowded(&mut random))).collect();
        text += &format!("[trusted]\ncidrs = [{}]\n", trusted.join(", "));

        let policy = policy(&text);
        let (image, ids) = image(&policy);
        let mut addresses = Vec::new();
        for group in &policy.groups {
            for member in &group.prefixes.v4 {
                let last = member.address | u32::MAX.checked_shr(member.length.into()).unwrap_or(0);
                for bits in [member.address, last] {
                    addresses.extend(
                        [bits.wrapping_sub(1), bits, bits.wrapping_add(1)]
                            .map(|bits| IpAddr::from(Ipv4Addr::from(bits))),
                    );
                }
            }
            for member in &group.prefixes.v6 {
                let last =
                    member.address | u128::MAX.checked_shr(member.length.into()).unwrap_or(0);
                for bits in [member.address, last] {
                    addresses.extend(
                        [bits.wrapping_sub(1), bits, bits.wrapping_add(1)]
                            .map(|bits| IpAddr::from(Ipv6Addr::from(bits))),
                    );
                }
            }
        }
        addresses.extend((0..50).map(|_| IpAddr::from(Ipv4Addr::from(random.next() as u32))));
        addresses.extend((0..50).map(|_| IpAddr::from(Ipv4Addr::from(random_v4(&mut random)))));
        for address in addresses {
            let class = class_of(&image, address);
            let trusted = class != 0 && class < image.trusted_classes;
            assert_eq!(trusted, policy.trusted_by(address).is_some(), "{address}\n{text}");
            let bits = &image.class_groups[class as usize];
            for group in &policy.groups {
                let id = ids.find_group(&group.name).expect("an id");
                let inside = group.prefixes.covering(address).is_some();
                assert_eq!(bits.contains(id), inside, "{address} in {}\n{text}", group.name);
            }
            for (slot, api) in policy.apis.iter().enumerate() {
                let rule = &image.rules[image.rule_place(slot, class)];
                assert_eq!(rule.action, naive(&policy, api, address), "{address}\n{text}");
                seen[usize::from(rule.action)] += 1;
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 1000), "every action is met often: {seen:?}");
}

const RULES: &str = "
[groups.a]
cidrs = [\"10.0.0.0/8\"]
[groups.b]
cidrs = [\"10.1.0.0/16\"]
[groups.bad]
cidrs = [\"10.1.1.0/24\"]
[groups.cdn]
cidrs = [\"10.2.0.0/16\"]
[groups.cdn2]
cidrs = [\"10.3.0.0/16\"]
[[api]]
name = \"x\"
listen = [\"tcp/80\"]
allow = [\"b\", \"a\"]
deny = [\"bad\"]
proxies = [\"cdn\", \"cdn2\"]
limit = { packets = \"10/s\" }
limit_for.a = { packets = \"20/s\" }
limit_for.b = { bytes = \"1MB/s\", per = \"group\", burst = \"250ms\" }
[[api]]
name = \"y\"
listen = [\"udp/80\"]
allow = \"any\"
limit = { packets = \"10/s\" }
limit_for.cdn2 = { connections = \"10/s\", per = \"group\" }
limit_total = { packets = \"20/s\" }
proxies = [\"cdn\", \"cdn2\"]
source = { v4 = 24, v6 = 48 }
mode = \"monitor\"
kind = \"opaque\"
overflow = \"drop\"
";

#[test]
fn rules_say_who_passes_within_which_limit_and_which_line_says_so() {
    let policy = policy(RULES);
    let (image, ids) = image(&policy);
    let line = |words: &str| RULES.lines().position(|l| l.starts_with(words)).map(|n| n as u32 + 1);
    // Address, API, action, line of the entry and of the limit, and whether a group shares it.
    type Row = (&'static str, usize, u8, Option<&'static str>, Option<&'static str>, bool);
    let rows: &[Row] = &[
        ("192.0.2.1", 0, RULE_NOT_ALLOWED, None, None, false),
        ("10.9.0.1", 0, RULE_PASS, Some("allow = ["), Some("limit_for.a"), false),
        ("10.1.9.1", 0, RULE_PASS, Some("allow = ["), Some("limit_for.b"), true),
        ("10.1.1.1", 0, RULE_DENIED, Some("deny"), None, false),
        // A proxy is not limited per source, though its group's limit would be.
        ("10.2.0.1", 0, RULE_PASS, Some("allow = ["), None, false),
        ("192.0.2.1", 1, RULE_PASS, None, Some("limit = { packets = \"10/s\" }"), false),
        ("10.2.0.1", 1, RULE_PASS, None, None, false),
        ("10.3.0.1", 1, RULE_PASS, None, Some("limit_for.cdn2"), true),
    ];
    for (address, slot, action, entry, limit, shared) in rows {
        let class = class_of(&image, address.parse().expect("an address"));
        let rule = &image.rules[image.rule_place(*slot, class)];
        let (found_entry, found_limit) = explain_rule(&policy.apis[*slot], rule);
        assert_eq!(rule.action, *action, "{address} at {slot}");
        assert_eq!(found_entry.map(|e| e.at.line), entry.and_then(line), "{address} at {slot}");
        // The same words begin lines of both APIs.
        let found_limit = found_limit.map(|l| RULES.lines().nth(l.at.line as usize - 1));
        let found_limit = found_limit.flatten();
        assert_eq!(found_limit.is_some(), limit.is_some(), "{address} at {slot}");
        assert!(found_limit.unwrap_or("").starts_with(limit.unwrap_or("")), "{address} at {slot}");
        assert_eq!(rule.shared != 0, *shared, "{address} at {slot}");
        assert_eq!(rule.profile != 0, limit.is_some(), "{address} at {slot}");
    }
    let y = &image.apis[1];
    assert_eq!(ids.api_name(y.id), Some("y"));
    assert_eq!((y.v4_mask as u32, y.v6_mask_hi, y.v6_mask_lo), (0xffff_ff00, !0 << 16, 0));
    use filter_common::tables::{API_MONITOR, API_OPAQUE, API_OVERFLOW_DROP};
    assert_eq!(y.flags, API_MONITOR | API_OPAQUE | API_OVERFLOW_DROP);
    let a = class_of(&image, "10.9.0.1".parse().expect("an address"));
    let same = image.rules[image.rule_place(0, a)].profile;
    assert_eq!(y.total, u32::from(same), "both limit to 20/s: one profile");
    assert_eq!(image.shortest_burst, 250_000_000);
    assert_eq!(image.shared.len(), 2);
}

/// The decision on a SYN or a UDP packet.
fn judge_one(image: &Image, source: &str, destination: &str, tcp: bool, port: u16) -> Decision {
    let addr = |text: &str| match text.parse().expect("an address") {
        IpAddr::V4(v4) => Addr::v4(u32::from(v4)),
        IpAddr::V6(v6) => Addr::v6(v6.octets()),
    };
    let packet = Packet {
        source: addr(source),
        destination: addr(destination),
        is_v4: !source.contains(':'),
        protocol: if tcp { protocol::TCP } else { protocol::UDP },
        tcp_flags: if tcp { tcp_flags::SYN } else { 0 },
        destination_port: port,
        ..Packet::default()
    };
    let state = State::new(256, 64);
    let mut view = View::new(image, &state);
    view.interface = "eth1";
    let decision = judge(&view, &packet);
    assert!(!view.missed.get());
    decision
}

#[test]
fn destinations_lead_to_apis_and_trust_is_narrowed() {
    let policy = policy(
        "[trusted]\ncidrs = [\"192.0.2.10\", \"2001:db8::10\"]\nports = [\"tcp/22\", \"tcp/8443\"]\n\
         [unclaimed]\naction = \"drop\"\n[groups.none]\ncidrs = []\n\
         [[api]]\nname = \"all\"\nlisten = [\"tcp/8443\", \"udp/53\", \"tcp/65535\"]\nallow = \"any\"\n\
         [[api]]\nname = \"one\"\nlisten = [\"203.0.113.5:tcp/8443\", \"[2001:db8::5]:tcp/8443\"]\n\
         allow = [\"none\"]\n\
         [[api]]\nname = \"alone\"\nlisten = [\"203.0.113.6:tcp/1\"]\nallow = \"any\"\n",
    );
    let (image, ids) = image(&policy);
    use Reason::{Allowed, NotAllowed, Trusted, UnclaimedRefused};
    let rows = [
        ("198.51.100.1", "203.0.113.9", true, 8443, "all", Allowed),
        ("198.51.100.1", "203.0.113.5", true, 8443, "one", NotAllowed),
        ("2001:db8::1", "2001:db8::5", true, 8443, "one", NotAllowed),
        ("2001:db8::1", "2001:db8::6", true, 8443, "all", Allowed),
        ("198.51.100.1", "203.0.113.9", false, 53, "all", Allowed),
        ("198.51.100.1", "203.0.113.9", true, 65535, "all", Allowed),
        ("198.51.100.1", "203.0.113.9", true, 53, "", UnclaimedRefused),
        ("198.51.100.1", "203.0.113.9", false, 8443, "", UnclaimedRefused),
        ("198.51.100.1", "203.0.113.6", true, 1, "alone", Allowed),
        ("198.51.100.1", "203.0.113.5", true, 1, "", UnclaimedRefused),
        ("192.0.2.10", "203.0.113.5", true, 22, "", Trusted),
        ("192.0.2.10", "203.0.113.5", true, 8443, "one", Trusted),
        ("2001:db8::10", "2001:db8::5", true, 22, "", Trusted),
        ("192.0.2.10", "203.0.113.5", true, 23, "", UnclaimedRefused),
        ("192.0.2.11", "203.0.113.5", true, 22, "", UnclaimedRefused),
    ];
    for (source, destination, tcp, port, api, reason) in rows {
        let decision = judge_one(&image, source, destination, tcp, port);
        let name = ids.api_name(decision.api).unwrap_or("");
        assert_eq!((name, decision.reason), (api, reason), "{source} > {destination} {port}");
    }
}

#[test]
fn trust_can_be_narrowed_to_interfaces() {
    for (interface, reason) in [("eth1", Reason::Trusted), ("eth2", Reason::UnclaimedRefused)] {
        let policy = policy(&format!(
            "[unclaimed]\naction = \"drop\"\n\
             [trusted]\ncidrs = [\"192.0.2.10\"]\ninterfaces = [\"{interface}\"]\n"
        ));
        let (image, _) = image(&policy);
        let decision = judge_one(&image, "192.0.2.10", "203.0.113.5", true, 1);
        assert_eq!(decision.reason, reason, "trusted on {interface}, came in by eth1");
    }
}

#[test]
fn features_follow_from_what_the_policy_uses() {
    let api = |rest: &str| {
        format!("[[api]]\nname = \"x\"\nlisten = [\"tcp/80\"]\nallow = \"any\"\n{rest}\n")
    };
    let group = "[groups.a]\ncidrs = [\"10.0.0.0/8\"]\n";
    let limits = feature::LIMITS;
    let rows = [
        (String::new(), 0),
        (api(""), feature::APIS),
        (
            api("listen = []")
                .replacen("tcp/80", "192.0.2.1:tcp/80", 1)
                .replace("listen = []\n", ""),
            feature::APIS | feature::LISTENS,
        ),
        (api("deny = [\"a\"]") + group, feature::APIS | feature::V4_CLASSES),
        (
            api("deny = [\"a\"]") + "[groups.a]\ncidrs = [\"::/0\"]\n",
            feature::APIS | feature::V6_CLASSES,
        ),
        (api("limit = { packets = \"5/s\" }"), feature::APIS | limits),
        (api("limit = { bytes = \"5kB/s\" }"), feature::APIS | limits | feature::LIMIT_BYTES),
        (
            api("limit = { connections = \"5/s\" }"),
            feature::APIS | limits | feature::LIMIT_CONNECTIONS,
        ),
        (
            api("limit_total = { packets = \"5/s\" }"),
            feature::APIS | limits | feature::LIMIT_SHARED,
        ),
        ("[unclaimed]\naction = \"drop\"\n".to_owned(), feature::UNCLAIMED_DROP),
        ("[trusted]\ncidrs = [\"10.0.0.1\"]\n".to_owned(), feature::TRUSTED | feature::V4_CLASSES),
        (
            "[trusted]\ncidrs = [\"10.0.0.1\"]\nports = [\"tcp/22\"]\n".to_owned(),
            feature::TRUSTED | feature::V4_CLASSES | feature::TRUSTED_PORTS,
        ),
        (
            "[trusted]\ncidrs = [\"10.0.0.1\"]\ninterfaces = [\"lo\"]\n".to_owned(),
            feature::TRUSTED | feature::V4_CLASSES | feature::TRUSTED_INTERFACES,
        ),
    ];
    for (text, features) in rows {
        let (image, _) = image(&policy(&text));
        assert_eq!(image.features, features | feature::ENFORCE, "{text}");
    }
    let (nothing, _) = image(&Policy::observe());
    assert_eq!(nothing.features, 0);
    assert!(nothing.table_bytes() < 1024, "observing needs no tables: {}", nothing.table_bytes());
}

#[test]
fn ids_stay_when_a_policy_changes_and_run_out_with_a_hint() {
    let api = |name: &str, port: u16| {
        format!("[[api]]\nname = \"{name}\"\nlisten = [\"tcp/{port}\"]\nallow = \"any\"\n")
    };
    let mut ids = Ids::new(4);
    let first = compile(&policy(&(api("a", 1) + &api("b", 2))), &mut ids).expect("compiles");
    let second = compile(&policy(&(api("c", 3) + &api("b", 2))), &mut ids).expect("compiles");
    assert_eq!(first.apis.iter().map(|api| api.id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(second.apis.iter().map(|api| api.id).collect::<Vec<_>>(), [3, 2]);
    let problem = compile(&policy(&api("d", 4)), &mut ids).expect_err("no id is left");
    assert!(problem.hint.contains("max_apis"), "{problem:?}");
}
