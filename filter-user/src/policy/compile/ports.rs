//! Listens and trusted ports become the port table and its chains.

use std::collections::BTreeMap;
use std::net::IpAddr;

use filter_common::addr::Addr;
use filter_common::tables::{
    Listen, PORT_CELLS, PORT_CHAIN, PORT_TRUSTED, PORT_VALUE, feature, port_place,
};

use crate::policy::Policy;
use crate::policy::model::{Port, Protocol};
use crate::text::Problem;

/// The port table.
pub(super) struct Ports {
    pub(super) cells: Vec<u16>,
    pub(super) listens: Vec<Listen>,
    pub(super) features: u32,
}

/// Who listens on one port: every address, and single ones.
#[derive(Default)]
struct Claims {
    everywhere: u32,
    addresses: Vec<(Addr, u32)>,
}

/// Makes the port table; APIs are numbered by their place in the policy plus one.
pub(super) fn compile(policy: &Policy) -> Result<Ports, Problem> {
    let mut claims: BTreeMap<Port, Claims> = BTreeMap::new();
    for (api, number) in policy.apis.iter().zip(1..) {
        for listen in &api.listen {
            let claim = claims.entry(listen.value.port).or_default();
            match listen.value.address {
                None => claim.everywhere = number,
                Some(address) => claim.addresses.push((addr(address), number)),
            }
        }
    }
    let mut ports = Ports { cells: Vec::new(), listens: Vec::new(), features: 0 };
    if policy.apis.is_empty() && policy.trusted.ports.is_empty() {
        return Ok(ports);
    }
    ports.cells = vec![0; PORT_CELLS];
    if !policy.apis.is_empty() {
        ports.features |= feature::APIS;
    }
    for (port, claim) in claims {
        let value = ports.claim(claim)?;
        ports.set(port, value);
    }
    for port in &policy.trusted.ports {
        ports.features |= feature::TRUSTED_PORTS;
        ports.set(port.value, PORT_TRUSTED);
    }
    Ok(ports)
}

impl Ports {
    /// The 16 bits of a port.
    fn claim(&mut self, claim: Claims) -> Result<u16, Problem> {
        if claim.addresses.is_empty() {
            return value(claim.everywhere as usize, "APIs");
        }
        self.features |= feature::LISTENS;
        let first = value(self.listens.len(), "listens with an address")?;
        for (addr, api) in claim.addresses {
            self.listens.push(Listen { addr, api, last: 0 });
        }
        self.listens.push(Listen { addr: Addr::default(), api: claim.everywhere, last: 1 });
        Ok(first | PORT_CHAIN)
    }

    fn set(&mut self, port: Port, bits: u16) {
        if let Some(cell) =
            self.cells.get_mut(port_place(port.protocol == Protocol::Udp, port.port))
        {
            *cell |= bits;
        }
    }
}

/// A number in the bits that a port has for it.
fn value(number: usize, what: &str) -> Result<u16, Problem> {
    u16::try_from(number).ok().filter(|value| *value <= PORT_VALUE).ok_or_else(|| {
        Problem::new(
            format!("more than {PORT_VALUE} {what} in one policy"),
            "let APIs listen on the port of every address",
        )
    })
}

fn addr(address: IpAddr) -> Addr {
    match address {
        IpAddr::V4(v4) => Addr::v4(u32::from(v4)),
        IpAddr::V6(v6) => Addr::v6(v6.octets()),
    }
}
