//! From the spanned text of a policy to the model, every problem reported.
//!
//! A part that cannot be used is reported and left out, and the rest is read on, so that one run
//! finds all there is. The model is only complete when no error was reported.

mod alert;
mod alerts;
mod api;
mod assess;
mod groups;
mod limit;
mod listen;
mod maintenance;
mod names;
mod networks;
mod packets;
mod playbooks;
mod respond;

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use crate::detect::Alerts;
use crate::text::{Item, Location, Report, Table, read};

use super::api::Api;
use super::assess::Assess;
use super::cidr::Cidr;
use super::files::Files;
use super::maintenance::Maintenance;
use super::model::{Action, Group, Listen, Port, Sited, Trusted};
use super::packets::Packets;
use super::playbook::Playbook;
use super::prefixes::Prefixes;
use super::response::Responses;

/// The version of the policy language that this weir knows.
pub const VERSION: u32 = 1;

type Span = Range<usize>;

const ROOT: [&str; 11] = [
    "policy",
    "trusted",
    "unclaimed",
    "packets",
    "groups",
    "api",
    "playbook",
    "respond",
    "alerts",
    "assess",
    "maintenance",
];
const CIDRS: &str = "cidrs = [\"192.0.2.0/24\", \"2001:db8::/32\"]";

/// What could be read of a policy.
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) trusted: Trusted,
    pub(super) unclaimed: Action,
    pub(super) packets: Packets,
    pub(super) groups: Vec<Group>,
    pub(super) apis: Vec<Api>,
    pub(super) playbooks: Vec<Playbook>,
    pub(super) responses: Responses,
    pub(super) alerts: Alerts,
    pub(super) assess: Assess,
    pub(super) maintenance: Vec<Maintenance>,
}

/// What the readers of the parts share.
struct Reader<'r, 't, 'f> {
    report: &'r mut Report<'t>,
    files: &'r mut Files<'f>,
    groups: Vec<Group>,
    /// Whether an API names the group, by its index.
    used: Vec<bool>,
    /// Who claims what, to find overlaps.
    claims: HashMap<Listen, (String, Location)>,
    /// Listens with an address, by port.
    specific: HashMap<Port, usize>,
    /// API names and where they were given.
    api_names: HashMap<String, Location>,
    /// Prefix lengths that automatic bans may have, of IPv4 and of IPv6.
    ban_lengths: [BTreeSet<u8>; 2],
}

/// Reads the report's text.
pub(super) fn policy(report: &mut Report<'_>, files: &mut Files<'_>) -> Draft {
    read(report, &ROOT, |report, root| {
        let mut reader = Reader {
            report,
            files,
            groups: Vec::new(),
            used: Vec::new(),
            claims: HashMap::new(),
            specific: HashMap::new(),
            api_names: HashMap::new(),
            ban_lengths: Default::default(),
        };
        let name = reader.header(root);
        // Before everything that refers to them.
        let spans = reader.groups(root);
        let trusted = reader.trusted(root);
        let unclaimed = reader.unclaimed(root);
        let packets = reader.packets(root);
        let apis = reader.apis(root);
        let playbooks = reader.playbooks(root);
        let responses = reader.responses(root);
        let alerts = reader.alerts(root);
        let assess = reader.assess(root);
        let maintenance = reader.maintenance(root);
        reader.only_said(root, &apis);
        reader.unused_groups(&spans);
        if root.get("api").is_none() && unclaimed == Action::Pass {
            reader.report.missing_warning(
                &(0..0),
                "this policy does nothing: no API, and unclaimed traffic passes",
                "add an [[api]], or [unclaimed] action = \"drop\"",
            );
        }
        Draft {
            name,
            trusted,
            unclaimed,
            packets,
            groups: reader.groups,
            apis,
            playbooks,
            responses,
            alerts,
            assess,
            maintenance,
        }
    })
}

impl Reader<'_, '_, '_> {
    /// `[policy]`: the name, and that the language is the one known here.
    fn header(&mut self, root: &Table<'_>) -> String {
        let source = std::path::Path::new(&**self.report.source().name());
        let stem = source.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let stem = stem.filter(|stem| crate::text::name(stem).is_ok());
        let stem = stem.unwrap_or_else(|| "policy".to_owned());
        let Some(table) = root.get("policy").and_then(|item| {
            item.table(self.report, &["name", "version"], "[policy] with name and version")
        }) else {
            return stem;
        };
        if let Some(item) = table.get("version")
            && let Some(version) = item.integer(self.report, 0..=i64::MAX)
            && version != i64::from(VERSION)
        {
            self.report.error(
                item.span(),
                format!("version {version} of the policy language is not known"),
                format!("this weir knows version = {VERSION}"),
            );
        }
        let given = table.get("name").and_then(|item| self.name(&item, "a policy"));
        given.unwrap_or(stem)
    }

    fn trusted(&mut self, root: &Table<'_>) -> Trusted {
        let mut trusted = Trusted::default();
        let example = format!("[trusted] with {CIDRS}");
        let Some(table) = root
            .get("trusted")
            .and_then(|item| item.table(self.report, &["cidrs", "ports", "interfaces"], &example))
        else {
            return trusted;
        };
        if let Some(item) = table.get("cidrs") {
            (trusted.prefixes, _) = self.cidrs(&item, |report, span, cidr| {
                let widest = if matches!(cidr, Cidr::V4(..)) { 8 } else { 32 };
                if cidr.length() < widest {
                    report.warning(
                        span,
                        format!("trusting {cidr} exempts a large part of the Internet"),
                        format!("trust single hosts; a prefix here is rarely below /{widest}"),
                    );
                }
            });
        }
        if let Some(item) = table.get("ports") {
            let example = "ports = [\"tcp/22\"]";
            for (text, span) in item.strings(self.report, example).unwrap_or_default() {
                if let Some(value) = self.report.accept(&span, listen::port(text)) {
                    trusted.ports.push(Sited { value, at: self.report.at(&span) });
                }
            }
        }
        if let Some(item) = table.get("interfaces") {
            let example = "interfaces = [\"eth1\"]";
            for (text, span) in item.strings(self.report, example).unwrap_or_default() {
                if let Some(name) = self.report.accept(&span, crate::text::interface(text)) {
                    trusted.interfaces.push(Sited { value: name, at: self.report.at(&span) });
                }
            }
        }
        if trusted.interfaces.len() > MAX_INTERFACES
            && let Some(item) = table.get("interfaces")
        {
            self.report.error(
                item.span(),
                format!("more than {MAX_INTERFACES} interfaces"),
                "narrow trust to fewer interfaces, or to ports",
            );
        }
        let narrowed = !table.lacks("ports") || !table.lacks("interfaces");
        match table.get("cidrs") {
            Some(item) if !narrowed && !trusted.prefixes.is_empty() => self.report.missing_warning(
                item.key_span(),
                "every packet from these is never judged",
                "narrow them: ports = [\"tcp/22\"], or interfaces = [\"eth1\"]",
            ),
            None if narrowed && table.lacks("cidrs") => self.report.missing_warning(
                table.span(),
                "ports and interfaces narrow `cidrs`, which is missing: nobody is trusted",
                format!("add {CIDRS}"),
            ),
            _ => {}
        }
        trusted
    }

    fn unclaimed(&mut self, root: &Table<'_>) -> Action {
        let example = "[unclaimed] with action = \"pass\"";
        let action = root
            .get("unclaimed")
            .and_then(|item| item.table(self.report, &["action"], example))
            .and_then(|table| table.get("action"))
            .and_then(|item| {
                let words = [("pass", Action::Pass), ("drop", Action::Drop)];
                item.choice(self.report, &words)
            });
        action.unwrap_or(Action::Pass)
    }

    /// A list of prefixes, and whether all of it could be used; `judge` may have something to say
    /// about each.
    fn cidrs(
        &mut self,
        item: &Item<'_>,
        judge: impl Fn(&mut Report<'_>, &Span, Cidr),
    ) -> (Prefixes, bool) {
        let mut prefixes = Prefixes::default();
        let Some(elements) = item.list(self.report, CIDRS) else { return (prefixes, false) };
        for element in &elements {
            let Some(text) = element.string(self.report, CIDRS) else { continue };
            let parsed = Cidr::parse(text.as_bytes()).map_err(|error| error.explain(text));
            if let Some(cidr) = self.report.accept(element.span(), parsed) {
                judge(self.report, element.span(), cidr);
                prefixes.add(cidr, 0, self.report.at(element.span()).line);
            }
        }
        let sound = prefixes.len() == elements.len();
        (prefixes, sound)
    }

    /// Notes who claims a listen, and reports the second claim.
    fn claim(&mut self, listen: Listen, api: &str, span: &Span) {
        use std::collections::hash_map::Entry;
        let at = self.report.at(span);
        match self.claims.entry(listen) {
            Entry::Occupied(first) => {
                let (other, place) = first.get();
                let text = self.report.source().slice(span.clone()).trim_matches(['"', '\'']);
                if other == api {
                    let message = format!("{text} is listed twice");
                    self.report.warning(span, message, "remove one of the two");
                } else {
                    self.report.error(
                        span,
                        format!("{text} is already claimed by API `{other}` (line {})", place.line),
                        "one port belongs to one API: remove it from one of the two, \
                         or give one of them an address (203.0.113.5:tcp/8080 wins over tcp/8080)",
                    );
                }
            }
            Entry::Vacant(free) => {
                free.insert((api.to_owned(), at));
                if listen.address.is_none() {
                    return;
                }
                let count = self.specific.entry(listen.port).or_default();
                *count += 1;
                if *count == MAX_SPECIFIC + 1 {
                    self.report.error(
                        span,
                        format!("more than {MAX_SPECIFIC} listens with an address on one port"),
                        "let one API listen on the port of every address",
                    );
                }
            }
        }
    }
}

/// Listens with an address that one protocol and port can have: a chain of them ends with one more.
const MAX_SPECIFIC: usize = filter_common::tables::MAX_CHAIN as usize - 1;
/// Interfaces that trust can be narrowed to.
const MAX_INTERFACES: usize = 8;
