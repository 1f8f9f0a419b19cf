//! What the host must offer, asked before anything is changed.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use aya::maps::MapType;
use aya::programs::ProgramType;
use aya::sys::{is_map_supported, is_program_supported};

use super::error::{Error, Result};

/// The oldest kernel that is supported.
pub const OLDEST_KERNEL: (u32, u32) = (6, 1);
/// The first kernel with TCX.
pub const TCX_KERNEL: (u32, u32) = (6, 6);

/// Major and minor version of the running kernel, by uname(2): /proc may be missing.
pub fn kernel_version() -> (u32, u32) {
    // SAFETY: an all-zero utsname is valid, and the call only writes into it.
    let mut names: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: the struct is valid for the call.
    if unsafe { libc::uname(&raw mut names) } < 0 {
        return (0, 0);
    }
    let release = names.release.iter().take_while(|&&byte| byte != 0).map(|&byte| byte as u8);
    let text: String = release.map(char::from).collect();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Checks rights, kernel version and that the pins' directory can be on a BPF file system.
///
/// # Errors
/// The first thing that is missing, with what to do.
pub fn check(pins: &Path) -> Result<()> {
    let version = kernel_version();
    if version < OLDEST_KERNEL {
        return Err(Error::new(format!(
            "kernel {}.{} is too old: weir needs {}.{} or later",
            version.0, version.1, OLDEST_KERNEL.0, OLDEST_KERNEL.1
        ))
        .hint("boot a newer kernel; `weir doctor` lists what else is missing"));
    }
    check_rights()?;
    check_bpffs(pins)
}

/// CAP_NET_ADMIN, CAP_PERFMON and CAP_BPF, as capabilities(7) numbers them.
const NEEDED: [(u32, &str); 3] = [(12, "CAP_NET_ADMIN"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];

fn check_rights() -> Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")
        .map_err(|e| Error::new("cannot read /proc/self/status").because(e).hint("mount /proc"))?;
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    let missing: Vec<_> = NEEDED
        .into_iter()
        .filter(|(bit, _)| effective >> bit & 1 == 0)
        .map(|(_, name)| name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::new(format!(
        "no right to load programs into the kernel: {} missing",
        missing.join(", ")
    ))
    .hint("run as root, or give the service these capabilities"))
}

/// What of BPF the kernel lets this process use: a name, and why not where it does not. It asks the
/// kernel by making the smallest map or program of each kind, which is gone at once.
pub fn bpf_features() -> Vec<(&'static str, std::result::Result<(), String>)> {
    let answer = |asked: std::result::Result<bool, String>| match asked {
        Ok(true) => Ok(()),
        Ok(false) => Err("this kernel does not know it".to_owned()),
        Err(why) => Err(why),
    };
    let map = |kind| answer(is_map_supported(kind).map_err(|error| error.io_error.to_string()));
    let program = |kind| {
        answer(
            is_program_supported(kind)
                .map_err(|error| Error::new("").because(error).cause.unwrap_or_default()),
        )
    };
    vec![
        ("arrays", map(MapType::Array)),
        ("arrays for each CPU", map(MapType::PerCpuArray)),
        ("hash tables", map(MapType::Hash)),
        ("ring buffers", map(MapType::RingBuf)),
        ("XDP programs", program(ProgramType::Xdp)),
        ("programs of traffic control", program(ProgramType::SchedClassifier)),
    ]
}

/// BPF_FS_MAGIC, statfs(2).
const BPF_FS: i64 = 0xcafe_4a11;

/// Whether a path lies on a BPF file system.
pub fn is_bpffs(path: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: an all-zero statfs is valid, and the call only writes into it.
    let mut info: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for the call.
    let result = unsafe { libc::statfs(path.as_ptr(), &raw mut info) };
    let kind: i64 = info.f_type;
    result == 0 && kind == BPF_FS
}

fn check_bpffs(pins: &Path) -> Result<()> {
    let existing: PathBuf =
        pins.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned();
    if is_bpffs(&existing) {
        return Ok(());
    }
    Err(Error::new(format!("{} is not on a BPF file system", pins.display())).hint(
        "mount one with `mount -t bpf bpf /sys/fs/bpf`; inside `ip netns exec` /sys is hidden: use \
         `nsenter --net=/run/netns/NAME` instead",
    ))
}

/// The index of an interface of this network namespace.
///
/// # Errors
/// When there is none of this name.
pub fn interface_index(name: &str) -> Result<u32> {
    let c_name = CString::new(name)
        .map_err(|_| Error::new(format!("interface name {name:?} has a zero byte")))?;
    // SAFETY: a valid C string.
    let index = unsafe { libc::if_nametoindex(c_name.as_ptr()) };
    if index != 0 {
        return Ok(index);
    }
    let mut known = interface_names();
    known.retain(|name| name != "lo");
    Err(Error::new(format!("there is no interface {name}")).hint(if known.is_empty() {
        "this network namespace has only the loopback interface".to_owned()
    } else {
        format!("there are {}", known.join(", "))
    }))
}

/// The name of an interface of this network namespace; `None`: there is none of this index.
pub fn interface_name(index: u32) -> Option<String> {
    let mut name = [0 as libc::c_char; libc::IFNAMSIZ];
    // SAFETY: the buffer has the size that if_indextoname(3) asks for.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr()) };
    if found.is_null() {
        return None;
    }
    // SAFETY: a found name is a C string in the buffer.
    let name = unsafe { std::ffi::CStr::from_ptr(name.as_ptr()) };
    Some(name.to_string_lossy().into_owned())
}

/// Names of the interfaces of this network namespace.
pub fn interface_names() -> Vec<String> {
    // SAFETY: returns an array that is freed below.
    let list = unsafe { libc::if_nameindex() };
    if list.is_null() {
        return Vec::new();
    }
    let mut names = Vec::new();
    let mut entry = list;
    // SAFETY: the array ends with an entry whose name is null; names are C strings.
    unsafe {
        while !(*entry).if_name.is_null() {
            let name = std::ffi::CStr::from_ptr((*entry).if_name);
            names.push(name.to_string_lossy().into_owned());
            entry = entry.add(1);
        }
        libc::if_freenameindex(list);
    }
    names
}

/// Checks that an interface carries Ethernet frames, which is what the parser reads.
///
/// # Errors
/// When it does not, or that cannot be told.
pub fn check_ethernet(name: &str) -> Result<()> {
    // ARPHRD_ETHER and ARPHRD_LOOPBACK, asked by ioctl so that it is this namespace's interface.
    let kind = hardware_type(name)
        .map_err(|e| Error::new(format!("cannot ask for the type of {name}")).because(e))?;
    if matches!(kind, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK) {
        return Ok(());
    }
    Err(Error::new(format!("{name} carries no Ethernet frames (link type {kind})"))
        .hint("gate the Ethernet interface underneath it instead"))
}

/// Whether an interface is a loopback interface, which shows every packet twice.
pub fn is_loopback(name: &str) -> bool {
    hardware_type(name).is_ok_and(|kind| kind == libc::ARPHRD_LOOPBACK)
}

fn hardware_type(name: &str) -> std::io::Result<u16> {
    use std::os::fd::AsRawFd as _;
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").or_else(|_| {
        // A namespace whose loopback is down still has the wildcard.
        std::net::UdpSocket::bind("0.0.0.0:0")
    })?;
    // SAFETY: an all-zero ifreq is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = from as libc::c_char;
    }
    // SAFETY: the request is valid for reading and writing.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFHWADDR, &raw mut request) };
    if result < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: SIOCGIFHWADDR fills this member.
    Ok(unsafe { request.ifr_ifru.ifru_hwaddr.sa_family })
}
