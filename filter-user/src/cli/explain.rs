//! `weir explain`: what would happen to a packet, and why.

use std::net::IpAddr;

use clap::Args;

use super::Common;
use super::outcome::{Outcome, Verdict};
use super::style::{Style, Tone, clean};
use super::table::{Align, Table, cell};
use crate::control::api::{ApiError, ExplainRequest, Explanation};

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Exit code 1 when the packet would be dropped. No counter and no limit changes.\n\n\
    Examples:\n  \
    weir explain 198.51.100.7 203.0.113.5 --dport 8080\n  \
    weir explain 2001:db8::7 2001:db8::5 --proto udp --dport 53 --interface eth1\n  \
    weir explain 198.51.100.7 203.0.113.5 --dport 8080 --established --length 1500"
)]
pub(super) struct ExplainArgs {
    /// Source address
    #[arg(value_name = "SRC")]
    src: IpAddr,
    /// Destination address, of the same family
    #[arg(value_name = "DST")]
    dst: IpAddr,
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
    /// Length on the wire in bytes [default: the shortest]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(14..=65_549))]
    length: Option<u32>,
    /// A segment of a TCP connection that is there already, not the SYN that opens one
    #[arg(long)]
    established: bool,
    #[command(flatten)]
    pub(super) common: Common,
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
    fn request(&self) -> Result<ExplainRequest, ApiError> {
        if self.src.is_ipv4() != self.dst.is_ipv4() {
            let message = format!("{} and {} are of different families", self.src, self.dst);
            return Err(ApiError::invalid(message).hint("give two IPv4 or two IPv6 addresses"));
        }
        if self.dport.is_none() && matches!(self.proto.as_str(), "tcp" | "udp") {
            let message = format!("{} goes to a port, and none is given", self.proto);
            return Err(ApiError::invalid(message).hint("add --dport PORT"));
        }
        Ok(ExplainRequest {
            src: self.src,
            dst: self.dst,
            proto: self.proto.clone(),
            sport: self.sport,
            dport: self.dport,
            interface: self.interface.clone(),
            length: self.length,
            established: self.established,
        })
    }
}

pub(super) fn explain(args: &ExplainArgs) -> Verdict {
    let request = args.request()?;
    let explanation = args.common.target.client()?.explain(&request)?;
    args.common
        .output
        .printer()
        .print(&explanation, |style| text(&request, &explanation, style))?;
    Ok(if explanation.verdict == "drop" { Outcome::No } else { Outcome::Done })
}

fn endpoint(ip: IpAddr, port: Option<u16>) -> String {
    match (ip, port) {
        (_, None) => ip.to_string(),
        (IpAddr::V4(ip), Some(port)) => format!("{ip}:{port}"),
        (IpAddr::V6(ip), Some(port)) => format!("[{ip}]:{port}"),
    }
}

pub(super) fn text(asked: &ExplainRequest, explanation: &Explanation, style: Style) -> String {
    let (word, tone) = match explanation.verdict.as_str() {
        "pass" => ("PASS", Tone::Good),
        "would_drop" => ("WOULD DROP", Tone::Warn),
        _ => ("DROP", Tone::Bad),
    };
    let api = match &explanation.api {
        Some(api) => format!("API `{}`", clean(api)),
        None => "no API".to_owned(),
    };
    let mut text = format!(
        "{}  {} {} → {}, {api}\n",
        style.paint(tone, word),
        clean(&asked.proto),
        endpoint(asked.src, asked.sport),
        endpoint(asked.dst, asked.dport),
    );
    text.push_str(&style.paint(Tone::Strong, clean(&explanation.reason)));
    if !explanation.reason_text.is_empty() {
        text.push_str(&format!(": {}", clean(explanation.reason_text.trim())));
    }
    text.push_str("\n\n");
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
