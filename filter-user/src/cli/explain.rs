//! `weir explain`: what would happen to a packet, and why.

use std::io::Read as _;
use std::net::IpAddr;

use anyhow::Context as _;
use clap::Args;

use super::Common;
use super::outcome::{Outcome, Verdict};
use super::style::{Style, Tone, clean};
use super::table::{Align, Table, cell};
use crate::capture::hex;
use crate::control::api::{ApiError, ExplainRequest, Explanation, MAX_FRAME, parse_flags};

/// Bytes of a pasted packet at most, separators and all.
const MAX_TEXT: u64 = 1 << 20;

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "The answer comes from the tables, bans, orders and limits of the program that is loaded, as they\n\
    are now. Exit code 1 when the packet would be dropped. No counter and no limit changes.\n\n\
    Examples:\n  \
    weir explain 198.51.100.7 203.0.113.5 --dport 8080\n  \
    weir explain 2001:db8::7 2001:db8::5 --proto udp --dport 53 --interface eth1\n  \
    weir explain 198.51.100.7 203.0.113.5 --dport 8080 --established --length 1500\n  \
    weir explain 198.51.100.7 203.0.113.5 --dport 8080 --flags fin,psh,urg\n  \
    tcpdump -n -c 1 -xx -i eth0 2>/dev/null | weir explain --packet -"
)]
pub(super) struct ExplainArgs {
    /// Source address
    #[arg(value_name = "SRC", required_unless_present = "packet")]
    src: Option<IpAddr>,
    /// Destination address, of the same family
    #[arg(value_name = "DST", required_unless_present = "packet")]
    dst: Option<IpAddr>,
    /// tcp, udp, icmp, or a protocol number
    #[arg(long, value_name = "PROTO", default_value = "tcp", value_parser = proto)]
    proto: String,
    /// Destination port; needed for tcp and udp
    #[arg(long, value_name = "PORT")]
    dport: Option<u16>,
    /// Source port [default: an ephemeral one]
    #[arg(long, value_name = "PORT")]
    sport: Option<u16>,
    /// The interface it comes in by [default: the first that weir gates]
    #[arg(long, value_name = "IFACE")]
    interface: Option<String>,
    /// Length on the wire in bytes [default: the shortest, or that of --packet]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(14..=65_549))]
    length: Option<u32>,
    /// A segment of a TCP connection that is there already, not the SYN that opens one
    #[arg(long)]
    established: bool,
    /// The TCP flags it has: syn,ack [default: syn]
    #[arg(long, value_name = "FLAGS", value_parser = flags, conflicts_with = "established")]
    flags: Option<String>,
    /// The frame itself, from the Ethernet header on: hexadecimal digits, or what `tcpdump -xx`
    /// prints; - reads it from standard input
    #[arg(long, value_name = "HEX",
        conflicts_with_all = ["src", "dst", "dport", "sport", "established", "flags"])]
    packet: Option<String>,
    #[command(flatten)]
    pub(super) common: Common,
}

fn flags(text: &str) -> Result<String, String> {
    parse_flags(text).map(|_| text.to_owned())
}

fn proto(text: &str) -> Result<String, String> {
    let text = text.to_ascii_lowercase();
    let name = match text.as_str() {
        "tcp" | "6" => "tcp",
        "udp" | "17" => "udp",
        "icmp" | "icmpv6" | "icmp6" | "1" | "58" => "icmp",
        _ if text.parse::<u8>().is_ok() => &text,
        _ => return Err("it is tcp, udp, icmp, or a number from 0 to 255".to_owned()),
    };
    Ok(name.to_owned())
}

impl ExplainArgs {
    fn request(&self) -> anyhow::Result<Result<ExplainRequest, ApiError>> {
        let (interface, length) = (self.interface.clone(), self.length);
        if let Some(packet) = &self.packet {
            let text = if packet == "-" { read_input()? } else { packet.clone() };
            return Ok(digits(&text).map(|packet| ExplainRequest {
                packet: Some(packet),
                interface,
                length,
                ..ExplainRequest::default()
            }));
        }
        Ok(self.described().map(|()| ExplainRequest {
            src: self.src,
            dst: self.dst,
            proto: self.proto.clone(),
            sport: self.sport,
            dport: self.dport,
            interface,
            length,
            established: self.established,
            flags: self.flags.clone(),
            packet: None,
        }))
    }

    /// Refuses what no packet is like, before the daemon is asked.
    fn described(&self) -> Result<(), ApiError> {
        if let (Some(src), Some(dst)) = (self.src, self.dst)
            && src.is_ipv4() != dst.is_ipv4()
        {
            let message = format!("{src} and {dst} are of different families");
            return Err(ApiError::invalid(message).hint("give two IPv4 or two IPv6 addresses"));
        }
        if self.dport.is_none() && matches!(self.proto.as_str(), "tcp" | "udp") {
            let message = format!("{} goes to a port, and none is given", self.proto);
            return Err(ApiError::invalid(message).hint("add --dport PORT"));
        }
        Ok(())
    }
}

fn read_input() -> anyhow::Result<String> {
    let mut text = String::new();
    let mut input = std::io::stdin().lock().take(MAX_TEXT);
    input.read_to_string(&mut text).context("cannot read the packet from standard input")?;
    Ok(text)
}

/// The digits of a packet, without what was pasted around them.
fn digits(text: &str) -> Result<String, ApiError> {
    let bytes = hex::decode(text).map_err(|problem| {
        ApiError::invalid(format!("the packet is not hexadecimal: {problem}"))
            .hint("`tcpdump -xx` prints frames as they are wanted")
    })?;
    if bytes.is_empty() || bytes.len() > MAX_FRAME {
        let length = bytes.len();
        return Err(ApiError::invalid(format!("a frame of {length} bytes cannot be explained"))
            .hint(format!("give 1 to {MAX_FRAME} bytes, from the Ethernet header on")));
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

pub(super) fn explain(args: &ExplainArgs) -> Verdict {
    let request = args.request()??;
    let explanation = args.common.target.client()?.explain(&request)?;
    args.common.output.printer().print(&explanation, |style| text(&explanation, style))?;
    Ok(if explanation.verdict == "drop" { Outcome::No } else { Outcome::Done })
}

pub(super) fn text(explanation: &Explanation, style: Style) -> String {
    let (word, tone) = match explanation.verdict.as_str() {
        "pass" => ("PASS", Tone::Good),
        "would_drop" => ("WOULD DROP", Tone::Warn),
        _ => ("DROP", Tone::Bad),
    };
    let api = match &explanation.api {
        Some(api) => format!("API `{}`", clean(api)),
        None => "no API".to_owned(),
    };
    let mut text = format!("{}  {}, {api}\n", style.paint(tone, word), clean(&explanation.packet));
    text.push_str(&style.paint(Tone::Strong, clean(&explanation.reason)));
    if !explanation.reason_text.is_empty() {
        text.push_str(&format!(": {}", clean(explanation.reason_text.trim())));
    }
    let Explanation { interface, program, generation, .. } = explanation;
    let asked = format!("on {}, program {program}, generation {generation}", clean(interface));
    text.push_str(&format!("\n{}\n", style.paint(Tone::Quiet, asked)));
    for note in &explanation.notes {
        text.push_str(&format!("{} {}\n", style.paint(Tone::Warn, "!"), clean(note)));
    }
    text.push('\n');
    if !explanation.layers.is_empty() {
        let mut table =
            Table::new([("AT", Align::Right), ("LAYER", Align::Left), ("HEADER", Align::Left)]);
        for layer in &explanation.layers {
            table.row([
                layer.offset.to_string().into(),
                (&layer.name).into(),
                (&layer.text).into(),
            ]);
        }
        text.push_str(&table.render(style));
        text.push('\n');
    }
    let mut table =
        Table::new([("STAGE", Align::Left), ("FINDING", Align::Left), ("POLICY", Align::Left)]);
    for step in &explanation.steps {
        let origin =
            step.origin.as_ref().map_or_else(String::new, |at| format!("{}:{}", at.file, at.line));
        table.row([(&step.stage).into(), (&step.finding).into(), cell(origin, Tone::Quiet)]);
    }
    if !table.is_empty() {
        text.push_str(&table.render(style));
    }
    text
}
