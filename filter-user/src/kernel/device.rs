//! What a network device says of itself, by ioctl: of this network namespace, which /sys need not
//! show (netdevice(7), linux/ethtool.h).

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

const ETHTOOL_GDRVINFO: u32 = 0x3;
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
const ETH_FLAG_LRO: u32 = 1 << 15;

/// `struct ethtool_drvinfo`; only the driver's name is read.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

const _: () = assert!(size_of::<DriverInfo>() == 196);

/// A network device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// It is up.
    pub up: bool,
    /// Largest packet in bytes, without the Ethernet header.
    pub mtu: u32,
    /// The driver's name; empty when it does not say.
    pub driver: String,
    /// It merges what it receives (large receive offload).
    pub merges: bool,
    /// Its pairs of queues; `None` when it does not say.
    pub queues: Option<Queues>,
}

/// Pairs of a receiving and a sending queue (`ethtool -l`, `combined`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queues {
    /// In use.
    pub used: u32,
    /// As many as there can be.
    pub most: u32,
}

impl Device {
    /// Asks the device of this name.
    ///
    /// # Errors
    /// When there is none, or it does not answer.
    pub fn ask(name: &str) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        let mut request = request(name)?;
        call(&socket, libc::SIOCGIFFLAGS, &mut request)?;
        // SAFETY: the call has filled in this member.
        let flags = unsafe { request.ifr_ifru.ifru_flags };
        call(&socket, libc::SIOCGIFMTU, &mut request)?;
        // SAFETY: the call has filled in this member.
        let mtu = unsafe { request.ifr_ifru.ifru_mtu };
        Ok(Self {
            up: libc::c_int::from(flags) & libc::IFF_UP != 0,
            mtu: u32::try_from(mtu).unwrap_or(0),
            // Many virtual devices answer neither; then there is nothing to say.
            driver: driver(&socket, request).unwrap_or_default(),
            merges: merges(&socket, request).unwrap_or(false),
            queues: queues(&socket, request).ok(),
        })
    }
}

fn driver(socket: &UnixDatagram, mut request: libc::ifreq) -> io::Result<String> {
    let mut info = DriverInfo { command: ETHTOOL_GDRVINFO, driver: [0; 32], rest: [0; 160] };
    request.ifr_ifru.ifru_data = (&raw mut info).cast();
    call(socket, libc::SIOCETHTOOL, &mut request)?;
    let end = info.driver.iter().position(|&byte| byte == 0).unwrap_or(info.driver.len());
    Ok(String::from_utf8_lossy(&info.driver[..end]).into_owned())
}

fn merges(socket: &UnixDatagram, mut request: libc::ifreq) -> io::Result<bool> {
    let mut value = [ETHTOOL_GFLAGS, 0];
    request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
    call(socket, libc::SIOCETHTOOL, &mut request)?;
    Ok(value[1] & ETH_FLAG_LRO != 0)
}

/// `struct ethtool_channels`: the command, four maxima, four counts; of each receive, transmit, other
/// and combined.
fn queues(socket: &UnixDatagram, mut request: libc::ifreq) -> io::Result<Queues> {
    let mut value = [0_u32; 9];
    value[0] = ETHTOOL_GCHANNELS;
    request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
    call(socket, libc::SIOCETHTOOL, &mut request)?;
    Ok(Queues { used: value[8], most: value[4] })
}

fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: it is plain data, for which zeros are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

fn call(socket: &UnixDatagram, command: u64, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: the request is valid through the call; where it carries an address, that is of the
    // struct which the command reads and writes, and it outlives the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), command as _, &raw mut *request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_there_and_others_are_not() {
        let device = Device::ask("lo").expect("there is a loopback");
        assert!(device.mtu >= 1500 && !device.merges, "{device:?}");
        for name in ["no-such-if", "a name that is far too long"] {
            assert!(Device::ask(name).is_err(), "{name}");
        }
    }
}
