//! Waiting for something to become true, never for ever.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::interrupt;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// Tries until an attempt succeeds; after `limit` fails with the last attempt's error. At least
/// one attempt is made.
pub fn until<T>(what: &str, limit: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        interrupt::check()?;
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if start.elapsed() >= limit => {
                return Err(error).with_context(|| {
                    format!("waited {:.1} s in vain for {what}", start.elapsed().as_secs_f64())
                });
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Lets time pass.
pub fn pause(time: Duration) -> Result<()> {
    let start = Instant::now();
    while let Some(left) = time.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
        interrupt::check()?;
        std::thread::sleep(left.min(PAUSE));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn success_ends_the_wait() {
        let mut attempts = 0;
        let value = until("three", Duration::from_secs(5), || {
            attempts += 1;
            if attempts < 3 { bail!("only {attempts}") } else { Ok(attempts) }
        });
        assert_eq!(value.expect("the third attempt succeeds"), 3);
    }

    #[test]
    fn the_last_error_is_shown() {
        let error = until("rain", Duration::ZERO, || -> Result<()> { bail!("sunshine") });
        let error = format!("{:#}", error.expect_err("it did not rain"));
        assert!(error.starts_with("waited 0.0 s in vain for rain: sunshine"), "{error}");
    }
}
