//! An address that moves from a client to the server and back: while it is the server's own, whoever
//! claims to come from it is refused; the moment it is not, it is a client like any other.

use std::time::Duration;

use anyhow::{Result, ensure};
use weir_tests::curl;
use weir_tests::lab::{Host, INTERFACE};
use weir_tests::reading::Reading;
use weir_tests::wait;

use crate::site::{self, PATIENCE, PORT};

const MOVING: [&str; 2] = ["192.0.2.200", "2001:db8:0:2::200"];

/// Whether the server answers these addresses of the client.
fn answered(client: &Host, server: &Host, sources: [&str; 2]) -> Result<[bool; 2]> {
    let mut answers = [false; 2];
    for (number, address) in server.addresses().into_iter().enumerate() {
        let url = site::url(address, PORT, "/");
        let arguments = ["--interface", sources[number], "--max-time", PATIENCE, url.as_str()];
        answers[number] = curl::one(client, &arguments)?.status == 200;
    }
    Ok(answers)
}

#[test]
fn own_addresses_are_followed_as_they_move() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    client.netns.ip(&format!("address add {}/24 dev {INTERFACE}", MOVING[0]))?;
    client.netns.ip(&format!("address add {}/64 dev {INTERFACE} nodad", MOVING[1]))?;
    let _nginx = site::nginx(&lab)?;
    let policy =
        format!("[[api]]\nname = \"orders\"\nlisten = [\"tcp/{PORT}\"]\nallow = \"any\"\n");
    let weir = site::weir(&lab, &policy)?;
    let back = || {
        wait::until("the address is a client's", Duration::from_secs(10), || {
            ensure!(answered(client, server, MOVING)? == [true; 2], "it is not answered");
            Ok(())
        })
    };
    back()?;

    server.netns.ip(&format!("address add {}/32 dev lo", MOVING[0]))?;
    server.netns.ip(&format!("address add {}/128 dev lo nodad", MOVING[1]))?;
    wait::until("the address is the server's own", Duration::from_secs(10), || {
        ensure!(answered(client, server, MOVING)? == [false; 2], "it is answered");
        let refused = Reading::now(&weir)?.kernel("__unclaimed__", "own_source");
        ensure!(refused >= 2, "{refused} packets were refused for it");
        Ok(())
    })?;
    let others = client.addresses().map(|address| address.to_string());
    let others = [others[0].as_str(), others[1].as_str()];
    assert_eq!(answered(client, server, others)?, [true; 2], "its other addresses");
    let explained =
        weir.verb(&["explain", MOVING[0], &server.v4().to_string(), "--dport", "8080"])?;
    assert_eq!(explained.code, 1, "{explained:?}");
    assert!(explained.stdout.contains("own_sources = \"drop\", the default"), "{explained:?}");

    server.netns.ip(&format!("address del {}/32 dev lo", MOVING[0]))?;
    server.netns.ip(&format!("address del {}/128 dev lo", MOVING[1]))?;
    back()
}
