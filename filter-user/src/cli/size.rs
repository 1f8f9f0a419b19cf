//! What a policy takes and costs, in a few lines.

use std::fmt::Write as _;

use super::human::{bytes, count};
use super::style::{Style, Tone, clean};
use crate::control::api::{Change, Footprint, PacketCost, Size};

/// From so many prefixes on it means something what one takes: the first tables have a size of their own.
const MANY: u64 = 1_000;

/// The lines.
pub(super) fn text(size: &Size, style: Style) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let name = style.paint(Tone::Quiet, format!("  {name:9}"));
        let _infallible = writeln!(text, "{name}{value}");
    };
    let of = |change: Change, noun: &str| {
        let plural = match (change.after, noun.ends_with('x')) {
            (1, _) => "",
            (_, true) => "es",
            (_, false) => "s",
        };
        let before = match change.before == change.after {
            true => String::new(),
            false => format!(" (before {})", count(change.before)),
        };
        format!("{} {noun}{plural}{before}", count(change.after))
    };
    line(
        "policy",
        format!(
            "{}, {}, {}, {}",
            of(size.apis, "API"),
            of(size.prefixes_v4, "IPv4 prefix"),
            of(size.prefixes_v6, "IPv6 prefix"),
            of(size.rules, "rule"),
        ),
    );
    if let Some(memory) = &size.memory {
        line("memory", memory_line(size, memory));
    }
    if let Some(cost) = &size.cost {
        line("cost", cost_line(cost));
    }
    text
}

fn memory_line(size: &Size, memory: &Footprint) -> String {
    let Footprint { tables, programs, state, limiter, ring, total, peak } = *memory;
    let prefixes = size.prefixes_v4.after + size.prefixes_v6.after;
    let each = match prefixes {
        MANY.. => format!(" ({} a prefix)", bytes(tables / prefixes)),
        _ => String::new(),
    };
    format!(
        "{} in the kernel: tables {}{each}, programs {}, state {}, limiter {}, ring {}; {} while both \
         are loaded",
        bytes(total),
        bytes(tables),
        bytes(programs),
        bytes(state),
        bytes(limiter),
        bytes(ring),
        bytes(peak),
    )
}

fn cost_line(cost: &PacketCost) -> String {
    let packets: Vec<String> = cost
        .packets
        .iter()
        .map(|packet| {
            let family = if packet.family == "ipv4" { "IPv4" } else { "IPv6" };
            let above = packet.ns.saturating_sub(cost.empty_ns);
            format!("{above} ns {family} {}", clean(&packet.reason))
        })
        .collect();
    format!(
        "{} a packet, above the {} ns of an empty program (tried here, not sampled, in the caches)",
        packets.join(", "),
        cost.empty_ns
    )
}
