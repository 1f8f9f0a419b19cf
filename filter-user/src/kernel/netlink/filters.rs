//! Filters of a clsact queueing discipline (tc-bpf(8)): which there are, putting one there or another
//! program behind it, and taking both away.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use super::{ask, attributes, field};

/// Where the filters of packets that come in hang, and of those that leave: TC_H_CLSACT with
/// TC_H_MIN_INGRESS and TC_H_MIN_EGRESS (uapi/linux/pkt_sched.h).
const INGRESS: u32 = 0xffff_fff2;
const EGRESS: u32 = 0xffff_fff3;
/// The discipline's own handle and where it hangs.
const CLSACT_HANDLE: u32 = 0xffff_0000;
const CLSACT: u32 = 0xffff_fff1;

/// Bytes of a tcmsg: family and padding, interface, handle, parent, info (the priority in its upper
/// half, the protocol in network order in the lower).
const TCMSG: usize = 20;

// Attributes of uapi/linux/rtnetlink.h and uapi/linux/pkt_cls.h.
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_ID: u16 = 11;
/// The program's return value says what becomes of the packet.
const ACT_DIRECT: u32 = 1;

/// A filter, by what replaces and removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kernel) struct Filter {
    priority: u16,
    handle: u32,
    /// The name it was given.
    name: Option<String>,
    /// Kernel id of its program.
    pub program: Option<u32>,
}

/// The filters with this name of what leaves an interface; none where there is no clsact.
pub(in crate::kernel) fn of_egress(index: u32, name: &str) -> Vec<Filter> {
    let filters = list(index, EGRESS).unwrap_or_default();
    filters.into_iter().filter(|filter| filter.name.as_deref() == Some(name)).collect()
}

/// Whether an interface has a clsact discipline, and no filter hangs there.
fn is_empty(index: u32) -> bool {
    [INGRESS, EGRESS].iter().all(|&parent| list(index, parent).is_ok_and(|found| found.is_empty()))
}

/// Gives an interface a clsact discipline; whether it had none before.
pub(in crate::kernel) fn add_clsact(index: u32) -> io::Result<bool> {
    let mut body = message(index, CLSACT_HANDLE, CLSACT, 0);
    body.extend(attribute(TCA_KIND, b"clsact\0"));
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL | libc::NLM_F_ACK;
    match ask(libc::RTM_NEWQDISC, flags, &body) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Takes the clsact discipline away, unless somebody's filter hangs there.
pub(in crate::kernel) fn remove_clsact(index: u32) -> io::Result<()> {
    if !is_empty(index) {
        return Ok(());
    }
    let body = message(index, CLSACT_HANDLE, CLSACT, 0);
    ask(libc::RTM_DELQDISC, libc::NLM_F_ACK, &body).map(drop)
}

/// Puts a program behind a filter, which is then never without one; or makes a filter with this name.
pub(in crate::kernel) fn set(
    index: u32,
    filter: Option<&Filter>,
    name: &str,
    program: BorrowedFd<'_>,
) -> io::Result<()> {
    let (priority, handle, create) = match filter {
        Some(filter) => (filter.priority, filter.handle, 0),
        // The kernel chooses both.
        None => (0, 0, libc::NLM_F_CREATE | libc::NLM_F_EXCL),
    };
    let mut body = message(index, handle, EGRESS, priority);
    body.extend(attribute(TCA_KIND, b"bpf\0"));
    let descriptor = program.as_raw_fd() as u32;
    let name = [name.as_bytes(), &[0]].concat();
    let options = [
        attribute(TCA_BPF_FD, &descriptor.to_ne_bytes()),
        attribute(TCA_BPF_NAME, &name),
        attribute(TCA_BPF_FLAGS, &ACT_DIRECT.to_ne_bytes()),
    ];
    body.extend(attribute(TCA_OPTIONS, &options.concat()));
    ask(libc::RTM_NEWTFILTER, create | libc::NLM_F_ACK, &body).map(drop)
}

/// Takes a filter away.
pub(in crate::kernel) fn remove(index: u32, filter: &Filter) -> io::Result<()> {
    let body = message(index, filter.handle, EGRESS, filter.priority);
    ask(libc::RTM_DELTFILTER, libc::NLM_F_ACK, &body).map(drop)
}

fn list(index: u32, parent: u32) -> io::Result<Vec<Filter>> {
    let answers = ask(libc::RTM_GETTFILTER, libc::NLM_F_DUMP, &message(index, 0, parent, 0))?;
    Ok(answers.iter().filter_map(|answer| read(answer)).collect())
}

/// A filter out of an answer; those of other kinds have neither name nor program. `None` for a message
/// that is about a chain or a priority and not about a filter.
fn read(answer: &[u8]) -> Option<Filter> {
    let number = |at| field(answer, at).map(u32::from_ne_bytes);
    let (handle, info) = (number(8)?, number(16)?);
    let options = attributes(answer.get(TCMSG..)?).find(|&(kind, _)| kind == TCA_OPTIONS);
    let (_, options) = options?;
    let mut filter = Filter { priority: (info >> 16) as u16, handle, name: None, program: None };
    for (kind, value) in attributes(options) {
        match kind {
            TCA_BPF_NAME => {
                let text = value.split(|&byte| byte == 0).next().unwrap_or_default();
                filter.name = Some(String::from_utf8_lossy(text).into_owned());
            }
            TCA_BPF_ID => filter.program = field(value, 0).map(u32::from_ne_bytes),
            _ => {}
        }
    }
    Some(filter)
}

fn message(index: u32, handle: u32, parent: u32, priority: u16) -> Vec<u8> {
    let protocol = (libc::ETH_P_ALL as u16).to_be();
    let info = u32::from(priority) << 16 | u32::from(protocol);
    let info = if parent == CLSACT { 0 } else { info };
    let body = [libc::AF_UNSPEC as u32, index, handle, parent, info].map(u32::to_ne_bytes);
    body.concat()
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_says_of_a_filter() {
        let ours =
            [attribute(TCA_BPF_NAME, b"weir_egress\0"), attribute(TCA_BPF_ID, &[77, 0, 0, 0])];
        let rows = [
            (Some(ours.concat()), Some((Some("weir_egress"), Some(77)))),
            (Some(attribute(TCA_BPF_ID, &[1])), Some((None, None))),
            (Some(Vec::new()), Some((None, None))),
            (None, None),
        ];
        for (options, expected) in rows {
            let mut answer = message(3, 9, EGRESS, 49_152);
            answer.extend(attribute(TCA_KIND, b"bpf\0"));
            answer.extend(options.iter().flat_map(|options| attribute(TCA_OPTIONS, options)));
            let expected = expected.map(|(name, program)| Filter {
                priority: 49_152,
                handle: 9,
                name: name.map(str::to_owned),
                program,
            });
            assert_eq!(read(&answer), expected, "{options:?}");
        }
        assert_eq!(read(&[0; TCMSG - 1]), None);
    }

    #[test]
    fn nothing_hangs_where_there_is_nothing() {
        assert_eq!(of_egress(super::super::LOOPBACK, "weir_egress_of_nobody"), []);
        assert!(
            remove(0x7fff_fff0, &Filter { priority: 1, handle: 1, name: None, program: None })
                .is_err()
        );
    }
}
