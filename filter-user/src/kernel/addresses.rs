//! The addresses of this host, in the network namespace at hand, by rtnetlink (rtnetlink(7)). When they
//! change, [`super::netlink::Changes`] tells.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use super::error::{Error, Result};
use super::netlink::{attributes, field, open};

/// Bytes of a `nlmsghdr`, and of an `ifaddrmsg` after it.
const HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
/// A dump during which something changed (linux/netlink.h).
const INTERRUPTED: u16 = 0x10;
/// Times that an interrupted dump is begun anew.
const ATTEMPTS: u32 = 5;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// Every address of every interface.
///
/// # Errors
/// When the kernel does not tell.
pub fn list() -> Result<BTreeSet<IpAddr>> {
    let failed =
        |e: io::Error| Error::new("cannot ask the kernel for the host's addresses").because(e);
    let mut found = BTreeSet::new();
    for _ in 0..ATTEMPTS {
        let complete;
        (found, complete) = dump().map_err(failed)?;
        if complete {
            break;
        }
    }
    // After so many changes within a moment the news of the last one brings the whole.
    Ok(found)
}

/// One RTM_GETADDR for both families: the addresses, and whether nothing changed meanwhile.
fn dump() -> io::Result<(BTreeSet<IpAddr>, bool)> {
    let socket = open(0)?;
    // nlmsghdr { len, type, flags, seq, pid } and ifaddrmsg { family, … }, all zero: every address.
    let mut message = Vec::with_capacity(HEADER + ADDRESS_HEADER);
    message.extend(((HEADER + ADDRESS_HEADER) as u32).to_ne_bytes());
    message.extend(libc::RTM_GETADDR.to_ne_bytes());
    message.extend(((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    message.resize(HEADER + ADDRESS_HEADER, 0);
    // SAFETY: the buffer is valid for its length.
    let sent = unsafe { libc::send(socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    let (mut found, mut complete) = (BTreeSet::new(), true);
    loop {
        match parse(&receive(&socket)?, &mut found, &mut complete)? {
            End::More => {}
            End::Done => return Ok((found, complete)),
        }
    }
}

fn receive(socket: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut reply = vec![0u8; 64 * 1024];
    // SAFETY: the buffer is valid for its length.
    let got = unsafe { libc::recv(socket.as_raw_fd(), reply.as_mut_ptr().cast(), reply.len(), 0) };
    if got < 0 {
        return Err(io::Error::last_os_error());
    }
    reply.truncate(got as usize);
    Ok(reply)
}

/// Whether a dump goes on.
#[derive(Debug, PartialEq, Eq)]
enum End {
    More,
    Done,
}

/// Takes the addresses out of the messages of one datagram.
fn parse(mut bytes: &[u8], found: &mut BTreeSet<IpAddr>, complete: &mut bool) -> io::Result<End> {
    while let (Some(length), Some(kind)) = (field(bytes, 0), field(bytes, 4)) {
        let length = u32::from_ne_bytes(length) as usize;
        let flags = u16::from_ne_bytes([kind[2], kind[3]]);
        let kind = u16::from_ne_bytes([kind[0], kind[1]]);
        *complete &= flags & INTERRUPTED == 0;
        let Some(body) = bytes.get(HEADER..length) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message that is cut"));
        };
        match i32::from(kind) {
            libc::NLMSG_DONE => return Ok(End::Done),
            libc::NLMSG_ERROR => {
                let code = field(body, 0).map_or(0, i32::from_ne_bytes);
                return Err(io::Error::from_raw_os_error(-code));
            }
            _ if kind == libc::RTM_NEWADDR => found.extend(address(body)),
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    Ok(End::More)
}

/// The address that a RTM_NEWADDR is about: IFA_LOCAL where there is one, because IFA_ADDRESS is the
/// other end's on a link between two.
fn address(body: &[u8]) -> Option<IpAddr> {
    let rest = body.get(ADDRESS_HEADER..)?;
    let of = |wanted| {
        let (_, value) = attributes(rest).find(|&(kind, _)| kind == wanted)?;
        match value.len() {
            4 => Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?)),
            16 => Some(IpAddr::from(<[u8; 16]>::try_from(value).ok()?)),
            _ => None,
        }
    };
    of(IFA_LOCAL).or_else(|| of(IFA_ADDRESS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn addresses_are_told_from_those_of_the_other_end() {
        let of = |attributes: &[Vec<u8>]| {
            message(libc::RTM_NEWADDR, 0, &[vec![0; ADDRESS_HEADER], attributes.concat()].concat())
        };
        let v6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
        let rows = [
            (of(&[attribute(IFA_ADDRESS, &v6)]), vec!["2001:db8::5"]),
            (
                of(&[
                    attribute(IFA_ADDRESS, &[192, 0, 2, 1]),
                    attribute(IFA_LOCAL, &[192, 0, 2, 2]),
                ]),
                vec!["192.0.2.2"],
            ),
            (of(&[attribute(3, b"eth0\0")]), vec![]),
            (of(&[attribute(IFA_LOCAL, &[1, 2, 3])]), vec![]),
            (message(libc::RTM_NEWLINK, 0, &[0; 24]), vec![]),
        ];
        for (bytes, expected) in rows {
            let mut found = BTreeSet::new();
            let end = parse(&bytes, &mut found, &mut true).expect("whole");
            let expected = expected.iter().map(|text| text.parse().expect("an address")).collect();
            assert_eq!((end, found), (End::More, expected));
        }
    }

    #[test]
    fn ends_errors_and_interruptions() {
        let (mut found, mut complete) = (BTreeSet::new(), true);
        let done = message(libc::NLMSG_DONE as u16, INTERRUPTED, &[0; 4]);
        assert_eq!(parse(&done, &mut found, &mut complete).expect("whole"), End::Done);
        assert!(!complete && found.is_empty());
        let error = message(libc::NLMSG_ERROR as u16, 0, &(-libc::EPERM).to_ne_bytes());
        let error = parse(&error, &mut found, &mut complete).expect_err("an error");
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        assert!(parse(&done[..17], &mut found, &mut complete).is_err(), "cut");
    }

    #[test]
    fn this_host_has_its_loopback_address_where_that_is_up() {
        let found = list().expect("the kernel tells");
        let is_up = std::net::UdpSocket::bind("127.0.0.1:0").is_ok();
        assert!(!is_up || found.contains(&IpAddr::from([127, 0, 0, 1])), "{found:?}");
    }
}
