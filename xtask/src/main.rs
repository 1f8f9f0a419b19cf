//! weir's chores.

#[allow(dead_code, reason = "used by setup")]
mod toolchain;

fn main() {}
