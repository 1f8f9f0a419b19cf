//! What the view is about to show, and what keys make of it. Pure: time is an argument, and what is to
//! be done outside is handed on as an [`Effect`].

use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::ask::{Ask, Reply};
use super::chosen;
use super::dialog::{BanForm, Dialog, ExplainForm, Said, Text};
use super::grid::{Grid, View};
use super::history::History;
use super::look::Look;
use super::pages;
use crate::cli::style::Tone;
use crate::control::api::{ApiError, Top};

/// How long a passing word stays.
const WORD: Duration = Duration::from_secs(6);
/// The shortest and the longest time between two answers.
pub(super) const INTERVALS: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(60)];

/// A page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Apis,
    Sources,
    Requests,
    Findings,
    Reasons,
    Bans,
}

impl Page {
    /// In the order of their keys.
    pub(super) const ALL: [Self; 6] =
        [Self::Apis, Self::Sources, Self::Requests, Self::Findings, Self::Reasons, Self::Bans];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Apis => "APIs",
            Self::Sources => "Sources",
            Self::Requests => "Requests",
            Self::Findings => "Findings",
            Self::Reasons => "Reasons",
            Self::Bans => "Bans",
        }
    }

    fn step(self, back: bool) -> Self {
        let count = Self::ALL.len();
        Self::ALL[(self as usize + if back { count - 1 } else { 1 }) % count]
    }
}

/// What is to be done outside of the model.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    /// Ends the view.
    Quit,
    /// Draws everything anew: something else wrote to the terminal.
    Redraw,
    /// Lets the shell have the terminal.
    Suspend,
    /// Asks the daemon so often from now on.
    Interval(Duration),
    /// Asks it this.
    Ask(Ask),
}

/// See the module. Times are since the view began.
pub(super) struct Model {
    pub(super) look: Look,
    pub(super) history: History,
    pub(super) page: Page,
    pub(super) views: [View; Page::ALL.len()],
    /// Rows must have this somewhere; empty: all do.
    pub(super) filter: String,
    pub(super) dialog: Option<Dialog>,
    /// Counts since they began instead of rates.
    pub(super) totals: bool,
    /// Answers are not taken.
    pub(super) paused: bool,
    pub(super) interval: Duration,
    /// When the latest answer came.
    pub(super) answered: Duration,
    /// Why there was no answer.
    pub(super) trouble: Option<String>,
    word: Option<(String, Tone, Duration)>,
}

impl Model {
    pub(super) fn new(look: Look, interval: Duration) -> Self {
        let sorted = |sort| View { sort: Some(sort), ..View::default() };
        Self {
            look,
            history: History::default(),
            page: Page::Apis,
            views: [
                View::default(),
                sorted(pages::SOURCES_BY),
                View::default(),
                View::default(),
                sorted(pages::REASONS_BY),
                View::default(),
            ],
            filter: String::new(),
            dialog: None,
            totals: false,
            paused: false,
            interval,
            answered: Duration::ZERO,
            trouble: None,
            word: None,
        }
    }

    /// How the page that is shown is looked at.
    pub(super) fn view(&self) -> &View {
        &self.views[self.page as usize]
    }

    fn view_mut(&mut self) -> &mut View {
        &mut self.views[self.page as usize]
    }

    /// The table of the page that is shown, arranged.
    pub(super) fn grid(&self) -> Grid {
        let mut grid = pages::grid(self);
        grid.arrange(self.view(), &self.filter);
        grid
    }

    /// Takes an answer, or that there was none.
    pub(super) fn take(&mut self, answer: Result<Top, ApiError>, now: Duration) {
        match answer {
            Ok(top) => {
                self.answered = now;
                self.trouble = None;
                if !self.paused {
                    self.history.push(top);
                }
            }
            Err(error) => self.trouble = Some(error.message),
        }
    }

    /// How old what is shown is, when that is too old.
    pub(super) fn stale(&self, now: Duration) -> Option<Duration> {
        let age = now.saturating_sub(self.answered);
        let late = age > self.interval * 2 + Duration::from_secs(1);
        (late || self.trouble.is_some()).then_some(age)
    }

    /// A word about what was done, for a while.
    pub(super) fn word(&self, now: Duration) -> Option<(&str, Tone)> {
        let (text, tone, until) = self.word.as_ref()?;
        (now < *until).then_some((text, *tone))
    }

    fn say(&mut self, text: impl Into<String>, tone: Tone, now: Duration) {
        self.word = Some((text.into(), tone, now + WORD));
    }

    /// Takes the daemon's answer to an [`Ask`].
    pub(super) fn reply(&mut self, reply: Reply, now: Duration) {
        match reply {
            Reply::Explained(Ok(explanation)) => {
                self.dialog = Some(Dialog::Text(Text::explanation(&explanation)));
            }
            Reply::Banned(Ok(ban)) => {
                self.dialog = None;
                let at = ban.api.map_or_else(|| "on the whole host".into(), |a| format!("at {a}"));
                self.say(format!("banned {} {at}", ban.prefix), Tone::Good, now);
            }
            Reply::Unbanned(Ok(ban)) => {
                self.dialog = None;
                self.say(format!("{} is no longer banned", ban.prefix), Tone::Good, now);
            }
            Reply::Explained(Err(error))
            | Reply::Banned(Err(error))
            | Reply::Unbanned(Err(error)) => match &mut self.dialog {
                Some(dialog) => dialog.refused(&error),
                None => self.say(error.message, Tone::Bad, now),
            },
        }
    }

    /// Takes a key.
    pub(super) fn key(&mut self, key: KeyEvent, now: Duration) -> Option<Effect> {
        if key.modifiers.contains(KeyModifiers::ALT) {
            // Esc and a key that came right after it look like this, and nothing here wants Alt.
            let bare = KeyEvent::new(key.code, key.modifiers.difference(KeyModifiers::ALT));
            let first = self.key(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE), now);
            return first.or_else(|| self.key(bare, now));
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return Some(Effect::Quit),
            KeyCode::Char('l') if control => return Some(Effect::Redraw),
            KeyCode::Char('z') if control => return Some(Effect::Suspend),
            _ => {}
        }
        self.word = None;
        if let Some(dialog) = &mut self.dialog {
            return match dialog.key(key) {
                Said::Stay => None,
                Said::Close => {
                    self.dialog = None;
                    None
                }
                Said::Filter(text) => {
                    self.filter = text;
                    None
                }
                Said::Ask(ask) => Some(Effect::Ask(ask)),
            };
        }
        self.page_key(key, now)
    }

    fn page_key(&mut self, key: KeyEvent, now: Duration) -> Option<Effect> {
        match key.code {
            KeyCode::Char('q') => return Some(Effect::Quit),
            KeyCode::Char(digit @ '1'..='6') => {
                self.page = Page::ALL[digit as usize - '1' as usize];
            }
            KeyCode::Tab | KeyCode::Right => self.page = self.page.step(false),
            KeyCode::BackTab | KeyCode::Left => self.page = self.page.step(true),
            KeyCode::Down | KeyCode::Char('j') => self.go(1),
            KeyCode::Up | KeyCode::Char('k') => self.go(-1),
            KeyCode::PageDown => self.go(10),
            KeyCode::PageUp => self.go(-10),
            KeyCode::Home | KeyCode::Char('g') => self.go(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.go(isize::MAX),
            KeyCode::Char('s') => self.sort(false),
            KeyCode::Char('S') => self.sort(true),
            KeyCode::Char('r') => {
                let view = self.view_mut();
                view.ascending = !view.ascending;
            }
            KeyCode::Char('t') => self.totals = !self.totals,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('+' | '=') => return Some(self.pace(false, now)),
            KeyCode::Char('-') => return Some(self.pace(true, now)),
            KeyCode::Char('/') => self.dialog = Some(Dialog::Filter(self.filter.clone())),
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => {
                self.dialog = Some(Dialog::Text(Text::help()));
            }
            KeyCode::Char('e') => {
                self.dialog = Some(Dialog::Explain(ExplainForm::of(&chosen::subject(self))));
            }
            KeyCode::Char('b') => {
                self.dialog = Some(Dialog::Ban(BanForm::of(&chosen::subject(self))));
            }
            KeyCode::Char('u') if self.page == Page::Bans => match chosen::chosen_ban(self) {
                Some(ban) => self.dialog = Some(Dialog::Unban(ban.clone(), String::new())),
                None => self.say("there is no ban to end", Tone::Warn, now),
            },
            KeyCode::Char('u') => self.say("bans are ended on their page: 6", Tone::Warn, now),
            KeyCode::Enter => self.dialog = chosen::detail(self).map(Dialog::Text),
            _ => {}
        }
        None
    }

    /// Chooses another row.
    fn go(&mut self, by: isize) {
        let grid = self.grid();
        let Some(at) = grid.chosen(self.view()) else { return };
        let to = at.saturating_add_signed(by).min(grid.rows.len() - 1);
        self.view_mut().chosen = Some(grid.rows[to].id.clone());
    }

    /// Sorts by the next column, after the last by none.
    fn sort(&mut self, back: bool) {
        let columns = self.grid().columns.len();
        let view = self.view_mut();
        view.sort = match (view.sort, back) {
            (None, false) => Some(0),
            (None, true) => Some(columns - 1),
            (Some(at), false) => Some(at + 1).filter(|at| *at < columns),
            (Some(at), true) => at.checked_sub(1),
        };
        // What is named begins with A, what is counted with the most.
        let grid = pages::grid(self);
        let view = self.view_mut();
        view.ascending = view.sort.is_some_and(|at| !grid.columns[at].right);
    }

    fn pace(&mut self, slower: bool, now: Duration) -> Effect {
        let wanted = if slower { self.interval * 2 } else { self.interval / 2 };
        self.interval = wanted.clamp(INTERVALS[0], INTERVALS[1]);
        let seconds = self.interval.as_secs_f64();
        self.say(format!("every {seconds} s"), Tone::Plain, now);
        Effect::Interval(self.interval)
    }
}
