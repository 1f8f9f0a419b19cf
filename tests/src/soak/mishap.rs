//! What happens to the daemon of a soak. Each mishap leaves things as they were: orders lifted, the
//! feed good, the receiver taking what comes. What a verb is to say is held against what it says.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Watch;
use super::inbox::Inbox;
use super::stage::{self, Files, SHOP};
use crate::lab::Lab;
use crate::receiver::Mood;
use crate::weir::Weir;
use crate::{curl, wait};

/// What has to come about by itself has so long.
const SOON: Duration = Duration::from_secs(20);

/// Numbers in a seeded order (Steele, Lea and Flood's SplitMix64).
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Below a bound, which is not 0. The modulo's bias does not matter here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Puts them into another order (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// What mishaps happen to.
pub(crate) struct Scene<'a, 'lab> {
    pub(crate) lab: &'lab Lab,
    pub(crate) files: &'a Files,
    pub(crate) weir: &'a mut Weir<'lab>,
    pub(crate) inbox: Inbox<'lab>,
    pub(crate) random: Random,
    pub(crate) watch: &'a Watch,
    /// Feeds written so far.
    pub(crate) feeds: u32,
}

/// A mishap: its name in the report, and what it does.
pub(crate) type Mishap = (&'static str, fn(&mut Scene<'_, '_>) -> Result<()>);

/// The mishaps that the daemon survives.
pub(crate) const LIVING: [Mishap; 16] = [
    ("the other policy applied", apply),
    ("a policy not confirmed in time", lapse),
    ("a policy confirmed, then rolled back", rollback),
    ("bans and their ends", ban),
    ("a feed that changes", feed),
    ("a feed that breaks, is empty, is good again", broken),
    ("monitor mode on and off", monitor),
    ("a lockdown and its end", lockdown),
    ("a shutdown and its end", shutdown),
    ("a limit ordered and lifted", limit),
    ("SIGHUP", reload),
    ("SIGSTOP for seconds", starve),
    ("a receiver that hangs", |scene| outage(scene, Mood::Hang)),
    ("a receiver that answers 500", |scene| outage(scene, Mood::Answer(500))),
    ("a receiver that breaks off or is gone", gone),
    ("an interface taken away and put back", unplug),
];

/// Those that end it.
pub(crate) const DEADLY: [Mishap; 3] = [
    ("SIGKILL and a new start", kill),
    ("SIGKILL during an apply", kill_applying),
    ("SIGTERM and a new start", restart),
];

impl Scene<'_, '_> {
    fn verb(&self, words: &[&str]) -> Result<()> {
        self.weir.verb(words)?.success().map(drop)
    }

    /// Some time, up to `most` milliseconds.
    fn moment(&mut self, most: u64) -> Result<()> {
        let time = Duration::from_millis(most / 4 + self.random.below(most * 3 / 4));
        wait::pause(time)
    }

    /// The name of the policy in force.
    fn name(&self) -> Result<String> {
        let status = self.weir.status()?;
        Ok(status["policy"]["name"].as_str().context("no policy is in force")?.to_owned())
    }

    /// The path of the policy that is not in force.
    fn other(&self) -> Result<&str> {
        let [first, second] = &self.files.policies;
        Ok(if self.name()? == "first" { second } else { first })
    }

    /// Replaces the feed as a careful program does.
    fn write_feed(&self, text: &str) -> Result<()> {
        let new = self.files.feed.with_extension("new");
        std::fs::write(&new, text)
            .and_then(|()| std::fs::rename(&new, &self.files.feed))
            .with_context(|| format!("cannot write {}", self.files.feed.display()))
    }

    /// Waits until the feed is in a state, with so many prefixes in force if that matters.
    fn feed_is(&self, state: &str, entries: Option<u32>) -> Result<()> {
        wait::until(&format!("the feed is {state}"), SOON, || {
            let feed = self.weir.status()?["feeds"][0].clone();
            ensure!(feed["state"] == state, "{feed}");
            ensure!(entries.is_none_or(|entries| feed["entries"] == entries), "{feed}");
            Ok(())
        })
    }

    /// Has the daemon watched again, or not while there is none.
    fn watched(&self) {
        self.watch.pid.store(self.weir.pid().unwrap_or_default(), Ordering::Relaxed);
    }
}

fn apply(scene: &mut Scene<'_, '_>) -> Result<()> {
    let other = scene.other()?;
    scene.verb(&["apply", other])
}

fn lapse(scene: &mut Scene<'_, '_>) -> Result<()> {
    let before = scene.name()?;
    scene.verb(&["apply", scene.other()?, "--confirm", "2s"])?;
    ensure!(scene.name()? != before, "what waits to be confirmed is in force");
    wait::until("what was in force comes back", SOON, || {
        let now = scene.name()?;
        ensure!(now == before, "{now} is in force");
        Ok(())
    })
}

fn rollback(scene: &mut Scene<'_, '_>) -> Result<()> {
    let before = scene.name()?;
    scene.verb(&["apply", scene.other()?, "--confirm", "30s"])?;
    scene.moment(1_000)?;
    scene.verb(&["confirm"])?;
    scene.moment(1_000)?;
    scene.verb(&["rollback"])?;
    let now = scene.name()?;
    ensure!(now == before, "{now} is in force after a rollback to {before}");
    // A rollback brings the feed of its time back, until its file changes.
    feed(scene)
}

fn ban(scene: &mut Scene<'_, '_>) -> Result<()> {
    let prober = scene.lab.host("prober")?.v4().to_string();
    let network = format!("198.19.{}.0/24", scene.random.below(256));
    scene.verb(&["ban", "add", &network, "--ttl", "1h", "--reason", "soak"])?;
    scene.verb(&["ban", "add", &prober, "--ttl", "1s"])?;
    // Enough of a network for `escalate`.
    let hosts: Vec<String> = (1..=5).map(|n| format!("198.18.77.{n}")).collect();
    for host in &hosts {
        scene.verb(&["ban", "add", host, "--ttl", "30s", "--api", "shop"])?;
    }
    scene.moment(2_000)?;
    for host in &hosts {
        scene.verb(&["ban", "del", host, "--api", "shop"])?;
    }
    scene.verb(&["ban", "del", &network])
}

fn feed(scene: &mut Scene<'_, '_>) -> Result<()> {
    scene.feeds += 1;
    let entries = 100 + scene.feeds % 50;
    scene.write_feed(&stage::listed(entries))?;
    scene.feed_is("current", Some(entries))
}

fn broken(scene: &mut Scene<'_, '_>) -> Result<()> {
    for text in ["<html>404</html>\n", ""] {
        scene.write_feed(text)?;
        wait::pause(Duration::from_millis(2_500))?;
        scene.feed_is("kept", None)?;
    }
    feed(scene)
}

fn monitor(scene: &mut Scene<'_, '_>) -> Result<()> {
    scene.verb(&["monitor", "on", "shop", "--ttl", "1m"])?;
    scene.moment(2_000)?;
    scene.verb(&["monitor", "off", "shop"])
}

fn ordered(scene: &mut Scene<'_, '_>, words: &[&str]) -> Result<()> {
    scene.verb(&[words, &["--ttl", "1m", "--reason", "soak"]].concat())?;
    scene.moment(2_000)?;
    scene.verb(&["breach", "lift", "shop"])
}

fn lockdown(scene: &mut Scene<'_, '_>) -> Result<()> {
    ordered(scene, &["breach", "lockdown", "shop", "--group", "clients"])
}

fn shutdown(scene: &mut Scene<'_, '_>) -> Result<()> {
    ordered(scene, &["breach", "shutdown", "shop"])
}

fn limit(scene: &mut Scene<'_, '_>) -> Result<()> {
    ordered(scene, &["breach", "limit", "shop", "50/s"])
}

fn reload(scene: &mut Scene<'_, '_>) -> Result<()> {
    scene.weir.signal(libc::SIGHUP)?;
    scene.moment(2_000)
}

fn starve(scene: &mut Scene<'_, '_>) -> Result<()> {
    scene.weir.signal(libc::SIGSTOP)?;
    let paused = scene.moment(4_000);
    scene.weir.signal(libc::SIGCONT)?;
    paused
}

fn outage(scene: &mut Scene<'_, '_>, mood: Mood) -> Result<()> {
    scene.inbox.answer(mood)?;
    // Something to be told of meanwhile.
    scene.verb(&["ban", "add", "198.18.78.1", "--ttl", "1s"])?;
    scene.moment(4_000)?;
    scene.inbox.answer(Mood::Take)
}

fn gone(scene: &mut Scene<'_, '_>) -> Result<()> {
    outage(scene, Mood::BreakOff)?;
    scene.inbox.close()?;
    scene.verb(&["ban", "add", "198.18.78.2", "--ttl", "1s"])?;
    scene.moment(4_000)?;
    scene.inbox.answer(Mood::Take)
}

fn unplug(scene: &mut Scene<'_, '_>) -> Result<()> {
    let [server, stranger] = [scene.lab.host("server")?, scene.lab.host("stranger")?];
    server.netns.ip("link delete eth1")?;
    scene.moment(1_500)?;
    stage::wire(scene.lab)?;
    wait::until("eth1 is gated again", SOON, || {
        let interfaces = scene.weir.status()?["interfaces"].clone();
        let gated = interfaces.as_array().into_iter().flatten().filter(|interface| {
            interface["problem"].is_null() && interface["ingress_program"].is_u64()
        });
        ensure!(gated.count() == 2, "{interfaces}");
        Ok(())
    })?;
    let url = format!("http://198.51.100.1:{SHOP}/");
    let answer = curl::one(stranger, &["--max-time", "0.5", &url])?;
    ensure!(answer.status == 0, "a stranger was answered {} over eth1", answer.status);
    Ok(())
}

fn kill(scene: &mut Scene<'_, '_>) -> Result<()> {
    scene.watch.pid.store(0, Ordering::Relaxed);
    scene.weir.crash()?;
    scene.moment(500)?;
    scene.weir.start_again()?;
    scene.watched();
    Ok(())
}

fn kill_applying(scene: &mut Scene<'_, '_>) -> Result<()> {
    let moment = Duration::from_millis(scene.random.below(250));
    let other = scene.other()?.to_owned();
    scene.watch.pid.store(0, Ordering::Relaxed);
    scene.weir.crash_during(&["apply", &other], moment)?;
    scene.weir.start_again()?;
    scene.watched();
    Ok(())
}

fn restart(scene: &mut Scene<'_, '_>) -> Result<()> {
    scene.watch.pid.store(0, Ordering::Relaxed);
    let code = scene.weir.stop()?;
    ensure!(code == 0, "the daemon ended with {code}\n{}", scene.weir.log());
    scene.weir.start_again()?;
    scene.watched();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_follows_from_its_seed() {
        let order = |seed| {
            let mut items: Vec<u32> = (0..16).collect();
            Random(seed).shuffle(&mut items);
            items
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        let mut sorted = order(3);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..16).collect::<Vec<_>>(), "each of them once");
    }
}
