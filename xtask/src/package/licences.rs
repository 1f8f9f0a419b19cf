//! The licence texts of the crates that are linked into the binary.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;

/// Names of files that hold such texts begin with one of these.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "UNLICENSE"];

/// All of them, the same text once.
pub(super) fn collect() -> Result<String> {
    let text = process::answer(process::cargo().args([
        "metadata",
        "--format-version=1",
        "--locked",
        "--filter-platform",
        "x86_64-unknown-linux-gnu",
    ]))
    .context("`cargo metadata` failed")?;
    let metadata: Value = serde_json::from_str(&text).context("cargo metadata is not JSON")?;
    let linked = linked(&metadata, "filter-user").context("cargo metadata lacks filter-user")?;
    let mut page = String::from("Crates that are linked into weir, and their licences.\n\n");
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in linked {
        let field = |name: &str| package[name].as_str().unwrap_or("not given");
        let crate_name = format!("{} {}", field("name"), field("version"));
        let _ = writeln!(page, "{crate_name}: {}", field("license"));
        let directory = Path::new(field("manifest_path")).parent().unwrap_or(Path::new("."));
        for text in found(directory) {
            texts.entry(text).or_default().push(crate_name.clone());
        }
    }
    for (text, crates) in texts {
        let _ =
            write!(page, "\n{}\n{}\n\n{}\n", "-".repeat(78), crates.join(", "), text.trim_end());
    }
    Ok(page)
}

/// Packages from elsewhere that a member of the workspace is linked with: not those that only its
/// tests or its build need.
fn linked<'a>(metadata: &'a Value, member: &str) -> Option<Vec<&'a Value>> {
    let packages = metadata["packages"].as_array()?;
    let by_id: BTreeMap<&str, &Value> =
        packages.iter().filter_map(|package| Some((package["id"].as_str()?, package))).collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()?
        .iter()
        .filter_map(|node| Some((node["id"].as_str()?, node)))
        .collect();
    let (root, _) = by_id.iter().find(|(_, package)| package["name"] == member)?;
    let (mut left, mut seen) = (vec![*root], BTreeMap::new());
    while let Some(id) = left.pop() {
        let (Some(package), Some(node)) = (by_id.get(id), nodes.get(id)) else { continue };
        if seen.insert(id, *package).is_some() {
            continue;
        }
        for dependency in node["deps"].as_array().into_iter().flatten() {
            let kinds = dependency["dep_kinds"].as_array();
            let usual = kinds.into_iter().flatten().any(|kind| kind["kind"].is_null());
            left.extend(dependency["pkg"].as_str().filter(|_| usual));
        }
    }
    Some(seen.into_values().filter(|package| !package["source"].is_null()).collect())
}

/// The texts in a directory.
fn found(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let is_text = |path: &std::path::PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        NAMES.iter().any(|known| name.to_ascii_uppercase().starts_with(known)) && path.is_file()
    };
    paths.iter().filter(|path| is_text(path)).flat_map(std::fs::read_to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_linked_counts() {
        let package = |name: &str, source: Value| serde_json::json!({"id": name, "name": name, "source": source});
        let dependency = |name: &str, kind: Value| serde_json::json!({"pkg": name, "dep_kinds": [{"kind": kind}]});
        let node = |name: &str, deps: Vec<Value>| serde_json::json!({"id": name, "deps": deps});
        let metadata = serde_json::json!({
            "packages": [
                package("weir", Value::Null), package("half", Value::Null),
                package("linked", "registry".into()), package("below", "registry".into()),
                package("tests", "registry".into()), package("build", "registry".into()),
            ],
            "resolve": {"nodes": [
                node("weir", vec![
                    dependency("half", Value::Null), dependency("tests", "dev".into()),
                    dependency("build", "build".into()),
                ]),
                node("half", vec![dependency("linked", Value::Null)]),
                node("linked", vec![dependency("below", Value::Null)]),
                node("below", vec![]), node("tests", vec![]), node("build", vec![]),
            ]},
        });
        let names: Vec<_> = linked(&metadata, "weir")
            .expect("the member is there")
            .iter()
            .filter_map(|package| package["name"].as_str())
            .collect();
        assert_eq!(names, ["below", "linked"]);
        assert!(linked(&metadata, "nobody").is_none());
    }
}
