//! Asking the daemon, on threads of their own: a daemon that hangs does not stop the view.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::control::api::{
    Answer, ApiError, Ban, BanAdd, BanRemove, ExplainRequest, Explanation, Top,
};
use crate::control::client::Client;

/// The second answer comes soon, so that there are rates.
const FIRST: Duration = Duration::from_millis(500);
/// Between two looks at what is costly to find out: whether files differ from what is in force.
const THOROUGH: Duration = Duration::from_secs(30);

/// What is asked at a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ask {
    Explain(Box<ExplainRequest>),
    Ban(BanAdd),
    Unban(BanRemove),
}

/// The answer.
#[derive(Debug)]
pub(super) enum Reply {
    Explained(Answer<Explanation>),
    Banned(Answer<Ban>),
    Unbanned(Answer<Ban>),
}

/// What comes from the daemon.
#[derive(Debug)]
pub(super) enum News {
    Top(Box<Result<Top, ApiError>>),
    Reply(Box<Reply>),
}

/// Both threads; they end when this does, or with the process.
pub(super) struct Asker {
    pub(super) news: Receiver<News>,
    orders: Sender<Ask>,
    pace: Sender<Duration>,
}

impl Asker {
    /// Starts asking.
    pub(super) fn start(socket: PathBuf, interval: Duration) -> anyhow::Result<Self> {
        let (to_view, news) = channel();
        let (orders, asked) = channel();
        let (pace, paced) = channel();
        let (of_orders, to_poll) = (to_view.clone(), pace.clone());
        let path = socket.clone();
        let spawn = |name: &str| std::thread::Builder::new().name(name.to_owned());
        spawn("weir-poll")
            .spawn(move || poll(&path, interval, &paced, &to_view))
            .and_then(|_| {
                spawn("weir-ask").spawn(move || obey(&socket, &asked, &of_orders, &to_poll))
            })
            .context("cannot start a thread")?;
        Ok(Self { news, orders, pace })
    }

    /// Asks this; the answer is among the news.
    pub(super) fn ask(&self, ask: Ask) {
        // Without its thread there is no answer, which is what the view shows.
        let _gone = self.orders.send(ask);
    }

    /// Asks so often from now on.
    pub(super) fn pace(&self, interval: Duration) {
        let _gone = self.pace.send(interval);
    }
}

/// Asks again and again. A pace of nothing asks at once.
fn poll(socket: &Path, mut interval: Duration, paced: &Receiver<Duration>, news: &Sender<News>) {
    let mut client = None;
    let mut pause = interval.min(FIRST);
    let mut pending = (None::<Instant>, false);
    loop {
        if client.is_none() {
            client = Client::new(socket.to_owned()).ok();
        }
        if let Some(client) = &client {
            if pending.0.is_none_or(|last| last.elapsed() >= THOROUGH)
                && let Ok(status) = client.status()
            {
                let differs = status.policy.is_some_and(|policy| policy.pending);
                pending = (Some(Instant::now()), differs);
            }
            let mut answer = client.top();
            if let Ok(Top { status, .. }) = &mut answer
                && let Some(policy) = &mut status.policy
            {
                policy.pending = pending.1;
            }
            if news.send(News::Top(Box::new(answer))).is_err() {
                return;
            }
        }
        match paced.recv_timeout(pause) {
            Ok(Duration::ZERO) | Err(RecvTimeoutError::Timeout) => {}
            Ok(wanted) => interval = wanted,
            Err(RecvTimeoutError::Disconnected) => return,
        }
        pause = interval;
    }
}

fn obey(socket: &Path, asked: &Receiver<Ask>, news: &Sender<News>, pace: &Sender<Duration>) {
    while let Ok(ask) = asked.recv() {
        let client = Client::new(socket.to_owned());
        let reply = match ask {
            Ask::Explain(request) => {
                Reply::Explained(client.and_then(|client| client.explain(&request)))
            }
            Ask::Ban(request) => Reply::Banned(client.and_then(|client| client.ban_add(&request))),
            Ask::Unban(request) => {
                Reply::Unbanned(client.and_then(|client| client.ban_remove(&request)))
            }
        };
        if news.send(News::Reply(Box::new(reply))).is_err() {
            return;
        }
        let _gone = pace.send(Duration::ZERO);
    }
}
