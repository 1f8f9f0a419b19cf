//! Single cells of the table for people.

use time::OffsetDateTime;

/// Address and port as they are written together.
pub(super) fn end(address: std::net::IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}

/// The time of day, UTC.
pub(super) fn clock(ns: u64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ns));
    let time = time.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second, milli) = time.to_hms_milli();
    format!("{hour:02}:{minute:02}:{second:02}.{milli:03}")
}

/// What strangers wrote may hold what a terminal obeys.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

/// The first `width` characters, the last of them `cut` when there are more.
pub(super) fn shorten(text: &str, width: usize, cut: &str) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(cut.chars()).collect()
}
