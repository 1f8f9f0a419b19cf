//! What leaves an interface: the program at TCX, or behind a filter of a clsact queueing discipline.
//!
//! Either is replaced in place, so that a change leaves no moment without one. Where weir has made the
//! discipline a directory beside the links says so, and it goes with the filter.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use aya::programs::links::FdLink;
use aya::programs::tc::{SchedClassifierLink, TcAttachOptions};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType};

use super::attach::{EGRESS, Target, is_errno, links, open_link, program_of, remove_pin};
use super::error::{Error, Result};
use super::netlink::filters;

/// How outgoing packets are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EgressHook {
    /// TCX where the kernel has it, else clsact.
    #[default]
    Auto,
    /// TCX, kernel 6.6.
    Tcx,
    /// A filter on a clsact qdisc.
    Clsact,
    /// Not at all.
    Off,
}

impl EgressHook {
    /// The name in output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
            Self::Off => "off",
        }
    }
}

fn tcx_pin(pins: &Path, index: u32) -> PathBuf {
    links(pins).join(format!("tcx-{index}"))
}

/// There while the discipline of the interface is weir's.
fn clsact_mark(pins: &Path, index: u32) -> PathBuf {
    links(pins).join(format!("clsact-{index}"))
}

/// Lets a program see what leaves, as the target says, in the place of whichever of ours did before.
pub(super) fn watch(
    pins: &Path,
    target: &Target,
    index: u32,
    program: &mut SchedClassifier,
) -> Result<()> {
    match target.egress {
        EgressHook::Off => unwatch(pins, index).map(drop),
        EgressHook::Tcx | EgressHook::Auto => {
            attach_tcx(&tcx_pin(pins, index), target, program)?;
            remove_filters(pins, index).map(drop)
        }
        EgressHook::Clsact => {
            attach_clsact(pins, target, index, program)?;
            remove_pin(&tcx_pin(pins, index))
        }
    }
}

/// Takes off an interface what saw what leaves it; whether there was a filter.
pub(super) fn unwatch(pins: &Path, index: u32) -> Result<bool> {
    remove_pin(&tcx_pin(pins, index))?;
    remove_filters(pins, index)
}

/// Kernel id of the program that sees what leaves an interface now.
pub(super) fn watching(pins: &Path, index: u32) -> Option<u32> {
    let behind_filter = || filters::of_egress(index, EGRESS).first()?.program;
    program_of(&tcx_pin(pins, index)).or_else(behind_filter)
}

fn failed(target: &Target, cause: impl std::error::Error) -> Error {
    Error::new(format!("cannot watch what leaves {}", target.name))
        .because(cause)
        .hint("`egress = \"clsact\"` works on older kernels, `egress = \"off\"` does without")
}

fn attach_tcx(pin: &Path, target: &Target, program: &mut SchedClassifier) -> Result<()> {
    let failed = |e: ProgramError| failed(target, e);
    if pin.exists() {
        match program.attach_to_link(open_link::<SchedClassifierLink>(pin)?) {
            Ok(id) => {
                let _closed = program.take_link(id);
                return Ok(());
            }
            Err(e) if is_errno(&e, libc::ENOLINK) => remove_pin(pin)?,
            Err(e) => return Err(failed(e)),
        }
    }
    let options = TcAttachOptions::TcxOrder(LinkOrder::default());
    let id =
        program.attach_with_options(&target.name, TcAttachType::Egress, options).map_err(failed)?;
    let link = program.take_link(id).map_err(failed)?;
    let link = FdLink::try_from(link)
        .map_err(|e| Error::new(format!("{} takes no TCX link", target.name)).because(e))?;
    link.pin(pin).map(drop).map_err(|e| Error::path("pin", pin, e))
}

/// A filter stays without a process, and is known by its name.
fn attach_clsact(
    pins: &Path,
    target: &Target,
    index: u32,
    program: &SchedClassifier,
) -> Result<()> {
    let made = filters::add_clsact(index)
        .map_err(|e| Error::new(format!("cannot add clsact to {}", target.name)).because(e))?;
    if made {
        let mark = clsact_mark(pins, index);
        std::fs::create_dir_all(&mark).map_err(|e| Error::path("create", mark.as_path(), e))?;
    }
    let descriptor = program.fd().map_err(|e| failed(target, e))?.as_fd();
    let held = filters::of_egress(index, EGRESS);
    filters::set(index, held.first(), EGRESS, descriptor).map_err(|e| failed(target, e))?;
    for another in held.iter().skip(1) {
        filters::remove(index, another).map_err(|e| failed(target, e))?;
    }
    Ok(())
}

/// Removes filters of ours, and the discipline that was made for them; whether there was one.
fn remove_filters(pins: &Path, index: u32) -> Result<bool> {
    let failed =
        |e| Error::new(format!("cannot remove the filter of interface {index}")).because(e);
    let held = filters::of_egress(index, EGRESS);
    for filter in &held {
        filters::remove(index, filter).map_err(failed)?;
    }
    let mark = clsact_mark(pins, index);
    if mark.exists() {
        // Its interface may be gone, and it with it.
        let _gone = filters::remove_clsact(index);
        std::fs::remove_dir(&mark).map_err(|e| Error::path("remove", mark.as_path(), e))?;
    }
    Ok(!held.is_empty())
}
