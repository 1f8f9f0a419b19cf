//! What automatic bans of networks can come to: whether `escalate` can ever act, and whether the
//! kernel has room for all the prefix lengths.

use filter_common::tables::WIDE_BANS;

use crate::policy::api::{Escalate, SourceLengths};
use crate::policy::response::Respond;
use crate::text::{Item, Table};

use super::Reader;

impl Reader<'_, '_, '_> {
    /// Warns of an `escalate` whose networks hold fewer sources than it waits for.
    pub(super) fn unreachable(
        &mut self,
        item: &Item<'_>,
        source: SourceLengths,
        networks: [u8; 2],
        wanted: u32,
    ) {
        for ((family, own), network) in
            [("IPv4", source.v4), ("IPv6", source.v6)].into_iter().zip(networks)
        {
            // One that is within a source is an error already.
            let Some(bits) = own.checked_sub(network) else { continue };
            let Some(held) = 1_u64.checked_shl(u32::from(bits)) else { continue };
            if held < u64::from(wanted) {
                let message = format!(
                    "`{}` never bans an {family} network: a /{network} holds {held} of the sources \
                     (/{own}), and it waits for {wanted}",
                    item.path()
                );
                self.report.warning(
                    item.span(),
                    message,
                    "write fewer sources or a shorter prefix",
                );
            }
        }
    }

    /// Reports more prefix lengths of automatic bans than the kernel looks for.
    pub(super) fn ban_lengths(
        &mut self,
        table: &Table<'_>,
        source: SourceLengths,
        respond: &Respond,
        escalate: Option<Escalate>,
    ) {
        let sources =
            table.get("source").filter(|_| respond.bans()).map(|item| (item, source.v4, source.v6));
        let networks = table.get("escalate").zip(escalate);
        let networks = networks.map(|(item, escalate)| (item, escalate.v4, escalate.v6));
        for (item, v4, v6) in sources.into_iter().chain(networks) {
            for (place, (family, length)) in [("IPv4", v4), ("IPv6", v6)].into_iter().enumerate() {
                // Single addresses, and /64s of IPv6, are looked up otherwise.
                let exact = if place == 0 { &[32][..] } else { &[64, 128] };
                if exact.contains(&length) {
                    continue;
                }
                let known = &mut self.ban_lengths[place];
                if known.insert(length) && known.len() == WIDE_BANS + 1 {
                    let all: Vec<_> = known.iter().map(|length| format!("/{length}")).collect();
                    self.report.error(
                        item.span(),
                        format!(
                            "automatic bans would have {} different {family} prefix lengths ({}), \
                             at most {WIDE_BANS} can be in force",
                            all.len(),
                            all.join(" ")
                        ),
                        "give several APIs the same length in `escalate` and `source`",
                    );
                }
            }
        }
    }
}
