//! `weir explain`: the verdict's own code over the tables of the loaded program, telling what each
//! stage finds. Nothing is counted and no limit is charged: see [`crate::kernel::live`].

mod layers;
mod limit;
mod packet;
mod tell;

use filter_common::stat::Stat;
use filter_common::verdict::{self, Step};

use crate::control::api::{Answer, ApiError, ExplainRequest, Explanation};
use crate::kernel::attach::{Gated, program_name};
use crate::kernel::{clock, netlink};

use super::gate::Gate;
use super::trouble;
use packet::Question;
use tell::Teller;

/// What would happen to a packet now.
pub(super) fn explain(gate: &Gate, request: &ExplainRequest) -> Answer<Explanation> {
    let question = Question::of(request)?;
    let gated = interface(gate, request.interface.as_deref())?;
    let teller = Teller::new(gate, &question.packet);
    let now = gate.generation.grains(clock::monotonic_ns());
    let listener = |stage: Step<'_>| teller.hear(&stage, now);
    let live = gate.generation.live(gated.index, now, &listener).map_err(trouble::kernel)?;
    let decision = match question.refused {
        None => verdict::judge(&live, &question.packet),
        Some(reason) => verdict::judge_unparsed(&live, &question.packet, reason),
    };
    live.whole().map_err(trouble::kernel)?;
    let mut notes = question.notes.clone();
    notes.extend(other_program(gated).map_err(trouble::kernel)?);
    if live.bumped().contains(&Stat::MissingCell) {
        notes.push("a table of the loaded program lacks a cell: report this".to_owned());
    }
    let (steps, differences) = teller.finish(&decision, &live, question.parsed());
    notes.extend(differences);
    Ok(Explanation {
        verdict: decision.verdict_name().to_owned(),
        reason: decision.reason.name().to_owned(),
        reason_text: decision.reason.describe().trim().to_owned(),
        packet: question.line(),
        api: gate.state.ids_ref().api_name(decision.api).map(str::to_owned),
        generation: gate.generation.number,
        interface: gated.name.clone(),
        program: gated.program,
        layers: question.layers,
        steps,
        notes,
    })
}

/// The gated interface of this name, or the first.
fn interface<'g>(gate: &'g Gate, name: Option<&str>) -> Answer<&'g Gated> {
    let found = match name {
        None => gate.gated.first(),
        Some(name) => gate.gated.iter().find(|gated| gated.name == name),
    };
    found.ok_or_else(|| {
        let names: Vec<_> = gate.gated.iter().map(|gated| gated.name.as_str()).collect();
        let message = match name {
            Some(name) => format!("what comes in by {name} is judged by nobody"),
            None => "no interface is gated: whatever comes in is judged by nobody".to_owned(),
        };
        ApiError::invalid(message).hint(match names[..] {
            [] => "`weir status` says why".to_owned(),
            _ => format!("gated are: {}", names.join(", ")),
        })
    })
}

/// What is attached to an interface in place of the program whose tables were asked.
fn other_program(gated: &Gated) -> crate::kernel::error::Result<Option<String>> {
    let attached = netlink::xdp_programs(gated.index)?;
    if attached.iter().any(|attached| attached.program == gated.program) {
        return Ok(None);
    }
    let there = match attached.first() {
        None => "nothing".to_owned(),
        Some(other) => {
            let name = program_name(other.program).unwrap_or_default();
            format!("program {} {name}", other.program)
        }
    };
    let (interface, own) = (&gated.name, gated.program);
    Ok(Some(format!(
        "{interface} runs {there}, not weir's program {own}: packets there are not judged by weir"
    )))
}
