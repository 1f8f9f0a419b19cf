//! Secrets in files. They are read when they are needed, so that a new one needs no restart, and
//! they are never shown.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Bytes of a file at most.
const LARGEST: u64 = 16 << 10;

/// The first line of a file that others may not read, without white space around it.
///
/// # Errors
/// In words, without what is in the file.
pub(in crate::export::sinks) fn read(path: &Path) -> Result<String, String> {
    let bytes = bytes(path)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() || line.chars().any(char::is_control) {
        return Err(format!("the first line of {} is no secret", path.display()));
    }
    Ok(line.to_owned())
}

/// All of a file that others may not read.
///
/// # Errors
/// In words, without what is in the file.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let file = File::open(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let about = file.metadata().map_err(|error| format!("cannot read {shown}: {error}"))?;
    if !about.is_file() || about.len() > LARGEST {
        return Err(format!("{shown} is not a file of at most {LARGEST} bytes"));
    }
    if about.mode() & 0o007 != 0 {
        return Err(format!("everybody may use the secret in {shown}: `chmod o= {shown}`"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read {shown}: {}", error.kind()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_files_that_others_may_not_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        // contents, mode, what is read or part of the message
        let rows = [
            ("s3cret\n", 0o600, Ok("s3cret")),
            ("  s3cret  \nsecond\n", 0o640, Ok("s3cret")),
            ("s3cret", 0o644, Err("everybody")),
            ("s3cret", 0o601, Err("everybody")),
            ("\ns3cret", 0o600, Err("no secret")),
            ("s3\u{7}cret", 0o600, Err("no secret")),
            ("", 0o600, Err("no secret")),
            (&"s3cret".repeat(4_000), 0o600, Err("at most")),
        ];
        for (contents, mode, expected) in rows {
            std::fs::write(&path, contents).expect("writes");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("sets");
            match (read(&path), expected) {
                (Ok(read), Ok(expected)) => assert_eq!(read, expected),
                (Err(error), Err(part)) => {
                    assert!(error.contains(part) && !error.contains("s3"), "{error}");
                }
                (got, _) => panic!("{contents} {mode:o}: {got:?}"),
            }
        }
        assert!(read(directory.path()).is_err() && read(&directory.path().join("none")).is_err());
    }
}
