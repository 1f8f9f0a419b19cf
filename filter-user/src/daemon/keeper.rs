//! The store as the daemon uses it: whatever is wrong with it, the filter goes on.

use std::path::PathBuf;

use time::OffsetDateTime;
use time::macros::format_description;

use crate::store::{self, Store};

/// The store, as long as it works.
pub(super) struct Keeper {
    directory: PathBuf,
    store: Option<Store>,
    /// What is wrong now.
    problem: Option<String>,
    /// What went wrong and was not told yet.
    news: Vec<String>,
    failures: u64,
}

impl Keeper {
    /// Opens the store of a state directory.
    pub(super) fn open(directory: PathBuf) -> Self {
        let mut keeper =
            Self { directory, store: None, problem: None, news: Vec::new(), failures: 0 };
        // What goes wrong is noted, and told when there is an event log.
        let _opened = keeper.with(|_| Ok(()));
        keeper
    }

    /// Works with the store; `None` when it fails, which is noted. A damaged one is set aside, and
    /// the work done on a new one.
    pub(super) fn with<T>(
        &mut self,
        mut work: impl FnMut(&mut Store) -> store::Result<T>,
    ) -> Option<T> {
        let mut result = self.attempt(&mut work);
        if let Err(error) = &result
            && error.is_corrupt()
        {
            self.note(error.to_string());
            self.set_aside();
            result = self.attempt(&mut work);
        }
        match result {
            Ok(value) => {
                self.problem = None;
                Some(value)
            }
            Err(error) => {
                self.store = None;
                self.note(error.to_string());
                None
            }
        }
    }

    fn attempt<T>(
        &mut self,
        work: &mut impl FnMut(&mut Store) -> store::Result<T>,
    ) -> store::Result<T> {
        let store = match &mut self.store {
            Some(store) => store,
            empty => empty.insert(Store::open(&self.directory)?),
        };
        work(store)
    }

    fn set_aside(&mut self) {
        self.store = None;
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        let date = OffsetDateTime::now_utc().format(format).unwrap_or_default();
        match store::set_aside(&self.directory, &date) {
            Ok(path) => {
                self.news.push(format!("the damaged store is {} now", path.display()));
            }
            Err(error) => self.note(format!("the damaged store cannot be set aside: {error}")),
        }
    }

    fn note(&mut self, problem: String) {
        // Tried again with all that is to be kept: the log has it once.
        if self.problem.as_ref() != Some(&problem) {
            tracing::warn!("{problem}");
        }
        self.failures += 1;
        self.news.push(problem.clone());
        self.problem = Some(problem);
    }

    /// What is wrong, as a sentence for the status.
    pub(super) fn problem(&self) -> Option<String> {
        let problem = self.problem.as_ref()?;
        Some(format!(
            "{problem}: a restart reads the policy file, and there is no rollback, until the state \
             directory can be written"
        ))
    }

    /// What went wrong since this was asked last.
    pub(super) fn take_news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    /// How often it failed.
    pub(super) fn failures(&self) -> u64 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_store_is_replaced_and_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(store::FILE);
        std::fs::write(&path, "not a database, whatever it says ".repeat(99)).expect("writes");
        let mut keeper = Keeper::open(directory.path().to_owned());
        assert_eq!((keeper.problem(), keeper.failures()), (None, 1), "a new one works");
        let news = keeper.take_news();
        assert!(news.len() == 2 && news[1].contains("weir.db.corrupt-"), "{news:?}");
        assert_eq!(keeper.with(|store| store.history()).map(|history| history.len()), Some(0));
        assert_eq!(keeper.take_news(), Vec::<String>::new());
    }

    #[test]
    fn one_that_cannot_be_opened_is_tried_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let missing = directory.path().join("later");
        let mut keeper = Keeper::open(missing.clone());
        let problem = keeper.problem().unwrap_or_default();
        assert!(problem.contains("weir.db: No such file or directory"), "{problem}");
        assert_eq!(keeper.with(|store| store.history()), None);
        assert_eq!(keeper.failures(), 2);
        std::fs::create_dir(missing).expect("creates");
        assert_eq!(keeper.with(|store| store.history()).map(|history| history.len()), Some(0));
        assert_eq!(keeper.problem(), None);
    }
}
