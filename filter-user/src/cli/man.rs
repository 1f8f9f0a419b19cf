//! `weir man`: the manual pages, one a verb, from the same grammar as the help.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::grammar;
use super::outcome::{Failure, Outcome, Verdict};

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    weir man /usr/local/share/man/man1\n  \
    weir man . && man ./weir-apply.1")]
pub(super) struct ManArgs {
    /// Where the pages are written; it has to be there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn man(args: &ManArgs) -> Verdict {
    clap_mangen::generate_to(grammar(), &args.directory)
        .with_context(|| format!("cannot write the manual pages to {}", args.directory.display()))
        .map_err(Failure::Local)?;
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_that_is_shown_has_a_page() {
        let directory = tempfile::tempdir().expect("a directory");
        let written = man(&ManArgs { directory: directory.path().to_owned() });
        assert!(matches!(written, Ok(Outcome::Done)));
        for verb in grammar().get_subcommands() {
            let page = directory.path().join(format!("weir-{}.1", verb.get_name()));
            assert_eq!(page.exists(), !verb.is_hide_set(), "{}", page.display());
        }
        let page = std::fs::read_to_string(directory.path().join("weir-apply.1")).expect("a page");
        assert!(page.contains(".TH weir-apply 1") && page.contains("confirm"), "{page}");
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = man(&ManArgs { directory: "/no/such/directory".into() }).err();
        let Some(Failure::Local(error)) = error else { panic!("it was written") };
        assert!(format!("{error:#}").contains("/no/such/directory"), "{error:#}");
    }
}
