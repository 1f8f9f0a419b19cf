//! What becomes an entry, and what does not.

use super::*;
use crate::sensor::Closed;
use crate::sensor::encrypted::TlsVersion;
use crate::sensor::transaction::Flow;

const NOW: u64 = 1_000;

fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    let lengths = SourceLengths { v4: 24, v6: 64 };
    catalog.follow([(1, Arc::from("orders"), lengths)], &BTreeSet::new());
    catalog
}

fn flow(api: u32, protocol: u8, port: u16) -> FlowSummary {
    FlowSummary {
        start: 0,
        end: 1,
        flow: Flow {
            client: [198, 51, 100, 1].into(),
            client_port: 40_000,
            server: [192, 0, 2, 1].into(),
            server_port: port,
        },
        protocol,
        api,
        inbound: true,
        packets: [3, 2],
        bytes: [300, 200],
        handshake: true,
        announced: None,
        tcp: None,
        closed: Closed::Fin,
        application: Application::Opaque,
        transactions: 0,
        weight: 2 << 16,
    }
}

#[test]
fn a_flow_is_an_entry_when_this_host_answered() {
    let tcp = flow(0, protocol::TCP, 9000);
    let udp = FlowSummary { handshake: false, ..flow(0, 17, 53) };
    let rows = [
        (tcp, Some("tcp/9000")),
        (FlowSummary { handshake: false, ..tcp }, None),
        (FlowSummary { inbound: false, ..tcp }, None),
        (FlowSummary { api: 7, ..tcp }, None),
        (FlowSummary { api: 1, ..tcp }, Some("orders")),
        (udp, Some("udp/53")),
        (FlowSummary { packets: [1, 0], ..udp }, None),
        (FlowSummary { packets: [0, 1], ..udp }, None),
        (flow(0, 17, 40_000), None),
        (flow(1, 17, 40_000), Some("orders")),
    ];
    for (number, (flow, expected)) in rows.into_iter().enumerate() {
        let mut catalog = catalog();
        catalog.flow(&flow, NOW);
        let seen: Vec<&str> = catalog
            .iter()
            .filter(|(_, record)| record.seen.last == NOW)
            .map(|(name, record)| {
                assert_eq!((record.seen.connections >> 16, record.seen.sources.count()), (2, 1));
                assert!(record.seen.applications.contains("opaque"));
                &**name
            })
            .collect();
        assert_eq!(seen, expected.into_iter().collect::<Vec<_>>(), "row {number}");
    }
}

#[test]
fn handshakes_count_by_version_once_the_server_chose_one() {
    let mut catalog = catalog();
    let handshake = |version: Option<u16>| Handshake {
        version: version.map(TlsVersion),
        api: 0,
        ..Handshake::example()
    };
    for version in [Some(0x0301), Some(0x0304), Some(0x0304), None] {
        catalog.handshake(&handshake(version), NOW);
    }
    catalog.handshake(&Handshake { inbound: false, ..handshake(Some(0x0304)) }, NOW);
    let record = catalog.get("tcp/80").expect("a port");
    let counts: Vec<_> = record.seen.tls.iter().map(|(v, tally)| (*v, tally.requests())).collect();
    assert_eq!(counts, [(0x0301, 1), (0x0304, 2)]);
    assert_eq!(record.speaks(), Some("TLS"));
}

#[test]
fn ports_and_endpoints_are_bounded() {
    let mut catalog = catalog();
    for port in 0..1_000 {
        catalog.flow(&flow(0, protocol::TCP, port), NOW);
    }
    assert_eq!(catalog.iter().count(), MAX_PORTS + 1);
    let transaction = Transaction::example();
    for n in 0..MAX_ENDPOINTS + 50 {
        let route: Arc<str> = format!("/{n}").into();
        catalog.transaction(&transaction, transaction.flow.client, &route, NOW);
    }
    assert_eq!(catalog.occupancy(), (MAX_ENDPOINTS, 1_000 - MAX_PORTS as u64 + 50));
    // What is known still counts.
    let route: Arc<str> = "/0".into();
    catalog.transaction(&transaction, transaction.flow.client, &route, NOW);
    let seen = |catalog: &Catalog| catalog.get("orders").unwrap().endpoint("/0", "GET").cloned();
    assert_eq!(seen(&catalog).map(|usage| usage.all.requests()), Some(2));
    catalog.rename("orders", |_| Some("/{value}".into()), []);
    assert_eq!(catalog.occupancy().0, 1);
    catalog.forget(|_, _| true);
    assert_eq!((catalog.occupancy().0, catalog.iter().count()), (0, 0));
    catalog.flow(&flow(0, protocol::TCP, 5), NOW);
    assert!(catalog.get("tcp/5").is_some(), "there is room again");
}

#[test]
fn sources_are_told_apart_as_the_policy_says() {
    let mut catalog = catalog();
    let transaction = Transaction::example();
    for last in 0..50 {
        let client = [198, 51, 100 + last % 2, last].into();
        catalog.transaction(&transaction, client, &"/a".into(), NOW);
    }
    let record = catalog.get("orders").unwrap();
    assert_eq!(record.seen.sources.count(), 2, "by /24");
    assert_eq!(record.endpoint("/a", "GET").map(|usage| usage.sources.count()), Some(2));
}
