use super::*;

const SECOND: u64 = crate::detect::SECOND;
/// The API that escalates, /24 and /48 from three sources.
const ORDERS: u32 = 1;
/// One that does not.
const OTHER: u32 = 2;

fn watch(lengths: SourceLengths) -> Watch {
    Watch { api: ORDERS, lengths, escalate: Escalate { v4: 24, v6: 48, sources: 3 } }
}

fn network(text: &str) -> Source {
    let (address, length) = text.split_once('/').unwrap_or((text, "128"));
    let address: std::net::IpAddr = address.parse().expect("an address");
    let length = length.parse().expect("a length");
    Source { address, length: if address.is_ipv4() { std::cmp::min(length, 32) } else { length } }
}

/// Bans that began at 1 s and end at 600 s.
fn bans(prefixes: &[&str], api: Option<u32>) -> Vec<Banned> {
    let ban = |text: &&str| Banned {
        network: network(text),
        api,
        since: SECOND,
        until: Some(600 * SECOND),
    };
    prefixes.iter().map(ban).collect()
}

#[derive(Default)]
struct Policy {
    trusted: bool,
    proxy: bool,
}

impl Guard for Policy {
    fn is_trusted(&self, _: &Source) -> bool {
        false
    }
    fn is_trusted_in_part(&self, _: &Source) -> bool {
        self.trusted
    }
    fn is_proxy(&self, api: u32, _: &Source) -> bool {
        self.proxy && api == ORDERS
    }

    fn is_behind_proxy(&self, _: &Source) -> bool {
        false
    }
}

#[derive(Default)]
struct Kernel {
    done: Vec<String>,
    full: bool,
}

impl Executor for Kernel {
    fn execute(&mut self, action: &Action) -> Result<(), String> {
        let Action::Escalate { network, api, sources, ttl } = action else {
            return Err(format!("{action:?} is no escalation"));
        };
        if self.full {
            return Err("no room".to_owned());
        }
        self.done.push(format!("{network} at {api}: {sources}, {} s", ttl.as_secs()));
        Ok(())
    }
}

/// A name, how sources are told apart, who is banned, at which API, and what follows.
type Row<'a> = (&'a str, SourceLengths, &'a [&'a str], Option<u32>, &'a [&'a str]);

#[test]
fn which_networks_are_due() {
    let usual = SourceLengths::default();
    let coarse = SourceLengths { v4: 28, v6: 56 };
    let three = ["198.51.100.1", "198.51.100.2", "198.51.100.250"];
    let rows: &[Row<'_>] = &[
        ("too few", usual, &three[..2], None, &[]),
        ("enough", usual, &three, None, &["198.51.100.0/24 at 1: 3, 590 s"]),
        ("at the API", usual, &three, Some(ORDERS), &["198.51.100.0/24 at 1: 3, 590 s"]),
        ("at another API", usual, &three, Some(OTHER), &[]),
        ("of two networks", usual, &["198.51.100.1", "198.51.100.2", "198.51.101.1"], None, &[]),
        (
            "one IPv6 source is a /64",
            usual,
            &["2001:db8:1:1::1", "2001:db8:1:1::2", "2001:db8:1:2::/64"],
            None,
            &[],
        ),
        (
            "IPv6",
            usual,
            &["2001:db8:1:1::1", "2001:db8:1:2::/64", "2001:db8:1:ffff::/64"],
            None,
            &["2001:db8:1::/48 at 1: 3, 590 s"],
        ),
        (
            "what is wider than a source is not counted",
            usual,
            &["198.51.100.0/30", "198.51.100.8", "198.51.100.9", "2001:db8:1:100::/56"],
            None,
            &[],
        ),
        ("sources of /28", coarse, &three, None, &[]),
        (
            "three sources of /28",
            coarse,
            &["198.51.100.1", "198.51.100.16/28", "198.51.100.32/28"],
            None,
            &["198.51.100.0/24 at 1: 3, 590 s"],
        ),
        (
            "a network that is banned is not banned again",
            usual,
            &["198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.0.0/16"],
            None,
            &[],
        ),
        (
            "two networks",
            usual,
            &[
                "2001:db8::/64",
                "2001:db8:0:1::/64",
                "2001:db8:0:2::/64",
                three[0],
                three[1],
                three[2],
            ],
            None,
            &["198.51.100.0/24 at 1: 3, 590 s", "2001:db8::/48 at 1: 3, 590 s"],
        ),
    ];
    for (name, lengths, prefixes, api, expected) in rows {
        let (mut kernel, mut escalator) = (Kernel::default(), Escalator::new(10, 0));
        let bans = bans(prefixes, *api);
        let watched = [watch(*lengths)];
        let told = escalator.look(10 * SECOND, &watched, &bans, &Policy::default(), &mut kernel);
        assert_eq!(kernel.done, *expected, "{name}");
        assert_eq!(told.len(), expected.len(), "{name}: {told:?}");
        assert!(!escalator.waits(), "{name}");
    }
}

#[test]
fn it_lasts_as_long_as_the_longest_but_a_day_at_most() {
    for (until, seconds) in [(Some(700), 690), (Some(100_000), 86_400), (None, 86_400)] {
        let mut all = bans(&["198.51.100.1", "198.51.100.2", "198.51.100.3"], None);
        all[1].until = until.map(|seconds| seconds * SECOND);
        let (mut kernel, mut escalator) = (Kernel::default(), Escalator::new(10, 0));
        let watched = [watch(SourceLengths::default())];
        escalator.look(10 * SECOND, &watched, &all, &Policy::default(), &mut kernel);
        assert_eq!(kernel.done, [format!("198.51.100.0/24 at 1: 3, {seconds} s")]);
    }
}

#[test]
fn what_is_not_done_is_told_once_and_tried_again() {
    let all = bans(&["198.51.100.1", "198.51.100.2", "198.51.100.3"], None);
    let watched = [watch(SourceLengths::default())];
    let free = Policy::default();
    let (trusted, proxy) = (
        Policy { trusted: true, ..Policy::default() },
        Policy { proxy: true, ..Policy::default() },
    );
    let rows: [(&str, usize, &Policy, bool, bool); 4] = [
        ("trusted", 10, &trusted, false, false),
        ("proxy", 10, &proxy, false, false),
        ("too_many", 0, &free, false, true),
        ("failed", 10, &free, true, true),
    ];
    for (name, per_minute, guard, full, waits) in rows {
        let mut kernel = Kernel { full, ..Kernel::default() };
        let mut escalator = Escalator::new(per_minute, 0);
        let told = escalator.look(10 * SECOND, &watched, &all, guard, &mut kernel);
        let [outcome] = &told[..] else { panic!("{name}: {told:?}") };
        match outcome {
            Outcome::Refused(_, refusal) => assert_eq!(refusal.name(), name),
            Outcome::Failed(_, error) => assert_eq!((error.as_str(), name), ("no room", "failed")),
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(escalator.waits(), waits, "{name}");
        let told = escalator.look(11 * SECOND, &watched, &all, guard, &mut kernel);
        assert!(told.is_empty(), "{name}: told twice");
        assert!(kernel.done.is_empty(), "{name}");
        // When nothing is in the way any more, it is done.
        escalator.per_minute = 10;
        let mut kernel = Kernel::default();
        let told = escalator.look(12 * SECOND, &watched, &all, &free, &mut kernel);
        assert!(matches!(told[..], [Outcome::Done(_)]), "{name}: {told:?}");
    }
}

#[test]
fn at_most_so_many_a_minute() {
    let watched = [watch(SourceLengths::default())];
    let all: Vec<Banned> = (0..4_u8)
        .flat_map(|net| (1..4_u8).map(move |host| format!("198.51.{net}.{host}")))
        .flat_map(|text| bans(&[&text], None))
        .collect();
    let (mut kernel, mut escalator) = (Kernel::default(), Escalator::new(2, 0));
    for (now, expected) in [(10, 2), (69, 2), (70, 4)] {
        let mut held = all.clone();
        held.extend(
            kernel
                .done
                .iter()
                .flat_map(|done| bans(&[done.split_once(' ').expect("a network").0], Some(ORDERS))),
        );
        escalator.look(now * SECOND, &watched, &held, &Policy::default(), &mut kernel);
        assert_eq!(kernel.done.len(), expected, "at {now} s");
    }
}

#[test]
fn what_an_operator_lifts_stays_lifted() {
    let watched = [watch(SourceLengths::default())];
    let mut members = bans(&["198.51.100.1", "198.51.100.2", "198.51.100.3"], None);
    members.iter_mut().for_each(|ban| ban.until = None);
    let mut with_network = members.clone();
    with_network.extend(bans(&["198.51.100.0/24"], Some(ORDERS)));
    let mut more = members.clone();
    more.extend(bans(&["198.51.100.4"], None));
    more[3].since = 50 * SECOND;
    // Seconds, the bans in force, how often the network was banned so far.
    let steps: [(u64, &[Banned], usize); 8] = [
        (10, &members, 1),
        (11, &with_network, 1),
        // Gone before its time: an operator lifted it, and one source more changes nothing.
        (12, &members, 1),
        (51, &more, 1),
        (52, &members[..2], 1),
        // Fewer than enough were banned in between.
        (53, &members, 2),
        (54, &with_network, 2),
        // Its time is over, and its sources are still banned.
        (601, &members, 3),
    ];
    let (mut kernel, mut escalator) = (Kernel::default(), Escalator::new(10, 0));
    for (now, held, times) in steps {
        escalator.look(now * SECOND, &watched, held, &Policy::default(), &mut kernel);
        assert_eq!(kernel.done.len(), times, "at {now} s");
    }
    // The next daemon does not know, and leaves what it finds until somebody else is banned.
    let (mut kernel, mut escalator) = (Kernel::default(), Escalator::new(10, 20 * SECOND));
    for (now, held, times) in [(21, &members, 0), (51, &more, 1)] {
        escalator.look(now * SECOND, &watched, held, &Policy::default(), &mut kernel);
        assert_eq!(kernel.done.len(), times, "next daemon at {now} s");
    }
    assert_eq!(kernel.done, ["198.51.100.0/24 at 1: 4, 86400 s"]);
}
