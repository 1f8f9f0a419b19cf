//! When a certificate ends (RFC 5280, 4.1): a walk through the DER of its first fields, no further
//! than the validity.

use time::{Date, Month, PrimitiveDateTime, Time};

use crate::sensor::reader::Reader;

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The version, which is not there in version 1.
const VERSION: u8 = 0xa0;

/// The end of the first certificate in the body of a Certificate message of TLS 1.2 or before
/// (RFC 5246, 7.4.2), seconds since 1970. The body may be cut off behind it.
pub(super) fn not_after(body: &[u8]) -> Option<i64> {
    let mut reader = Reader::new(body);
    reader.u24()?;
    reader.u24()?;
    // Whatever is cut off: the lengths of what encloses the validity are not looked at.
    enter(&mut reader, SEQUENCE)?;
    enter(&mut reader, SEQUENCE)?;
    if reader.rest().first() == Some(&VERSION) {
        value(&mut reader, VERSION)?;
    }
    value(&mut reader, INTEGER)?;
    let (_algorithm, _issuer) = (value(&mut reader, SEQUENCE)?, value(&mut reader, SEQUENCE)?);
    let mut validity = Reader::new(value(&mut reader, SEQUENCE)?);
    moment(&mut validity)?;
    moment(&mut validity)
}

/// The length of the next value, which must have this tag.
fn enter(reader: &mut Reader<'_>, tag: u8) -> Option<usize> {
    if reader.u8()? != tag {
        return None;
    }
    match reader.u8()? {
        short @ 0..=0x7f => Some(usize::from(short)),
        0x81 => reader.u8().map(usize::from),
        0x82 => reader.u16().map(usize::from),
        0x83 => reader.u24().map(|length| length as usize),
        _ => None,
    }
}

fn value<'a>(reader: &mut Reader<'a>, tag: u8) -> Option<&'a [u8]> {
    let length = enter(reader, tag)?;
    reader.take(length)
}

/// The next value as a time, seconds since 1970 (RFC 5280, 4.1.2.5).
fn moment(reader: &mut Reader<'_>) -> Option<i64> {
    let tag = *reader.rest().first()?;
    let text = value(reader, tag)?;
    let (digits, rest) = text.split_at_checked(match tag {
        UTC_TIME => 12,
        GENERALIZED_TIME => 14,
        _ => return None,
    })?;
    if rest != b"Z" || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |from: &[u8]| from.iter().fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0'));
    let (year, rest) = digits.split_at(digits.len() - 10);
    let year = match number(year) {
        // Two digits: 1950 to 2049.
        year if tag == UTC_TIME => year + if year < 50 { 2000 } else { 1900 },
        year => year,
    };
    let part = |at: usize| number(&rest[at..at + 2]) as u8;
    let date = Date::from_calendar_date(year, Month::try_from(part(0)).ok()?, part(2)).ok()?;
    let time = Time::from_hms(part(4), part(6), part(8)).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        match content.len() {
            short @ 0..=0x7f => out.push(short as u8),
            long => {
                out.push(0x82);
                out.extend((long as u16).to_be_bytes());
            }
        }
        out.extend(content);
        out
    }

    /// A Certificate message with one certificate that ends then.
    fn message(version: bool, tag: u8, end: &str) -> Vec<u8> {
        let times = [der(UTC_TIME, b"200101000000Z"), der(tag, end.as_bytes())].concat();
        let mut fields = if version { der(VERSION, &der(INTEGER, &[2])) } else { Vec::new() };
        fields.extend(der(INTEGER, &[0x55; 16]));
        fields.extend(der(SEQUENCE, &[6, 1, 0]));
        fields.extend(der(SEQUENCE, &[0x31; 200]));
        fields.extend(der(SEQUENCE, &times));
        fields.extend(der(SEQUENCE, &[0x31; 300]));
        let certificate = der(SEQUENCE, &der(SEQUENCE, &fields));
        let length = |bytes: usize| (bytes as u32).to_be_bytes()[1..].to_vec();
        [length(certificate.len() + 3), length(certificate.len()), certificate].concat()
    }

    #[test]
    fn ends() {
        for (version, tag, end, expected) in [
            (true, UTC_TIME, "251231235959Z", Some(1_767_225_599)),
            (false, UTC_TIME, "500101000000Z", Some(-631_152_000)),
            (true, GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (true, GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (true, UTC_TIME, "251331235959Z", None),
            (true, UTC_TIME, "2512312359590", None),
            (true, UTC_TIME, "25123123595Z", None),
            (true, 0x13, "251231235959Z", None),
        ] {
            assert_eq!(not_after(&message(version, tag, end)), expected, "{end}");
        }
    }

    #[test]
    fn cut_off_anywhere() {
        let message = message(true, UTC_TIME, "251231235959Z");
        let seen = (0..=message.len()).filter_map(|end| {
            let found = not_after(&message[..end]);
            assert!(found.is_none_or(|end| end == 1_767_225_599));
            found.map(|_| end)
        });
        let first = seen.min();
        assert_eq!(first, Some(message.len() - 304), "what follows the validity is not needed");
    }
}
