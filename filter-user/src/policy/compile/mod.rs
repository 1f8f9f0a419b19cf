//! From the checked model to the tables of one generation. Pure: the same policy and the same ids
//! give the same image.
//!
//! Overlapping groups are resolved here into classes, so that a packet looks up one number however
//! many groups its source is in. What the tables mean is said in [`filter_common::tables`] and
//! [`filter_common::classify`]; copying them into the kernel is left to `kernel/`.

mod classes;
mod flatten;
mod ports;
mod profiles;
mod rules;
mod trie;

#[cfg(test)]
mod tests;

use filter_common::tables::feature;

use crate::image::{Ids, Image};
use crate::text::Problem;

use super::Policy;
use super::model::Action;

pub use profiles::gcra;
pub use rules::{Origin, explain_rule};

/// Compiles a policy. Names without a stable id are given one.
///
/// # Errors
/// When ids run out, or when groups overlap in more ways than there can be classes.
pub fn compile(policy: &Policy, ids: &mut Ids) -> Result<Image, Problem> {
    let api_ids = ids_of(policy.apis.iter().map(|api| &api.name), |name| ids.api(name))?;
    let group_ids = ids_of(policy.groups.iter().map(|group| &group.name), |name| ids.group(name))?;

    let classes = classes::resolve(policy, &group_ids)?;
    let mut profiles = profiles::Profiles::new();
    let rules = rules::compile(policy, &classes, &api_ids, &group_ids, ids, &mut profiles)?;
    let ports = ports::compile(policy)?;

    let (drops, watches) = policy.packets.masks(policy.enforce);
    let mut image = Image {
        drops,
        watches,
        features: classes.features | ports.features | profiles.features | rules.features,
        trusted_classes: classes.trusted,
        trusted_interfaces: names(&policy.trusted.interfaces),
        shortest_burst: profiles.shortest_burst,
        v4_top: classes.tables.v4_top,
        v6_root: classes.tables.v6_root,
        entries: classes.tables.entries.into_words(),
        nodes: classes.tables.nodes,
        ports: ports.cells,
        listens: ports.listens,
        apis: rules.apis,
        rules: rules.rules,
        profiles: profiles.list,
        class_groups: classes.groups,
        shared: rules.shared,
        prefixes: classes.prefixes,
    };
    for (bit, used) in [
        (feature::ENFORCE, policy.enforce),
        (feature::UNCLAIMED_DROP, policy.unclaimed == Action::Drop),
        (feature::TRUSTED, !policy.trusted.prefixes.is_empty()),
        (feature::TRUSTED_INTERFACES, !policy.trusted.interfaces.is_empty()),
    ] {
        image.features |= if used { bit } else { 0 };
    }
    Ok(image)
}

fn ids_of<'n>(
    names: impl Iterator<Item = &'n String>,
    mut assign: impl FnMut(&str) -> Result<u32, crate::image::ids::Full>,
) -> Result<Vec<u32>, Problem> {
    let assigned = names.map(|name| assign(name)).collect::<Result<_, _>>();
    assigned.map_err(|full| {
        Problem::new(
            format!("no id is left for {}: {} are in use", full.what, full.limit),
            "raise `[limits] max_apis` in weir.toml, or run `weir detach` and start again",
        )
    })
}

fn names(interfaces: &[super::Sited<String>]) -> Vec<String> {
    interfaces.iter().map(|interface| interface.value.clone()).collect()
}
