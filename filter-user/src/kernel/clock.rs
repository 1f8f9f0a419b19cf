//! The clocks that the packet path uses, and how jiffies relate to them.
//!
//! The limiter reads jiffies, because they cost nothing; userspace cannot, and neither the length
//! of a jiffy nor its origin is told. Both are measured once a boot by running a program that reads
//! jiffies and CLOCK_MONOTONIC together.

use std::time::{Duration, Instant};

/// Frequencies that kernels are built with (`CONFIG_HZ`).
const KNOWN_HZ: [u64; 4] = [100, 250, 300, 1000];

/// How long to measure: 300 and 250 Hz then differ by seven ticks.
pub const MEASURE: Duration = Duration::from_millis(150);

/// Ticks in ns and what to add to jiffies × tick to get CLOCK_MONOTONIC, wrapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// Length of a jiffy in ns.
    pub length: u32,
    /// See above.
    pub offset: u64,
}

/// Pairs of jiffies and CLOCK_MONOTONIC, in the order they were read, to a tick; `None` when the
/// readings fit no known frequency.
pub fn fit(readings: &[(u64, u64)]) -> Option<Tick> {
    let (first, last) = (readings.first()?, readings.last()?);
    let elapsed = last.1.checked_sub(first.1).filter(|&ns| ns > 0)?;
    let ticks = last.0.wrapping_sub(first.0);
    let measured = ticks as f64 * 1e9 / elapsed as f64;
    let hz = KNOWN_HZ.into_iter().min_by(|a, b| {
        let distance = |hz: &u64| (*hz as f64 - measured).abs();
        distance(a).total_cmp(&distance(b))
    })?;
    // One tick of error at each end.
    if (hz as f64 - measured).abs() > 2.5e9 / elapsed as f64 {
        return None;
    }
    let length = 1_000_000_000 / hz;
    // Right after a tick the difference is smallest: that is where the jiffy began.
    let offset = readings
        .iter()
        .map(|&(jiffies, ns)| ns.wrapping_sub(jiffies.wrapping_mul(length)))
        .min_by_key(|offset| offset.wrapping_sub(first.1.wrapping_sub(first.0 * length)) as i64)?;
    Some(Tick { length: u32::try_from(length).ok()?, offset })
}

/// Takes readings for [`MEASURE`].
///
/// # Errors
/// Those of `read`.
pub fn measure<E>(mut read: impl FnMut() -> Result<(u64, u64), E>) -> Result<Option<Tick>, E> {
    let end = Instant::now() + MEASURE;
    let mut readings = Vec::new();
    while Instant::now() < end {
        readings.push(read()?);
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(fit(&readings))
}

/// CLOCK_BOOTTIME in ns: the time in bans and orders, which goes on while the host sleeps.
pub fn boot_ns() -> u64 {
    read(libc::CLOCK_BOOTTIME)
}

/// CLOCK_MONOTONIC in ns: the time in records and limits.
pub fn monotonic_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing; both clocks exist on every supported kernel.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_frequency_is_told_from_readings() {
        for hz in KNOWN_HZ {
            let length = 1_000_000_000 / hz;
            // Jiffies begin five minutes before a 32-bit wrap, and the clock anywhere.
            let origin = 4_294_892_296u64;
            let readings: Vec<_> = (0..750u64)
                .map(|n| {
                    let ns = 7_000_000_123 + n * 200_000;
                    (origin + (ns - 1_000_000) / length, ns)
                })
                .collect();
            let tick = fit(&readings).unwrap();
            assert_eq!(u64::from(tick.length), length, "{hz} Hz");
            for &(jiffies, ns) in &readings {
                let told = jiffies.wrapping_mul(length).wrapping_add(tick.offset);
                let late = ns.wrapping_sub(told) as i64;
                assert!((-200_000..length as i64 + 200_000).contains(&late), "{hz} Hz: {late}");
            }
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(fit(&[]), None);
        assert_eq!(fit(&[(1, 5), (2, 5)]), None);
        assert_eq!(fit(&[(0, 0), (600, 1_000_000_000)]), None);
    }
}
