//! The scrape address.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::bail;
use tokio::sync::watch;

use filter_user::control::metrics_http::{MetricsSocket, Probe};

#[derive(Default)]
struct Half {
    ready: AtomicBool,
}

impl Probe for Half {
    fn metrics(&self) -> anyhow::Result<String> {
        if !self.ready.load(Ordering::Relaxed) {
            bail!("the map `counters` is not there");
        }
        Ok("weir_build_info{version=\"0\"} 1\n".to_owned())
    }

    fn ready(&self) -> Result<(), String> {
        let ready = self.ready.load(Ordering::Relaxed);
        if ready { Ok(()) } else { Err("eth0 is not attached".to_owned()) }
    }
}

#[test]
fn metrics_and_health() {
    let bound = MetricsSocket::bind("127.0.0.1:0".parse().expect("an address")).expect("binds");
    let address = bound.address();

    let error = format!("{:#}", MetricsSocket::bind(address).expect_err("in use"));
    assert!(error.contains(&address.to_string()) && error.contains("--metrics"), "{error}");
    assert!(error.contains("another process has this port"), "{error}");

    let probe = Arc::new(Half::default());
    let (end, ending) = watch::channel(false);
    let served = Arc::clone(&probe);
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(bound.serve(served, ending)).expect("serves");
    });
    let ask = |method: &str, path: &str| {
        let mut stream = TcpStream::connect(address).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("writes");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("reads");
        answer
    };
    // ready, method, path, status, a part of the answer
    let rows = [
        (false, "GET", "/healthz", 200, "ok"),
        (false, "GET", "/readyz", 503, "not ready: eth0 is not attached"),
        (false, "GET", "/metrics", 500, "the map `counters` is not there"),
        (true, "GET", "/readyz", 200, "ready"),
        (true, "GET", "/metrics", 200, "weir_build_info{version=\"0\"} 1"),
        (true, "GET", "/metrics", 200, "content-type: text/plain; version=0.0.4"),
        (true, "HEAD", "/metrics", 200, "content-length: 31"),
        (true, "GET", "/", 200, "<a href=/metrics>"),
        (true, "GET", "/else", 404, "not here"),
        (true, "POST", "/metrics", 405, ""),
    ];
    for (ready, method, path, status, part) in rows {
        probe.ready.store(ready, Ordering::Relaxed);
        let answer = ask(method, path);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}: {answer}");
        assert!(answer.contains(part), "{method} {path}: {answer}");
    }
    end.send_replace(true);
    server.join().expect("ends well");
}
