//! Feeds of a policy that somebody wants in force.

use crate::control::api::{ApiError, FeedStatus};
use crate::policy::refresh;
use crate::text::{Diagnostic, Severity};

/// Holds the feeds of a policy that somebody wants in force against those that are: an empty one is
/// refused unless that is said twice, one that shrank much is told.
///
/// # Errors
/// A feed is empty that had prefixes.
pub(in crate::daemon) fn compare(
    before: &[FeedStatus],
    after: &[FeedStatus],
    max_shrink: f64,
    force: bool,
) -> Result<Vec<Diagnostic>, ApiError> {
    let mut warnings = Vec::new();
    for feed in after {
        let Some(held) = before.iter().find(|held| held.path == feed.path) else { continue };
        let count = |entries: u64| usize::try_from(entries).unwrap_or(usize::MAX);
        let why = refresh::doubt(count(held.entries), count(feed.entries), max_shrink);
        let Some(why) = why else { continue };
        let file = feed.path.display().to_string();
        if feed.entries == 0 && !force {
            return Err(ApiError::refused(format!("{file}: {why}")).hint(
                "did a download fail? Repair the file, or say --force if it is to be empty",
            ));
        }
        let hint = "is the file whole? `weir rollback` puts back what was in force".to_owned();
        let severity = Severity::Warning;
        warnings.push(Diagnostic { severity, ..Diagnostic::about_file(&file, why, hint) });
    }
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_is_asked_and_told() {
        let feed =
            |entries| FeedStatus { path: "/etc/feed".into(), entries, ..FeedStatus::default() };
        // entries before, after, forced, warnings; none: refused
        let rows = [
            (10, 10, false, Some(0)),
            (10, 5, false, Some(0)),
            (10, 4, false, Some(1)),
            (10, 0, false, None),
            (10, 0, true, Some(1)),
            (0, 0, false, Some(0)),
        ];
        for (before, after, force, expected) in rows {
            let told = compare(&[feed(before)], &[feed(after)], 0.5, force);
            assert_eq!(told.ok().map(|told| told.len()), expected, "{before} {after} {force}");
        }
        let other = FeedStatus { path: "/etc/other".into(), ..FeedStatus::default() };
        assert_eq!(compare(&[feed(10)], &[other], 0.5, false).map(|told| told.len()), Ok(0));
    }
}
