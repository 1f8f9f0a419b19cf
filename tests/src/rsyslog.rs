//! rsyslog as a receiver: it writes each message to a file as JSON, with what it understood of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::lab::Host;
use crate::process::{self, Background};
use crate::wait;

const START: Duration = Duration::from_secs(15);

/// A running rsyslog; stopped when dropped.
#[derive(Debug)]
pub struct Rsyslog {
    process: Option<Background>,
    home: PathBuf,
    port: u16,
}

impl Rsyslog {
    /// Starts it on a host to take messages on 127.0.0.1 and this port, with TLS (by the certificate
    /// of [`certificates`]) or without.
    pub fn start(host: &Host, directory: &Path, port: u16, tls: bool) -> Result<Self> {
        let home = directory.join(format!("rsyslog-{port}"));
        std::fs::create_dir_all(&home)
            .with_context(|| format!("cannot create {}", home.display()))?;
        let stream = if tls {
            format!(
                "global(DefaultNetstreamDriverCAFile=\"{0}/ca.pem\" \
                 DefaultNetstreamDriverCertFile=\"{0}/cert.pem\" \
                 DefaultNetstreamDriverKeyFile=\"{0}/key.pem\")\nmodule(load=\"imtcp\" \
                 StreamDriver.Name=\"gtls\" StreamDriver.Mode=\"1\" StreamDriver.AuthMode=\"anon\")\n",
                directory.display()
            )
        } else {
            "module(load=\"imtcp\")\n".to_owned()
        };
        let fields = [
            ("priority", "pri"),
            ("app", "app-name"),
            ("pid", "procid"),
            ("event", "msgid"),
            ("time", "timestamp\" dateFormat=\"rfc3339"),
            ("data", "structured-data"),
            ("text", "msg"),
        ];
        let fields = fields.map(|(name, property)| {
            format!("  property(outname=\"{name}\" name=\"{property}\" format=\"jsonf\")")
        });
        let text = format!(
            "{stream}input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\")\n\
             template(name=\"line\" type=\"list\") {{\n  constant(value=\"{{\")\n{}\n  \
             constant(value=\"}}\\n\")\n}}\n\
             action(type=\"omfile\" file=\"{}\" template=\"line\")\n",
            fields.join("\n  constant(value=\",\")\n"),
            home.join("messages").display(),
        );
        std::fs::write(home.join("rsyslog.conf"), text).context("cannot write rsyslog.conf")?;
        let mut rsyslog = Self { process: None, home, port };
        rsyslog.start_again(host)?;
        Ok(rsyslog)
    }

    /// Starts it again after [`Rsyslog::crash`].
    pub fn start_again(&mut self, host: &Host) -> Result<()> {
        let mut command = host.netns.command("rsyslogd");
        command.arg("-n").arg("-f").arg(self.home.join("rsyslog.conf"));
        command.arg("-i").arg(self.home.join("pid"));
        let mut process = Background::start("rsyslogd", command, &self.home.join("log"))?;
        let port = format!(":{}", self.port);
        process.ready("rsyslog listens", START, || {
            let listening = host.netns.run("ss", &["-Htln"], START)?.success()?;
            ensure!(listening.contains(&port), "{listening}");
            Ok(())
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// Kills it. What it has read and not written yet is lost, as with any crash of a receiver:
    /// waits until it has written what it has.
    pub fn crash(&mut self) -> Result<()> {
        wait::pause(Duration::from_millis(300))?;
        self.process.take().context("rsyslog does not run")?.crash()
    }

    /// The messages it wrote, oldest first.
    pub fn messages(&self) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(self.home.join("messages")).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("a message: {line}")))
            .collect()
    }

    /// What it complained about.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Background::log).unwrap_or_default()
    }
}

/// Makes an authority (`ca.pem`) and a certificate of 127.0.0.1 by it (`cert.pem`, `key.pem`).
pub fn certificates(directory: &Path) -> Result<()> {
    let extensions = "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";
    std::fs::write(directory.join("extensions"), extensions).context("cannot write extensions")?;
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for line in [
        format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"),
        format!("req -new {key} -keyout key.pem -out request.pem -subj /CN=receiver"),
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
         -extfile extensions -out cert.pem"
            .to_owned(),
    ] {
        let mut command = Command::new("openssl");
        command.args(line.split_whitespace()).current_dir(directory);
        process::run(&mut command, START)?.success()?;
    }
    Ok(())
}
