//! The receiver of a soak's events: what it got, by who it was meant for, over its outages.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde_json::Value;

use super::stage::RECEIVER;
use crate::lab::Host;
use crate::receiver::{Mood, Receiver};

/// What tells an event from others: its name, its time, and whom it is about.
pub(crate) type Key = [String; 4];

/// The key of an event.
pub(crate) fn key(event: &Value) -> Key {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    [
        text(&event["event"]),
        text(&event["time"]),
        text(&event["finding"]["id"]),
        text(&event["source"]["ip"]),
    ]
}

/// The receiver, and what it has got.
pub(crate) struct Inbox<'lab> {
    host: &'lab Host,
    receiver: Option<Receiver>,
    /// Events that the sink `hook` delivered, each once.
    pub(crate) hook: BTreeSet<Key>,
    /// Events that the sink `narrow` delivered, repetitions included.
    pub(crate) narrow: u64,
}

impl<'lab> Inbox<'lab> {
    pub(crate) fn open(host: &'lab Host) -> Result<Self> {
        let mut inbox = Self { host, receiver: None, hook: BTreeSet::new(), narrow: 0 };
        inbox.answer(Mood::Take)?;
        Ok(inbox)
    }

    /// Answers like this from now on; listens again after [`Inbox::close`].
    pub(crate) fn answer(&mut self, mood: Mood) -> Result<()> {
        if let Some(receiver) = &self.receiver {
            receiver.set(mood);
        } else {
            self.receiver = Some(Receiver::start(self.host, SocketAddr::from(RECEIVER), mood)?);
        }
        self.collect()
    }

    /// Listens no more: who connects is refused.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.collect()?;
        self.receiver = None;
        Ok(())
    }

    /// Takes note of what came.
    pub(crate) fn collect(&mut self) -> Result<()> {
        let Some(receiver) = &self.receiver else { return Ok(()) };
        for got in receiver.take().into_iter().filter(|got| got.taken) {
            let events: Vec<Value> = serde_json::from_str(&got.body)
                .with_context(|| format!("not an array of events: {}", got.body))?;
            if got.head.starts_with("POST /hook ") {
                self.hook.extend(events.iter().map(key));
            } else {
                self.narrow += events.len() as u64;
            }
        }
        Ok(())
    }
}
