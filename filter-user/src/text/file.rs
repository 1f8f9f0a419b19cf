//! Reading a settings file whole, with its problems as diagnostics.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::Diagnostic;

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
/// It cannot be opened or read, is not a regular file, or is larger.
pub fn read_regular(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // Asked before opening: opening a pipe would wait for its writer.
    let about = std::fs::metadata(path)?;
    if !about.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let expected = usize::try_from(about.len().min(most)).unwrap_or(0);
    let mut bytes = Vec::with_capacity(expected);
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let message = format!("larger than {} MiB", most >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// What the system said, in the words of this program where it says the same every time.
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// Reads a file of settings, which must be UTF-8.
///
/// # Errors
/// A diagnostic about the file when it cannot be read, is too large or is not text.
pub fn read_text(path: &Path, most: u64) -> Result<String, Box<Diagnostic>> {
    let shown = path.display().to_string();
    let bytes = read_regular(path, most).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "check the path; it is relative to where weir was started",
            io::ErrorKind::PermissionDenied => "let the user that runs weir read it",
            _ => "name a regular text file",
        };
        let message = format!("cannot read it: {}", reason(&error));
        Box::new(Diagnostic::about_file(&shown, message, hint.to_owned()))
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        let message = format!("not UTF-8 text: line {line} has other bytes");
        let hint = "save the file as UTF-8".to_owned();
        Box::new(Diagnostic::about_file(&shown, message, hint))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_text_file_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("good"), "a = 1\n").expect("written");
        std::fs::write(path("latin1"), b"a = 1\n# \xe9\n").expect("written");
        std::fs::write(path("large"), [b'#'; 99]).expect("written");
        assert_eq!(read_text(&path("good"), 50).as_deref(), Ok("a = 1\n"));
        let rows = [
            (path("latin1"), "line 2"),
            (path("large"), "larger than"),
            (path("absent"), "no such file"),
            (path("."), "not a regular file"),
            (Path::new("/dev/zero").to_owned(), "not a regular file"),
        ];
        for (path, message) in rows {
            let found = read_text(&path, 50).expect_err("refused");
            assert!(found.message.contains(message), "{}: {found}", path.display());
        }
    }
}
