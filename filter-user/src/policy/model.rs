//! The checked policy: what the text says, in types that cannot say anything else.
//!
//! A value of these types has passed every check; it knows where it was written, so that `explain`
//! can name the line. Numbers for the kernel are left to `compile`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use crate::detect::Alerts;
use crate::text::Location;

use super::api::Api;
use super::assess::Assess;
use super::maintenance::Maintenance;
use super::packets::Packets;
use super::playbook::Playbook;
use super::prefixes::Prefixes;
use super::response::Responses;

/// Index of a group in [`Policy::groups`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupIndex(pub usize);

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sited<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub at: Location,
}

/// A whole policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name: as given, or that of its file.
    pub name: String,
    /// Sources that are never judged.
    pub trusted: Trusted,
    /// What becomes of traffic that no API claims.
    pub unclaimed: Action,
    /// What becomes of packets that are odd whatever they are for.
    pub packets: Packets,
    /// Whether a policy is in force at all: without one nothing is refused, not even what is
    /// malformed.
    pub enforce: bool,
    /// Groups, in the order they were written.
    pub groups: Vec<Group>,
    /// APIs, in the order they were written.
    pub apis: Vec<Api>,
    /// Playbooks, in the order they were written.
    pub playbooks: Vec<Playbook>,
    /// How far weir may go by itself.
    pub responses: Responses,
    /// How many alerts a day the operator wants to see.
    pub alerts: Alerts,
    /// When the posture is to be reported.
    pub assess: Assess,
    /// When which APIs are being maintained, in the order they were written.
    pub maintenance: Vec<Maintenance>,
    /// The texts it was made of: the policy itself, then each feed as it is called in messages.
    pub texts: Vec<Arc<str>>,
    pub(super) hash: [u8; 32],
}

impl Policy {
    /// The policy of a host without one: nothing is refused, everything is counted.
    pub fn observe() -> Self {
        Self {
            name: "observe".to_owned(),
            trusted: Trusted::default(),
            unclaimed: Action::Pass,
            packets: Packets::default(),
            enforce: false,
            groups: Vec::new(),
            apis: Vec::new(),
            playbooks: Vec::new(),
            responses: Responses::default(),
            alerts: Alerts::default(),
            assess: Assess::default(),
            maintenance: Vec::new(),
            texts: Vec::new(),
            hash: super::files::hash("", &[]),
        }
    }

    /// SHA-256 over the text and every file it names, in lower-case hexadecimal.
    pub fn hash(&self) -> String {
        self.hash.iter().fold(String::new(), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        })
    }

    /// A group by its index.
    pub fn group(&self, index: GroupIndex) -> Option<&Group> {
        self.groups.get(index.0)
    }

    /// An API by its name.
    pub fn api(&self, name: &str) -> Option<&Api> {
        self.apis.iter().find(|api| api.name == name)
    }

    /// The APIs that are being maintained at a time (seconds since 1970) by name, each with its window
    /// and when that ends; of several the one that ends last.
    pub fn maintained(&self, time: u64) -> BTreeMap<&str, (&Maintenance, u64)> {
        let mut found: BTreeMap<&str, (&Maintenance, u64)> = BTreeMap::new();
        for window in &self.maintenance {
            let Some(until) = window.when.covers(time) else { continue };
            for api in self.apis.iter().filter(|api| window.names(&api.name)) {
                let held = found.entry(&api.name).or_insert((window, until));
                if held.1 < until {
                    *held = (window, until);
                }
            }
        }
        found
    }

    /// A playbook by its name.
    pub fn playbook(&self, name: &str) -> Option<&Playbook> {
        self.playbooks.iter().find(|playbook| playbook.name == name)
    }

    /// The groups that an address is in, with the prefix and the place that put it there.
    pub fn groups_of(&self, address: IpAddr) -> Vec<(GroupIndex, super::Cidr, Location)> {
        let groups = self.groups.iter().enumerate();
        groups
            .filter_map(|(index, group)| {
                let (cidr, at) = self.find(&group.prefixes, address)?;
                Some((GroupIndex(index), cidr, at))
            })
            .collect()
    }

    /// The trusted prefix that an address is in, and where it was written.
    pub fn trusted_by(&self, address: IpAddr) -> Option<(super::Cidr, Location)> {
        self.find(&self.trusted.prefixes, address)
    }

    /// All proxies of an API; `None` when it has none.
    pub fn proxies_of(&self, api: &Api) -> Option<super::Addresses> {
        self.addresses(&api.proxies)
    }

    /// All crawlers of an API; `None` when it has none.
    pub fn crawlers_of(&self, api: &Api) -> Option<super::Addresses> {
        self.addresses(&api.crawlers)
    }

    fn addresses(&self, groups: &[Sited<GroupIndex>]) -> Option<super::Addresses> {
        let found = groups.iter().filter_map(|group| self.group(group.value));
        let sets = found.map(|group| &group.prefixes);
        (!groups.is_empty()).then(|| super::Addresses::of(sets))
    }

    /// The proxies of an API that an address belongs to.
    pub fn proxy_of(&self, api: &Api, address: IpAddr) -> Option<GroupIndex> {
        let is_inside = |group: &Sited<GroupIndex>| {
            self.group(group.value).is_some_and(|group| group.prefixes.covering(address).is_some())
        };
        api.proxies.iter().find(|group| is_inside(group)).map(|group| group.value)
    }

    fn find(&self, prefixes: &Prefixes, address: IpAddr) -> Option<(super::Cidr, Location)> {
        let (cidr, file, line) = prefixes.covering(address)?;
        let file = self.texts.get(file as usize)?;
        Some((cidr, Location { file: Arc::clone(file), line, column: 1 }))
    }
}

/// Sources that are never judged, narrowed to ports or interfaces when these are given.
#[derive(Clone, Debug, Default)]
pub struct Trusted {
    /// Whose packets.
    pub prefixes: Prefixes,
    /// To which ports; none given means all.
    pub ports: Vec<Sited<Port>>,
    /// On which interfaces; none given means all.
    pub interfaces: Vec<Sited<String>>,
}

/// Pass or drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Let through.
    Pass,
    /// Refuse.
    Drop,
}

/// A named set of sources.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub at: Location,
    /// Its prefixes, those of its files too.
    pub prefixes: Prefixes,
    /// The feeds it reads, as named in the policy.
    pub files: Vec<Sited<String>>,
}

/// Transport protocols that have ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP, RFC 9293.
    Tcp,
    /// UDP, RFC 768.
    Udp,
}

impl Protocol {
    /// Its number in the IP header.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

/// A protocol and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// The protocol.
    pub protocol: Protocol,
    /// The port, never 0.
    pub port: u16,
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{protocol}/{}", self.port)
    }
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.address {
            None => self.port.fmt(f),
            Some(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

/// Where an API is reached: a port of every address, or of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listen {
    /// Protocol and port.
    pub port: Port,
    /// The one address; none means every address of both families. A listen with an address wins
    /// over one without.
    pub address: Option<IpAddr>,
}
