//! What carries automatic actions out: bans and orders in the kernel half.

use crate::daemon::breach::Note;
use crate::daemon::core::Core;
use crate::daemon::orders;
use crate::daemon::profile::packet_rate;
use crate::export::events::Kind;
use crate::kernel::orders::Order;
use crate::policy::Policy;
use crate::respond::{Action, Executor, escalation_reason};

/// Carries out what the responder decides.
pub(in crate::daemon) struct Hand<'a> {
    /// With the kernel half.
    pub(in crate::daemon) core: &'a Core,
    /// Which was asked for the answer.
    pub(in crate::daemon) policy: &'a Policy,
}

impl Executor for Hand<'_> {
    fn execute(&mut self, action: &Action) -> Result<(), String> {
        let until = orders::end(Some(action.ttl()));
        let mut gate = self.core.gate();
        match action {
            Action::Ban { source, reason, .. } => {
                let (network, prefix) = (source.address, source.length);
                let entry = gate
                    .state
                    .bans
                    .add(network, prefix, None, until, true)
                    .map_err(|error| error.to_string())?;
                gate.reasons.insert((network, prefix, None), reason.clone());
                drop(gate);
                self.core.tell_ban(Kind::BanAdded, &entry, None, reason, "detector");
                Ok(())
            }
            Action::Escalate { network, api, sources, .. } => {
                let entry = gate
                    .state
                    .bans
                    .escalate(network.address, network.length, *api, until, *sources)
                    .map_err(|error| error.to_string())?;
                let field = gate.ban_api(&entry);
                drop(gate);
                let reason = escalation_reason(*sources);
                self.core.tell_ban(Kind::BanAdded, &entry, field, &reason, "detector");
                Ok(())
            }
            Action::Limit { api, rate, reason, .. } => {
                let rate = packet_rate(*rate).ok_or("the rate cannot be kept exactly")?;
                let order = Order::Limit { rate, automatic: true };
                gate.state.orders.set_automatic(*api, order, until)?;
                gate.order_notes.insert((*api, order.kind()), Note::automatic(reason));
                Ok(())
            }
            Action::Lockdown { api, group, reason, .. } => {
                let name = self.policy.group(*group).map(|group| group.name.as_str());
                let group = name
                    .and_then(|name| gate.state.ids_ref().find_group(name))
                    .ok_or("the group of the lockdown is not in force")?;
                let order = Order::Lockdown { group, automatic: true };
                gate.state.orders.set_automatic(*api, order, until)?;
                gate.order_notes.insert((*api, order.kind()), Note::automatic(reason));
                Ok(())
            }
        }
    }
}
