//! A receiver with its thread, and how one takes the place of another.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Sender, channel};

use super::deliver::{Answer, Courier, Parcel};
use super::format::{self, Host, alert};
use super::state::{Shared, Standing};
use super::worker::{self, Left, Message, Worker};
use crate::config::sink::{Receiver, Sink};
use crate::export::events::{Event, Kind};

/// Events that may wait in memory for the thread of a receiver.
const QUEUE: usize = 4_096;
/// How long the test alert lives.
const TEST: u64 = 60_000_000_000;

/// The thread of a receiver; what it leaves is for the one that takes its place.
pub(super) type Thread = JoinHandle<Left>;

/// See the module.
#[derive(Debug)]
pub(super) struct One {
    pub(super) sink: Arc<Sink>,
    courier: Arc<Courier>,
    shared: Arc<Shared>,
    sender: Mutex<Option<Sender<Message>>>,
    thread: Mutex<Option<Thread>>,
}

/// A thread that waits to be told whose place it takes. Dropped, it ends and has touched nothing.
pub(super) struct Ready {
    pub(super) one: One,
    start: SyncSender<Option<Thread>>,
}

/// What a receiver answered to a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    /// It took the event.
    pub taken: bool,
    /// What it said, or why it could not be asked.
    pub said: String,
    /// How long that took.
    pub took: Duration,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ready {
    /// A receiver whose spool is in `directory`. It goes on counting where `before`, of the same name, is.
    ///
    /// # Errors
    /// No thread could be started.
    pub(super) fn new(
        sink: &Sink,
        directory: &Path,
        before: Option<&One>,
        outbox: &Arc<Mutex<Vec<Event>>>,
    ) -> io::Result<Self> {
        let sink = Arc::new(sink.clone());
        let courier = Arc::new(Courier::new(&sink, Host::own()));
        let shared = before.map_or_else(
            || Arc::new(Shared::new(&sink.name, sink.receiver.kind(), sink.receiver.place())),
            |before| Arc::clone(&before.shared),
        );
        let (sender, messages) = channel(QUEUE);
        let (start, started) = mpsc::sync_channel::<Option<Thread>>(1);
        let thread = {
            let (sink, directory) = (Arc::clone(&sink), PathBuf::from(directory));
            let (courier, shared) = (Arc::clone(&courier), Arc::clone(&shared));
            let outbox = Arc::clone(outbox);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            std::thread::Builder::new().name("weir-sink".to_owned()).spawn(move || {
                let Ok(before) = started.recv() else { return Left::default() };
                // Two may not have one spool: what is told meanwhile waits in the queue.
                let left = before.and_then(|before| before.join().ok()).unwrap_or_default();
                shared.moved(sink.receiver.kind(), sink.receiver.place());
                let worker = Worker::new(&sink, &directory, courier, messages, shared, outbox);
                let left = runtime.block_on(worker.after(left).run());
                // A disk or a name server that hangs is not waited for.
                runtime.shutdown_background();
                left
            })?
        };
        let (sender, thread) = (Mutex::new(Some(sender)), Mutex::new(Some(thread)));
        Ok(Self { one: One { sink, courier, shared, sender, thread }, start })
    }

    /// Lets it begin, when the thread has ended whose place it takes.
    pub(super) fn begin(self, before: Option<Thread>) -> One {
        // There is room for one, and the thread waits for it.
        let _sent = self.start.send(before);
        self.one
    }
}

impl One {
    pub(super) fn send(&self, message: Message) {
        let sender = lock(&self.sender);
        let Some(sender) = &*sender else { return };
        if let Err(
            TrySendError::Full(Message::Event(event)) | TrySendError::Closed(Message::Event(event)),
        ) = sender.try_send(message)
        {
            self.shared.overflow(worker::class(&event));
        }
    }

    /// How it stands.
    pub(super) fn standing(&self) -> Standing {
        self.shared.standing()
    }

    /// Tells it nothing any more: it ends when it has taken what it was told.
    pub(super) fn end(&self) -> Option<Thread> {
        lock(&self.sender).take();
        lock(&self.thread).take()
    }

    /// Sends one marked event past its filter and its spool, and waits for the answer.
    pub(super) fn test(&self) -> Tested {
        let started = Instant::now();
        let time = worker::now_ns();
        let host = Host::own();
        let name = &self.sink.name;
        let message = format!("test of sink {name} on {}: nothing happened", host.name);
        let event = Event::new(Kind::SinkTest, time, message);
        let parcel = match &self.sink.receiver {
            Receiver::Alertmanager { .. } => {
                Some(Parcel::Body(alert::test(&event.message, time, time.saturating_add(TEST))))
            }
            receiver => {
                format::payload(receiver, &event, &host).map(|text| Parcel::Events(vec![text]))
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (taken, said) = match (parcel, runtime) {
            (Some(parcel), Ok(runtime)) => {
                let answer = runtime.block_on(self.courier.deliver(parcel));
                runtime.shutdown_background();
                match answer {
                    Answer::Taken { said, rejected } => (rejected == 0, said),
                    Answer::Later { why, .. } | Answer::Never { why, .. } => (false, why),
                }
            }
            (None, _) => (false, "a test event cannot be written in its format".to_owned()),
            (_, Err(error)) => (false, format!("cannot start a runtime: {error}")),
        };
        Tested { taken, said, took: started.elapsed() }
    }
}
