//! What an apply says of a policy's size, memory and cost.

use anyhow::{Context, Result};
use weir_tests::reading::Reading;

use crate::site;

/// What a policy of 1,000 prefixes may take in the kernel, without ring and limiter.
const MOST: u64 = 64 << 20;

#[test]
fn memory_and_cost_are_told_and_nothing_is_counted() -> Result<()> {
    let lab = site::lab()?;
    let base = site::orders(&lab, r#"limit = { packets = "6/min", burst = "10s" }"#)?;
    let weir = site::weir(&lab, &base)?;
    let before = Reading::at_rest(&weir)?;
    let prefixes: Vec<_> =
        (0..1_000).map(|n| format!("10.{}.{}.{}/32", n / 100, n % 256, n % 199)).collect();
    site::write(&lab, "feed.txt", &prefixes.join("\n"))?;
    let text = format!(
        "{}[[api]]\nname = \"open\"\nlisten = [\"udp/53\"]\nallow = \"any\"\n\
         [groups.listed]\nfiles = [\"feed.txt\"]\n",
        base.replace("allow = [\"clients\"]\n", "allow = [\"clients\"]\ndeny = [\"listed\"]\n"),
    );
    let path = site::write(&lab, "larger.toml", &text)?;

    let told =
        serde_json::from_str::<serde_json::Value>(&weir.verb(&["diff", &path, "--json"])?.stdout)?;
    let applied = weir.json(&["apply", &path])?;
    for (told, added) in [(&told, &told["added"]), (&applied, &applied["difference"]["added"])] {
        assert_eq!(*added, serde_json::json!(["open"]), "{told}");
        let size = &told["size"];
        assert_eq!(size["prefixes_v4"], serde_json::json!({"before": 1, "after": 1001}), "{told}");
        assert_eq!(size["apis"], serde_json::json!({"before": 1, "after": 2}), "{told}");
        let memory = |name: &str| {
            size["memory"][name].as_u64().with_context(|| format!("no {name} in {told}"))
        };
        let steady = memory("tables")? + memory("programs")? + memory("state")?;
        assert!((32 << 20..MOST).contains(&steady), "{told}");
        assert_eq!(memory("total")?, steady + memory("limiter")? + memory("ring")?, "{told}");
        assert!(memory("peak")? > memory("total")?, "{told}");
        let cost = &size["cost"];
        assert!(cost["empty_ns"].as_u64() > Some(0), "{told}");
        let packets: Vec<_> = cost["packets"].as_array().into_iter().flatten().collect();
        // Limits that are spent at once would show as another reason.
        for (family, reason) in [("ipv4", "allowed"), ("ipv4", "not_allowed"), ("ipv6", "allowed")]
        {
            assert!(
                packets.iter().any(|cost| cost["family"] == family && cost["reason"] == reason),
                "{family} {reason}: {told}"
            );
        }
    }
    let text = weir.verb(&["apply", &path])?.success()?;
    for words in ["1001 IPv4 prefixes", "in the kernel: tables", "ns IPv4 allowed"] {
        assert!(text.contains(words), "{text}");
    }
    let after = Reading::at_rest(&weir)?;
    assert_eq!(before.kernel("orders", "allowed"), after.kernel("orders", "allowed"));
    assert_eq!(before.kernel("orders", "not_allowed"), after.kernel("orders", "not_allowed"));
    assert!(!weir.pins().join("forecast").exists(), "the trial left its pins");
    Ok(())
}
