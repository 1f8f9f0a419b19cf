//! SIGHUP: policy and settings are read again, each for itself. Of the settings, receivers of events
//! follow at once; what else was changed is named and waits for a restart.

use serde_json::json;

use crate::config::Origin;
use crate::control::api::ApiError;
use crate::control::ssh::{self, own};
use crate::export::events::{ApiField, Event, Kind};

use super::change::Apply;
use super::core::{Core, lock, unix_ns};

impl Core {
    /// Reads settings and policy again. What became of each is in the log; that the other is refused
    /// changes nothing for one.
    pub(super) fn reload(&self) {
        if let Some(origin) = &self.origin {
            // First, so that new receivers hear of the policy.
            self.reload_settings(origin);
        }
        if let Err(error) = self.reload_policy() {
            tracing::error!(%error, "the policy was not reloaded");
        }
    }

    fn reload_policy(&self) -> Result<(), ApiError> {
        let path = self.gate().now.path.clone().or_else(|| self.config.policy.clone());
        let Some(path) = path else {
            return Err(ApiError::refused("weir observes: there is no policy to read again")
                .hint("`weir apply FILE` puts one in force"));
        };
        // A signal does not say who sent it: all there is to guard is the terminal that the daemon was
        // started in, if it was.
        let guards = ssh::connection(std::process::id());
        let order = Apply { path: &path, confirm: None, force: false, guards };
        self.apply_file(&order, None).map(drop)
    }

    fn reload_settings(&self, origin: &Origin) {
        let file = origin.file.display();
        let read = origin.read();
        let refused = |why: String| {
            let message = format!("the settings in {file} were not taken up: {}", why.trim_end());
            tracing::error!("{message}");
            self.audit_act("settings_refused", own(), [("file", file.to_string().into())]);
            self.tell(&Event::new(Kind::SettingsRejected, unix_ns(), message));
        };
        let config = match read {
            Ok(config) => config,
            Err(why) => return refused(why),
        };
        let changed = match self.sinks.change(&config.sinks) {
            Ok(changed) => changed,
            Err(error) => {
                return refused(format!("no thread can be started for a receiver: {error}"));
            }
        };
        let restart = self.config.differences(&config);
        let before = std::mem::replace(&mut *lock(&self.restart), restart.clone());
        if changed.is_nothing() && before == restart {
            tracing::info!("the settings in {file} are as they were");
            return;
        }
        let policy = self.gate().now.policy.clone();
        {
            // Those that begin are told what they would have been told at the start of the daemon.
            let inventory = lock(&self.inventory);
            let loud = inventory.ledger.open().filter(|entry| !entry.muted);
            let begins = |name: &str| {
                changed.added.iter().chain(&changed.changed).any(|begun| begun == name)
            };
            self.sinks.begin(begins, loud, &[], |name| policy.api(name).map(ApiField::of));
        }
        let lists = [
            ("receivers added", changed.added.join(", ")),
            ("changed", changed.changed.join(", ")),
            ("removed (their spools stay)", changed.removed.join(", ")),
            ("takes a restart", restart.join(", ")),
        ];
        let told: Vec<String> = lists
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what}: {names}"))
            .collect();
        let told =
            if told.is_empty() { "as they were at the start".into() } else { told.join("; ") };
        let message = format!("the settings in {file} were read again; {told}");
        tracing::info!("{message}");
        let fields = [
            ("file", file.to_string().into()),
            ("added", json!(changed.added)),
            ("changed", json!(changed.changed)),
            ("removed", json!(changed.removed)),
            ("restart", json!(restart)),
        ];
        self.audit_act("settings", own(), fields);
        self.tell(&Event::new(Kind::SettingsReloaded, unix_ns(), message));
    }

    /// That a restart is due, if it is.
    pub(super) fn restart_warning(&self) -> Option<String> {
        let restart = lock(&self.restart);
        let keys = (!restart.is_empty()).then(|| restart.join(", "))?;
        Some(format!("the settings were changed: {keys} take effect with a restart"))
    }
}
