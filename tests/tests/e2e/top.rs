//! `weir top` on a terminal: what is on the screen is what the daemon says, and keys do what they say.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::curl;
use weir_tests::frame::Transport;
use weir_tests::generator::{self, Flood, Sources};
use weir_tests::pty::Pty;
use weir_tests::reading::Reading;
use weir_tests::wait;
use weir_tests::weir::Weir;

use crate::site::{self, PORT};

const SOON: Duration = Duration::from_secs(10);

/// The view on a terminal, with an environment.
fn view(weir: &Weir<'_>, set: &[(&str, &str)], columns: u16, rows: u16) -> Result<Pty> {
    let mut command = weir.verb_command(&["top", "--interval", "0.3s"]);
    for name in ["NO_COLOR", "LC_ALL", "LC_CTYPE", "LANG"] {
        command.env_remove(name);
    }
    command.env("TERM", "xterm-256color").envs(set.iter().copied());
    Pty::start(command, columns, rows)
}

const UTF8: (&str, &str) = ("LANG", "C.UTF-8");

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn api<'a>(status: &'a Value, name: &str) -> Result<&'a Value> {
    let apis = status["apis"].as_array().context("no APIs")?;
    apis.iter().find(|api| api["name"] == name).context("no such API")
}

#[test]
fn the_screen_says_what_status_says() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let _nginx = site::nginx(&lab)?;
    let weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    let url = |path: &str| site::url(server.v4().into(), PORT, path);
    let mut top = view(&weir, &[UTF8], 80, 24)?;
    top.wait(&["ENFORCING", "lab", "generation 1", "eth0"], SOON)?;
    curl::many(client, &[&url("/items/[1-30]")])?;
    curl::many(client, &[&url("/nothing/[1-10]")])?;
    for _ in 0..3 {
        assert_eq!(site::ask(stranger, server.v4().into(), PORT)?.result, 28, "refused");
    }
    top.keys("t")?;
    let status = Reading::at_rest(&weir)?.status;
    let orders = &api(&status, "orders")?["packets"];
    let number = |value: &Value| value.as_u64().map(|value| value.to_string()).unwrap_or_default();
    // Below 10,000 all digits are shown.
    let expected =
        [number(&orders["pass"]), number(&orders["drop"]), number(&orders["would_drop"])];
    wait::until("the counts of status", SOON, || {
        let line = top.line(&["orders", "enforce", "B"])?;
        ensure!(words(&line)[2..5] == expected, "{line}: {expected:?}");
        let line = top.line(&["unclaimed"])?;
        // Neighbours go on asking for each other: what is unclaimed never rests for long.
        let unclaimed = number(&weir.status()?["unclaimed"]["pass"]);
        ensure!(words(&line)[1] == unclaimed, "{line}: {unclaimed}");
        Ok(())
    })?;
    assert!(expected[1].parse::<u64>()? >= 3, "{expected:?}");
    // Requests by status, sources and reasons.
    top.keys("3")?;
    let ok = top.wait(&["orders", " 200 "], SOON)?;
    let missing = top.wait(&["orders", " 404 "], SOON)?;
    assert_eq!((words(&ok)[4], words(&missing)[4]), ("30", "10"));
    assert!(words(&ok)[5].ends_with('s'), "a latency: {ok}");
    top.keys("2")?;
    top.wait(&[&stranger.v4().to_string(), "orders", "not_allowed"], SOON)?;
    let asked = top.wait(&[&client.v4().to_string(), "orders", "25.0%"], SOON)?;
    assert_eq!(words(&asked)[3], "40", "still in counts: {asked}");
    top.keys("5")?;
    let refused = top.wait(&["orders", "drop", "not_allowed"], SOON)?;
    assert_eq!(words(&refused)[3], expected[1]);
    // A rate is the kernel's: of what was really sent.
    top.keys("t1")?;
    let flood = Flood {
        sources: Sources::One(client.v4().into()),
        destination: server.v4().into(),
        transport: Transport::Udp { port: PORT, payload: 10 },
        rate: 2_000,
        duration: Duration::from_secs(3),
    };
    let mut seen: Vec<f64> = Vec::new();
    std::thread::scope(|scope| {
        let sent = scope.spawn(|| generator::send(client, server, &flood));
        while !sent.is_finished() {
            if let Ok(line) = top.line(&["orders", "enforce", "B"])
                && let Some(Ok(pass)) = words(&line).get(2).map(|word| word.parse())
            {
                seen.push(pass);
            }
            wait::pause(Duration::from_millis(50))?;
        }
        sent.join().map_err(|_| anyhow::anyhow!("the thread panicked"))?.map(drop)
    })?;
    // Between before and after: what most of the pictures said.
    seen.retain(|rate| *rate > 100.0);
    seen.sort_by(f64::total_cmp);
    let usual = seen.get(seen.len() / 2).copied().unwrap_or_default();
    assert!((1_600.0..=2_400.0).contains(&usual), "{seen:?}");
    top.keys("q")?;
    assert_eq!(top.ended(SOON)?, 0);
    Ok(())
}

#[test]
fn a_source_is_explained_and_banned_by_keys() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    let weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    let address = client.v4().to_string();
    assert_eq!(site::ask(client, server.v4().into(), PORT)?.status, 200);
    let mut top = view(&weir, &[UTF8], 80, 24)?;
    top.wait(&["ENFORCING"], SOON)?;
    top.keys("2")?;
    top.wait(&[&address, "orders"], SOON)?;
    // What the packet path says of it.
    top.keys("e")?;
    top.wait(&["From", &address], SOON)?;
    top.keys("\r")?;
    top.wait(&["PASS", "API `orders`"], SOON)?;
    top.keys("\x1b")?;
    // Not without a word, and not with any key.
    top.keys("b")?;
    top.wait(&["Time", "10m"], SOON)?;
    top.keys("\r")?;
    top.wait(&[&format!("Ban {address} on the whole host for 10m?")], SOON)?;
    top.keys("n\r\r")?;
    wait::pause(Duration::from_millis(400))?;
    assert_eq!(weir.json(&["ban", "list"])?, serde_json::json!([]));
    top.keys("y")?;
    top.wait(&["banned", &address, "whole host"], SOON)?;
    let bans = weir.json(&["ban", "list"])?;
    assert_eq!(bans[0]["prefix"], address.as_str(), "{bans}");
    assert_eq!(bans[0]["reason"], "by hand in weir top");
    let left = bans[0]["remaining_seconds"].as_u64();
    assert!(left.is_some_and(|left| (580..=600).contains(&left)), "{bans}");
    assert_eq!(site::ask(client, server.v4().into(), PORT)?.result, 28, "it is really banned");
    top.wait(&[&address, "orders", "banned"], SOON)?;
    // And it is ended by keys.
    top.keys("6u")?;
    top.wait(&[&address, "end this ban?"], SOON)?;
    top.keys("y")?;
    top.wait(&[&address, "no longer banned"], SOON)?;
    assert_eq!(site::ask(client, server.v4().into(), PORT)?.status, 200);
    // What the daemon refuses is said in its words.
    top.keys("b192.0.2.1/24\r")?;
    top.keys("y")?;
    top.wait(&["192.0.2.0/24"], SOON)?;
    let audit = weir.json(&["audit"])?.to_string();
    assert!(audit.contains("ban_add") && audit.contains("by hand in weir top"), "{audit}");
    Ok(())
}

#[test]
fn resized_to_nothing_left_alone_and_given_back() -> Result<()> {
    let lab = site::lab()?;
    let _nginx = site::nginx(&lab)?;
    let mut weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    let mut top = view(&weir, &[UTF8], 80, 24)?;
    top.wait(&["ENFORCING"], SOON)?;
    assert!(top.is_taken());
    for (columns, rows) in
        [(0, 0), (1, 1), (3, 40), (200, 2), (0, 24), (20, 8), (200, 60), (80, 24)]
    {
        top.resize(columns, rows)?;
        wait::pause(Duration::from_millis(250))?;
        assert!(top.runs()?, "{columns} by {rows}: {:?}", top.lines());
    }
    top.wait(&["ENFORCING"], SOON)?;
    top.wait(&["orders"], SOON)?;
    // Nothing new is hardly anything to send.
    wait::pause(Duration::from_millis(500))?;
    let before = top.bytes().len();
    wait::pause(Duration::from_secs(3))?;
    let sent = top.bytes().len() - before;
    let new = String::from_utf8_lossy(&top.bytes()[before..]).into_owned();
    assert!(sent < 1_500, "{sent} bytes in three seconds: {new:?}");
    // A daemon that hangs does not stop the view.
    weir.signal(libc::SIGSTOP)?;
    top.wait(&["STALE"], SOON)?;
    top.wait(&["s old: the daemon does not answer"], SOON)?;
    top.keys("5")?;
    top.wait(&["VERDICT", "REASON"], SOON)?;
    top.keys("1")?;
    top.wait(&["MODE"], SOON)?;
    weir.signal(libc::SIGCONT)?;
    wait::until("a fresh picture", SOON, || {
        let first = top.lines().remove(0);
        ensure!(!first.contains("STALE"), "{first}");
        Ok(())
    })?;
    // The daemon goes, and comes back.
    assert_eq!(weir.stop()?, 0);
    top.wait(&["STALE"], SOON)?;
    top.wait(&["s old: no daemon answers on"], SOON)?;
    top.wait(&["orders"], SOON)?;
    weir.start_again()?;
    wait::until("a fresh picture", SOON, || {
        let first = top.lines().remove(0);
        ensure!(first.contains("ENFORCING") && !first.contains("STALE"), "{first}");
        Ok(())
    })?;
    // However it ends, the terminal is as it was.
    assert!(!top.is_restored()?, "keys are read as they are pressed");
    top.signal(libc::SIGTERM);
    assert_eq!(top.ended(SOON)?, 0);
    assert!(!top.is_taken() && top.is_restored()?);
    Ok(())
}

#[test]
fn without_colour_without_utf8_without_a_terminal() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    let mut weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    assert_eq!(site::ask(client, server.v4().into(), PORT)?.status, 200);
    let mut top = view(&weir, &[("LANG", "C"), ("NO_COLOR", "1")], 80, 24)?;
    top.wait(&["ENFORCING"], SOON)?;
    for key in ["2", "3", "4", "5", "6", "?", "\x1b", "2", "b", "\r"] {
        top.keys(key)?;
        wait::pause(Duration::from_millis(150))?;
    }
    top.wait(&["+-", "Ban a source"], SOON)?;
    let bytes = top.bytes();
    assert!(bytes.is_ascii(), "{}", String::from_utf8_lossy(&bytes));
    let text = String::from_utf8(bytes)?;
    let colours = (30..38).chain(40..48).chain(90..98).map(|code| format!("\x1b[{code}m"));
    let coloured = colours.chain(["\x1b[38;".to_owned(), "\x1b[48;".to_owned()]);
    for code in coloured {
        assert!(!text.contains(&code), "{code:?}");
    }
    top.keys("\x03")?;
    assert_eq!(top.ended(SOON)?, 0);
    assert!(!top.is_taken() && top.is_restored()?);

    let refused = weir.verb(&["top"])?.expect_code(2)?;
    assert!(refused.stderr.contains("no terminal") && refused.stderr.contains("weir status"));
    let top = weir.json(&["top"])?;
    assert_eq!(api(&top["status"], "orders")?["name"], "orders");
    assert!(top["clock_ns"].as_u64() > Some(0));
    assert_eq!(top["sources"][0]["source"], client.v4().to_string());
    let dumb = view(&weir, &[("TERM", "dumb")], 80, 24)?;
    dumb.wait(&["cannot place a cursor"], SOON)?;
    assert_eq!(weir.stop()?, 0);
    let mut gone = view(&weir, &[UTF8], 80, 24)?;
    assert_eq!(gone.ended(SOON)?, 2);
    gone.wait(&["no daemon"], SOON)?;
    assert!(gone.is_restored()?);
    Ok(())
}

#[test]
fn the_shell_gets_the_terminal_and_gives_it_back() -> Result<()> {
    let lab = site::lab()?;
    let weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    // A shell that stops and wakes what it runs: Ctrl-Z is nothing without one.
    let mut command = lab.host("server")?.netns.command("bash");
    command.args(["--norc", "--noprofile", "-i"]).env("PS1", "sh> ").env("TERM", "xterm-256color");
    command.env_remove("NO_COLOR").env("LANG", "C.UTF-8");
    let mut shell = Pty::start(command, 80, 24)?;
    shell.wait(&["sh>"], SOON)?;
    shell.keys(&format!("{}\n", weir.verb_line("top --interval 0.3s")))?;
    let shown = ["ENFORCING", "generation 1"];
    let taken = |shell: &Pty, taken: bool| {
        wait::until("the screen changes hands", SOON, || {
            ensure!(shell.is_taken() == taken, "{}", shell.lines().join("\n"));
            Ok(())
        })
    };
    shell.wait(&shown, SOON)?;
    for round in 0..4 {
        // By the key, and by the signal it stands for.
        if round % 2 == 0 {
            shell.keys("\u{1a}")?;
        } else {
            shell.signal_foreground(libc::SIGTSTP)?;
        }
        taken(&shell, false)?;
        shell.wait(&["Stopped"], SOON)?;
        let modes = "stty -a | tr ' ;' '\\n\\n' | grep -x -e '-*icanon' -e '-*echo'";
        shell.keys(&format!("clear; {modes} | xargs echo modes of {round}:\n"))?;
        shell.wait(&[&format!("modes of {round}: icanon echo")], SOON)?;
        shell.keys("fg\n")?;
        taken(&shell, true)?;
        shell.wait(&shown, SOON)?;
    }
    // Keys come one by one again, and nothing is asked of the terminal to draw all anew.
    shell.keys("\u{c}")?;
    wait::pause(Duration::from_millis(500))?;
    shell.wait(&shown, SOON)?;
    shell.keys("?")?;
    shell.wait(&["Ctrl-Z"], SOON)?;
    shell.keys("\u{3}")?;
    taken(&shell, false)?;
    shell.keys("exit 7\n")?;
    assert_eq!(shell.ended(SOON)?, 7);
    Ok(())
}
