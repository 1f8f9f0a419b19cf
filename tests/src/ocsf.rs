//! Whether events are what OCSF's own schema says, by a validator that is not weir's.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::process;

/// Checks each line of a file against a class of a version, without profiles.
const SCRIPT: &str = r#"
import json, sys
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
file, version, name = sys.argv[1:]
schemas = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=version))
validator = Draft202012Validator(schemas.get_class_schema(class_name=name, profiles=[]))
lines = open(file).read().splitlines()
for number, line in enumerate(lines, 1):
    for error in validator.iter_errors(json.loads(line)):
        place = "/".join(map(str, error.path))
        print(f"line {number}: {place}: {error.message[:300]}")
print(len(lines), "lines", file=sys.stderr)
"#;

/// Checks the events of a file, one a line; complaints are the error. Returns how many there are.
pub fn check(file: &Path, version: &str, class: &str) -> Result<usize> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python");
    ensure!(
        tools.join("ocsf_json_schema").is_dir(),
        "no schema of OCSF in {}: run `cargo xtask setup --for test`",
        tools.display()
    );
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", &tools).args(["-c", SCRIPT]).arg(file).args([version, class]);
    let output = process::run(&mut python, Duration::from_secs(60))?.expect_code(0)?;
    if !output.stdout.is_empty() {
        bail!("{} is not OCSF {version}:\n{}", file.display(), output.stdout);
    }
    let count = output.stderr.split_whitespace().next().and_then(|word| word.parse().ok());
    count.ok_or_else(|| anyhow::anyhow!("the validator says {}", output.stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_validator_refuses() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("bad.jsonl");
        std::fs::write(&file, "{\"class_uid\":2004}\n").expect("writes");
        let refused = check(&file, "1.3.0", "detection_finding").expect_err("is not right");
        assert!(format!("{refused:#}").contains("'finding_info' is a required"), "{refused:#}");
    }
}
