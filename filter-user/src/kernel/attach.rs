//! Attaching, adopting, swapping and detaching, by pinned links.
//!
//! A link lives as its pin: no process holds it, so enforcement goes on without one. To swap is to
//! open the pin and replace the program behind it, which each hook does atomically.

use std::path::{Path, PathBuf};

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::XdpLink;
use aya::programs::{ProgramError, SchedClassifier, Xdp, XdpMode, loaded_programs};
use aya_obj::programs::XdpAttachType;

pub use super::detach::{Removed, detach, open_gate};
pub use super::egress::EgressHook;
use super::error::{Error, Result};
use super::generation::Generation;
use super::netlink::{self, Mode};
use super::{before, egress, holders, host, stale, state};

/// Names of our programs as the kernel shows them.
const INGRESS: &str = "weir_ingress";
pub(super) const EGRESS: &str = "weir_egress";

/// Where XDP is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Driver {
    /// In the driver where it can, else in the stack.
    #[default]
    Auto,
    /// In the driver.
    Native,
    /// In the stack.
    Generic,
}

/// An interface that is to be gated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name. What has the name may be removed and made anew, with another index.
    pub name: String,
    /// Where XDP is to run.
    pub driver: Driver,
    /// How outgoing packets are seen.
    pub egress: EgressHook,
}

/// An interface that is gated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gated {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Where XDP runs.
    pub mode: Mode,
    /// How outgoing packets are seen: never [`EgressHook::Auto`].
    pub egress: EgressHook,
    /// A link was there already, and its program was replaced.
    pub adopted: bool,
    /// Kernel id of the ingress program.
    pub program: u32,
    /// Kernel id of the egress program, where there is one.
    pub egress_program: Option<u32>,
}

impl Target {
    /// Checks that the interface is there and carries Ethernet.
    ///
    /// # Errors
    /// When it does not.
    pub fn new(name: &str, driver: Driver, egress: EgressHook) -> Result<Self> {
        host::interface_index(name)?;
        host::check_ethernet(name)?;
        // Loopback would show every packet twice, leaving and coming in.
        let egress = if host::is_loopback(name) { EgressHook::Off } else { egress };
        let egress = match egress {
            EgressHook::Auto if host::kernel_version() >= host::TCX_KERNEL => EgressHook::Tcx,
            EgressHook::Auto => EgressHook::Clsact,
            chosen => chosen,
        };
        Ok(Self { name: name.to_owned(), driver, egress })
    }

    /// The index of what has the name now; `None`: nothing has it.
    pub fn index(&self) -> Option<u32> {
        host::interface_index(&self.name).ok()
    }
}

impl Gated {
    /// Whether what has the name is the interface that was gated, and runs the program it was given.
    pub fn holds(&self) -> bool {
        self.is_named(&self.name) && self.runs()
    }

    /// The name that the interface has now, where it still runs its program but was renamed.
    pub fn renamed(&self) -> Option<String> {
        let now = host::interface_name(self.index)?;
        (now != self.name && self.runs()).then_some(now)
    }

    fn is_named(&self, name: &str) -> bool {
        host::interface_index(name).is_ok_and(|index| index == self.index)
    }

    fn runs(&self) -> bool {
        let ours = |attached: &netlink::Attached| attached.program == self.program;
        netlink::xdp_programs(self.index).is_ok_and(|programs| programs.iter().any(ours))
    }
}

pub(super) fn links(pins: &Path) -> PathBuf {
    pins.join("links")
}

pub(super) fn xdp_pin(pins: &Path, index: u32) -> PathBuf {
    links(pins).join(format!("xdp-{index}"))
}

/// Interfaces that have a pinned link: gated by an earlier start.
pub fn pinned_interfaces(pins: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(links(pins)) else { return Vec::new() };
    let indices: Vec<u32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("xdp-")?.parse().ok())
        .collect();
    host::interface_names()
        .into_iter()
        .filter(|name| host::interface_index(name).is_ok_and(|index| indices.contains(&index)))
        .collect()
}

/// Puts a generation in force on every interface that is there, or on none: when one refuses, those
/// before it get `old` back, or what they ran before. An interface that is not there has no packets to
/// judge.
///
/// # Errors
/// The first refusal, and whatever could not be taken back.
pub fn swap(
    pins: &Path,
    targets: &[Target],
    new: &mut Generation,
    mut old: Option<&mut Generation>,
) -> Result<Vec<Gated>> {
    let directory = links(pins);
    std::fs::create_dir_all(&directory)
        .map_err(|e| Error::path("create", directory.as_path(), e))?;
    let mut done: Vec<(Gated, &Target, Before)> = Vec::with_capacity(targets.len());
    for target in targets {
        let Some(index) = target.index() else { continue };
        let before = Before::of(pins, index);
        match put(pins, target, new) {
            Ok(gated) => done.push((gated, target, before)),
            Err(mut error) => {
                for (gated, target, mut before) in done {
                    let back = match old.as_deref_mut() {
                        Some(old) => put(pins, target, old).map(drop),
                        None => before.put_back(pins, target, &gated),
                    };
                    if let Err(e) = back {
                        error.what = format!("{}; {e}", error.what);
                    }
                }
                return Err(error);
            }
        }
    }
    if let Err(error) = stale::sweep(pins) {
        log::warn!("{error}");
    }
    Ok(done.into_iter().map(|(gated, ..)| gated).collect())
}

/// What an interface ran before a swap, held so that it lives on until the swap is through.
#[derive(Default)]
struct Before {
    ingress: Option<Xdp>,
    egress: Option<SchedClassifier>,
}

impl Before {
    /// Nothing where there is no link of ours.
    fn of(pins: &Path, index: u32) -> Self {
        let info = |id| loaded_programs().flatten().find(|program| program.id() == id);
        let ingress = program_of(&xdp_pin(pins, index)).and_then(info);
        let egress = egress::watching(pins, index).and_then(info);
        Self {
            ingress: ingress.and_then(|info| {
                Xdp::from_program_info(info, INGRESS.into(), XdpAttachType::Interface).ok()
            }),
            egress: egress
                .and_then(|info| SchedClassifier::from_program_info(info, EGRESS.into()).ok()),
        }
    }

    fn put_back(&mut self, pins: &Path, target: &Target, now: &Gated) -> Result<()> {
        let pin = xdp_pin(pins, now.index);
        match &mut self.ingress {
            Some(ingress) => replace_xdp(&pin, target, ingress).map(drop)?,
            None if now.adopted => {
                return Err(Error::new(format!(
                    "{} has the new policy already, and what it ran before cannot be opened",
                    target.name
                )));
            }
            None => remove_pin(&pin)?,
        }
        match &mut self.egress {
            Some(egress) => egress::watch(pins, target, now.index, egress),
            None => egress::unwatch(pins, now.index).map(drop),
        }
    }
}

/// Attaches a generation to one interface, or replaces what our link there runs.
///
/// # Errors
/// When the interface is not there, or refuses.
pub fn put(pins: &Path, target: &Target, generation: &mut Generation) -> Result<Gated> {
    let index = host::interface_index(&target.name)?;
    host::check_ethernet(&target.name)?;
    let pin = xdp_pin(pins, index);
    let adopted = replace_xdp(&pin, target, generation.ingress()?)?;
    if !adopted {
        attach_xdp(&pin, target, index, generation.ingress()?)?;
    }
    let program = generation
        .ingress()?
        .info()
        .map_err(|e| {
            Error::new(format!("cannot inspect the program on {}", target.name)).because(e)
        })?
        .id();
    let attached = netlink::xdp_programs(index)?;
    let Some(attached) = attached.iter().find(|attached| attached.program == program) else {
        return Err(Error::new(format!(
            "the pinned link {} is not on {}: it belongs to another network namespace",
            pin.display(),
            target.name
        ))
        .hint("give this daemon pins of its own with `--instance NAME`"));
    };
    egress::watch(pins, target, index, generation.egress()?)?;
    let egress_program = match target.egress {
        EgressHook::Off => None,
        _ => generation.egress()?.info().ok().map(|info| info.id()),
    };
    Ok(Gated {
        name: target.name.clone(),
        index,
        mode: attached.mode,
        egress: target.egress,
        adopted,
        program,
        egress_program,
    })
}

/// Replaces the program of a pinned link; whether there was one that still holds its interface.
pub(super) fn replace_xdp(pin: &Path, target: &Target, program: &mut Xdp) -> Result<bool> {
    if !pin.exists() {
        return Ok(false);
    }
    let link = open_link::<XdpLink>(pin)?;
    match program.attach_to_link(link) {
        Ok(id) => {
            // The pin keeps the link; the descriptor need not stay.
            let _closed = program.take_link(id);
            Ok(true)
        }
        Err(e) if is_errno(&e, libc::ENOLINK) => {
            // The interface went away, and took the link with it.
            remove_pin(pin)?;
            Ok(false)
        }
        Err(e) => {
            Err(Error::new(format!("cannot replace the program on {}", target.name)).because(e))
        }
    }
}

fn attach_xdp(pin: &Path, target: &Target, index: u32, program: &mut Xdp) -> Result<()> {
    if let Some(other) = netlink::xdp_programs(index)?.first() {
        return Err(occupied(&target.name, other.program, other.mode));
    }
    let remedies = before::tell(&target.name, target.driver);
    let modes: &[XdpMode] = match target.driver {
        Driver::Auto => &[XdpMode::Driver, XdpMode::Skb],
        Driver::Native => &[XdpMode::Driver],
        Driver::Generic => &[XdpMode::Skb],
    };
    let mut refusal = None;
    for &mode in modes {
        match program.attach_to_if_index(index, mode) {
            Ok(id) => {
                let link = program.take_link(id).map_err(|e| {
                    Error::new(format!("cannot keep the link on {}", target.name)).because(e)
                })?;
                // Without a bpf_link aya attaches by netlink, which would end with the daemon.
                let link = FdLink::try_from(link).map_err(|e| {
                    Error::new(format!("{} takes no bpf_link", target.name))
                        .because(e)
                        .hint("try `--xdp-mode generic`")
                })?;
                link.pin(pin).map_err(|e| Error::path("pin", pin, e))?;
                return Ok(());
            }
            Err(e) => refusal = Some(e),
        }
    }
    let error = Error::new(format!("cannot attach XDP to {}", target.name));
    let hint = match (&remedies, target.driver) {
        (Some(remedies), _) => remedies.as_str(),
        (None, Driver::Native) => {
            "the driver may not support XDP, or not with this MTU, LRO or number of \
                           queues: `weir doctor` says more; `--xdp-mode auto` falls back"
        }
        (None, _) => "`weir doctor` says what may be in the way",
    };
    Err(match refusal {
        Some(e) => error.because(e),
        None => error,
    }
    .hint(hint))
}

/// Says whose program is in the way.
fn occupied(interface: &str, id: u32, mode: Mode) -> Error {
    let name = program_name(id).unwrap_or_else(|| "without a name".to_owned());
    let holders = holders::holders(id);
    let held = match holders.is_empty() {
        true => String::new(),
        false => format!(", held by {}", holders.join(", ")),
    };
    let error = Error::new(format!(
        "{interface} has an XDP program already: {name:?} (id {id}, {} mode{held})",
        mode.name()
    ));
    match name.as_str() {
        INGRESS => error.hint(
            "it is weir's, under other pins: `weir detach` with that instance or pins removes it",
        ),
        "xdp_dispatcher" => error.hint(
            "it is libxdp's dispatcher: `xdp-loader status` shows what runs under it; unload that \
             first",
        ),
        _ => error.hint(format!(
            "weir never replaces another's program: stop its owner, or `ip link set dev \
             {interface} xdp off`"
        )),
    }
}

/// The name of a loaded program.
pub fn program_name(id: u32) -> Option<String> {
    loaded_programs()
        .flatten()
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(str::to_owned))
}

/// Kernel id of the program behind a pinned link; `None` when there is no such link.
pub(super) fn program_of(pin: &Path) -> Option<u32> {
    let link = PinnedLink::from_pin(pin).ok()?;
    FdLink::from(link).info().ok().map(|info| info.program_id())
}

pub(super) fn open_link<L: TryFrom<FdLink, Error = aya::programs::links::LinkError>>(
    pin: &Path,
) -> Result<L> {
    let pinned = PinnedLink::from_pin(pin).map_err(|e| Error::path("open the link", pin, e))?;
    L::try_from(FdLink::from(pinned)).map_err(|e| Error::path("use the link", pin, e))
}

pub(super) fn is_errno(error: &ProgramError, errno: i32) -> bool {
    matches!(error, ProgramError::SyscallError(e) if e.io_error.raw_os_error() == Some(errno))
}

pub(super) fn remove_pin(pin: &Path) -> Result<()> {
    match std::fs::remove_file(pin) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::path("remove", pin, e)),
    }
}

/// Whether state of this schema is pinned.
pub fn has_state(pins: &Path) -> bool {
    state::directory(pins).exists()
}
