//! `tcp/8080`, `203.0.113.5:tcp/8443`, `[2001:db8::5]:tcp/8443`.

use std::net::IpAddr;

use crate::policy::model::{Listen, Port, Protocol};
use crate::text::{Problem, nearest};

const EXAMPLE: &str =
    "write tcp/8080, 203.0.113.5:tcp/8443 or [2001:db8::5]:tcp/8443 (udp likewise)";

/// Parses a listen.
pub(super) fn listen(text: &str) -> Result<Listen, Problem> {
    // The last colon before the protocol ends the address; a port has none.
    let Some((address, rest)) = text.rsplit_once(':') else {
        return Ok(Listen { port: port(text)?, address: None });
    };
    let port = port(rest).map_err(|problem| match numeric(rest) {
        // 203.0.113.5:8443, the order of other programs.
        true => Problem::new(format!("\"{}\" names no protocol", text.escape_debug()), {
            format!("write {address}:tcp/{rest}")
        }),
        false => problem,
    })?;
    let bare = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    let parsed = bare.unwrap_or(address).parse::<IpAddr>().map_err(|_| {
        Problem::new(
            format!("\"{}\" is not an address", address.escape_debug()),
            format!("{EXAMPLE}; names are not resolved"),
        )
    })?;
    let spec = rest;
    match parsed {
        _ if parsed.is_unspecified() => Err(Problem::new(
            format!("\"{}\" is every address", text.escape_debug()),
            format!("write {spec}: it covers every IPv4 and IPv6 address"),
        )),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            let v4 = v6.to_canonical();
            Err(Problem::new(
                format!("\"{address}\" is an IPv4-mapped address, which no packet carries"),
                format!("write {v4}:{spec}"),
            ))
        }
        IpAddr::V6(v6) if bare.is_none() => Err(Problem::new(
            format!("\"{}\" needs brackets around its address", text.escape_debug()),
            format!("write [{v6}]:{spec}"),
        )),
        IpAddr::V4(v4) if bare.is_some() => Err(Problem::new(
            format!("\"{}\" has brackets around an IPv4 address", text.escape_debug()),
            format!("write {v4}:{spec}"),
        )),
        address => Ok(Listen { port, address: Some(address) }),
    }
}

/// Parses a protocol and a port, `tcp/22`.
pub(super) fn port(text: &str) -> Result<Port, Problem> {
    let shown = text.escape_debug();
    let Some((protocol, number)) = text.split_once('/') else {
        let hint = match numeric(text) {
            true => format!("write tcp/{text} or udp/{text}"),
            false => EXAMPLE.to_owned(),
        };
        return Err(Problem::new(format!("\"{shown}\" names no protocol and port"), hint));
    };
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        other => {
            let hint = match nearest(other, ["tcp", "udp"]).filter(|_| other.len() == 3) {
                Some(near) => format!("write {near}/{number}"),
                None => "protocols with ports are tcp and udp".to_owned(),
            };
            let message = format!("unknown protocol `{}`", other.escape_debug());
            return Err(Problem::new(message, hint));
        }
    };
    let value = number.parse::<u16>().ok().filter(|value| *value != 0 && numeric(number));
    match value {
        Some(port) => Ok(Port { protocol, port }),
        None if number.contains(['-', ',']) => Err(Problem::new(
            format!("\"{shown}\" is not one port"),
            "write each port as an entry of its own",
        )),
        None => Err(Problem::new(
            format!("\"{}\" is not a port", number.escape_debug()),
            "a port is a number from 1 to 65535",
        )),
    }
}

fn numeric(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listens() {
        type Found = (Protocol, u16, Option<&'static str>);
        let rows: &[(&str, Result<Found, &str>)] = &[
            ("tcp/8080", Ok((Protocol::Tcp, 8080, None))),
            ("udp/53", Ok((Protocol::Udp, 53, None))),
            ("tcp/65535", Ok((Protocol::Tcp, 65535, None))),
            ("203.0.113.5:tcp/8443", Ok((Protocol::Tcp, 8443, Some("203.0.113.5")))),
            ("[2001:db8::5]:tcp/8443", Ok((Protocol::Tcp, 8443, Some("2001:db8::5")))),
            ("tcp/0", Err("1 to 65535")),
            ("tcp/65536", Err("1 to 65535")),
            ("tcp/+80", Err("1 to 65535")),
            ("tcp/", Err("1 to 65535")),
            ("tcp/http", Err("1 to 65535")),
            ("tcp/80-90", Err("each port")),
            ("TCP/80", Err("write tcp/80")),
            ("tpc/80", Err("write tcp/80")),
            ("sctp/80", Err("tcp and udp")),
            ("icmp/80", Err("tcp and udp")),
            ("8080", Err("write tcp/8080 or udp/8080")),
            ("", Err("write tcp/8080")),
            ("203.0.113.5:8443", Err("write 203.0.113.5:tcp/8443")),
            ("0.0.0.0:tcp/80", Err("write tcp/80")),
            ("[::]:tcp/80", Err("write tcp/80")),
            ("2001:db8::5:tcp/80", Err("write [2001:db8::5]:tcp/80")),
            ("[203.0.113.5]:tcp/80", Err("write 203.0.113.5:tcp/80")),
            ("[::ffff:203.0.113.5]:tcp/80", Err("write 203.0.113.5:tcp/80")),
            ("example.org:tcp/80", Err("names are not resolved")),
            (":tcp/80", Err("names are not resolved")),
            ("tcp/80:", Err("write tcp/8080")),
        ];
        for (text, expected) in rows {
            match (listen(text), expected) {
                (Ok(found), Ok((protocol, number, address))) => {
                    let address = address.map(|text| text.parse().expect("an address"));
                    let port = Port { protocol: *protocol, port: *number };
                    assert_eq!(found, Listen { port, address }, "{text}");
                }
                (Err(problem), Err(hint)) => {
                    assert!(problem.hint.contains(hint), "{text}: {problem:?}");
                }
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }
}
