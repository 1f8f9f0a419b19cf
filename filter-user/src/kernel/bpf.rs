//! Commands of bpf(2) that aya has no function for.

use std::io;

/// Calls bpf(2): a command of `enum bpf_cmd` with what it wants to know of `union bpf_attr`
/// (include/uapi/linux/bpf.h). Gives what the kernel does, a descriptor with some commands.
///
/// # Errors
/// The kernel refuses.
///
/// # Safety
/// The attribute is what the command takes, and whatever it points to lives for the call.
pub(super) unsafe fn call<T>(command: libc::c_long, attribute: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: the attribute is of the size given; the rest is the caller's promise.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attribute, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
