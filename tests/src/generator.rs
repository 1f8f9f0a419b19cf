//! The flood: packets from any source at a bounded rate, counted.

use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::frame::{self, Route, Transport};
use crate::interrupt;
use crate::lab::{Host, INTERFACE};

/// Frames handed to the kernel at once.
const BATCH: usize = 32;
/// Different frames made in advance; with more sources than this, they repeat.
const PREPARED: u32 = 4096;
/// Faster asks for a tool of another kind.
const FASTEST: u32 = 500_000;

/// Where packets claim to come from.
#[derive(Debug, Clone, Copy)]
pub enum Sources {
    /// One address.
    One(IpAddr),
    /// This many addresses that follow the first one, in order, over and over.
    Range {
        /// The first.
        first: IpAddr,
        /// How many, at most 4,096.
        count: u32,
    },
}

/// What to send.
#[derive(Debug, Clone, Copy)]
pub struct Flood {
    /// Where packets claim to come from.
    pub sources: Sources,
    /// Where they go, of the same family.
    pub destination: IpAddr,
    /// What they carry. Source ports change from packet to packet.
    pub transport: Transport,
    /// Packets a second, at most 500,000.
    pub rate: u32,
    /// For how long.
    pub duration: Duration,
}

/// What was sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sent {
    /// Packets the kernel took.
    pub packets: u64,
    /// Their bytes, Ethernet header included.
    pub bytes: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// Sends from a host to another one on the switch.
pub fn send(from: &Host, to: &Host, flood: &Flood) -> Result<Sent> {
    ensure!((1..=FASTEST).contains(&flood.rate), "{} packets/s is out of range", flood.rate);
    let frames = prepare(from.mac, to.mac, flood)?;
    from.netns.enter(|| {
        let socket = open()?;
        pace(flood.rate, flood.duration, &frames, |batch| send_batch(&socket, batch))
    })
}

fn prepare(from: [u8; 6], to: [u8; 6], flood: &Flood) -> Result<Vec<Vec<u8>>> {
    let (first, count) = match flood.sources {
        Sources::One(address) => (address, 1),
        Sources::Range { first, count } => (first, count),
    };
    ensure!((1..=PREPARED).contains(&count), "{count} sources are out of range");
    // A multiple of the sources, so that each has its share.
    let total = PREPARED / count * count;
    (0..total)
        .map(|n| {
            let route = Route {
                from,
                to,
                source: offset(first, n % count),
                source_port: 20_000 + (n % 40_000) as u16,
                destination: flood.destination,
            };
            frame::build(&route, flood.transport)
        })
        .collect()
}

fn offset(address: IpAddr, by: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from(u32::from(address).wrapping_add(by)).into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address).wrapping_add(by.into())).into(),
    }
}

/// Sends frames in order, over and over, never ahead of the rate.
fn pace(
    rate: u32,
    duration: Duration,
    frames: &[Vec<u8>],
    mut send: impl FnMut(&[&[u8]]) -> Result<usize>,
) -> Result<Sent> {
    let (mut packets, mut bytes) = (0_u64, 0_u64);
    let mut source = frames.iter().cycle();
    let start = Instant::now();
    loop {
        let elapsed = start.elapsed().min(duration);
        let due = (elapsed.as_secs_f64() * f64::from(rate)) as u64;
        while packets < due {
            let size = BATCH.min(usize::try_from(due - packets).unwrap_or(BATCH));
            let batch: Vec<&[u8]> = source.by_ref().take(size).map(Vec::as_slice).collect();
            let taken = send(&batch)?;
            packets += taken as u64;
            bytes += batch[..taken].iter().map(|frame| frame.len() as u64).sum::<u64>();
            if taken < size {
                // The device's queue is full; those that did not fit are not sent later.
                break;
            }
        }
        if elapsed == duration {
            return Ok(Sent { packets, bytes, seconds: start.elapsed().as_secs_f64() });
        }
        interrupt::check()?;
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A packet socket on [`INTERFACE`] of the namespace this thread is in. It receives nothing.
fn open() -> Result<OwnedFd> {
    // SAFETY: plain numbers.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(std::io::Error::last_os_error()).context("cannot open a packet socket");
    }
    // SAFETY: the descriptor was just opened and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let name = CString::new(INTERFACE).context("an interface's name")?;
    // SAFETY: the name ends with a zero byte.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        bail!("no interface {INTERFACE}: {}", std::io::Error::last_os_error());
    }
    // SAFETY: all zeros is a valid address of this type.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = i32::try_from(index).context("an interface's index")?;
    // SAFETY: the pointer and the size are those of one local value.
    let bound = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if bound != 0 {
        return Err(std::io::Error::last_os_error()).context("cannot bind a packet socket");
    }
    Ok(socket)
}

/// Hands frames to the kernel; returns how many it took, 0 when the device has no room.
fn send_batch(socket: &OwnedFd, frames: &[&[u8]]) -> Result<usize> {
    let mut vectors: Vec<libc::iovec> = frames
        .iter()
        .map(|frame| libc::iovec {
            iov_base: frame.as_ptr().cast_mut().cast(),
            iov_len: frame.len(),
        })
        .collect();
    let mut messages: Vec<libc::mmsghdr> = vectors
        .iter_mut()
        .map(|vector| {
            // SAFETY: all zeros is a valid message: no name, no vectors, no control data.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
            message
        })
        .collect();
    let count = libc::c_uint::try_from(messages.len()).context("a batch")?;
    // SAFETY: the messages, their vectors and the frames outlive the call; the kernel only reads
    // the frames.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), count, 0) };
    if let Ok(sent) = usize::try_from(sent) {
        return Ok(sent);
    }
    let error = std::io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOBUFS | libc::EAGAIN | libc::EINTR) => Ok(0),
        _ => Err(error).with_context(|| format!("cannot send out of {INTERFACE}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_never_exceeded() {
        let frames = vec![vec![0; 60], vec![0; 100]];
        let mut given = 0_usize;
        let sent = pace(10_000, Duration::from_millis(200), &frames, |batch| {
            given += batch.len();
            Ok(batch.len())
        });
        let sent = sent.expect("nothing fails");
        assert_eq!((sent.packets, given), (2_000, 2_000));
        assert_eq!(sent.bytes, 1_000 * 60 + 1_000 * 100);
    }

    #[test]
    fn what_the_kernel_refuses_is_not_counted() {
        let sent = pace(1_000, Duration::from_millis(20), &[vec![0; 60]], |_| Ok(0));
        assert_eq!(sent.expect("no error").packets, 0);
    }

    #[test]
    fn forged_sources_get_equal_shares() {
        let flood = Flood {
            sources: Sources::Range {
                first: "198.51.100.250".parse().expect("an address"),
                count: 10,
            },
            destination: "192.0.2.1".parse().expect("an address"),
            transport: Transport::Syn { port: 80 },
            rate: 1,
            duration: Duration::ZERO,
        };
        let frames = prepare([0; 6], [0; 6], &flood).expect("valid");
        let mut counts = std::collections::BTreeMap::new();
        for frame in &frames {
            *counts.entry(frame[26..30].to_vec()).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 10);
        assert!(counts.values().all(|count| *count == frames.len() / 10));
        assert!(counts.contains_key(&vec![198, 51, 101, 3]));
    }
}
