//! Asks the kernel by rtnetlink (rtnetlink(7)) what no library of ours answers: whether an XDP
//! program is attached to an interface, and which ([`xdp_programs`]), and whether its driver takes any
//! ([`features`]); when interfaces or addresses come
//! and go ([`Changes`]); which of them carry a connection ([`carrier`]); who was seen on them
//! ([`neighbours`]).

pub mod carrier;
pub mod features;
pub(super) mod filters;
pub mod neighbours;

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::Duration;

use super::error::{Error, Result};

/// The index of the loopback interface of every network namespace.
pub(super) const LOOPBACK: u32 = 1;

const IFLA_XDP: u16 = 43;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;

/// How an XDP program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver.
    Native,
    /// In the network stack.
    Generic,
    /// In the card.
    Offload,
}

impl Mode {
    /// The name in output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Offload => "offload",
        }
    }
}

/// The XDP program of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    /// How.
    pub mode: Mode,
    /// Kernel id of the program.
    pub program: u32,
}

/// The XDP programs of an interface, by mode; normally none or one.
///
/// # Errors
/// When the kernel does not answer, or there is no such interface.
pub fn xdp_programs(index: u32) -> Result<Vec<Attached>> {
    let failed = |e: io::Error| {
        Error::new(format!("cannot ask the kernel about interface {index}")).because(e)
    };
    let reply = request(index).map_err(failed)?;
    Ok(parse(&reply))
}

/// A socket that speaks to the kernel and hears what it tells these groups.
pub(super) fn open(groups: u32) -> io::Result<OwnedFd> {
    open_of(libc::NETLINK_ROUTE, groups)
}

/// The same, of one of netlink's protocols (netlink(7)).
fn open_of(protocol: libc::c_int, groups: u32) -> io::Result<OwnedFd> {
    // SAFETY: creates a descriptor that nothing else owns.
    let socket =
        unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, owned by nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: an all-zero sockaddr_nl is valid.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as u16;
    address.nl_groups = groups;
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the address is valid for its length.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if bound < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

/// Tells when something of this network namespace changes: comes, goes, or is set otherwise.
#[derive(Debug)]
pub struct Changes(OwnedFd);

impl Changes {
    /// Begins to listen for changes of interfaces.
    ///
    /// # Errors
    /// When the kernel gives no socket.
    pub fn of_links() -> Result<Self> {
        let failed =
            |e: io::Error| Error::new("cannot listen for changes of interfaces").because(e);
        open(libc::RTMGRP_LINK as u32).map(Self).map_err(failed)
    }

    /// Begins to listen for changes of addresses.
    ///
    /// # Errors
    /// When the kernel gives no socket.
    pub fn of_addresses() -> Result<Self> {
        let failed = |e: io::Error| Error::new("cannot listen for changes of addresses").because(e);
        let groups = libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
        open(groups as u32).map(Self).map_err(failed)
    }

    /// Waits until something has changed, `timeout` at the most (rounded up to ms); whether it has.
    ///
    /// # Errors
    /// When the kernel refuses to wait.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let limit = i32::try_from(timeout.as_millis() + 1).unwrap_or(i32::MAX);
        // SAFETY: one pollfd, valid for reading and writing.
        let ready = unsafe { libc::poll(&raw mut poll, 1, limit) };
        if ready < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) };
        }
        // What has changed is asked anew, also after an overflow (ENOBUFS): the messages say only when.
        let mut scrap = [0u8; 8192];
        // SAFETY: the buffer is valid for its length.
        while unsafe {
            let to = scrap.as_mut_ptr().cast();
            libc::recv(self.0.as_raw_fd(), to, scrap.len(), libc::MSG_DONTWAIT)
        } > 0
        {}
        Ok(ready > 0)
    }
}

/// One RTM_GETLINK for the interface, and the attributes of the answer.
fn request(index: u32) -> io::Result<Vec<u8>> {
    // ifinfomsg { family, pad, type, index, flags, change }
    let mut body = [0u8; INFO];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    let mut answers = ask(libc::RTM_GETLINK, 0, &body)?;
    let mut answer = answers.pop().ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(answer.split_off(answer.len().min(INFO)))
}

/// Bytes of an ifinfomsg.
const INFO: usize = 16;

/// Bytes of an nlmsghdr.
const HEAD: usize = 16;

/// Sends one request, and returns the bodies of the answers: one, or with NLM_F_DUMP all there are.
fn ask(kind: u16, flags: libc::c_int, body: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    ask_of(libc::NETLINK_ROUTE, kind, flags, body)
}

/// The same, of one of netlink's protocols.
fn ask_of(
    protocol: libc::c_int,
    kind: u16,
    flags: libc::c_int,
    body: &[u8],
) -> io::Result<Vec<Vec<u8>>> {
    let socket = open_of(protocol, 0)?;
    // nlmsghdr { len, type, flags, seq, pid }
    let mut message = Vec::with_capacity(HEAD + body.len());
    message.extend(((HEAD + body.len()) as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(((libc::NLM_F_REQUEST | flags) as u16).to_ne_bytes());
    message.extend(1u32.to_ne_bytes());
    message.extend(0u32.to_ne_bytes());
    message.extend(body);
    // SAFETY: the buffer is valid for its length.
    let sent = unsafe { libc::send(socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut answers = Vec::new();
    loop {
        let mut reply = vec![0u8; 32 * 1024];
        // SAFETY: the buffer is valid for its length.
        let got =
            unsafe { libc::recv(socket.as_raw_fd(), reply.as_mut_ptr().cast(), reply.len(), 0) };
        if got < 0 {
            return Err(io::Error::last_os_error());
        }
        reply.truncate(got as usize);
        if take(&reply, &mut answers)? || flags & libc::NLM_F_DUMP == 0 {
            return Ok(answers);
        }
    }
}

/// Takes the bodies out of what came in one piece; whether nothing follows.
fn take(mut reply: &[u8], answers: &mut Vec<Vec<u8>>) -> io::Result<bool> {
    while let (Some(length), Some(kind)) = (field(reply, 0), field(reply, 4)) {
        let length = u32::from_ne_bytes(length) as usize;
        let body = reply.get(HEAD..length).ok_or(io::ErrorKind::InvalidData)?;
        match libc::c_int::from(u16::from_ne_bytes([kind[0], kind[1]])) {
            libc::NLMSG_DONE => return Ok(true),
            libc::NLMSG_ERROR => {
                let code = field(body, 0).map_or(0, i32::from_ne_bytes);
                // An acknowledgement is an error of number 0.
                if code == 0 {
                    return Ok(true);
                }
                return Err(io::Error::from_raw_os_error(-code));
            }
            _ => answers.push(body.to_vec()),
        }
        reply = reply.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// Four bytes at a place.
pub(super) fn field(bytes: &[u8], at: usize) -> Option<[u8; 4]> {
    bytes.get(at..at + 4)?.try_into().ok()
}

/// The attributes in a run of `rtattr`s.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let head = field(bytes, 0)?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

fn parse(link: &[u8]) -> Vec<Attached> {
    let Some((_, xdp)) = attributes(link).find(|&(kind, _)| kind == IFLA_XDP) else {
        return Vec::new();
    };
    let value = |wanted| {
        let (_, value) = attributes(xdp).find(|&(kind, _)| kind == wanted)?;
        Some(u32::from_ne_bytes(value.get(..4)?.try_into().ok()?)).filter(|&id| id != 0)
    };
    let modes = [
        (IFLA_XDP_DRV_PROG_ID, Mode::Native),
        (IFLA_XDP_SKB_PROG_ID, Mode::Generic),
        (IFLA_XDP_HW_PROG_ID, Mode::Offload),
    ];
    let by_mode: Vec<_> = modes
        .into_iter()
        .filter_map(|(kind, mode)| Some(Attached { mode, program: value(kind)? }))
        .collect();
    if !by_mode.is_empty() {
        return by_mode;
    }
    let attached = attributes(xdp).find(|&(kind, _)| kind == IFLA_XDP_ATTACHED);
    let mode = match attached.and_then(|(_, value)| value.first().copied()) {
        Some(1) => Mode::Native,
        Some(2) => Mode::Generic,
        Some(3) => Mode::Offload,
        _ => return Vec::new(),
    };
    value(IFLA_XDP_PROG_ID).map(|program| Attached { mode, program }).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_no_program_and_nowhere_has_no_interface() {
        assert_eq!(xdp_programs(1).unwrap(), []);
        assert!(xdp_programs(0x7fff_fff0).is_err());
    }

    #[test]
    fn reads_the_program_of_each_mode() {
        let attribute = |kind: u16, value: &[u8]| {
            let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        for (kind, mode) in
            [(IFLA_XDP_DRV_PROG_ID, Mode::Native), (IFLA_XDP_SKB_PROG_ID, Mode::Generic)]
        {
            let mut inner = attribute(IFLA_XDP_ATTACHED, &[4]);
            inner.extend(attribute(kind, &77u32.to_ne_bytes()));
            let mut link = attribute(3, b"eth0\0");
            link.extend(attribute(IFLA_XDP | 0x8000, &inner));
            assert_eq!(parse(&link), [Attached { mode, program: 77 }]);
        }
    }
}
