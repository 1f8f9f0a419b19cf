//! The documentation, held against weir: every command of README.md and docs/ is run as it is written, on
//! a host with a daemon, clients and the files it speaks of. What cannot be run here is listed with the
//! reason ([`tables::NOT_RUN`]); whatever is neither run nor listed fails.

mod host;
mod pages;
mod tables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use weir_tests::lab::Lab;
use weir_tests::process;

use host::Site;
use pages::{Page, Part};
use tables::{ANSWERS, BEFORE, Before, NOT_RUN, PLACES};

/// Pages that begin on an empty host, each on one of its own; the others share the running example.
const EMPTY: [&str; 2] = ["README.md", "docs/getting-started.md"];

fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

#[test]
fn every_block_says_what_it_is() -> Result<()> {
    for Page { name, parts } in pages::all(&root())? {
        for part in parts {
            if let Part::Unmarked { line } = part {
                panic!(
                    "{name}:{line}: a block of commands begins with ```sh, others with ```text, ```toml, …"
                );
            }
        }
    }
    Ok(())
}

/// What the run keeps account of.
#[derive(Default)]
struct Account {
    run: usize,
    named: usize,
    not_run: usize,
    /// Rows of the tables that were needed: one that never is, is wrong.
    used: Vec<&'static str>,
    failures: Vec<String>,
    /// Of `cargo xtask`.
    helps: BTreeMap<String, String>,
}

#[test]
fn every_command_works_as_written() -> Result<()> {
    let only = std::env::var("WEIR_DOCS").ok();
    let mut pages = pages::all(&root())?;
    pages.retain(|page| only.as_ref().is_none_or(|only| *only == page.name));
    let (alone, together): (Vec<Page>, Vec<Page>) =
        pages.into_iter().partition(|page| EMPTY.contains(&page.name.as_str()));
    let mut account = Account::default();
    for page in alone {
        on_a_host(&[page], false, &mut account)?;
    }
    on_a_host(&together, true, &mut account)?;

    let Account { run, named, not_run, used, failures, .. } = account;
    println!("{run} commands were run, {named} names held against --help, {not_run} not run");
    ensure!(failures.is_empty(), "{} commands failed\n{}", failures.len(), failures.join("\n"));
    let rows = NOT_RUN.iter().map(|row| row.0);
    let rows = rows.chain(ANSWERS.iter().map(|row| row.0)).chain(BEFORE.iter().map(|row| row.0));
    let idle: Vec<&str> = rows.filter(|row| !used.contains(row)).collect();
    ensure!(only.is_some() || idle.is_empty(), "rows of tables.rs that no page needs: {idle:?}");
    Ok(())
}

/// Works through pages on a host of their own, which is empty or furnished.
fn on_a_host(pages: &[Page], furnished: bool, account: &mut Account) -> Result<()> {
    if pages.is_empty() {
        return Ok(());
    }
    let lab = Lab::new(&[("server", 1), ("client", 2)])?;
    let mut site = Site::new(&lab)?;
    if furnished {
        site.furnish().context("the running example")?;
    }
    for Page { name, parts } in pages {
        for part in parts {
            match part {
                Part::Begin => {
                    site.as_usual().with_context(|| format!("before a block of {name}"))?;
                }
                Part::File { name, text } => site.write(name, text)?,
                Part::Command { line, text, inline } => {
                    let begun = Instant::now();
                    let outcome = command(&mut site, account, text, *inline);
                    println!("{:6.2} s  {name}:{line}: {text}", begun.elapsed().as_secs_f64());
                    if let Err(error) = outcome {
                        account.failures.push(format!("{name}:{line}: `{text}`: {error:#}"));
                    }
                }
                Part::Output { line, command, text } => {
                    site.as_usual()?;
                    let printed = site.printed(command)?;
                    if printed != *text {
                        let failure = format!("{name}:{line}: `{command}` prints\n{printed}");
                        account.failures.push(failure);
                    }
                }
                Part::Unmarked { .. } => {}
            }
        }
    }
    Ok(())
}

/// Runs a command, or says why not.
fn command(site: &mut Site<'_>, account: &mut Account, text: &str, inline: bool) -> Result<()> {
    let bare = text.strip_prefix("sudo ").unwrap_or(text);
    if let Some((begin, _)) = NOT_RUN.iter().find(|(begin, _)| bare.starts_with(begin)) {
        account.used.push(begin);
        account.not_run += 1;
        return chore(account, bare);
    }
    if inline && is_name(site, bare)? {
        account.named += 1;
        return Ok(());
    }
    if inline {
        site.as_usual()?;
    }
    for (row, before) in BEFORE.iter().filter(|(row, _)| *row == bare) {
        account.used.push(row);
        match before {
            Before::Run(script) => site.run(script)?.success().map(drop)?,
            Before::Asked => site.traffic()?,
        }
    }
    let mut script = text.to_owned();
    for (word, prints) in PLACES.iter().filter(|(word, _)| text.contains(word)) {
        script = script.replace(word, site.run(prints)?.success()?.trim());
    }
    let expected = ANSWERS.iter().find(|(row, ..)| *row == bare);
    account.used.extend(expected.map(|(row, ..)| *row));
    account.run += 1;
    execute(site, &script, expected.map_or(0, |(_, code, _)| *code))
}

/// Runs it in the way that it is to be run: a daemon until it is ready, what follows for a while, what draws
/// on a terminal until it has drawn.
fn execute(site: &mut Site<'_>, script: &str, expected: i32) -> Result<()> {
    let runs = script.trim_start_matches("sudo ").starts_with("weir run ");
    if runs && let Some(script) = script.strip_suffix('&') {
        return site.start(script.trim());
    }
    let code = if runs {
        site.stop()?;
        site.start(script)?;
        0
    } else if script.contains("weir top") && !script.contains("--json") {
        site.view(script, "q")?
    } else if script.starts_with("watch ") {
        // It ends when it is interrupted, as the shell says of it.
        match site.view(script, "\u{3}")? {
            130 | -2 => 0,
            other => other,
        }
    } else if script.contains("--follow") || script.contains("follow=1") {
        // Still there when it was interrupted.
        match site.follow(script)? {
            output if output.code == 124 => 0,
            output => output.expect_code(0).map(|output| output.code)?,
        }
    } else {
        site.run(script)?.expect_code(expected)?.code
    };
    ensure!(code == expected, "it ended with {code} instead of {expected}");
    Ok(())
}

/// Whether these are words of weir's grammar and nothing else: the name of a verb.
fn is_name(site: &Site<'_>, text: &str) -> Result<bool> {
    let Some(words) = text.strip_prefix("weir ") else { return Ok(false) };
    if !words.split(' ').all(|word| {
        word.bytes().all(|byte| byte.is_ascii_lowercase() || b"-|".contains(&byte))
            && !word.starts_with('-')
    }) {
        return Ok(false);
    }
    let (path, last) = words.rsplit_once(' ').map_or(("", words), |(path, last)| (path, last));
    for last in last.split('|') {
        let words = format!("{path} {last}");
        let words = words.trim_start();
        let help = site.run(&format!("weir {words} --help"))?;
        if help.code != 0 || !help.stdout.contains(&format!("Usage: weir {words}")) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Holds a chore's verb and options against `cargo xtask VERB --help`.
fn chore(account: &mut Account, text: &str) -> Result<()> {
    let Some(words) = text.strip_prefix("cargo xtask ") else { return Ok(()) };
    let mut words = words.split([' ', '[', ']']);
    let verb = words.next().unwrap_or_default().to_owned();
    if !account.helps.contains_key(&verb) {
        let mut command = Command::new(env!("CARGO"));
        command.current_dir(root()).args(["xtask", &verb, "--help"]);
        let help = process::run(&mut command, Duration::from_secs(120))?.success()?;
        account.helps.insert(verb.clone(), help);
    }
    for option in words.filter(|word| word.starts_with("--")) {
        let known = account.helps[&verb].contains(option);
        ensure!(known, "cargo xtask {verb} has no {option}");
    }
    Ok(())
}
