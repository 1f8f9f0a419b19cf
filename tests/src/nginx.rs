//! The server: nginx with a configuration of its own, one virtual API a port.
//!
//! Every API answers alike: `/` and `/items/…` 200 with a small JSON body, `/files/1k`,
//! `/files/64k`, `/files/300k` and `/files/1m` by sendfile, `/empty` 204, `/login` 200 to the password
//! [`PASSWORD`] and 401 to any other, `/upload` 200, `/admin` 403, `/error` 500, all else 404. `/slow` is answered
//! ten times a second at most: who asks at once again waits a tenth of a second. Connections are
//! kept alive. What it answered is in its access log: the truth that metrics are compared with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::curl;
use crate::lab::Host;
use crate::process::Background;

/// The header that `/login` accepts.
pub const PASSWORD: &str = "Authorization: Bearer open-sesame";
/// What nginx may take to answer its first request.
const START: Duration = Duration::from_secs(15);
/// Names and sizes of the files under `/files/`, in bytes.
pub const FILES: [(&str, usize); 4] =
    [("1k", 1024), ("64k", 65_536), ("300k", 307_200), ("1m", 1_048_576)];

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Version {
    Http1,
    /// HTTP/1 behind a header of the PROXY protocol, without which nothing is answered.
    Proxied,
    Http2,
    Tls,
}

/// A request as nginx saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Name of the API.
    pub api: String,
    /// Source address.
    pub source: String,
    /// Method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Status code of the answer.
    pub status: u16,
    /// Bytes of the answer's body.
    pub body: u64,
    /// Seconds between the request's first byte and the answer's last.
    pub seconds: f64,
}

/// A running nginx; stopped when dropped.
#[derive(Debug)]
pub struct Nginx {
    process: Background,
    access_log: PathBuf,
}

impl Nginx {
    /// Starts it on a host with one API a port, and waits until all answer. `directory` receives
    /// its files in a directory `nginx`.
    pub fn start(host: &Host, directory: &Path, apis: &[(&str, u16)]) -> Result<Self> {
        Self::speaking(host, directory, apis, Version::Http1)
    }

    /// As [`Self::start`], with APIs that speak HTTP/2 in clear text, without an upgrade.
    pub fn http2(host: &Host, directory: &Path, apis: &[(&str, u16)]) -> Result<Self> {
        Self::speaking(host, directory, apis, Version::Http2)
    }

    /// As [`Self::start`], with APIs that only a proxy can ask: it has to say for whom (PROXY
    /// protocol, either version).
    pub fn behind_proxy(host: &Host, directory: &Path, apis: &[(&str, u16)]) -> Result<Self> {
        Self::speaking(host, directory, apis, Version::Proxied)
    }

    /// As [`Self::start`], with APIs inside TLS: HTTP/1.1 or HTTP/2, as the client wants, with a
    /// certificate of an authority that nobody knows.
    pub fn tls(host: &Host, directory: &Path, apis: &[(&str, u16)]) -> Result<Self> {
        let home = directory.join("nginx");
        std::fs::create_dir_all(&home)
            .with_context(|| format!("cannot create {}", home.display()))?;
        crate::rsyslog::certificates(&home)?;
        Self::speaking(host, directory, apis, Version::Tls)
    }

    fn speaking(
        host: &Host,
        directory: &Path,
        apis: &[(&str, u16)],
        version: Version,
    ) -> Result<Self> {
        ensure!(!apis.is_empty(), "nginx without an API has no port to wait for");
        let home = directory.join("nginx");
        let write = |path: PathBuf, content: &[u8]| {
            std::fs::write(&path, content)
                .with_context(|| format!("cannot write {}", path.display()))
        };
        let files = home.join("www/files");
        std::fs::create_dir_all(&files)
            .with_context(|| format!("cannot create {}", files.display()))?;
        for (name, size) in FILES {
            write(files.join(name), &b"weir laboratory\n".repeat(size / 16))?;
        }
        let servers: String =
            apis.iter().map(|(name, port)| server(name, *port, version)).collect();
        let scheme = if version == Version::Tls { "https" } else { "http" };
        let answers: Vec<_> = apis
            .iter()
            .map(|(name, port)| (*name, format!("{scheme}://127.0.0.1:{port}/empty")))
            .collect();
        Self::run(host, &home, &configure(&home, &servers), &answers, version)
    }

    /// Runs it with a configuration, and waits until all of the URLs answer.
    fn run(
        host: &Host,
        home: &Path,
        text: &str,
        answers: &[(&str, String)],
        version: Version,
    ) -> Result<Self> {
        let configuration = home.join("nginx.conf");
        std::fs::write(&configuration, text)
            .with_context(|| format!("cannot write {}", configuration.display()))?;
        let mut command = host.netns.command("nginx");
        command.arg("-c").arg(&configuration).arg("-p").arg(home);
        command.arg("-e").arg(home.join("error.log"));
        let process = Background::start("nginx", command, &home.join("error.log"))?;
        let mut nginx = Self { process, access_log: home.join("access.log") };
        for (api, url) in answers {
            nginx.process.ready(&format!("nginx answers for {api}"), START, || {
                let mut arguments = vec![url.as_str()];
                match version {
                    Version::Http1 => {}
                    Version::Proxied => arguments.push("--haproxy-protocol"),
                    Version::Http2 => arguments.push("--http2-prior-knowledge"),
                    Version::Tls => arguments.push("--insecure"),
                }
                let response = curl::one(host, &arguments)?;
                ensure!(response.status == 204, "{url} answers {}", response.status);
                Ok(())
            })?;
        }
        Ok(nginx)
    }

    /// Starts it on a host as a proxy in front of another: what is asked of `port` goes to `upstream`,
    /// with the client's address in X-Forwarded-For.
    pub fn proxy(host: &Host, directory: &Path, port: u16, upstream: &str) -> Result<Self> {
        let home = directory.join("proxy");
        std::fs::create_dir_all(&home)
            .with_context(|| format!("cannot create {}", home.display()))?;
        let servers = format!(
            "    server {{\n        listen {port};\n        listen [::]:{port};\n        \
             location / {{\n            proxy_pass http://{upstream};\n            \
             proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n        }}\n    }}\n"
        );
        let answers = format!("http://127.0.0.1:{port}/empty");
        let text = configure(&home, &servers);
        Self::run(host, &home, &text, &[("the proxy", answers)], Version::Http1)
    }

    /// Every request it answered so far, except those of its start. nginx writes the line after
    /// the answer has gone out, so the last ones may appear a moment later.
    pub fn requests(&self) -> Result<Vec<Request>> {
        let path = &self.access_log;
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        text.lines()
            .map(|line| parse(line).with_context(|| format!("{}: {line}", path.display())))
            .filter(|request| !matches!(request, Ok(request) if request.source == "127.0.0.1"))
            .collect()
    }

    /// Empties its access log, which grows without bounds under a long load.
    pub fn forget(&self) -> Result<()> {
        let path = &self.access_log;
        // nginx appends, so what it writes next is at the beginning.
        std::fs::File::options()
            .write(true)
            .truncate(true)
            .open(path)
            .with_context(|| format!("cannot empty {}", path.display()))
            .map(drop)
    }

    /// What it complained about.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Leaves it running when this process ends.
    pub fn leave(self) {
        self.process.leave();
    }
}

fn configure(home: &Path, servers: &str) -> String {
    let home = home.display();
    // The user stays root: the directory of the laboratory is nobody else's.
    format!(
        r#"user root;
daemon off;
worker_processes 1;
pid {home}/nginx.pid;
error_log {home}/error.log warn;
events {{ worker_connections 8192; }}
http {{
    log_format lab escape=json '{{"api":"$server_name","source":"$remote_addr",'
        '"method":"$request_method","target":"$request_uri","status":"$status",'
        '"body":"$body_bytes_sent","seconds":"$request_time"}}';
    access_log {home}/access.log lab;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 60s;
    keepalive_requests 10000000;
    default_type application/json;
    limit_req_zone $server_port zone=slow:64k rate=10r/s;
    root {home}/www;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
{servers}}}
"#
    )
}

fn server(name: &str, port: u16, version: Version) -> String {
    let (version, secret) = match version {
        Version::Http1 => ("", ""),
        Version::Proxied => (" proxy_protocol", ""),
        Version::Http2 => (" http2", ""),
        Version::Tls => {
            (" ssl http2", "\n        ssl_certificate cert.pem; ssl_certificate_key key.pem;")
        }
    };
    let password = PASSWORD.split_once(": ").map_or("", |(_, value)| value);
    format!(
        r#"    server {{
        listen {port} default_server{version};
        listen [::]:{port} default_server{version};
        server_name {name};{secret}
        location / {{ return 404 '{{"error":"not found"}}'; }}
        location = / {{ return 200 '{{"api":"{name}"}}'; }}
        location /items/ {{ return 200 '{{"api":"{name}","item":"$uri"}}'; }}
        location /files/ {{ }}
        location = /empty {{ return 204; }}
        location = /login {{
            if ($http_authorization = "{password}") {{ return 200 '{{"login":true}}'; }}
            return 401 '{{"login":false}}';
        }}
        location = /upload {{ return 200 '{{"upload":true}}'; }}
        location = /admin {{ return 403 '{{"error":"forbidden"}}'; }}
        location = /slow {{ limit_req zone=slow burst=100; try_files /none @slow; }}
        location @slow {{ return 200 '{{"slow":true}}'; }}
        location = /error {{ return 500 '{{"error":"broken"}}'; }}
    }}
"#
    )
}

fn parse(line: &str) -> Result<Request> {
    let value: Value = serde_json::from_str(line).context("not an access log line")?;
    let text = |name: &str| value[name].as_str().with_context(|| format!("no {name}"));
    Ok(Request {
        api: text("api")?.to_owned(),
        source: text("source")?.to_owned(),
        method: text("method")?.to_owned(),
        target: text("target")?.to_owned(),
        status: text("status")?.parse().context("status")?,
        body: text("body")?.parse().context("body")?,
        seconds: text("seconds")?.parse().context("seconds")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_log_lines_are_read() {
        let line = r#"{"api":"orders","source":"192.0.2.10","method":"GET","target":"/items/1?a=b","status":"200","body":"17","seconds":"0.003"}"#;
        let request = parse(line).expect("a good line");
        assert_eq!((request.status, request.body, request.seconds), (200, 17, 0.003));
        assert_eq!((request.api.as_str(), request.target.as_str()), ("orders", "/items/1?a=b"));
        for bad in ["", "{}", &line.replace("\"200\"", "\"-\"")] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
