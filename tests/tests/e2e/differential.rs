//! The same capture read by weir and by tshark: real servers and clients, and every field that both
//! tell must be the same, connection by connection.

mod scripts;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::lab::{Host, Lab};
use weir_tests::nginx::Nginx;
use weir_tests::process::Background;
use weir_tests::{curl, h2load};

use self::scripts::{NODE_CLIENT, NODE2_CLIENT, PYTHON_CLIENT, SERVER};
use crate::replay::{capture, of_type, replay};
use crate::site;

const HTTP: u16 = 8080;
const HTTP2: u16 = 8081;
const NODE: u16 = 8084;
const NODE2: u16 = 8085;
const TLS: u16 = 8443;
const NAME: &str = "orders.test";
/// tshark takes most of it to start.
const LIMIT: Duration = Duration::from_secs(60);
/// Between the values of a field that occurs more than once in a packet.
const AGAIN: char = '^';

/// What tshark prints of the packets that a filter passes: fields, each with its values.
fn tshark(file: &str, filter: &str, fields: &[&str]) -> Result<Vec<Vec<Vec<String>>>> {
    let mut command = std::process::Command::new("tshark");
    command.args(["-n", "-r", file, "-Y", filter, "-T", "fields", "-E", "occurrence=a"]);
    command.arg("-E").arg(format!("aggregator={AGAIN}"));
    for (port, protocol) in
        [(HTTP, "http"), (NODE, "http"), (HTTP2, "http2"), (NODE2, "http2"), (TLS, "tls")]
    {
        command.arg("-d").arg(format!("tcp.port=={port},{protocol}"));
    }
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    let text = weir_tests::process::run(&mut command, LIMIT)?.success()?;
    let values = |field: &str| -> Vec<String> {
        field.split(AGAIN).filter(|value| !value.is_empty()).map(str::to_owned).collect()
    };
    Ok(text.lines().map(|line| line.split('\t').map(values).collect()).collect())
}

/// The first value of a field as a number.
fn number(field: &[String]) -> Result<u64> {
    let text = field.first().context("no value")?;
    text.parse().with_context(|| format!("`{text}` is no number"))
}

/// A request and what became of it, as both tell it.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Exchange {
    method: String,
    target: String,
    host: String,
    user_agent: String,
    sent: u64,
    status: u64,
    received: u64,
}

/// Exchanges by the client's port.
type Told = BTreeMap<u64, Vec<Exchange>>;

/// Bytes of the body of the `place`th of so many messages in a packet.
fn body(length: &[String], chunks: &[String], place: usize, count: usize) -> Result<u64> {
    if !chunks.is_empty() {
        ensure!(count == 1, "whose chunks are these? {chunks:?}");
        let sizes = chunks.iter().map(|size| size.parse::<u64>().context("a size"));
        return sizes.sum();
    }
    ensure!([0, count].contains(&length.len()), "whose lengths are these? {length:?} of {count}");
    length.get(place).map_or(Ok(0), |length| length.parse().context("a length"))
}

fn http_by_tshark(file: &str) -> Result<Told> {
    let fields = [
        "tcp.srcport",
        "tcp.dstport",
        "http.request.method",
        "http.request.uri",
        "http.host",
        "http.user_agent",
        "http.response.code",
        "http.content_length",
        "http.chunk_size",
    ];
    let filter = format!("http and (tcp.port == {HTTP} or tcp.port == {NODE})");
    let mut told = Told::new();
    // A request is told when its body is over, which may be after its answer.
    let mut answers = BTreeMap::<u64, Vec<(u64, u64)>>::new();
    for packet in tshark(file, &filter, &fields)? {
        let [from, to, methods, uris, hosts, agents, codes, lengths, chunks] = &packet[..] else {
            anyhow::bail!("{packet:?}")
        };
        let text = |values: &[String], at: usize| values.get(at).cloned().unwrap_or_default();
        for (place, method) in methods.iter().enumerate() {
            told.entry(number(from)?).or_default().push(Exchange {
                method: method.clone(),
                target: text(uris, place),
                host: text(hosts, place),
                user_agent: text(agents, place),
                sent: body(lengths, chunks, place, methods.len())?,
                ..Exchange::default()
            });
        }
        for (place, code) in codes.iter().enumerate() {
            let status: u64 = code.parse().context("a status")?;
            // An answer to HEAD says how long the body would be: of that there are no bytes.
            if status >= 200 {
                let length = body(lengths, chunks, place, codes.len())?;
                answers.entry(number(to)?).or_default().push((status, length));
            }
        }
    }
    for (port, exchanges) in &mut told {
        let answers = answers.remove(port).unwrap_or_default();
        ensure!(answers.len() == exchanges.len(), "port {port}: {exchanges:?}\n{answers:?}");
        for (exchange, (status, length)) in exchanges.iter_mut().zip(answers) {
            exchange.status = status;
            exchange.received = if exchange.method == "HEAD" { 0 } else { length };
        }
    }
    ensure!(answers.is_empty(), "answers to nothing: {answers:?}");
    Ok(told)
}

/// Of HTTP/2: what a stream asked for and got.
fn http2_by_tshark(file: &str) -> Result<Told> {
    let fields = [
        "tcp.srcport",
        "tcp.dstport",
        "http2.streamid",
        "http2.type",
        "http2.length",
        "http2.headers.method",
        "http2.headers.path",
        "http2.headers.authority",
        "http2.headers.user_agent",
        "http2.headers.status",
    ];
    let mut streams = BTreeMap::<(u64, String), Exchange>::new();
    for packet in tshark(file, "http2", &fields)? {
        let [from, to, ids, kinds, lengths, methods, paths, hosts, agents, codes] = &packet[..]
        else {
            anyhow::bail!("{packet:?}")
        };
        ensure!(ids.len() == kinds.len() && ids.len() == lengths.len(), "{packet:?}");
        let asks = [HTTP2, NODE2].contains(&u16::try_from(number(to)?)?);
        let port = number(if asks { from } else { to })?;
        let mut heads = 0;
        for ((id, kind), length) in ids.iter().zip(kinds).zip(lengths) {
            let stream = streams.entry((port, id.clone()));
            match (kind.as_str(), asks) {
                ("0", true) => {
                    stream.or_default().sent += number(std::slice::from_ref(length))?;
                }
                ("0", false) => {
                    stream.or_default().received += number(std::slice::from_ref(length))?;
                }
                ("1", true) => {
                    let text =
                        |values: &[String]| values.get(heads).cloned().context("a head without");
                    *stream.or_default() = Exchange {
                        method: text(methods)?,
                        target: text(paths)?,
                        host: text(hosts)?,
                        user_agent: text(agents)?,
                        ..Exchange::default()
                    };
                    heads += 1;
                }
                ("1", false) => {
                    let stream = stream.or_default();
                    // What comes behind the body has no status.
                    if stream.status == 0 {
                        stream.status = number(codes.get(heads..).unwrap_or_default())?;
                        heads += 1;
                    }
                }
                _ => {}
            }
        }
    }
    let mut told = Told::new();
    for ((port, _), exchange) in streams {
        told.entry(port).or_default().push(exchange);
    }
    Ok(told)
}

fn by_weir(lines: &[Value], ports: &[u16]) -> Result<Told> {
    let mut told = Told::new();
    for line in of_type(lines, "http") {
        let number = |value: &Value| value.as_u64().with_context(|| format!("not known: {line}"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if !ports.iter().any(|port| line["flow"]["dport"] == *port) {
            continue;
        }
        ensure!(line["complete"] == true, "{line}");
        told.entry(number(&line["flow"]["sport"])?).or_default().push(Exchange {
            method: text(&line["method"]),
            target: text(&line["target"]),
            host: text(&line["host"]),
            user_agent: text(&line["user_agent"]),
            sent: number(&line["request_body_bytes"])?,
            status: number(&line["status"])?,
            received: number(&line["response_body_bytes"])?,
        });
    }
    Ok(told)
}

/// Where they differ, connection by connection.
fn same(what: &str, weir: &Told, tshark: &Told, at_least: usize) -> Result<()> {
    ensure!(weir.keys().eq(tshark.keys()), "{what}: other connections\n{weir:?}\n{tshark:?}");
    for (port, exchanges) in weir {
        let others = &tshark[port];
        for (place, (ours, theirs)) in exchanges.iter().zip(others).enumerate() {
            ensure!(ours == theirs, "{what}, port {port}, {place}:\n{ours:?}\n{theirs:?}");
        }
        ensure!(exchanges.len() == others.len(), "{what}, port {port}: {exchanges:?}\n{others:?}");
    }
    let count: usize = weir.values().map(Vec::len).sum();
    ensure!(count >= at_least, "{what}: only {count} exchanges to compare");
    Ok(())
}

/// Name, protocols, version and suite of handshakes, by the client's port.
type Handshakes = BTreeMap<u64, (String, String, String, String)>;

fn tls_by_tshark(file: &str) -> Result<Handshakes> {
    let fields = [
        "tcp.srcport",
        "tcp.dstport",
        "tls.handshake.type",
        "tls.handshake.extensions_server_name",
        "tls.handshake.extensions_alpn_str",
        "tls.handshake.version",
        "tls.handshake.extensions.supported_version",
        "tls.handshake.ciphersuite",
    ];
    let mut told = Handshakes::new();
    for packet in tshark(file, "tls.handshake.type <= 2", &fields)? {
        let [from, to, kinds, names, protocols, versions, supported, suites] = &packet[..] else {
            anyhow::bail!("{packet:?}")
        };
        if kinds[0] == "1" {
            let shake = told.entry(number(from)?).or_default();
            (shake.0, shake.1) = (names.concat(), protocols.join(","));
            continue;
        }
        let shake = told.entry(number(to)?).or_default();
        let version = supported.first().or(versions.first()).context("no version")?;
        shake.2 = match version.as_str() {
            "0x0304" => "1.3",
            "0x0303" => "1.2",
            other => other,
        }
        .to_owned();
        // The names are IANA's.
        shake.3 = match suites.first().context("no suite")?.as_str() {
            "0x1301" => "TLS_AES_128_GCM_SHA256",
            "0x1302" => "TLS_AES_256_GCM_SHA384",
            "0x1303" => "TLS_CHACHA20_POLY1305_SHA256",
            "0xc02b" => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            "0xc02c" => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            "0xc02f" => "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "0xc030" => "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            other => other,
        }
        .to_owned();
    }
    Ok(told)
}

fn tls_by_weir(lines: &[Value]) -> Result<Handshakes> {
    let mut told = Handshakes::new();
    for line in of_type(lines, "tls") {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let protocols: Vec<_> = line["alpn"].as_array().into_iter().flatten().map(text).collect();
        let port = line["flow"]["sport"].as_u64().context("a port")?;
        let (name, version) = (text(&line["sni"]), text(&line["version"]));
        told.insert(port, (name, protocols.join(","), version, text(&line["cipher"])));
    }
    Ok(told)
}

/// A program in the client's namespace, with a script as its argument.
fn script(host: &Host, program: &str, flag: &str, text: &str, arguments: &[&str]) -> Result<()> {
    let arguments = [&[flag, text], arguments].concat();
    host.netns.run(program, &arguments, LIMIT)?.success().map(drop)
}

fn traffic(client: &Host, server: &Host) -> Result<()> {
    let [http, node] = [HTTP, NODE].map(|port| port.to_string());
    for address in server.addresses() {
        let url = |port, path: &str| site::url(address, port, path);
        curl::many(client, &[&url(HTTP, "/items/[1-20]")])?;
        curl::many(client, &[&url(HTTP, "/files/{1k,64k,300k,1m}")])?;
        curl::many(client, &["--data", "user=a", &url(HTTP, "/login?n=[1-5]")])?;
        curl::one(client, &["--http1.0", &url(HTTP, "/items/old")])?;
        curl::many(client, &["--http2-prior-knowledge", &url(HTTP2, "/items/[1-20]")])?;
        let upload = ["--http2-prior-knowledge", "--data", "b=c", &url(NODE2, "/upload")];
        curl::one(client, &upload)?;
        let urls = [url(HTTP2, "/items/1"), url(HTTP2, "/files/64k"), url(HTTP2, "/nowhere")];
        h2load::run(client, 120, 3, 8, &urls.each_ref().map(String::as_str))?;
        let to = address.to_string();
        script(client, "python3", "-c", PYTHON_CLIENT, &[&to, &http, &node])?;
        script(client, "node", "-e", NODE_CLIENT, &[&to, &node])?;
        let authority = SocketAddr::new(address, NODE2).to_string();
        script(client, "node", "-e", NODE2_CLIENT, &[&authority, "20"])?;
        let bracketed = if address.is_ipv6() { format!("[{to}]") } else { to };
        let resolve = format!("{NAME}:{TLS}:{bracketed}");
        let inside = format!("https://{NAME}:{TLS}/items/1");
        for how in [&["--tls-max", "1.2"][..], &["--http1.1"], &["--no-alpn"], &[]] {
            let fixed = ["--insecure", "--resolve", &resolve, &inside];
            curl::one(client, &[how, &fixed].concat())?;
        }
    }
    Ok(())
}

#[test]
fn tshark_reads_the_same() -> Result<()> {
    let lab: Lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let [second, third] = ["second", "third"].map(|name| lab.directory().join(name));
    let _nginx = Nginx::start(server, lab.directory(), &[("orders", HTTP)])?;
    let _http2 = Nginx::http2(server, &second, &[("orders", HTTP2)])?;
    let _tls = Nginx::tls(server, &third, &[("orders", TLS)])?;
    let mut command = server.netns.command("node");
    command.args(["-e", SERVER, &NODE.to_string(), &NODE2.to_string()]);
    let mut node = Background::start("node", command, &lab.directory().join("node.log"))?;
    let url = format!("http://127.0.0.1:{NODE}/none");
    node.ready("node answers", Duration::from_secs(15), || {
        ensure!(curl::one(server, &[&url])?.status == 204);
        Ok(())
    })?;
    let file = capture(&lab, server, || traffic(client, server))?;
    let lines = replay(&[&file, "--json"])?;
    same("HTTP/1", &by_weir(&lines, &[HTTP, NODE])?, &http_by_tshark(&file)?, 150)?;
    // Streams end in any order.
    let sorted = |mut told: Told| {
        told.values_mut().for_each(|exchanges| exchanges.sort());
        told
    };
    let [ours, theirs] = [by_weir(&lines, &[HTTP2, NODE2])?, http2_by_tshark(&file)?].map(sorted);
    same("HTTP/2", &ours, &theirs, 280)?;
    let handshakes = tls_by_weir(&lines)?;
    assert_eq!(handshakes, tls_by_tshark(&file)?);
    assert_eq!(handshakes.len(), 8);
    Ok(())
}
