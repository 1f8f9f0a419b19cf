//! What the driver of an interface can do with XDP programs, by generic netlink: the family `netdev`,
//! since Linux 6.3 (Documentation/netlink/specs/netdev.yaml, uapi/linux/netdev.h).

use std::io;

use super::{ask_of, attributes, field};

/// The family that knows the others (uapi/linux/genetlink.h).
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
/// It takes programs, with all verdicts but a redirection.
const NETDEV_XDP_ACT_BASIC: u64 = 1;
/// Bytes of a genlmsghdr: command, version, two of padding.
const GENERIC: usize = 4;

/// Whether the driver of an interface runs XDP programs itself; `None` when this kernel does not say.
///
/// # Errors
/// When there is no such interface, or the kernel does not answer.
pub fn runs_xdp(index: u32) -> io::Result<Option<bool>> {
    let Some(family) = family("netdev")? else { return Ok(None) };
    let request = body(NETDEV_CMD_DEV_GET, NETDEV_A_DEV_IFINDEX, &index.to_ne_bytes());
    let answers = ask_of(libc::NETLINK_GENERIC, family, 0, &request)?;
    Ok(answers.first().and_then(|answer| takes_programs(answer)))
}

fn takes_programs(answer: &[u8]) -> Option<bool> {
    let (_, value) = attributes(answer.get(GENERIC..)?)
        .find(|&(kind, value)| kind == NETDEV_A_DEV_XDP_FEATURES && value.len() == 8)?;
    let low = field(value, 0).map(u32::from_ne_bytes)?;
    let high = field(value, 4).map(u32::from_ne_bytes)?;
    let (low, high) = if cfg!(target_endian = "little") { (low, high) } else { (high, low) };
    Some((u64::from(high) << 32 | u64::from(low)) & NETDEV_XDP_ACT_BASIC != 0)
}

/// The number of a family; `None`: this kernel has none of this name.
fn family(name: &str) -> io::Result<Option<u16>> {
    let mut value = name.as_bytes().to_vec();
    value.push(0);
    let request = body(CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, &value);
    match ask_of(libc::NETLINK_GENERIC, GENL_ID_CTRL, 0, &request) {
        Ok(answers) => Ok(answers.first().and_then(|answer| {
            attributes(answer.get(GENERIC..)?)
                .find(|&(kind, value)| kind == CTRL_ATTR_FAMILY_ID && value.len() == 2)
                .map(|(_, value)| u16::from_ne_bytes([value[0], value[1]]))
        })),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A genlmsghdr of version 1 and one attribute, padded to four bytes.
fn body(command: u8, kind: u16, value: &[u8]) -> Vec<u8> {
    let mut body = vec![command, 1, 0, 0];
    body.extend((value.len() as u16 + 4).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
    body
}

#[cfg(test)]
mod tests {
    use super::super::LOOPBACK;
    use super::*;

    #[test]
    fn loopback_has_no_driver_and_what_is_not_there_is_an_error() {
        assert!(family("no-such-family").expect("the kernel answers").is_none());
        // Kernels before 6.3 do not say.
        if family("netdev").expect("the kernel answers").is_some() {
            assert_eq!(runs_xdp(LOOPBACK).expect("there is a loopback"), Some(false));
            assert!(runs_xdp(0x7fff_fff0).is_err());
        }
    }

    #[test]
    fn answers() {
        let answer = |value: &[u8]| body(NETDEV_CMD_DEV_GET, NETDEV_A_DEV_XDP_FEATURES, value);
        let rows: [(Vec<u8>, Option<bool>); 5] = [
            (answer(&0u64.to_ne_bytes()), Some(false)),
            (answer(&0x67u64.to_ne_bytes()), Some(true)),
            (answer(&0x66u64.to_ne_bytes()), Some(false)),
            (answer(&[1, 0, 0, 0]), None),
            (vec![1, 1], None),
        ];
        for (answer, expected) in rows {
            assert_eq!(takes_programs(&answer), expected, "{answer:?}");
        }
    }
}
