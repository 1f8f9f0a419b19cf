//! The guard that keeps operators from cutting their own connection.

use std::net::IpAddr;

use crate::control::api::Answer;
use crate::image::view::State as Memory;
use crate::image::{Ids, Image};
use crate::kernel::attach::Target;
use crate::kernel::clock;
use crate::kernel::netlink::carrier;
use crate::kernel::orders::Order;
use crate::kernel::state::State;
use crate::lockout::{Case, Connection};
use crate::policy::Policy;

use super::gate::Gate;
use super::in_force::InForce;
use super::trouble;

/// The names of the interfaces that carry a connection.
pub(super) fn carriers(connection: &Connection, targets: &[Target]) -> Vec<String> {
    let there: Vec<(u32, &str)> =
        targets.iter().filter_map(|target| Some((target.index()?, &*target.name))).collect();
    let indices: Vec<u32> = there.iter().map(|(index, _)| *index).collect();
    let carriers = carrier::carriers(connection, &indices);
    let carrying = there.iter().filter(|(index, _)| carriers.contains(index));
    carrying.map(|(_, name)| (*name).to_owned()).collect()
}

/// Refuses a policy that would cut a connection or, unless it is put in force `again`, trusts nobody
/// where that comes in.
pub(super) fn refuse(
    state: &State,
    (policy, image, ids): (&Policy, &Image, &Ids),
    connection: &Connection,
    carriers: &[String],
    again: bool,
) -> Answer<()> {
    let mut memory = empty(state);
    state.bans.copy_to(&mut memory);
    state.orders.copy_to(&mut memory);
    let seed = state.seed().map_err(trouble::kernel)?;
    let boot_ns = clock::boot_ns();
    let case = Case { policy, image, ids, state: &memory, seed, boot_ns };
    if again { case.admit_packets(connection, carriers) } else { case.admit(connection, carriers) }
}

fn empty(state: &State) -> Memory {
    Memory::new(state.settings.max_apis.max(2), 1)
}

impl Gate {
    /// Refuses to put back what was in force before, when that would cut a connection.
    pub(super) fn guard_return(&self, before: &InForce, connection: &Connection) -> Answer<()> {
        let parts = (&*before.policy, &*before.image, self.state.ids_ref());
        let carriers = carriers(connection, &self.targets);
        refuse(&self.state, parts, connection, &carriers, true)
    }

    /// Refuses a ban that would cut a connection.
    pub(super) fn guard_ban(
        &self,
        (network, prefix, api): (IpAddr, u8, Option<u32>),
        connection: &Connection,
    ) -> Answer<()> {
        self.guard(connection, |memory| {
            self.state.orders.copy_to(memory);
            self.state.bans.suppose(memory, network, prefix, api).map_err(trouble::kernel)
        })
    }

    /// Refuses an order that would cut a connection.
    pub(super) fn guard_order(
        &self,
        api: u32,
        order: Order,
        connection: &Connection,
    ) -> Answer<()> {
        self.guard(connection, |memory| {
            self.state.bans.copy_to(memory);
            self.state.orders.suppose(memory, api, order);
            Ok(())
        })
    }

    /// Refuses what would cut a connection that is not cut already.
    fn guard(
        &self,
        connection: &Connection,
        suppose: impl FnOnce(&mut Memory) -> Answer<()>,
    ) -> Answer<()> {
        let InForce { policy, image, .. } = &self.now;
        let ids = self.state.ids_ref();
        let carriers = carriers(connection, &self.targets);
        let is_cut =
            refuse(&self.state, (policy, image, ids), connection, &carriers, true).is_err();
        if carriers.is_empty() || is_cut {
            return Ok(());
        }
        let mut memory = empty(&self.state);
        suppose(&mut memory)?;
        let seed = self.state.seed().map_err(trouble::kernel)?;
        let boot_ns = clock::boot_ns();
        let case = Case { policy, image, ids, state: &memory, seed, boot_ns };
        case.admit_packets(connection, &carriers)
    }
}
