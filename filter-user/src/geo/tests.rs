//! Databases good, bad and changing, made here (MaxMind DB file format specification, version 2).

use std::net::IpAddr;

use super::*;

/// A map of the data section.
fn map(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![0b1110_0000 | pairs.len() as u8];
    for (key, value) in pairs {
        bytes.extend(text(key));
        bytes.extend(value);
    }
    bytes
}

fn text(value: &str) -> Vec<u8> {
    assert!(value.len() < 29);
    [&[0b0100_0000 | value.len() as u8], value.as_bytes()].concat()
}

fn unsigned(kind: u8, value: u32) -> Vec<u8> {
    let control = |size: u8| if kind < 8 { vec![kind << 5 | size] } else { vec![size, kind - 7] };
    [control(4), value.to_be_bytes().to_vec()].concat()
}

/// An IPv4 database: one record for the lower half of all addresses, nothing for the upper one.
fn database(kind: &str, record: &[u8]) -> Vec<u8> {
    // One node of two 24-bit records: the data at offset 0 of its section, and "nothing".
    let mut bytes = vec![0, 0, 1 + 16, 0, 0, 1];
    bytes.extend([0; 16]);
    bytes.extend(record);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    bytes.extend(map(&[
        ("node_count", unsigned(6, 1)),
        ("record_size", vec![0b1010_0001, 24]),
        ("ip_version", vec![0b1010_0001, 4]),
        ("database_type", text(kind)),
        ("languages", vec![0, 4]),
        ("binary_format_major_version", vec![0b1010_0001, 2]),
        ("binary_format_minor_version", vec![0b1010_0000]),
        ("build_epoch", unsigned(9, 1_700_000_000)),
        ("description", map(&[("en", text("made for a test"))])),
    ]));
    bytes
}

fn settings(country: Option<&Path>, asn: Option<&Path>) -> config::Geo {
    config::Geo { country: country.map(Path::to_owned), asn: asn.map(Path::to_owned) }
}

const LOWER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(1, 2, 3, 4));
const UPPER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(200, 2, 3, 4));

#[test]
fn countries_and_systems_in_every_spelling() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("country.mmdb");
    let nested = map(&[("country", map(&[("iso_code", text("DE"))]))]);
    for (record, expected) in [
        (nested, "DE"),
        (map(&[("country_code", text("fr"))]), "FR"),
        (map(&[("country", text("IT"))]), "IT"),
        (map(&[("country_code", text("Italy"))]), "ZZ"),
        (map(&[]), "ZZ"),
    ] {
        std::fs::write(&path, database("Country", &record)).expect("writes");
        let geo = Geo::new(&settings(Some(&path), None));
        assert_eq!(geo.status()[0].problem, None);
        assert_eq!(geo.country(LOWER).map(|c| c.as_str().to_owned()).as_deref(), Some(expected));
        assert_eq!(geo.country(UPPER), Some(Country::UNKNOWN));
        assert_eq!(geo.asn(LOWER), None);
        // An IPv4 database says nothing of IPv6.
        assert_eq!(geo.country("2001:db8::1".parse().expect("an address")), Some(Country::UNKNOWN));
    }
    let path = directory.path().join("asn.mmdb");
    let record = map(&[("autonomous_system_number", unsigned(6, 64_496))]);
    std::fs::write(&path, database("ASN", &record)).expect("writes");
    let geo = Geo::new(&settings(None, Some(&path)));
    assert_eq!((geo.country(LOWER), geo.asn(LOWER), geo.asn(UPPER)), (None, Some(64_496), None));
    let [country, asn] = geo.status();
    assert_eq!((country.path, country.kind), (None, None));
    assert_eq!((asn.kind.as_deref(), asn.built), (Some("ASN"), Some(1_700_000_000)));
}

#[test]
fn what_changes_is_read_again_and_what_is_broken_is_not_believed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("country.mmdb");
    let geo = Geo::new(&settings(Some(&path), None));
    let told = |geo: &Geo| geo.status()[0].problem.clone().unwrap_or_default();
    assert!(told(&geo).contains("no such file"), "{}", told(&geo));
    assert!(!geo.is_there() && geo.country(LOWER).is_none());
    assert!(!geo.refresh(), "nothing changed");
    let put = |code: &str| {
        let new = directory.path().join("new");
        let record = map(&[("country_code", text(code))]);
        std::fs::write(&new, database("Country", &record)).expect("writes");
        std::fs::rename(new, &path).expect("moves");
    };
    for code in ["DE", "FR"] {
        put(code);
        assert!(geo.refresh());
        assert_eq!(geo.country(LOWER).map(|c| c.as_str().to_owned()).as_deref(), Some(code));
        assert_eq!(told(&geo), "");
        assert!(!geo.refresh(), "nothing changed");
    }
    let good = std::fs::read(&path).expect("reads");
    let cut = &good[..good.len() - 20];
    for broken in [&b"not a database"[..], b"", cut] {
        std::fs::write(&path, broken).expect("writes");
        assert!(geo.refresh());
        assert!(told(&geo).contains("what was read before stays"), "{}", told(&geo));
        assert_eq!(geo.country(LOWER), Country::of("FR"));
    }
    std::fs::remove_file(&path).expect("removes");
    assert!(geo.refresh() && told(&geo).contains("no such file"));
    assert_eq!(geo.country(LOWER), Country::of("FR"));
    // No byte of a file may bring the daemon down.
    for at in 0..good.len() {
        for value in [0, 0x7f, 0xff] {
            let mut bytes = good.clone();
            bytes[at] = value;
            std::fs::write(&path, bytes).expect("writes");
            let geo = Geo::new(&settings(Some(&path), Some(&path)));
            let _whatever = (geo.country(LOWER), geo.asn(UPPER), geo.status());
        }
    }
}
