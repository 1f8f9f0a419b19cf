//! `[packets]`.

use filter_common::oddity::{Oddity, Treatment};

use crate::policy::packets::{Packets, treatment_name};
use crate::text::Table;

use super::Reader;

impl Reader<'_, '_, '_> {
    pub(super) fn packets(&mut self, root: &Table<'_>) -> Packets {
        let mut packets = Packets::default();
        let keys: Vec<&str> = Oddity::ALL.iter().map(|kind| kind.key()).collect();
        let Some(table) = root.get("packets").and_then(|item| {
            item.table(self.report, &keys, "[packets] with tcp_flags = \"drop\" and the like")
        }) else {
            return packets;
        };
        let words = [Treatment::Pass, Treatment::Monitor, Treatment::Drop]
            .map(|treatment| (treatment_name(treatment), treatment));
        for &kind in Oddity::ALL {
            let Some(item) = table.get(kind.key()) else { continue };
            let Some(treatment) = item.choice(self.report, &words) else { continue };
            packets.set(kind, treatment, self.report.at(item.key_span()));
            if kind.is_unreadable() && treatment == Treatment::Pass {
                self.report.warning(
                    item.span(),
                    format!("`{}` packets pass without being judged", kind.key()),
                    "their ports are not known: no API's rule or limit holds for them; \
                     \"drop\" is the default",
                );
            }
        }
        packets
    }
}
