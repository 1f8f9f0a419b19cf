//! Receivers of events: whether they can be reached, and how.

use std::time::Duration;

use super::Check;
use crate::config::sink::Sink;
use crate::export::sinks::probe;

/// How long a receiver may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// One check for each; they are reached at the same time. One that is gone is no failure: its events
/// wait.
pub(super) fn checks(sinks: &[Sink]) -> Vec<Check> {
    std::thread::scope(|scope| {
        let ask = |sink| scope.spawn(move || probe(sink, PATIENCE));
        let asked: Vec<_> = sinks.iter().map(|sink| (sink, ask(sink))).collect();
        asked
            .into_iter()
            .map(|(sink, thread)| {
                let name = format!("sink {}", sink.name);
                let hint = "events for it wait in its spool; `weir sink test` sends one";
                match thread.join() {
                    Ok(Ok(found)) => Check::ok(&name, found),
                    Ok(Err(problem)) => Check::warn(&name, problem, hint),
                    Err(_) => Check::warn(&name, "the check broke off", "this is a bug in weir"),
                }
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::path::Path;

    use super::super::State;
    use super::*;
    use crate::config::{Paths, parse};

    #[test]
    fn who_answers_and_who_does_not() {
        let there = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = there.local_addr().expect("an address").port();
        let gone = TcpListener::bind("127.0.0.1:0").expect("binds");
        let closed = gone.local_addr().expect("an address").port();
        drop(gone);
        // kind and more, state, part of what is found
        let rows = [
            (format!("syslog\"\nurl = \"tcp://127.0.0.1:{port}"), State::Ok, "without TLS"),
            (format!("otlp\"\nurl = \"http://localhost:{port}"), State::Ok, "answers"),
            (format!("syslog\"\nurl = \"tcp://127.0.0.1:{closed}"), State::Warn, "cannot connect"),
            (
                format!("webhook\"\nurl = \"http://127.0.0.1:{port}\"\ntoken_file = \"/none"),
                State::Warn,
                "cannot read /none",
            ),
            ("stdout\"\nmin_severity = \"info".to_owned(), State::Ok, "standard output"),
        ];
        for (text, state, part) in rows {
            let text = format!("[[sink]]\nname = \"a\"\nkind = \"{text}\"\n");
            let paths = Paths::of(None).expect("paths");
            let config = parse(&text, Path::new("/"), "t", paths).config.expect(&text);
            let checks = checks(&config.sinks);
            let [check] = &checks[..] else { panic!("{checks:?}") };
            assert_eq!(check.state, state, "{check:?}");
            assert!(check.finding.contains(part), "{check:?}");
        }
    }
}
