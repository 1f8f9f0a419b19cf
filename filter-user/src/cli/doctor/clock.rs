//! The clocks: how long a tick is, by which limits count, and what reading the exact time costs.

use std::fs;

use super::Check;

/// What the kernel reads the time from (`current_clocksource` of sysfs).
const SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";

/// Sources that are a register of the CPU, or a page beside one: some 20 ns.
const FAST: [&str; 7] = [
    "tsc",
    "tsc-early",
    "kvm-clock",
    "xen",
    "hyperv_clocksource_tsc_page",
    "arch_sys_counter",
    "timebase",
];

pub(super) fn checks() -> Vec<Check> {
    vec![tick(), source(fs::read_to_string(SOURCE).ok().as_deref().map(str::trim))]
}

/// Samples and limits with a burst below two ticks read the exact clock for every packet.
fn source(name: Option<&str>) -> Check {
    let title = "clock source";
    match name {
        Some(name) if FAST.contains(&name) => Check::ok(title, name),
        Some(name) => Check::warn(
            title,
            format!("{name}: reading the time is a call to hardware, up to a microsecond"),
            "`dmesg | grep -i -e clocksource -e tsc` says why the CPU's own was given up; samples and \
             limits with a burst below two ticks read it for each packet",
        ),
        None => Check::warn(title, format!("cannot read {SOURCE}"), "mount /sys"),
    }
}

/// The resolution of the coarse clock is the length of a tick.
fn tick() -> Check {
    let mut resolution = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `resolution` is valid through the call.
    let result = unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &mut resolution) };
    if result != 0 || resolution.tv_sec != 0 || resolution.tv_nsec <= 0 {
        return Check::warn("tick", "the kernel does not say how long a tick is", "");
    }
    let hz = 1_000_000_000 / resolution.tv_nsec;
    let millis = resolution.tv_nsec as f64 / 1e6;
    Check::ok("tick", format!("{millis} ms (HZ={hz}): limits are exact for bursts above two ticks"))
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn sources() {
        let rows = [
            (Some("tsc"), State::Ok),
            (Some("kvm-clock"), State::Ok),
            (Some("hpet"), State::Warn),
            (Some("acpi_pm"), State::Warn),
            (None, State::Warn),
        ];
        for (name, state) in rows {
            let check = source(name);
            assert_eq!(check.state, state, "{check:?}");
            assert_eq!(check.hint.is_empty(), state == State::Ok, "{check:?}");
        }
        assert_eq!(tick().state, State::Ok);
    }
}
