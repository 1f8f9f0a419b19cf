//! `weir replay`: the shared parser, verdict, flow and protocol code and the detectors over a
//! capture, or the detectors alone over a recording. No root, no kernel, no daemon.

mod findings;
mod judge;
mod print;
mod recorded;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use filter_common::bytes::Slice;
use filter_common::packet::{Fragment, Packet, protocol};
use filter_common::reason::Reason;
use filter_common::record::{EGRESS, Header};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::findings::Findings;
use self::judge::{Judge, Judged};
use self::print::{Form, Printer};
use super::Outcome;
use super::style::Style;
use crate::capture::fragments::{Datagram, Reassembly};
use crate::capture::{self, End, Frame, Link};
use crate::sensor::{Output, Sensor, SensorConfig};

/// A capture larger than this is worth a progress bar, bytes.
const LARGE: u64 = 64 << 20;

/// What `weir replay` is asked.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Exit code 1 when the policy is invalid, 2 when the capture cannot be read.\n\n\
    Examples:\n  \
    weir replay web.pcap\n  \
    weir replay web.pcap --json | jq 'select(.type == \"http\" and .status >= 500)'\n  \
    weir replay web.pcap --policy policy.toml --verdicts --json\n  \
    weir replay record.jsonl --policy policy.toml"
)]
pub struct ReplayArgs {
    /// The capture: pcap or pcapng, of tcpdump or Wireshark; or a recording of `weir run --record`
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Judge the packets by this policy, and run the detectors
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Run the detectors without a policy too
    #[arg(long)]
    pub findings: bool,
    /// Print the verdict on each packet
    #[arg(long)]
    pub verdicts: bool,
}

/// Replays a capture to standard output.
///
/// # Errors
/// When the capture cannot be opened or read, or the output not be written. A policy that is
/// invalid is told on standard error, and the answer is no.
pub fn replay(args: &ReplayArgs) -> Result<Outcome> {
    let judge = if args.verdicts || args.findings || args.policy.is_some() {
        match Judge::new(args.policy.as_deref()) {
            Ok(judge) => Some(judge),
            Err(problems) => {
                write!(io::stderr(), "{problems}").context("cannot write to standard error")?;
                return Ok(Outcome::No);
            }
        }
    } else {
        None
    };
    let (file, bar) = open(&args.file)?;
    let file = BufReader::with_capacity(1 << 16, file);
    let form = if args.json { Form::Json } else { Form::Text };
    let out: Box<dyn Write> = match bar {
        Some(bar) if io::stdout().is_terminal() => Box::new(io::LineWriter::new(Above { bar })),
        _ => Box::new(io::BufWriter::with_capacity(1 << 16, io::stdout().lock())),
    };
    let printer = Printer::new(out, form, args.verdicts).styled(Style::of_stdout());
    replay_any(file, args, judge, printer)?;
    Ok(Outcome::Done)
}

/// Standard output, where it is the terminal that the progress bar is on: what is written goes above the bar.
struct Above {
    bar: ProgressBar,
}

impl Write for Above {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bar.suspend(|| io::stdout().write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

/// What a recording begins with, and no capture does.
const RECORDING: u8 = b'{';

/// Replays what is in a file.
fn replay_any<W: Write>(
    mut file: impl BufRead + Send,
    args: &ReplayArgs,
    judge: Option<Judge>,
    mut printer: Printer<W>,
) -> Result<()> {
    let what = || format!("cannot read {}", args.file.display());
    let recorded = file.fill_buf().with_context(what)?.first() == Some(&RECORDING);
    let findings = |judge: &Judge| {
        let (policy, ids) = judge.policy();
        Findings::new(policy, ids, args.policy.is_some())
    };
    if !recorded {
        let wanted = judge.as_ref().filter(|_| args.findings || args.policy.is_some());
        let findings = wanted.map(findings);
        return run(file, &args.file, judge, printer, findings);
    }
    let judge = match judge {
        Some(judge) => judge,
        None => Judge::new(None).map_err(anyhow::Error::msg)?,
    };
    let mut findings = findings(&judge);
    let read = recorded::read(file, &mut findings, &mut printer).with_context(what)?;
    let told = read.and_then(|content| printer.summary_of_recording(&content, &findings));
    match told {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the output")
        }
        _ => Ok(()),
    }
}

/// The file, behind a progress bar when it is large and someone is watching. A capture whose rows run
/// over the terminal needs none; of a recording only findings are printed.
fn open(path: &Path) -> Result<(Box<dyn Read + Send>, Option<ProgressBar>)> {
    let what = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(what)?;
    let about = file.metadata().with_context(what)?;
    if about.is_dir() {
        bail!("cannot read {}: it is a directory; name a pcap or pcapng file", path.display());
    }
    let mut first = [0];
    let mut is_watched = || {
        let moves = io::stdout().is_terminal()
            && file.read_at(&mut first, 0).is_ok()
            && first != [RECORDING];
        io::stderr().is_terminal() && !moves
    };
    if about.len() <= LARGE || !is_watched() {
        return Ok((Box::new(file), None));
    }
    let bar = ProgressBar::with_draw_target(Some(about.len()), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {eta} left") {
        bar.set_style(style);
    }
    Ok((Box::new(bar.wrap_read(file)), Some(bar)))
}

/// Reads all of a capture and prints what there is in it.
fn run<W: Write>(
    source: impl Read + Send,
    path: &Path,
    judge: Option<Judge>,
    printer: Printer<W>,
    findings: Option<Findings>,
) -> Result<()> {
    let sensor = Sensor::new(bounds());
    let fragments = Reassembly::default();
    let mut replay = Replay { judge, printer, sensor, fragments, findings, failed: None };
    let end = capture::read(source, |frame| {
        let written = replay.frame(&frame);
        replay.failed = written.err();
        replay.failed.is_none()
    });
    match replay.failed.take() {
        // A reader that has seen enough (`weir replay … | head`) is no failure.
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        Some(error) => return Err(error).context("cannot write the output"),
        None => {}
    }
    let end = match end {
        Ok(end) => end,
        Err(error) => {
            if !replay.printer.is_empty() {
                replay.finish(None).context("cannot write the output")?;
            }
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
    };
    match replay.finish(Some(end)) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the output")
        }
        _ => Ok(()),
    }
}

/// A capture has no stream of records that keeps coming: there is time to wait for late packets.
fn bounds() -> SensorConfig {
    SensorConfig { linger_ns: 5_000_000_000, idle_ns: 600_000_000_000, ..SensorConfig::default() }
}

struct Replay<W: Write> {
    judge: Option<Judge>,
    printer: Printer<W>,
    sensor: Sensor,
    fragments: Reassembly<Option<Judged>>,
    findings: Option<Findings>,
    failed: Option<io::Error>,
}

impl<W: Write> Replay<W> {
    fn frame(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let mut packet = Packet::default();
        let bytes = Slice { data: frame.data, wire_len: frame.wire_len };
        let parsed = frame.link.parse(&bytes, &mut packet);
        self.printer.count(frame, &packet, parsed);
        if let Some(findings) = &mut self.findings {
            findings.advance(frame.time);
        }
        let judged = self.judge.as_mut().map(|judge| judge.judge(frame.time, &packet, parsed));
        if let (Some(judge), Some(judged)) = (&self.judge, &judged) {
            let api = judge.api_name(judged.decision.api);
            self.printer.verdict(frame.time, &packet, parsed, &judged.decision, api)?;
            if let Some(findings) = &mut self.findings {
                findings.verdict(frame.time, &packet, &judged.decision);
            }
        }
        // What was waited for comes before what comes now.
        let mut datagrams = Vec::new();
        if packet.fragment == Fragment::None {
            self.fragments.tick(frame.time, &mut |datagram| datagrams.push(datagram));
        } else {
            // The kernel refuses first fragments without ports; who reads a capture may see in them
            // what was sent all the same.
            self.fragments.push(frame, judged, &mut |datagram| datagrams.push(datagram));
        }
        datagrams.iter().try_for_each(|datagram| self.datagram(datagram))?;
        if parsed.is_ok() && packet.fragment == Fragment::None {
            self.sense(frame, &packet, judged, 1)?;
        }
        self.tell()
    }

    /// Gives the sensor what came in fragments.
    fn datagram(&mut self, datagram: &Datagram<Option<Judged>>) -> io::Result<()> {
        let &Datagram { time, ref data, wire_len, fragments, frame_bytes, whole, note } = datagram;
        let frame = Frame { time, link: Link::Raw, data, wire_len };
        let mut packet = Packet::default();
        let parsed = frame.link.parse(&Slice { data, wire_len }, &mut packet);
        // One that is in fragments itself is none that a host sends.
        let nested = whole && packet.fragment != Fragment::None;
        if parsed.is_err() || nested || packet.fragment == Fragment::Later {
            self.printer.lose_datagram();
            return Ok(());
        }
        packet.wire_len = u32::try_from(frame_bytes).unwrap_or(u32::MAX);
        self.sense(&frame, &packet, note, u16::try_from(fragments).unwrap_or(u16::MAX))
    }

    /// Prints what detectors have to say.
    fn tell(&mut self) -> io::Result<()> {
        let due = self.findings.as_mut().map(Findings::take).unwrap_or_default();
        due.into_iter().try_for_each(|(finding, api)| self.printer.finding(&finding, api))
    }

    /// Gives a packet, of so many on the wire, to the sensor as the kernel half would.
    fn sense(
        &mut self,
        frame: &Frame<'_>,
        packet: &Packet,
        judged: Option<Judged>,
        segments: u16,
    ) -> io::Result<()> {
        let transport = matches!(packet.protocol, protocol::TCP | protocol::UDP);
        if !transport || judged.is_some_and(|judged| judged.opaque) {
            return Ok(());
        }
        let mut header = Header::of(packet);
        header.time = frame.time;
        header.segments = segments;
        if let Some(judged) = judged {
            header.api = judged.api;
            header.reason = judged.decision.reason as u8;
            header.flags |= if judged.answers { EGRESS } else { 0 };
        }
        let payload = frame.data.get(packet.payload_offset as usize..).unwrap_or_default();
        let payload = &payload[..payload.len().min(packet.payload_len as usize)];
        header.captured = payload.len() as u32;
        let (printer, findings) = (&mut self.printer, &mut self.findings);
        let mut failed = None;
        self.sensor.push(&header, payload, &mut |output: Output| {
            if let Some(findings) = findings {
                findings.output(&output);
            }
            if let Err(error) = printer.output(&output) {
                failed = Some(error);
            }
        });
        failed.map_or(Ok(()), Err)
    }

    fn finish(&mut self, end: Option<End>) -> io::Result<()> {
        let mut datagrams = Vec::new();
        self.fragments.finish(&mut |datagram| datagrams.push(datagram));
        datagrams.iter().try_for_each(|datagram| self.datagram(datagram))?;
        let (printer, findings) = (&mut self.printer, &mut self.findings);
        let mut failed = None;
        self.sensor.flush(&mut |output: Output| {
            if let Some(findings) = findings {
                findings.output(&output);
            }
            if let Err(error) = printer.output(&output) {
                failed = Some(error);
            }
        });
        failed.map_or(Ok(()), Err)?;
        if let Some(findings) = &mut self.findings {
            findings.finish();
        }
        self.tell()?;
        let fragments = *self.fragments.counts();
        self.printer.summary(end, self.sensor.stats(), &fragments, self.findings.as_ref())
    }
}

/// The name under which a packet's parse is counted.
fn parse_name(parsed: Result<(), Reason>) -> &'static str {
    parsed.map_or_else(Reason::name, |()| "ok")
}
