//! A gated host is a client too: with `unclaimed = "drop"` it takes and renews a lease, resolves
//! names, is told of routers and of narrow links, and nobody gets in by that.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::curl;
use weir_tests::lab::{Host, INTERFACE, Lab};
use weir_tests::nginx::Nginx;
use weir_tests::reading::Reading;
use weir_tests::services::{Lease, PREFIX, Services, lease_v6};
use weir_tests::wait;
use weir_tests::weir::Weir;

use crate::ending::any;
use crate::site::{self, PORT};

const LIMIT: Duration = Duration::from_secs(20);
/// The addresses of the far host, behind the router.
const FAR: [&str; 2] = ["198.51.100.2", "2001:db8:9::2"];
/// What the link to it carries, in bytes; the hosts at its ends believe in 1,500.
const NARROW: u64 = 1_400;

/// A link from the router to the far host, and the way over it.
fn far_link(router: &Host, far: &Host) -> Result<()> {
    far.netns.ip(&format!("link set {INTERFACE} down"))?;
    let peer = far.netns.name();
    router.netns.ip(&format!("link add far type veth peer name near netns {peer}"))?;
    for (host, device, n) in [(router, "far", 1), (far, "near", 2)] {
        host.netns.ip(&format!("link set {device} up"))?;
        host.netns.ip(&format!("address add 198.51.100.{n}/24 dev {device}"))?;
        host.netns.ip(&format!("address add 2001:db8:9::{n}/64 dev {device} nodad"))?;
    }
    router.netns.ip(&format!("link set far mtu {NARROW}"))?;
    far.netns.ip("route add default via 198.51.100.1")?;
    far.netns.ip("-6 route add default via 2001:db8:9::1")?;
    for setting in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        let write = format!("echo 1 > /proc/sys/net/{setting}");
        router.netns.run("sh", &["-c", &write], LIMIT)?.success()?;
    }
    Ok(())
}

/// Forgets all that the laboratory gave the host, and asks for routers.
fn begin_anew(host: &Host) -> Result<()> {
    host.netns.ip(&format!("address flush dev {INTERFACE}"))?;
    host.netns.ip(&format!("link set {INTERFACE} down"))?;
    host.netns.ip(&format!("link set {INTERFACE} up"))?;
    Ok(())
}

/// Waits until duplicate address detection has found all addresses free.
fn settled(host: &Host) -> Result<()> {
    wait::until("addresses that may be used", LIMIT, || {
        let tentative = host.netns.ip(&format!("-6 address show dev {INTERFACE} tentative"))?;
        ensure!(tentative.trim().is_empty(), "{tentative}");
        Ok(())
    })
}

/// An address that the host made itself out of a router's advertisement.
fn autoconfigured(host: &Host) -> Result<String> {
    let text = host.netns.ip(&format!("-json -6 address show dev {INTERFACE} scope global"))?;
    let links: Value = serde_json::from_str(&text)?;
    let addresses = links[0]["addr_info"].as_array().map_or(&[][..], Vec::as_slice);
    let made = addresses.iter().find(|address| address["dynamic"] == true);
    let made = made.and_then(|address| address["local"].as_str());
    made.map(str::to_owned).with_context(|| format!("none in {text}"))
}

/// Whether an address is of the prefix that the router announces.
fn is_announced(address: &str) -> Result<bool> {
    let [address, prefix] = [address, PREFIX].map(str::parse::<Ipv6Addr>);
    Ok(address?.segments()[..4] == prefix?.segments()[..4])
}

/// Asks for a URL with the names of the lease's resolver.
fn fetch(host: &Host, lease: &Lease, arguments: &[&str]) -> Result<String> {
    let script = "mount --bind \"$0\" /etc/resolv.conf && exec curl --silent --show-error \
                  --max-time 15 --write-out '%{http_code} %{remote_ip}' --output /dev/null \"$@\"";
    let resolver = lease.resolver();
    let resolver = resolver.to_str().context("a path that is text")?;
    let mut all = vec!["--mount", "sh", "-c", script, resolver];
    all.extend_from_slice(arguments);
    host.netns.run("unshare", &all, LIMIT)?.success()
}

/// What the host has learned of the way to an address: the widest packet, if it is told.
fn path_mtu(host: &Host, to: &str) -> Result<Option<u64>> {
    let routes: Value = serde_json::from_str(&host.netns.ip(&format!("-json route get {to}"))?)?;
    Ok(routes[0]["metrics"][0]["mtu"].as_u64())
}

/// Whether a datagram from a port of one host reaches a port of another, which asked for nothing.
fn arrives(from: &Host, port: u16, to: &Host, address: IpAddr) -> Result<bool> {
    let waiting = to.udp(address, 40_000)?;
    waiting.set_read_timeout(Some(Duration::from_millis(200)))?;
    let socket = from.udp(any(address), port)?;
    socket.send_to(b"unasked", (address, 40_000))?;
    Ok(waiting.recv_from(&mut [0; 16]).is_ok())
}

#[test]
fn a_gated_host_is_a_client_too() -> Result<()> {
    let lab = Lab::new(&[("host", 1), ("router", 2), ("far", 3), ("stranger", 4)])?;
    let [host, router, far, stranger] =
        [lab.host("host")?, lab.host("router")?, lab.host("far")?, lab.host("stranger")?];
    far_link(router, far)?;
    let elsewhere = lab.directory().join("far");
    std::fs::create_dir(&elsewhere)?;
    let _far = Nginx::start(far, &elsewhere, &[("far", 9091)])?;
    let _own = Nginx::start(host, lab.directory(), &[("own", 9092), ("api", PORT)])?;
    let policy = format!(
        "[unclaimed]\naction = \"drop\"\n\n[[api]]\nname = \"orders\"\n\
         listen = [\"tcp/{PORT}\"]\nallow = \"any\"\n"
    );
    let policy = site::write(&lab, "policy.toml", &policy)?;
    let weir = Weir::start(&lab, host, &["--policy", &policy])?;

    let names: Vec<_> = FAR.iter().map(|address| ("far.test", *address)).collect();
    let services = Services::start(router, lab.directory(), &names)?;
    begin_anew(host)?;
    let lease = Lease::take(host, lab.directory()).with_context(|| services.log())?;
    let address = lease.messages()?.last().cloned().unwrap_or_default();
    let address = address.strip_prefix("bound ").context("no address")?.to_owned();
    assert!(address.starts_with("192.0.2.1"), "{address}");
    lease.renew().with_context(|| services.log())?;
    let made = wait::until("a router's advertisement", LIMIT, || autoconfigured(host))
        .with_context(|| services.log())?;
    assert!(is_announced(&made)?, "{made}");
    settled(host)?;
    let given = lease_v6(host, lab.directory()).with_context(|| services.log())?;
    assert!(is_announced(&given)?, "{given}");
    settled(host)?;

    // Names, then connections out; what is sent meets the narrow link.
    for (family, remote) in ["--ipv4", "--ipv6"].into_iter().zip(FAR) {
        let got = fetch(host, &lease, &[family, "http://far.test:9091/files/1m"])?;
        assert_eq!(got, format!("200 {remote}"));
        let large = lab.directory().join("far/nginx/www/files/300k");
        let large = format!("@{}", large.display());
        let url = "http://far.test:9091/upload";
        let got = fetch(host, &lease, &[family, "--data-binary", &large, url])?;
        assert_eq!(got, format!("200 {remote}"), "an upload");
        assert_eq!(path_mtu(host, remote)?, Some(NARROW), "it was told");
    }
    for (own, n) in [(address.as_str(), 0), (made.as_str(), 1)] {
        let own: IpAddr = own.parse()?;
        let answer = curl::many(far, &[&site::url(own, PORT, "/files/1m")])?;
        assert_eq!((answer[0].status, answer[0].size), (200, 1 << 20), "what is claimed");
        // The stranger has routes to both, and neither its packets nor the router's come in.
        let before = Reading::at_rest(&weir)?.kernel("__unclaimed__", "unclaimed_refused");
        assert_eq!(site::ask(stranger, own, 9092)?.status, 0, "a new connection in");
        assert!(!arrives(stranger, 53, host, own)?, "an answer that nobody asked for");
        assert!(!arrives(router, 5353, host, own)?, "from the resolver, but another port");
        let after = Reading::at_rest(&weir)?.kernel("__unclaimed__", "unclaimed_refused");
        ensure!(after >= before + 3, "IPv{}: {before}, then {after}", 4 + 2 * n);
    }
    let reading = Reading::at_rest(&weir)?;
    for reason in ["reply", "essential", "unclaimed"] {
        assert!(reading.kernel("__unclaimed__", reason) > 0, "{reason}");
    }
    Ok(())
}
