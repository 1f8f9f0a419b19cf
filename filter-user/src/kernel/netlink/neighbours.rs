//! The networks that this host is in, and who of them was seen: what `ip address` and `ip neigh` show.

use std::net::IpAddr;

use super::super::error::{Error, Result};
use super::{ask, attributes, field};

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const NDA_DST: u16 = 1;
/// Bytes of an ifaddrmsg and of an ndmsg (linux/neighbour.h).
const ADDRESS: usize = 8;
const NEIGHBOUR: usize = 12;
/// NUD_REACHABLE, NUD_STALE, NUD_DELAY, NUD_PROBE and NUD_PERMANENT: it has answered, or somebody
/// has written it down. Of the others nothing but the question is known.
const KNOWN: u16 = 0x02 | 0x04 | 0x08 | 0x10 | 0x80;
/// NTF_PROXY: we answer for it.
const PROXY: u8 = 0x08;

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Index of the interface.
    pub interface: u32,
    /// The host's own address.
    pub address: IpAddr,
    /// Length of the network's prefix in bits.
    pub length: u8,
}

/// The addresses of all interfaces of this network namespace.
///
/// # Errors
/// When the kernel does not answer.
pub fn sites() -> Result<Vec<Site>> {
    let answers = ask(libc::RTM_GETADDR, libc::NLM_F_DUMP, &[0; ADDRESS])
        .map_err(|e| Error::new("cannot ask the kernel for addresses").because(e))?;
    Ok(answers.iter().filter_map(|answer| site(answer)).collect())
}

/// Who was seen on the links of this network namespace: index of the interface, and address.
///
/// # Errors
/// When the kernel does not answer.
pub fn neighbours() -> Result<Vec<(u32, IpAddr)>> {
    let answers = ask(libc::RTM_GETNEIGH, libc::NLM_F_DUMP, &[0; NEIGHBOUR])
        .map_err(|e| Error::new("cannot ask the kernel for neighbours").because(e))?;
    Ok(answers.iter().filter_map(|answer| neighbour(answer)).collect())
}

/// ifaddrmsg { family, prefix length, flags, scope, index }; IFA_LOCAL is the own end where there
/// are two.
fn site(answer: &[u8]) -> Option<Site> {
    let [_, length, ..] = field(answer, 0)?;
    let interface = field(answer, 4).map(u32::from_ne_bytes)?;
    let of = |wanted| {
        let mut found = attributes(answer.get(ADDRESS..)?).filter(|(kind, _)| *kind == wanted);
        address(found.next()?.1)
    };
    Some(Site { interface, address: of(IFA_LOCAL).or_else(|| of(IFA_ADDRESS))?, length })
}

/// ndmsg { family, pad, pad (2), index (4), state (2), flags, type }.
fn neighbour(answer: &[u8]) -> Option<(u32, IpAddr)> {
    let interface = field(answer, 4).map(u32::from_ne_bytes)?;
    let [low, high, flags, _] = field(answer, 8)?;
    if u16::from_ne_bytes([low, high]) & KNOWN == 0 || flags & PROXY != 0 {
        return None;
    }
    let mut found = attributes(answer.get(NEIGHBOUR..)?).filter(|(kind, _)| *kind == NDA_DST);
    Some((interface, address(found.next()?.1)?))
}

fn address(value: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(value)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let head = [(value.len() as u16 + 4).to_ne_bytes(), kind.to_ne_bytes()].concat();
        [&head, value].concat()
    }

    #[test]
    fn reads_what_the_kernel_says() {
        let head = [&[2, 24, 0, 0][..], &7u32.to_ne_bytes()].concat();
        let ends = [attribute(IFA_ADDRESS, &[10, 0, 0, 2]), attribute(IFA_LOCAL, &[10, 0, 0, 1])];
        let mine = Site { interface: 7, address: IpAddr::from([10, 0, 0, 1]), length: 24 };
        assert_eq!(site(&[head.clone(), ends.concat()].concat()), Some(mine));
        for cut in [0, 5, head.len(), head.len() + 3] {
            assert_eq!(site(&[head.clone(), ends.concat()].concat()[..cut]), None, "{cut}");
        }

        let rows = [
            ("reachable", 0x02, 0, &[192, 0, 2, 9][..], true),
            ("stale", 0x04, 0, &[0x20; 16][..], true),
            ("being asked for", 0x01, 0, &[192, 0, 2, 9][..], false),
            ("failed", 0x20, 0, &[192, 0, 2, 9][..], false),
            ("needs no asking: multicast", 0x40, 0, &[224, 0, 0, 1][..], false),
            ("ours to answer for", 0x80, PROXY, &[192, 0, 2, 9][..], false),
            ("no address", 0x02, 0, &[1, 2][..], false),
        ];
        for (what, state, flags, value, known) in rows {
            let mut message = [&[2, 0, 0, 0][..], &3u32.to_ne_bytes()].concat();
            message.extend(u16::to_ne_bytes(state));
            message.extend([flags, 0]);
            message.extend(attribute(NDA_DST, value));
            assert_eq!(
                neighbour(&message).map(|(index, _)| index == 3),
                known.then_some(true),
                "{what}"
            );
        }
    }

    #[test]
    fn asks_the_kernel() {
        sites().expect("addresses");
        neighbours().expect("neighbours");
    }
}
