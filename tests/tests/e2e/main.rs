//! weir as its users meet it: the `weir` binary on a host with nginx, clients that talk to it, and
//! what all of them say afterwards. One file a subject; each test has a laboratory of its own.

mod actions;
mod apply;
mod assess;
mod bans;
mod breach;
mod client;
mod detectors;
mod enforcement;
mod escalation;
mod evidence;
mod explain;
mod feeds;
mod findings;
mod gate;
mod guard;
mod http2;
mod inventory;
mod jumbo;
mod leaving;
mod limits;
mod maintenance;
mod martians;
mod measure;
mod modes;
mod orders;
mod proxies;
mod quotas;
mod reboot;
mod receivers;
mod refusals;
mod replay;
mod site;
mod size;
mod starved;
mod survival;
