//! The shop's server: nginx, one virtual server for each API, that answers as each request says.
//!
//! The header `Status` chooses the status code; `File` the file that a `GET` is answered with, of the
//! sizes that a plan has. Connections are kept alive.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weir_tests::curl;
use weir_tests::lab::Host;
use weir_tests::process::Background;

use crate::plan::{BODY, LARGEST, file_bytes};
use crate::world::APIS;

/// What nginx may take to answer its first request.
const START: Duration = Duration::from_secs(15);
/// Statuses that a plan has beside 200.
const STATUSES: [u16; 8] = [201, 204, 401, 403, 404, 500, 502, 503];

/// A running nginx; stopped when dropped.
#[derive(Debug)]
pub struct Server(Background);

impl Server {
    /// Starts it on a host, and waits until every API answers; `directory` receives its files.
    ///
    /// # Errors
    /// nginx does not start.
    pub fn start(host: &Host, directory: &Path) -> Result<Self> {
        let home = directory.join("shop");
        let files = home.join("www");
        std::fs::create_dir_all(&files)
            .with_context(|| format!("cannot create {}", files.display()))?;
        for number in 0..=LARGEST {
            let path = files.join(number.to_string());
            // A hole has any size and takes no room.
            let made =
                std::fs::File::create(&path).and_then(|file| file.set_len(file_bytes(number)));
            made.with_context(|| format!("cannot write {}", path.display()))?;
        }
        let text = configuration(&home);
        let path = home.join("nginx.conf");
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        let log = home.join("error.log");
        let mut command = host.netns.command("nginx");
        command.arg("-c").arg(&path).arg("-p").arg(&home).arg("-e").arg(&log);
        let mut server = Self(Background::start("nginx", command, &log)?);
        for api in APIS {
            let url = format!("http://127.0.0.1:{}/healthz", api.port);
            server.0.ready(&format!("nginx answers for {}", api.name), START, || {
                let answer =
                    curl::one(host, &["--header", "File: 4", "--header", "Status: 200", &url])?;
                ensure!(answer.status == 200, "{url} answers {}", answer.status);
                Ok(())
            })?;
        }
        Ok(server)
    }

    /// The end of what it complained about.
    pub fn log(&self) -> String {
        self.0.log()
    }
}

fn configuration(home: &Path) -> String {
    let home = home.display();
    let body = BODY.trim_end().replace('"', "\\\"");
    let answers: String = STATUSES
        .iter()
        .map(|status| match status {
            204 => "            if ($http_status = 204) { return 204; }\n".to_owned(),
            _ => format!(
                "            if ($http_status = {status}) {{ return {status} \"{body}\\n\"; }}\n"
            ),
        })
        .collect();
    let servers: String = APIS
        .iter()
        .map(|api| {
            format!(
                "    server {{\n        listen {port};\n        server_name {name};\n        \
                 location / {{\n{answers}            \
                 if ($request_method != GET) {{ return 200 \"{body}\\n\"; }}\n            \
                 rewrite ^ /$http_file break;\n        }}\n    }}\n",
                port = api.port,
                name = api.name,
            )
        })
        .collect();
    // The user stays root: the directory of the laboratory is nobody else's.
    format!(
        "user root;\ndaemon off;\nworker_processes 1;\nworker_rlimit_nofile 65536;\n\
         pid {home}/nginx.pid;\nerror_log {home}/error.log warn;\n\
         events {{ worker_connections 32768; }}\n\
         http {{\n    access_log off;\n    sendfile on;\n    tcp_nopush on;\n    \
         open_file_cache max=200;\n    keepalive_timeout 3600s;\n    \
         keepalive_requests 10000000;\n    default_type application/json;\n    root {home}/www;\n    \
         client_body_temp_path {home}/body;\n    proxy_temp_path {home}/proxy;\n    \
         fastcgi_temp_path {home}/fastcgi;\n    uwsgi_temp_path {home}/uwsgi;\n    \
         scgi_temp_path {home}/scgi;\n{servers}}}\n"
    )
}
