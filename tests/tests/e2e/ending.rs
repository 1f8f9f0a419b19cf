//! How long after something the last packet passes: of an operator's order, and of a login too many.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use weir_tests::connect::connect;
use weir_tests::lab::{Host, INTERFACE};

use crate::site::{self, PORT};

/// Long enough for whatever is on its way, and for a ban.
const AFTER: Duration = Duration::from_millis(300);
/// Far above what is promised: what was measured is printed.
const SANITY: Duration = Duration::from_secs(2);

/// Any address of the family of this one.
pub(crate) fn any(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Blasts datagrams from an address of a host at a port that listens and notes when the last one arrived,
/// while `during` runs; how long after the beginning of `during` that was, and how many arrived in all.
pub(crate) fn last_passed<T>(
    (client, from): (&Host, IpAddr),
    server: &Host,
    address: IpAddr,
    during: impl FnOnce() -> Result<T>,
) -> Result<(T, Duration, u64)> {
    let listening = server.udp(address, PORT)?;
    listening.set_read_timeout(Some(Duration::from_millis(20)))?;
    let sending = client.udp(from, 0)?;
    sending.connect((address, PORT))?;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // What the switch has no room for is not sent.
                let _sent = sending.send(b"still here?");
                std::thread::sleep(Duration::from_micros(100));
            }
        });
        let receiver = scope.spawn(|| {
            let (mut last, mut count) = (None, 0_u64);
            let mut buffer = [0; 64];
            while !over.load(Ordering::Relaxed) {
                if listening.recv(&mut buffer).is_ok() {
                    last = Some(Instant::now());
                    count += 1;
                }
            }
            (last, count)
        });
        std::thread::sleep(AFTER);
        let start = Instant::now();
        let done = during();
        std::thread::sleep(AFTER);
        over.store(true, Ordering::Relaxed);
        let (last, count) = receiver.join().map_err(|_| anyhow!("a thread panicked"))?;
        sender.join().map_err(|_| anyhow!("a thread panicked"))?;
        let last = last.context("no datagram arrived at all")?;
        Ok((done?, last.saturating_duration_since(start), count))
    })
}

/// A connection on which passwords are guessed.
struct Guesser(TcpStream);

impl Guesser {
    fn connect(host: &Host, from: Ipv4Addr, server: &Host) -> Result<Self> {
        let to = SocketAddrV4::new(server.v4(), PORT);
        // An address of its own, so that each is a source that nobody has seen.
        host.netns.ip(&format!("address add {from}/32 dev {INTERFACE}"))?;
        let stream = host.netns.enter(|| Ok(connect(from, to)?))?;
        stream.set_read_timeout(Some(AFTER))?;
        Ok(Self(stream))
    }

    /// One guess; whether it was answered, which a ban prevents.
    fn guess(&mut self) -> Result<bool> {
        self.0.write_all(b"POST /login HTTP/1.1\r\nHost: lab\r\nContent-Length: 3\r\n\r\na=b")?;
        let mut buffer = [0; 4096];
        match self.0.read(&mut buffer) {
            Ok(read) => {
                ensure!(buffer[..read].starts_with(b"HTTP/1.1 401"), "{:?}", &buffer[..read]);
                Ok(true)
            }
            Err(_) => Ok(false),
        }
    }
}

#[test]
fn a_login_too_many_ends_in_a_ban() -> Result<()> {
    let lab = site::lab()?;
    let [server, stranger] = [lab.host("server")?, lab.host("stranger")?];
    let _nginx = site::nginx(&lab)?;
    let more = "login = { routes = [\"POST /login\"] }\nrespond = { brute_force = \"ban 5m\" }";
    let policy = site::orders(&lab, more)?.replace("[\"clients\"]", "\"any\"");
    let weir = site::weir(&lab, &policy)?;
    let [a, b, c, _] = stranger.v4().octets();
    let source = |number: u8| Ipv4Addr::new(a, b, c, 100 + number);

    // How many guesses it takes: one after the other, with time for a ban in between.
    let mut first = Guesser::connect(stranger, source(0), server)?;
    let mut enough = 0;
    while first.guess()? {
        enough += 1;
        ensure!(enough < 100, "a hundred guesses and no ban: {}", weir.log());
        std::thread::sleep(AFTER);
    }
    ensure!(enough > 1, "{enough}");

    let mut times = Vec::new();
    // Ten actions an hour, the first included.
    for number in 1..=9 {
        let from = source(number);
        let mut guesser = Guesser::connect(stranger, from, server)?;
        for _ in 1..enough {
            ensure!(guesser.guess()?, "source {number} is banned too early");
        }
        let to = server.v4().into();
        let (answered, last, count) =
            last_passed((stranger, from.into()), server, to, || guesser.guess())?;
        ensure!(
            answered && last > Duration::ZERO,
            "source {number} was banned before its last guess"
        );
        ensure!(last < SANITY && count > 100, "source {number}: {last:?}, {count} packets");
        let banned = weir.json(&["ban", "list"])?.as_array().map_or(0, Vec::len);
        ensure!(banned == usize::from(number) + 1, "{banned} bans, and not one for each source");
        times.push(last);
    }
    times.sort_unstable();
    println!(
        "from the guess that is one too many, the {enough}th, to the last packet that passed: median {:.1} ms, \
         {:.1} to {:.1} ms, {} times",
        times[times.len() / 2].as_secs_f64() * 1e3,
        times[0].as_secs_f64() * 1e3,
        times[times.len() - 1].as_secs_f64() * 1e3,
        times.len(),
    );
    Ok(())
}
