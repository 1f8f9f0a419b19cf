//! What each API does with each class of sources.

use filter_common::addr::masks;
use filter_common::tables::{
    API_MONITOR, API_OPAQUE, API_OVERFLOW_DROP, API_OVERFLOW_PASS, Api as ApiCell, RULE_DENIED,
    RULE_NOT_ALLOWED, RULE_PASS, RULE_PROXY, Rule, feature,
};

use crate::image::{Ids, SharedOwner};
use crate::policy::Policy;
use crate::policy::api::{Allow, Api, Kind, LimitSpec, Mode, Overflow, Per};
use crate::policy::model::{GroupIndex, Sited};
use crate::text::Problem;

use super::classes::Classes;
use super::flatten::{Set, has};
use super::profiles::Profiles;

/// The API cells and their rules.
pub(super) struct Rules {
    pub(super) apis: Vec<ApiCell>,
    pub(super) rules: Vec<Rule>,
    pub(super) shared: Vec<SharedOwner>,
    pub(super) features: u32,
}

pub(super) fn compile(
    policy: &Policy,
    classes: &Classes,
    api_ids: &[u32],
    group_ids: &[u32],
    ids: &mut Ids,
    profiles: &mut Profiles,
) -> Result<Rules, Problem> {
    let mut out = Rules { apis: Vec::new(), rules: Vec::new(), shared: Vec::new(), features: 0 };
    for (api, id) in policy.apis.iter().zip(api_ids.iter().copied()) {
        let limits = Limits::new(api, id, group_ids, ids, profiles, &mut out)?;
        out.apis.push(cell(api, id, limits.total));
        out.rules.extend(classes.sets.iter().map(|set| rule(api, set, &limits)));
    }
    if u32::try_from(out.rules.len()).is_err() {
        let message = "APIs times overlaps of groups are more than rules can be";
        let hint = "let fewer groups overlap: join those that are used alike";
        return Err(Problem::new(message, hint));
    }
    Ok(out)
}

fn cell(api: &Api, id: u32, total: u32) -> ApiCell {
    let mut flags = 0;
    for (bit, used) in [
        (API_MONITOR, api.mode == Mode::Monitor),
        (API_OPAQUE, api.about.kind == Kind::Opaque),
        (API_OVERFLOW_PASS, api.overflow == Overflow::Pass),
        (API_OVERFLOW_DROP, api.overflow == Overflow::Drop),
    ] {
        flags |= if used { bit } else { 0 };
    }
    let (_, v4_mask) = masks(96 + u32::from(api.source.v4));
    let (v6_mask_hi, v6_mask_lo) = masks(u32::from(api.source.v6));
    ApiCell { id, flags, total, unused: 0, v4_mask, v6_mask_hi, v6_mask_lo, reserved: [0; 3] }
}

/// A limit in the numbers of the tables: its profile, and the shared budget it draws on or 0.
type Numbers = (u16, u16);

/// The limits of an API.
struct Limits {
    each: Numbers,
    /// As in the policy.
    of_groups: Vec<Numbers>,
    total: u32,
}

impl Limits {
    fn new(
        api: &Api,
        id: u32,
        group_ids: &[u32],
        ids: &mut Ids,
        profiles: &mut Profiles,
        out: &mut Rules,
    ) -> Result<Self, Problem> {
        let mut number = |limit: &LimitSpec| profiles.number(&limit.rates);
        let each = api.limit.as_ref().map(&mut number).transpose()?.unwrap_or(0);
        let total = api.limit_total.as_ref().map(&mut number).transpose()?.unwrap_or(0);
        if total != 0 {
            out.features |= feature::LIMIT_SHARED;
        }
        let mut of_groups = Vec::with_capacity(api.limit_for.len());
        for entry in &api.limit_for {
            let profile = number(&entry.limit)?;
            let mut slot = 0;
            if entry.per == Per::Group {
                let group = group_ids.get(entry.group.0).copied().unwrap_or(0);
                slot = ids.shared(id, group).map_err(|_| {
                    Problem::new(
                        format!("API `{}` has given all its shared budgets to groups", api.name),
                        "budgets of former groups are kept until the next boot: use a group that \
                         had one, or per = \"source\"",
                    )
                })?;
                out.shared.push(SharedOwner { api: id, slot, group });
                out.features |= feature::LIMIT_SHARED;
            }
            of_groups.push((profile, slot as u16));
        }
        Ok(Self { each: (each, 0), of_groups, total: u32::from(total) })
    }
}

/// What an API does with the sources that are in these groups.
fn rule(api: &Api, set: &Set, limits: &Limits) -> Rule {
    let inside = |group: GroupIndex| has(set, group.0 as u16);
    let first = |list: &[Sited<GroupIndex>]| list.iter().position(|entry| inside(entry.value));
    let decided = |action, entry: Option<usize>| {
        let origin = Origin { entry, limit: None }.pack();
        Rule { action, origin, ..Rule::default() }
    };
    if let Some(entry) = first(&api.deny) {
        return decided(RULE_DENIED, Some(entry));
    }
    let entry = match &api.allow {
        Allow::Any(_) => None,
        Allow::Groups(groups) => match first(groups) {
            Some(entry) => Some(entry),
            None => return decided(RULE_NOT_ALLOWED, None),
        },
    };
    let limit = api.limit_for.iter().position(|limit| inside(limit.group));
    let (profile, shared) =
        limit.and_then(|limit| limits.of_groups.get(limit).copied()).unwrap_or(limits.each);
    // One proxy speaks for many clients: it may share its group's budget, and has none of its own.
    let proxy = first(&api.proxies).is_some();
    let flags = if proxy { RULE_PROXY } else { 0 };
    if proxy && shared == 0 {
        return Rule { flags, ..decided(RULE_PASS, entry) };
    }
    let origin = Origin { entry, limit }.pack();
    Rule { action: RULE_PASS, flags, profile, shared, origin }
}

/// Which entries of an API's policy a rule comes from: what [`Rule::origin`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The place in `deny` of a denial, in `allow` of a pass.
    pub entry: Option<usize>,
    /// The place in `limit_for` of the limit.
    pub limit: Option<usize>,
}

impl Origin {
    fn pack(self) -> u16 {
        // There are fewer groups than eight bits hold, and each is in a list once.
        let byte = |place: Option<usize>| place.map_or(0, |place| (place + 1) as u16 & 0xff);
        byte(self.entry) | byte(self.limit) << 8
    }

    /// The places that a rule's `origin` stands for.
    pub fn unpack(origin: u16) -> Self {
        let place = |byte: u16| usize::from(byte & 0xff).checked_sub(1);
        Self { entry: place(origin), limit: place(origin >> 8) }
    }
}

/// The lines behind a rule of an API: the entry of `deny` or `allow` (none where nothing matched or
/// everyone is allowed), and the limit.
pub fn explain_rule<'a>(
    api: &'a Api,
    rule: &Rule,
) -> (Option<&'a Sited<GroupIndex>>, Option<&'a LimitSpec>) {
    let origin = Origin::unpack(rule.origin);
    let list = match (&api.allow, rule.action) {
        (_, RULE_DENIED) => api.deny.as_slice(),
        (Allow::Groups(groups), RULE_PASS) => groups.as_slice(),
        _ => &[],
    };
    let entry = origin.entry.and_then(|place| list.get(place));
    let limit = match origin.limit {
        Some(place) => api.limit_for.get(place).map(|entry| &entry.limit),
        None => api.limit.as_ref(),
    };
    (entry, limit.filter(|_| rule.profile != 0))
}
