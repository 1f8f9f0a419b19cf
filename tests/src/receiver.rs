//! A receiver of webhooks: a server of HTTP that takes, hangs, fails or breaks off as it is told, and
//! knows what it got.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::lab::Host;
use crate::wait;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// 200.
    Take,
    /// This status.
    Answer(u16),
    /// Not for five seconds, and then not at all.
    Hang,
    /// It takes the request, and closes without an answer.
    BreakOff,
}

/// What it got.
#[derive(Debug, Clone)]
pub struct Got {
    /// The request's line and headers.
    pub head: String,
    /// The body.
    pub body: String,
    /// It was answered with 200.
    pub taken: bool,
}

#[derive(Debug)]
struct Shared {
    mood: Mutex<Mood>,
    got: Mutex<Vec<Got>>,
    stop: AtomicBool,
}

/// The server; it stops when dropped.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver {
    /// Listens on this address of a host.
    pub fn start(host: &Host, address: SocketAddr, mood: Mood) -> Result<Self> {
        let listener = host.netns.enter(|| {
            // As for a UDP socket of [`Host::udp`]: another test's child may hold it for a moment.
            wait::until(&format!("{address}"), Duration::from_secs(2), || {
                TcpListener::bind(address).with_context(|| format!("cannot have {address}"))
            })
        })?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            mood: Mutex::new(mood),
            got: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            while !serving.stop.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let shared = Arc::clone(&serving);
                        std::thread::spawn(move || {
                            // One that breaks off has got nothing.
                            let _broken = answer(stream, &shared);
                        });
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        Ok(Self { shared })
    }

    /// Answers differently from now on.
    pub fn set(&self, mood: Mood) {
        *lock(&self.shared.mood) = mood;
    }

    /// All requests so far.
    pub fn got(&self) -> Vec<Got> {
        lock(&self.shared.got).clone()
    }

    /// All requests since this was last asked, which it forgets.
    pub fn take(&self) -> Vec<Got> {
        std::mem::take(&mut *lock(&self.shared.got))
    }

    /// The events of the requests it took, in order.
    pub fn events(&self) -> Result<Vec<Value>> {
        let mut events = Vec::new();
        for got in self.got().into_iter().filter(|got| got.taken) {
            let batch: Vec<Value> = serde_json::from_str(&got.body)
                .with_context(|| format!("not an array of events: {}", got.body))?;
            events.extend(batch);
        }
        Ok(events)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

fn answer(mut stream: TcpStream, shared: &Shared) -> Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let mood = *lock(&shared.mood);
    let taken = mood == Mood::Take;
    let body = String::from_utf8(body).context("a body that is not UTF-8")?;
    lock(&shared.got).push(Got { head, body, taken });
    let status = match mood {
        Mood::Take => 200,
        Mood::Answer(status) => status,
        Mood::Hang => {
            std::thread::sleep(Duration::from_secs(5));
            return Ok(());
        }
        Mood::BreakOff => return Ok(()),
    };
    let text = format!("HTTP/1.1 {status} said\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    Ok(stream.write_all(text.as_bytes())?)
}
