//! Lets userspace move the shared structs into and out of maps.

use crate::{classify, limiter, record, seen, tables};

macro_rules! pod {
    ($($type:ty),+ $(,)?) => {
        $(
            // SAFETY: `repr(C)`, integers only, no padding.
            unsafe impl aya::Pod for $type {}
        )+
    };
}

pod!(
    crate::addr::Addr,
    classify::Node,
    record::Header,
    tables::Config,
    tables::Listen,
    tables::Api,
    tables::Rule,
    tables::Profile,
    tables::ClassGroups,
    tables::BanKey,
    tables::BanControl,
    tables::Count,
    tables::Name,
);

// Structs of shared words are not `Copy`, so they travel as plain words.
const _: () = assert!(size_of::<limiter::Cell>() == 128 && size_of::<seen::Cell>() == 32);
