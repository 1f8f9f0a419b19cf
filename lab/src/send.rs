//! Sending a plan's requests: real connections from the plan's addresses, as fast as they are answered.
//!
//! Each worker has its share of the sources, whose requests it sends in their order. It writes one
//! request on each of up to [`AT_ONCE`] connections, then reads the answers, so that one connection
//! never has two requests under way.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use anyhow::{Context, Result, bail, ensure};
use weir_tests::interrupt;
use weir_tests::lab::Host;

use crate::connect::connect;
use crate::plan::{Plan, Request};
use crate::random::mix;
use crate::seen;
use crate::world::APIS;

/// Requests that a worker has under way.
const AT_ONCE: usize = 24;
/// Workers.
const WORKERS: usize = 3;

/// How far it is.
#[derive(Debug, Default)]
pub struct Progress {
    /// Requests that were answered.
    pub answered: AtomicU64,
    /// Answers that are not as planned.
    pub unlike: AtomicU64,
    failed: AtomicBool,
}

/// Sends everything from a host that holds all addresses of the plan to a server.
///
/// # Errors
/// A connection fails, or an answer is not HTTP.
pub fn send(plan: &Plan, from: &Host, to: Ipv4Addr, progress: &Progress) -> Result<()> {
    let last = last_of_flows(plan);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|number| {
                let last = &last;
                scope.spawn(move || {
                    from.netns.enter(|| {
                        let sent = Worker::new(to).run(plan, number, last, progress);
                        if sent.is_err() {
                            // The others need not go on.
                            progress.failed.store(true, Relaxed);
                        }
                        sent
                    })
                })
            })
            .collect();
        let mut outcome = Ok(());
        for worker in workers {
            match worker.join() {
                Ok(sent) => outcome = outcome.and(sent),
                Err(_) => bail!("a worker panicked"),
            }
        }
        outcome
    })
}

/// Asks for the mark 0, by which the recording's numbers are understood, and waits for the answer.
///
/// # Errors
/// It is not answered.
pub fn first(from: &Host, to: Ipv4Addr) -> Result<()> {
    let source = from.v4();
    from.netns.enter(|| {
        let mut stream =
            connect(source, SocketAddrV4::new(to, APIS[0].port)).context("connecting")?;
        let text = format!(
            "GET /healthz?{}=0 HTTP/1.1\r\nHost: shop\r\nFile: 4\r\nConnection: close\r\n\r\n",
            seen::MARK
        );
        stream.write_all(text.as_bytes()).context("asking")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).context("no answer")?;
        ensure!(
            answer.starts_with(b"HTTP/1.1 200"),
            "the server does not answer as it is asked to"
        );
        Ok(())
    })
}

fn last_of_flows(plan: &Plan) -> Vec<u32> {
    let mut last = vec![0; plan.flows as usize];
    for (place, request) in plan.requests.iter().enumerate() {
        // Plans are below 2^32.
        last[request.flow as usize] = place as u32;
    }
    last
}

struct Worker {
    to: Ipv4Addr,
    streams: HashMap<u32, TcpStream>,
    under_way: Vec<usize>,
    head: Vec<u8>,
    buffer: Vec<u8>,
}

impl Worker {
    fn new(to: Ipv4Addr) -> Self {
        Self {
            to,
            streams: HashMap::new(),
            under_way: Vec::with_capacity(AT_ONCE),
            head: Vec::with_capacity(1024),
            buffer: vec![0; 1 << 18],
        }
    }

    fn run(&mut self, plan: &Plan, number: usize, last: &[u32], progress: &Progress) -> Result<()> {
        for (place, request) in plan.requests.iter().enumerate() {
            if mix(u64::from(request.source.to_bits())) as usize % WORKERS != number {
                continue;
            }
            let busy = |&other: &usize| plan.requests[other].flow == request.flow;
            if self.under_way.len() >= AT_ONCE || self.under_way.iter().any(busy) {
                self.answers(plan, last, progress)?;
                interrupt::check()?;
                if progress.failed.load(Relaxed) {
                    return Ok(());
                }
            }
            self.ask(request, place)?;
        }
        self.answers(plan, last, progress)
    }

    fn ask(&mut self, request: &Request, place: usize) -> Result<()> {
        let stream = match self.streams.entry(request.flow) {
            std::collections::hash_map::Entry::Occupied(stream) => stream.into_mut(),
            std::collections::hash_map::Entry::Vacant(empty) => {
                let to = SocketAddrV4::new(self.to, APIS[usize::from(request.api)].port);
                let stream = connect(request.source, to)
                    .with_context(|| format!("cannot connect from {} to {to}", request.source))?;
                empty.insert(stream)
            }
        };
        self.head.clear();
        write(&mut self.head, request, place)?;
        stream.write_all(&self.head).with_context(|| format!("request {place}"))?;
        self.under_way.push(place);
        Ok(())
    }

    fn answers(&mut self, plan: &Plan, last: &[u32], progress: &Progress) -> Result<()> {
        for place in std::mem::take(&mut self.under_way) {
            let request = &plan.requests[place];
            let flow = request.flow;
            let stream = self.streams.get_mut(&flow).context("a connection is gone")?;
            let answer = read(stream, &mut self.buffer)
                .with_context(|| format!("no answer to {}", seen::target(request, place)))?;
            let alike = answer.status == request.status && answer.bytes == request.bytes();
            progress.unlike.fetch_add(u64::from(!alike), Relaxed);
            progress.answered.fetch_add(1, Relaxed);
            if answer.closes || last[flow as usize] as usize == place {
                self.streams.remove(&flow);
            }
        }
        Ok(())
    }
}

/// A request as it goes on the wire.
fn write(to: &mut Vec<u8>, request: &Request, place: usize) -> std::io::Result<()> {
    let (method, target) = (request.ask.method(), seen::target(request, place));
    write!(to, "{method} {target} HTTP/1.1\r\nHost: shop\r\nStatus: {}\r\n", request.status)?;
    if request.user != 0 {
        write!(to, "Authorization: Bearer {:016x}\r\n", mix(u64::from(request.user)))?;
    }
    match method {
        "GET" => write!(to, "File: {}\r\n\r\n", request.file),
        _ => write!(to, "Content-Length: 0\r\n\r\n"),
    }
}

struct Answer {
    status: u16,
    bytes: u64,
    closes: bool,
}

/// Reads one answer to its end.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<Answer> {
    let mut held = 0;
    let head = loop {
        let length = stream.read(&mut buffer[held..]).context("cannot read")?;
        ensure!(length > 0, "the server closed the connection");
        // The end may have begun in what was read before.
        let from = held.saturating_sub(3);
        held += length;
        if let Some(end) = buffer[from..held].windows(4).position(|four| four == b"\r\n\r\n") {
            break from + end + 4;
        }
        ensure!(held < 16_384, "a head without an end");
    };
    let mut answer = parse(&buffer[..head])?;
    let wanted = answer.bytes;
    let mut body = (held - head) as u64;
    while body < wanted {
        let length = stream.read(buffer).context("cannot read")?;
        ensure!(length > 0, "the server closed the connection within a body");
        body += length as u64;
    }
    ensure!(body == wanted, "{} bytes follow an answer", body - wanted);
    answer.bytes = body;
    Ok(answer)
}

fn parse(head: &[u8]) -> Result<Answer> {
    let text = std::str::from_utf8(head).context("a head that is not text")?;
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok())
        .with_context(|| format!("not an answer: {text}"))?;
    let mut answer = Answer { status, bytes: 0, closes: false };
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if name.eq_ignore_ascii_case("content-length") {
            answer.bytes = value.parse().with_context(|| format!("{name}: {value}"))?;
        } else if name.eq_ignore_ascii_case("connection") {
            answer.closes = value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("an answer in chunks");
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n", Some((200, 17, false))),
            ("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", Some((204, 0, true))),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", None),
            ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", None),
            ("SSH-2.0\r\n\r\n", None),
        ] {
            let answer = parse(head.as_bytes()).ok();
            let answer = answer.map(|answer| (answer.status, answer.bytes, answer.closes));
            assert_eq!(answer, expected, "{head}");
        }
    }
}
