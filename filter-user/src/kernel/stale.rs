//! Pinned links of interfaces that are gone. The kernel lets go of the interface, the pin holds the
//! link, and with it the programs and tables that were in force there: one set for each time an
//! interface was made anew.

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::attach::{links, remove_pin};
use super::bpf;
use super::detach;
use super::error::Result;

/// Commands of bpf(2), and kinds of links (include/uapi/linux/bpf.h).
const OBJECT_GET: libc::c_long = 7;
const INFO_BY_FD: libc::c_long = 15;
const XDP: u32 = 6;
const TCX: u32 = 11;

/// Removes the pins of links that hold no interface any more. One that was moved to another network
/// namespace is still held.
///
/// # Errors
/// A pin cannot be removed.
pub fn sweep(pins: &Path) -> Result<()> {
    for pin in detach::files(&links(pins))? {
        if interface(&pin) == Some(0) {
            remove_pin(&pin)?;
            log::info!("the interface of {} is gone", pin.display());
        }
    }
    Ok(())
}

/// The index of the interface that a pinned link holds, in the interface's own namespace; 0 when it
/// is gone, `None` when this cannot be told.
fn interface(pin: &Path) -> Option<u32> {
    #[repr(C)]
    struct Get {
        path: u64,
        fd: u32,
        flags: u32,
    }
    #[repr(C)]
    struct Inspect {
        fd: u32,
        length: u32,
        info: u64,
    }
    let path = CString::new(pin.as_os_str().as_bytes()).ok()?;
    let mut get = Get { path: path.as_ptr() as u64, fd: 0, flags: 0 };
    // SAFETY: the attribute and the path live for the call; the command only reads them.
    let fd = unsafe { bpf::call(OBJECT_GET, &mut get) }.ok()?;
    let fd = i32::try_from(fd).ok()?;
    // SAFETY: the descriptor was just opened and nobody else has it.
    let link = unsafe { OwnedFd::from_raw_fd(fd) };
    // `struct bpf_link_info`: kind, number, program, a gap, then what the kind has, which of both
    // kinds begins with the interface.
    let mut info = [0_u32; 16];
    let mut inspect = Inspect {
        fd: u32::try_from(link.as_raw_fd()).ok()?,
        length: u32::try_from(size_of_val(&info)).ok()?,
        info: info.as_mut_ptr() as u64,
    };
    // SAFETY: the kernel writes at most `length` bytes to `info` and how many to `length`; both live
    // for the call.
    unsafe { bpf::call(INFO_BY_FD, &mut inspect) }.ok()?;
    [XDP, TCX].contains(&info[0]).then_some(info[4])
}
