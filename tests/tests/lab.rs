//! The laboratory itself: what it promises to the other tests.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use weir_tests::frame::Transport;
use weir_tests::generator::{self, Flood, Sources};
use weir_tests::lab::Lab;
use weir_tests::nginx::{FILES, Nginx, PASSWORD};
use weir_tests::prometheus::Prometheus;
use weir_tests::{curl, sweep, wait, wrk};

const HOSTS: [(&str, u8); 2] = [("server", 1), ("client", 10)];

fn url(address: IpAddr, path: &str) -> String {
    match address {
        IpAddr::V4(address) => format!("http://{address}:8080{path}"),
        IpAddr::V6(address) => format!("http://[{address}]:8080{path}"),
    }
}

#[test]
fn namespaces_come_and_go() -> Result<()> {
    let lab = Lab::new(&HOSTS)?;
    let (prefix, directory) = (lab.prefix().to_owned(), lab.directory().to_owned());
    let bpf = lab.bpf()?;
    assert_eq!(lab.bpf()?, bpf, "mounted once");
    assert!(std::fs::read_to_string("/proc/self/mounts")?.contains(&*bpf.to_string_lossy()));
    // Two hosts and the switch, and the directory.
    assert_eq!(sweep::leftovers(&prefix)?.len(), 4);
    let stray = lab.host("client")?.netns.command("sleep").arg("60").spawn()?;

    drop(lab);
    assert!(sweep::leftovers(&prefix)?.is_empty() && !directory.exists());
    assert!(!std::fs::read_to_string("/proc/self/mounts")?.contains(&*bpf.to_string_lossy()));
    let mut stray = stray;
    assert!(!stray.wait()?.success(), "a process left inside is killed");
    Ok(())
}

#[test]
fn a_panic_leaves_nothing_behind() -> Result<()> {
    let prefix = std::sync::Mutex::new(String::new());
    let result = std::panic::catch_unwind(|| {
        let lab = Lab::new(&HOSTS).expect("a laboratory");
        lab.prefix().clone_into(&mut prefix.lock().expect("unused"));
        std::panic::resume_unwind(Box::new("a failing test"));
    });
    assert!(result.is_err());
    let prefix = prefix.into_inner()?;
    assert!(prefix.starts_with("wt"));
    assert!(sweep::leftovers(&prefix)?.is_empty());
    Ok(())
}

#[test]
fn leftovers_of_the_dead_are_swept() -> Result<()> {
    let mut owner = std::process::Command::new("sleep").arg("60").spawn()?;
    let prefix = format!("wt{}-1-", owner.id());
    let mut lab = Lab::named(&prefix, &HOSTS)?;
    lab.bpf()?;
    lab.keep();
    drop(lab);
    sweep::sweep()?;
    assert_eq!(sweep::leftovers(&prefix)?.len(), 4, "its owner lives");
    owner.kill()?;
    owner.wait()?;
    sweep::sweep()?;
    assert!(sweep::leftovers(&prefix)?.is_empty());
    Ok(())
}

#[test]
fn nginx_answers_curl_and_wrk() -> Result<()> {
    let lab = Lab::new(&HOSTS)?;
    let (server, client) = (lab.host("server")?, lab.host("client")?);
    let nginx = Nginx::start(server, lab.directory(), &[("orders", 8080), ("catalog", 8081)])?;

    let mut expected = 0;
    for address in server.addresses() {
        let rows: [(&str, &[&str], u16); 7] = [
            ("/", &[], 200),
            ("/items/7", &[], 200),
            ("/empty", &[], 204),
            ("/login", &["--data", "user=a"], 401),
            ("/login", &["--data", "user=a", "--header", PASSWORD], 200),
            ("/admin", &[], 403),
            ("/nowhere", &[], 404),
        ];
        for (path, arguments, status) in rows {
            let url = url(address, path);
            let response = curl::one(client, &[arguments, &[url.as_str()]].concat())?;
            assert_eq!((response.status, response.result), (status, 0), "{url} {arguments:?}");
            expected += 1;
        }
        for (name, size) in FILES {
            let response = curl::one(client, &[&url(address, &format!("/files/{name}"))])?;
            assert_eq!((response.status, response.body.len()), (200, size), "{name}");
            expected += 1;
        }
        let responses = curl::many(client, &[&url(address, "/items/[1-5]")])?;
        assert_eq!(responses.len(), 5);
        assert_eq!(responses.iter().map(|r| r.connects).sum::<u64>(), 1, "kept alive");
        expected += 5;
    }
    let catalog = curl::one(client, &[&format!("http://{}:8081/", server.v4())])?;
    assert_eq!(catalog.body, r#"{"api":"catalog"}"#);
    expected += 1;

    wait::until("the access log", Duration::from_secs(5), || {
        let requests = nginx.requests()?;
        ensure!(requests.len() == expected, "{} of {expected} lines", requests.len());
        ensure!(
            requests.iter().all(|r| client.addresses().iter().any(|a| a.to_string() == r.source))
        );
        Ok(())
    })?;
    let report =
        wrk::run(client, 4, Duration::from_secs(1), &url(server.v6().into(), "/files/1k"))?;
    assert!(report.requests > 100 && report.bad_status == 0, "{report:?}\n{}", nginx.log());
    Ok(())
}

#[test]
fn a_host_that_is_not_there_is_a_result() -> Result<()> {
    let lab = Lab::new(&HOSTS)?;
    let client = lab.host("client")?;
    let closed = curl::one(client, &[&url(lab.host("server")?.v4().into(), "/")])?;
    assert_eq!((closed.status, closed.result), (0, 7), "refused");
    let silent = curl::one(client, &["--max-time", "0.3", "http://192.0.2.99/"])?;
    assert_eq!((silent.status, silent.result), (0, 28), "timed out");
    Ok(())
}

#[test]
fn forged_packets_arrive_and_are_counted() -> Result<()> {
    let lab = Lab::new(&HOSTS)?;
    let (server, client) = (lab.host("server")?, lab.host("client")?);
    let rows = [
        ("own IPv4", Sources::One(client.v4().into()), IpAddr::from(server.v4())),
        (
            "forged IPv4",
            Sources::Range { first: "198.51.100.1".parse()?, count: 200 },
            server.v4().into(),
        ),
        (
            "forged IPv6",
            Sources::Range { first: "2001:db8:bad::1".parse()?, count: 200 },
            server.v6().into(),
        ),
    ];
    for (name, sources, destination) in rows {
        // A socket that receives proves the checksums: the kernel drops what is wrong.
        let socket = server.udp(destination, 5353)?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        let before = server.counter("rx", "packets")?;
        let flood = Flood {
            sources,
            destination,
            transport: Transport::Udp { port: 5353, payload: 32 },
            rate: 2_000,
            duration: Duration::from_millis(100),
        };
        let sent = generator::send(client, server, &flood)?;
        assert_eq!(sent.packets, 200, "{name}");
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..sent.packets {
            let (size, from) = socket
                .recv_from(&mut [0; 64])
                .map_err(|error| anyhow::anyhow!("{name}: datagram {number}: {error}"))?;
            assert_eq!(size, 32);
            seen.insert(from.ip());
        }
        let expected = if matches!(sources, Sources::One(_)) { 1 } else { 200 };
        assert_eq!(seen.len(), expected, "{name}");
        assert!(server.counter("rx", "packets")? >= before + sent.packets, "{name}");
    }
    Ok(())
}

#[test]
fn prometheus_scrapes() -> Result<()> {
    let lab = Lab::new(&HOSTS[..1])?;
    let server = lab.host("server")?;
    // It can scrape itself.
    let prometheus = Prometheus::start(server, lab.directory(), "127.0.0.1:9090")?;
    wait::until("the first scrape", Duration::from_secs(15), || {
        let up = prometheus.query(server, "up{job=\"weir\"}")?;
        ensure!(
            up.first().is_some_and(|sample| sample.value == 1.0),
            "{up:?} {}",
            prometheus.log()
        );
        Ok(())
    })?;
    assert!(Path::new(&lab.directory().join("prometheus/data")).exists());
    Ok(())
}
