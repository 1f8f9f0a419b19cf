//! `weir top`: the whole screen, drawn again and again.
//!
//! `history` makes rates of the daemon's answers, `model` is what keys change, `pages` and `draw` make
//! a picture of both: all of that is pure. `ask` talks to the daemon on threads, `terminal` takes the
//! terminal and gives it back; here they are put together.

mod ask;
mod cells;
mod chosen;
mod dialog;
mod draw;
mod grid;
mod history;
mod look;
mod model;
mod pages;
mod terminal;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::outcome::{Outcome, Verdict};
use super::{Common, value};
use crate::control::api::ApiError;
use ask::{Asker, News};
use look::Look;
use model::{Effect, INTERVALS, Model};
use terminal::Screen;

/// How long a key is waited for before there is another look at the news and the clock.
const LOOK: Duration = Duration::from_millis(100);
/// News that are taken before something is drawn.
const AT_ONCE: usize = 100;

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Keys: ? shows all of them; 1-6 pages, / filter, s sort, e explain, b ban, q end.\n\
    Plain ASCII without a UTF-8 locale, no colour with NO_COLOR.\n\n\
    Examples:\n  weir top\n  weir top --interval 5s                          over a slow line\n  \
    weir top --json | jq '.status.apis[] | {name, packets}'"
)]
pub(super) struct TopArgs {
    /// How often to ask the daemon: 0.2s to 1m
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,
    #[command(flatten)]
    pub(super) common: Common,
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = value::ttl(text)?;
    if interval < INTERVALS[0] || interval > INTERVALS[1] {
        return Err("it is between 0.2s and 1m".to_owned());
    }
    Ok(interval)
}

pub(super) fn top(args: &TopArgs) -> Verdict {
    let client = args.common.target.client()?;
    if args.common.output.json {
        let top = client.top()?;
        args.common.output.printer().print(&top, |_| String::new())?;
        return Ok(Outcome::Done);
    }
    let variable = |name: &str| std::env::var(name).ok();
    if let Some(why) = terminal::unfit(variable("TERM").as_deref()) {
        return Err(ApiError::invalid(format!("{why}, and `weir top` draws on one"))
            .hint("`weir status` and `weir top --json` print once, into anything")
            .into());
    }
    // A daemon that is not there is told before the screen is taken.
    let first = client.top()?;
    let asker = Asker::start(args.common.target.socket()?, args.interval)?;
    let mut model = Model::new(Look::of(variable), args.interval);
    model.take(Ok(first), Duration::ZERO);
    let mut screen = Screen::open().context("cannot take the terminal")?;
    run(&mut screen, &mut model, &asker)?;
    Ok(Outcome::Done)
}

fn run(screen: &mut Screen, model: &mut Model, asker: &Asker) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut drawn = None;
    while !screen.is_ended() {
        let now = start.elapsed();
        let mut changed = false;
        for news in asker.news.try_iter().take(AT_ONCE) {
            changed = true;
            match news {
                News::Top(answer) => model.take(*answer, now),
                News::Reply(reply) => model.reply(*reply, now),
            }
        }
        if screen.is_stopped() {
            screen.suspend().context("cannot take the terminal")?;
            drawn = None;
        }
        // Age and passing words change by the second.
        if changed || drawn != Some(now.as_secs()) {
            drawn = Some(now.as_secs());
            let picture =
                |frame: &mut ratatui::Frame<'_>| draw::draw(model, now, frame.buffer_mut());
            screen.terminal.draw(picture).context("cannot write to the terminal")?;
        }
        if !event::poll(LOOK).context("cannot read from the terminal")? {
            continue;
        }
        drawn = None;
        let Event::Key(key) = event::read().context("cannot read from the terminal")? else {
            continue;
        };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match model.key(key, start.elapsed()) {
            None => {}
            Some(Effect::Quit) => break,
            Some(Effect::Redraw) => screen.wipe().context("cannot clear the terminal")?,
            Some(Effect::Suspend) => screen.suspend().context("cannot take the terminal")?,
            Some(Effect::Interval(interval)) => asker.pace(interval),
            Some(Effect::Ask(ask)) => asker.ask(ask),
        }
    }
    Ok(())
}
