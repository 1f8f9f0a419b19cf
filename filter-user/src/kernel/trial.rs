//! Running programs on a packet that nobody sent (`BPF_PROG_TEST_RUN`): any XDP program by its
//! kernel id, and the two that do nothing, which measurements are held against.

use std::time::Duration;

use aya::EbpfLoader;
use aya::programs::xdp::XdpLink;
use aya::programs::{
    ProgramError, ProgramInfo, TestRun as _, TestRunOptions, Xdp, XdpMode, loaded_programs,
};
use aya_obj::programs::XdpAttachType;

use super::error::{Error, Result};
use super::object::OBJECT;

/// What a program did to one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The program's return value: an `xdp_action`, or what TC understands.
    pub action: u32,
    /// Mean time of a run, as the kernel measured it: whole nanoseconds.
    pub time: Duration,
}

/// A loaded XDP program.
#[derive(Debug)]
pub struct Program {
    xdp: Xdp,
    name: String,
}

impl Program {
    /// A program that passes or drops every packet without looking at it.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn empty(drops: bool) -> Result<Self> {
        let name = if drops { "weir_empty_drop" } else { "weir_empty_pass" };
        let failed = |e: &dyn std::fmt::Display| Error::new(format!("cannot load {name}: {e}"));
        let mut ebpf = EbpfLoader::new().load(OBJECT).map_err(|e| failed(&e))?;
        let program = ebpf
            .program_mut(name)
            .ok_or_else(|| Error::new(format!("the object has no program {name}")))?;
        let xdp: &mut Xdp = program.try_into().map_err(|e| failed(&e))?;
        xdp.load().map_err(|e| failed(&e))?;
        Self::of(xdp.info().map_err(|e| failed(&e))?)
    }

    /// The program with this id, whoever loaded it.
    ///
    /// # Errors
    /// When there is none, or it is not an XDP program.
    pub fn by_id(id: u32) -> Result<Self> {
        let info = loaded_programs()
            .flatten()
            .find(|program| program.id() == id)
            .ok_or_else(|| Error::new(format!("no program with id {id} is loaded")))?;
        Self::of(info)
    }

    /// A handle of its own on a program.
    fn of(info: ProgramInfo) -> Result<Self> {
        let id = info.id();
        let name = info.name_as_str().unwrap_or("without a name").to_owned();
        let xdp = Xdp::from_program_info(info, name.clone().into(), XdpAttachType::Interface)
            .map_err(|e| Error::new(format!("cannot open program {id} ({name})")).because(e))?;
        Ok(Self { xdp, name })
    }

    /// The program itself, for measurements that call it from one of their own.
    pub fn xdp(&self) -> &Xdp {
        &self.xdp
    }

    /// Attaches it to an interface of the thread's network namespace, in generic mode, for as long as the
    /// link is held. A program that is attached nowhere is made known to the kernel's dispatcher for each
    /// [`Self::run`] anew, which takes milliseconds.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn attach(&self, interface: u32) -> Result<XdpLink> {
        let failed = |e: ProgramError| {
            Error::new(format!("cannot attach {} to interface {interface}", self.name)).because(e)
        };
        let mut own = Self::of(self.xdp.info().map_err(failed)?)?.xdp;
        let id = own.attach_to_if_index(interface, XdpMode::Skb).map_err(failed)?;
        own.take_link(id).map_err(failed)
    }

    /// Runs it on a frame, `repeat` times.
    ///
    /// # Errors
    /// When the kernel does not run it, as with a frame of less than 14 bytes.
    pub fn run(&self, frame: &[u8], repeat: u32) -> Result<Trial> {
        run_xdp(&self.xdp, &self.name, frame, None, repeat)
    }
}

/// Runs an XDP program; `context` is an `xdp_md` or nothing.
pub(super) fn run_xdp(
    program: &Xdp,
    name: &str,
    frame: &[u8],
    context: Option<&[u8]>,
    repeat: u32,
) -> Result<Trial> {
    let options =
        TestRunOptions { data_in: Some(frame), ctx_in: context, repeat, ..TestRunOptions::new() };
    let result = program
        .test_run(options)
        .map_err(|e| Error::new(format!("cannot run {name} on a packet")).because(e))?;
    Ok(Trial { action: result.return_value, time: result.duration })
}
