//! Numbered datagrams at a steady pace while something happens, counted by who sent them where they
//! arrive: a counter behind the gate that knows nothing of it.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::lab::Host;

/// Microseconds between two datagrams of a host.
const PACE: u64 = 500;
/// Room of a receiving socket in bytes: seconds of datagrams, so that a busy machine loses none.
const ROOM: libc::c_int = 32 << 20;

/// The datagrams of one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// How many were sent.
    pub sent: u64,
    /// How many arrived.
    pub arrived: u64,
}

/// Streams from several hosts to a UDP port of the server, over IPv4 and IPv6 in turn, while
/// `during` runs. The streams are in the order of the hosts.
pub fn streams<T>(
    from: &[&Host],
    server: &Host,
    port: u16,
    during: impl FnOnce() -> Result<T>,
) -> Result<(T, Vec<Stream>)> {
    let over = AtomicBool::new(false);
    let bind = |address| -> Result<UdpSocket> {
        let socket = server.udp(address, port)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        make_room(&socket)?;
        Ok(socket)
    };
    let sockets: Vec<UdpSocket> =
        server.addresses().into_iter().map(bind).collect::<Result<_>>()?;
    let arrived: Vec<AtomicU64> = from.iter().map(|_| AtomicU64::new(0)).collect();
    let (over, arrived) = (&over, &arrived);
    std::thread::scope(|scope| {
        let readers: Vec<_> = sockets
            .iter()
            .map(|socket| scope.spawn(move || read(socket, from, arrived, over)))
            .collect();
        let writers: Vec<_> =
            from.iter().map(|host| scope.spawn(move || pour(host, server, port, over))).collect();
        let happened = during();
        over.store(true, Ordering::Relaxed);
        let panicked = |_| anyhow!("a thread of the stream panicked");
        let mut sent = Vec::new();
        for writer in writers {
            sent.push(writer.join().map_err(panicked)??);
        }
        for reader in readers {
            reader.join().map_err(panicked)?;
        }
        let streams = sent
            .into_iter()
            .zip(arrived)
            .map(|(sent, arrived)| Stream { sent, arrived: arrived.load(Ordering::Relaxed) });
        Ok((happened?, streams.collect()))
    })
}

fn make_room(socket: &UdpSocket) -> Result<()> {
    let room = ROOM;
    // SAFETY: the pointer and the size are those of one local value.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            (&raw const room).cast(),
            size_of_val(&room) as libc::socklen_t,
        )
    };
    if done != 0 {
        return Err(std::io::Error::last_os_error()).context("no room for a receiving socket");
    }
    Ok(())
}

/// Sends at the pace, to IPv4 and IPv6 in turn.
fn pour(from: &Host, server: &Host, port: u16, over: &AtomicBool) -> Result<u64> {
    from.netns.enter(|| {
        let sockets = [UdpSocket::bind("0.0.0.0:0")?, UdpSocket::bind("[::]:0")?];
        let start = Instant::now();
        let mut sent = 0_u64;
        while !over.load(Ordering::Relaxed) {
            let due = start.elapsed().as_micros() as u64 / PACE;
            while sent < due {
                let which = (sent % 2) as usize;
                sockets[which].send_to(b"weir", (server.addresses()[which], port))?;
                sent += 1;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(sent)
    })
}

/// Counts datagrams by who sent them, until it is over and none is left.
fn read(socket: &UdpSocket, from: &[&Host], arrived: &[AtomicU64], over: &AtomicBool) {
    loop {
        match socket.recv_from(&mut [0; 16]) {
            Ok((_, source)) => {
                let place = from.iter().position(|host| host.addresses().contains(&source.ip()));
                if let Some(place) = place {
                    arrived[place].fetch_add(1, Ordering::Relaxed);
                }
            }
            Err(_) if over.load(Ordering::Relaxed) => return,
            Err(_) => {}
        }
    }
}
