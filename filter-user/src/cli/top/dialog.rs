//! What lies over a page: texts to read, forms to fill in. Pure, like the model.

use std::net::{IpAddr, SocketAddr};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::ask::Ask;
use super::chosen::Subject;
use crate::cli::explain;
use crate::cli::style::Style;
use crate::cli::value;
use crate::control::api::{ApiError, Ban, BanAdd, BanRemove, ExplainRequest, Explanation};

/// Characters of a field at most.
const FIELD: usize = 80;

/// What is written down as the reason of a ban.
const REASON: &str = "by hand in weir top";

const HELP: &str = "\
Pages      1-6, Tab, Shift-Tab, Left, Right
Rows       Up, Down, PgUp, PgDn, Home, End; j, k, g, G
Enter      more about the row
s, S       sort by the next column, by the one before
r          reverse the order
/          show only rows that have a text; Esc shows all again
t          counts since they began, or rates
p, Space   hold the picture still, and go on
+, -       ask the daemon twice as often, half as often

e          explain: what would happen to a packet now, and why
b          ban a source for a time, after a confirmation
u          end a ban (on page 6)

?, h       this
Ctrl-L     draw everything anew
Ctrl-Z     back to the shell, `fg` returns
q, Ctrl-C  end

Packets: the kernel's own counters; a rate is the difference of two answers.
Requests, latencies, sources: what the sensor saw. Sampled requests stand for
those that are not in the sample. Latencies are of the last minute, from the
buckets of the metrics; sources are of the last minute. How many packets of
one source were refused is not counted, only of an API.";

/// A dialog.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Dialog {
    Text(Text),
    /// What is typed.
    Filter(String),
    Explain(ExplainForm),
    Ban(BanForm),
    /// The ban to end, and what was said against it.
    Unban(Ban, String),
}

/// What a key made of a dialog.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    Stay,
    Close,
    Filter(String),
    Ask(Ask),
}

/// A text to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) title: String,
    pub(super) lines: Vec<String>,
    /// The first line that is shown.
    pub(super) first: usize,
}

impl Text {
    pub(super) fn of(title: &str, text: &str) -> Self {
        let lines = text.lines().map(str::to_owned).collect();
        Self { title: title.to_owned(), lines, first: 0 }
    }

    pub(super) fn help() -> Self {
        Self::of("Help", HELP)
    }

    pub(super) fn explanation(explanation: &Explanation) -> Self {
        Self::of("Explain", &explain::text(explanation, Style::PLAIN))
    }
}

/// One thing that is typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) text: String,
}

impl Field {
    fn key(&mut self, key: KeyEvent) {
        edit(&mut self.text, key);
    }
}

fn edit(text: &mut String, key: KeyEvent) {
    match key.code {
        KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => text.clear(),
        KeyCode::Char(c) if text.len() < FIELD && !c.is_control() => text.push(c),
        KeyCode::Backspace => drop(text.pop()),
        _ => {}
    }
}

/// A packet to explain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExplainForm {
    pub(super) fields: [Field; 2],
    pub(super) at: usize,
    pub(super) problem: String,
}

impl ExplainForm {
    pub(super) fn of(subject: &Subject) -> Self {
        let source = subject.source.as_deref().map(|one| one.split('/').next().unwrap_or(one));
        let source = source.unwrap_or_default().to_owned();
        let to = subject.to.clone().unwrap_or_default();
        Self {
            at: if source.is_empty() || !to.is_empty() { 0 } else { 1 },
            fields: [Field { name: "From", text: source }, Field { name: "To", text: to }],
            problem: String::new(),
        }
    }

    fn request(&self) -> Result<ExplainRequest, String> {
        let [from, to] = [&self.fields[0].text, &self.fields[1].text].map(|text| text.trim());
        let src: IpAddr = from.parse().map_err(|_| format!("\"{from}\" is no address"))?;
        let (dst, proto, port) = destination(to)?;
        if src.is_ipv4() != dst.is_ipv4() {
            return Err(format!("{src} and {dst} are of different families"));
        }
        Ok(ExplainRequest {
            src: Some(src),
            dst: Some(dst),
            proto: proto.to_owned(),
            dport: Some(port),
            ..ExplainRequest::default()
        })
    }
}

/// Reads a destination as a policy writes it: `203.0.113.5:tcp/8080`; `tcp/` may be left out.
fn destination(text: &str) -> Result<(IpAddr, &'static str, u16), String> {
    let (bare, proto) = if text.contains(":udp/") {
        (text.replacen(":udp/", ":", 1), "udp")
    } else {
        (text.replacen(":tcp/", ":", 1), "tcp")
    };
    let address: SocketAddr = bare.parse().map_err(|_| {
        "write the destination as 203.0.113.5:tcp/8080 or [2001:db8::5]:tcp/8080".to_owned()
    })?;
    Ok((address.ip(), proto, address.port()))
}

/// A ban to place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BanForm {
    pub(super) fields: [Field; 2],
    /// The API that it can be narrowed to.
    pub(super) api: Option<String>,
    /// It is.
    pub(super) narrow: bool,
    /// The field; behind the last one, where.
    pub(super) at: usize,
    /// What will be done; it is only waited for the word.
    pub(super) confirm: Option<String>,
    pub(super) problem: String,
}

impl BanForm {
    pub(super) fn of(subject: &Subject) -> Self {
        let source = subject.source.clone().unwrap_or_default();
        Self {
            at: usize::from(!source.is_empty()),
            fields: [
                Field { name: "Source", text: source },
                Field { name: "Time", text: "10m".to_owned() },
            ],
            api: subject.api.clone().filter(|api| api != "__unclaimed__"),
            narrow: false,
            confirm: None,
            problem: String::new(),
        }
    }

    fn request(&self) -> Result<BanAdd, String> {
        let [prefix, ttl] = [&self.fields[0].text, &self.fields[1].text].map(|text| text.trim());
        if prefix.is_empty() {
            return Err("an address or a network is needed".to_owned());
        }
        let ttl = value::ttl(ttl)?;
        Ok(BanAdd {
            prefix: prefix.to_owned(),
            ttl_seconds: Some(ttl.as_secs_f64()),
            api: self.api.clone().filter(|_| self.narrow),
            reason: REASON.to_owned(),
            force: false,
        })
    }

    pub(super) fn place(&self) -> String {
        match &self.api {
            Some(api) if self.narrow => format!("only at API {api}"),
            _ => "on the whole host".to_owned(),
        }
    }

    fn key(&mut self, key: KeyEvent) -> Said {
        if self.confirm.is_some() {
            return match (key.code, self.request()) {
                (KeyCode::Char('y' | 'Y'), Ok(request)) => {
                    self.confirm = None;
                    self.problem = "asked the daemon".to_owned();
                    Said::Ask(Ask::Ban(request))
                }
                (KeyCode::Char('n' | 'N') | KeyCode::Esc, _) => {
                    self.confirm = None;
                    Said::Stay
                }
                _ => Said::Stay,
            };
        }
        let places = self.fields.len() + usize::from(self.api.is_some());
        match key.code {
            KeyCode::Esc => return Said::Close,
            KeyCode::Tab | KeyCode::Down => self.at = (self.at + 1) % places,
            KeyCode::BackTab | KeyCode::Up => self.at = (self.at + places - 1) % places,
            KeyCode::Enter => match self.request() {
                Ok(request) => {
                    let (ttl, place) = (self.fields[1].text.trim(), self.place());
                    self.problem.clear();
                    self.confirm = Some(format!("Ban {} {place} for {ttl}?", request.prefix));
                }
                Err(problem) => self.problem = problem,
            },
            _ => match self.fields.get_mut(self.at) {
                Some(field) => field.key(key),
                None => self.narrow = !self.narrow,
            },
        }
        Said::Stay
    }
}

impl Dialog {
    /// The daemon would not do it.
    pub(super) fn refused(&mut self, error: &ApiError) {
        let said = match error.hint.as_str() {
            "" => error.message.clone(),
            hint => format!("{}: {hint}", error.message),
        };
        match self {
            Self::Explain(form) => form.problem = said,
            Self::Ban(form) => form.problem = said,
            Self::Unban(_, problem) => *problem = said,
            Self::Text(_) | Self::Filter(_) => *self = Self::Text(Text::of("Refused", &said)),
        }
    }

    /// Takes a key.
    pub(super) fn key(&mut self, key: KeyEvent) -> Said {
        match self {
            Self::Text(text) => {
                let last = text.lines.len().saturating_sub(1);
                text.first = match key.code {
                    KeyCode::Down | KeyCode::Char('j') => (text.first + 1).min(last),
                    KeyCode::PageDown | KeyCode::Char(' ') => (text.first + 10).min(last),
                    KeyCode::Up | KeyCode::Char('k') => text.first.saturating_sub(1),
                    KeyCode::PageUp => text.first.saturating_sub(10),
                    KeyCode::Home | KeyCode::Char('g') => 0,
                    KeyCode::End | KeyCode::Char('G') => last,
                    _ => return Said::Close,
                };
                Said::Stay
            }
            Self::Filter(text) => match key.code {
                KeyCode::Enter => Said::Close,
                KeyCode::Esc => {
                    text.clear();
                    Said::Filter(String::new())
                }
                _ => {
                    edit(text, key);
                    Said::Filter(text.clone())
                }
            },
            Self::Explain(form) => match key.code {
                KeyCode::Esc => Said::Close,
                KeyCode::Tab | KeyCode::BackTab | KeyCode::Up | KeyCode::Down => {
                    form.at = 1 - form.at;
                    Said::Stay
                }
                KeyCode::Enter => match form.request() {
                    Ok(request) => {
                        form.problem = "asked the daemon".to_owned();
                        Said::Ask(Ask::Explain(Box::new(request)))
                    }
                    Err(problem) => {
                        form.problem = problem;
                        Said::Stay
                    }
                },
                _ => {
                    form.fields[form.at].key(key);
                    Said::Stay
                }
            },
            Self::Ban(form) => form.key(key),
            Self::Unban(ban, _) => match key.code {
                KeyCode::Char('y' | 'Y') => {
                    let (prefix, api) = (ban.prefix.clone(), ban.api.clone());
                    Said::Ask(Ask::Unban(BanRemove { prefix, api }))
                }
                KeyCode::Char('n' | 'N') | KeyCode::Esc => Said::Close,
                _ => Said::Stay,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(dialog: &mut Dialog, text: &str) -> Said {
        let mut said = Said::Stay;
        for c in text.chars() {
            let code = match c {
                '\n' => KeyCode::Enter,
                '\t' => KeyCode::Tab,
                '\x1b' => KeyCode::Esc,
                '<' => KeyCode::Backspace,
                c => KeyCode::Char(c),
            };
            said = dialog.key(KeyEvent::new(code, KeyModifiers::NONE));
        }
        said
    }

    fn subject(source: &str, api: &str, to: &str) -> Subject {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Subject { source: some(source), api: some(api), to: some(to) }
    }

    #[test]
    fn a_ban_needs_a_word() {
        let mut dialog = Dialog::Ban(BanForm::of(&subject("192.0.2.7", "orders", "")));
        assert_eq!(press(&mut dialog, "<<<5m\n"), Said::Stay);
        let Dialog::Ban(form) = &dialog else { panic!("{dialog:?}") };
        assert_eq!(form.confirm.as_deref(), Some("Ban 192.0.2.7 on the whole host for 5m?"));
        // No other key does it; n goes back.
        assert_eq!(press(&mut dialog, "\n xn"), Said::Stay);
        assert_eq!(press(&mut dialog, "\t \n"), Said::Stay);
        let Dialog::Ban(form) = &dialog else { panic!("{dialog:?}") };
        assert_eq!(form.confirm.as_deref(), Some("Ban 192.0.2.7 only at API orders for 5m?"));
        let wanted = BanAdd {
            prefix: "192.0.2.7".into(),
            ttl_seconds: Some(300.0),
            api: Some("orders".into()),
            reason: REASON.into(),
            force: false,
        };
        assert_eq!(press(&mut dialog, "y"), Said::Ask(Ask::Ban(wanted)));
        dialog.refused(&ApiError::refused("192.0.2.7 is trusted").hint("take it out"));
        let Dialog::Ban(form) = &dialog else { panic!("{dialog:?}") };
        assert_eq!(form.problem, "192.0.2.7 is trusted: take it out");
        assert_eq!(press(&mut dialog, "\x1b"), Said::Close);
    }

    #[test]
    fn what_cannot_be_is_said_before_the_daemon_is_asked() {
        for (source, keys, problem) in [
            ("", "\n", "an address or a network"),
            ("192.0.2.7", "<<<\n", "\"\""),
            ("192.0.2.7", "<<<0s\n", "more than nothing"),
        ] {
            let mut dialog = Dialog::Ban(BanForm::of(&subject(source, "", "")));
            assert_eq!(press(&mut dialog, keys), Said::Stay);
            let Dialog::Ban(form) = &dialog else { panic!("{dialog:?}") };
            assert!(form.problem.contains(problem) && form.confirm.is_none(), "{form:?}");
        }
        for (from, to, problem) in [
            ("", "203.0.113.5:tcp/8080", "no address"),
            ("192.0.2.7", "tcp/8080", "203.0.113.5:tcp/8080"),
            ("192.0.2.7", "[2001:db8::5]:tcp/80", "different families"),
        ] {
            let mut dialog = Dialog::Explain(ExplainForm::of(&subject(from, "", to)));
            assert_eq!(press(&mut dialog, "\n"), Said::Stay);
            let Dialog::Explain(form) = &dialog else { panic!("{dialog:?}") };
            assert!(form.problem.contains(problem), "{form:?}");
        }
    }

    #[test]
    fn explains() {
        for (from, to, dst, proto, port) in [
            ("192.0.2.7", "203.0.113.5:tcp/8080", "203.0.113.5", "tcp", 8080),
            ("192.0.2.0/24", "203.0.113.5:80", "203.0.113.5", "tcp", 80),
            ("2001:db8::7", "[2001:db8::5]:udp/53", "2001:db8::5", "udp", 53),
        ] {
            let mut dialog = Dialog::Explain(ExplainForm::of(&subject(from, "", to)));
            let Said::Ask(Ask::Explain(request)) = press(&mut dialog, "\n") else {
                panic!("{dialog:?}")
            };
            assert_eq!(request.dst, Some(dst.parse().unwrap()));
            assert_eq!((request.proto.as_str(), request.dport), (proto, Some(port)));
        }
    }

    #[test]
    fn texts_are_read_and_left() {
        let mut dialog = Dialog::Text(Text::help());
        assert_eq!(press(&mut dialog, "jjj"), Said::Stay);
        let Dialog::Text(text) = &dialog else { panic!("{dialog:?}") };
        assert_eq!(text.first, 3);
        assert_eq!(press(&mut dialog, "G"), Said::Stay);
        assert_eq!(press(&mut dialog, "q"), Said::Close);
        assert!(HELP.lines().all(|line| line.chars().count() <= 78));
    }

    #[test]
    fn a_filter_works_as_it_is_typed() {
        let mut dialog = Dialog::Filter(String::new());
        assert_eq!(press(&mut dialog, "ab"), Said::Filter("ab".into()));
        assert_eq!(press(&mut dialog, "<"), Said::Filter("a".into()));
        assert_eq!(press(&mut dialog, "\n"), Said::Close);
    }
}
