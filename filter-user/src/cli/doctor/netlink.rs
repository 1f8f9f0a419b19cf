//! What the kernel says about network interfaces: one RTM_GETLINK dump (rtnetlink(7)).
//!
//! Only what `doctor` shows is read. Numbers are in the host's byte order, as netlink has them.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Attributes of a link, from linux/if_link.h.
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINKINFO: u16 = 18;
const IFLA_XDP: u16 = 43;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;

/// The upper bits of an attribute's type are flags.
const TYPE_MASK: u16 = 0x3fff;

/// Bytes of a message's header, of the link's header behind it, and of an attribute's.
const MESSAGE: usize = 16;
const LINK: usize = 16;
const ATTRIBUTE: usize = 4;

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) up: bool,
    pub(super) loopback: bool,
    pub(super) mtu: u32,
    /// `veth`, `bridge`, `vlan` …; empty for hardware.
    pub(super) kind: String,
    /// XDP programs attached to it.
    pub(super) programs: Vec<Attached>,
}

/// An XDP program on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attached {
    /// `native`, `generic` or `offload`.
    pub(super) mode: &'static str,
    /// The program's kernel id.
    pub(super) id: u32,
}

/// All interfaces of this network namespace.
pub(super) fn links() -> io::Result<Vec<Link>> {
    let socket = open()?;
    send_request(&socket)?;
    let mut links = Vec::new();
    let mut buffer = vec![0_u8; 1 << 20];
    loop {
        // SAFETY: the buffer is as long as said and lives through the call.
        let length =
            unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        if length == 0 || read_messages(&buffer[..length], &mut links)? {
            return Ok(links);
        }
    }
}

fn open() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: only numbers are passed.
    let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn send_request(socket: &OwnedFd) -> io::Result<()> {
    let mut request = [0_u8; MESSAGE + LINK];
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    request[..4].copy_from_slice(&((MESSAGE + LINK) as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&libc::RTM_GETLINK.to_ne_bytes());
    request[6..8].copy_from_slice(&flags.to_ne_bytes());
    // SAFETY: the request is as long as said and lives through the call.
    let sent = unsafe { libc::send(socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Reads the messages of one datagram; true when the dump ends.
fn read_messages(mut bytes: &[u8], links: &mut Vec<Link>) -> io::Result<bool> {
    while let (Some(length), Some(kind)) = (word(bytes, 0), half(bytes, 4)) {
        let length = length as usize;
        let Some(message) = bytes.get(MESSAGE..length) else { break };
        match i32::from(kind) {
            libc::NLMSG_DONE => return Ok(true),
            libc::NLMSG_ERROR => {
                let code = word(message, 0).unwrap_or(0) as i32;
                return Err(io::Error::from_raw_os_error(code.saturating_neg()));
            }
            _ if kind == libc::RTM_NEWLINK => links.extend(read_link(message)),
            _ => {}
        }
        bytes = bytes.get(align(length)..).unwrap_or_default();
    }
    Ok(false)
}

fn read_link(message: &[u8]) -> Option<Link> {
    let flags = word(message, 8)?;
    let has = |flag: libc::c_int| flags & flag as u32 != 0;
    let mut link = Link {
        index: word(message, 4)?,
        up: has(libc::IFF_UP),
        loopback: has(libc::IFF_LOOPBACK),
        ..Link::default()
    };
    for (kind, value) in attributes(message.get(LINK..)?) {
        match kind {
            IFLA_IFNAME => link.name = text(value),
            IFLA_MTU => link.mtu = word(value, 0)?,
            IFLA_LINKINFO => {
                let kind = attributes(value).find(|(kind, _)| *kind == IFLA_INFO_KIND);
                link.kind = kind.map(|(_, value)| text(value)).unwrap_or_default();
            }
            IFLA_XDP => link.programs = read_xdp(value),
            _ => {}
        }
    }
    Some(link)
}

fn read_xdp(value: &[u8]) -> Vec<Attached> {
    // How the one program that IFLA_XDP_PROG_ID names is attached; 4 means several.
    let mut attached = 0;
    let mut single = None;
    let mut programs = Vec::new();
    for (kind, value) in attributes(value) {
        let mode = match kind {
            IFLA_XDP_ATTACHED => {
                attached = value.first().copied().unwrap_or(0);
                continue;
            }
            IFLA_XDP_PROG_ID => {
                single = word(value, 0);
                continue;
            }
            IFLA_XDP_DRV_PROG_ID => "native",
            IFLA_XDP_SKB_PROG_ID => "generic",
            IFLA_XDP_HW_PROG_ID => "offload",
            _ => continue,
        };
        programs.extend(word(value, 0).map(|id| Attached { mode, id }));
    }
    if programs.is_empty()
        && let Some(id) = single
        && let Some(mode) =
            ["native", "generic", "offload"].get(usize::from(attached).wrapping_sub(1))
    {
        programs.push(Attached { mode, id });
    }
    programs
}

fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(half(bytes, 0)?);
        let kind = half(bytes, 2)? & TYPE_MASK;
        let value = bytes.get(ATTRIBUTE..length)?;
        bytes = bytes.get(align(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

const fn align(length: usize) -> usize {
    (length + 3) & !3
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((ATTRIBUTE + value.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(align(bytes.len()), 0);
        bytes
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((MESSAGE + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(MESSAGE, 0);
        bytes.extend(body);
        bytes
    }

    fn link(xdp: &[u8]) -> Vec<u8> {
        let mut body = vec![0; LINK];
        body[4..8].copy_from_slice(&7_u32.to_ne_bytes());
        body[8..12].copy_from_slice(&(libc::IFF_UP as u32).to_ne_bytes());
        body.extend(attribute(IFLA_IFNAME, b"eth0\0"));
        body.extend(attribute(IFLA_MTU, &1500_u32.to_ne_bytes()));
        body.extend(attribute(IFLA_LINKINFO | 0x8000, &attribute(IFLA_INFO_KIND, b"veth\0")));
        body.extend(attribute(IFLA_XDP | 0x8000, xdp));
        message(libc::RTM_NEWLINK, &body)
    }

    #[test]
    fn programs_by_mode() {
        let id = |kind, id: u32| attribute(kind, &id.to_ne_bytes());
        let attached = |how: u8| attribute(IFLA_XDP_ATTACHED, &[how]);
        let rows = [
            ("none", attached(0), vec![]),
            ("native", [attached(1), id(4, 9), id(5, 9)].concat(), vec![("native", 9)]),
            ("generic", [attached(2), id(4, 8), id(6, 8)].concat(), vec![("generic", 8)]),
            (
                "two",
                [attached(4), id(5, 9), id(6, 8)].concat(),
                vec![("native", 9), ("generic", 8)],
            ),
            ("an old kernel", [attached(2), id(4, 8)].concat(), vec![("generic", 8)]),
        ];
        for (what, xdp, programs) in rows {
            let mut links = Vec::new();
            assert!(!read_messages(&link(&xdp), &mut links).expect("no error"), "{what}");
            let programs: Vec<_> =
                programs.into_iter().map(|(mode, id)| Attached { mode, id }).collect();
            let expected = Link {
                index: 7,
                name: "eth0".into(),
                up: true,
                loopback: false,
                mtu: 1500,
                kind: "veth".into(),
                programs,
            };
            assert_eq!(links, [expected], "{what}");
        }
    }

    #[test]
    fn ends_errors_and_cut_messages() {
        let mut links = Vec::new();
        let done = [link(&[]), message(libc::NLMSG_DONE as u16, &[0; 4])].concat();
        assert!(read_messages(&done, &mut links).expect("no error"));
        let denied = message(libc::NLMSG_ERROR as u16, &(-libc::EPERM).to_ne_bytes());
        let error = read_messages(&denied, &mut links).expect_err("an error");
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        for length in 0..done.len() {
            let _any = read_messages(&done[..length], &mut links);
        }
    }

    #[test]
    fn this_host_has_a_loopback() {
        let links = links().expect("a dump");
        let loopback = links.iter().find(|link| link.loopback).expect("lo");
        assert_eq!((loopback.name.as_str(), loopback.index), ("lo", 1));
    }
}
