//! What loading costs: a policy that uses everything is in force within a moment, because the
//! kernel's verifier has few paths to follow.

use crate::kernel::{Kernel, Pins, settings};
use crate::memory::policy;
use crate::script::script;

/// Every feature at once, the sensor included, and some kinds of packets watched and let pass.
pub(crate) const EVERYTHING: &str = include_str!("../data/everything.toml");

/// Instructions that the verifier may follow in a program. It gives up at a million; a tenth of it
/// took 0.1 s when this was written.
const MOST_VERIFIED: u32 = 150_000;

#[test]
fn the_verifier_has_little_to_do() {
    let pins = Pins::new();
    let settings = settings(&pins);
    let policy = policy(&script("everything", EVERYTHING, Vec::new()));
    let mut kernel = Kernel::with(pins, settings, &policy);
    for effort in kernel.generation.efforts().expect("efforts") {
        let verified = effort.verified.expect("kernel 5.16 and later tell");
        assert!((1_000..MOST_VERIFIED).contains(&verified), "{effort:?}");
    }
}
