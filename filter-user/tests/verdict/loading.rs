//! What loading costs: a policy that uses everything is in force within a moment, because the
//! kernel's verifier has few paths to follow.

use crate::kernel::{Kernel, Pins, settings};
use crate::memory::policy;
use crate::script::script;

/// Every feature at once, the sensor included, and some kinds of packets watched and let pass.
pub(crate) const EVERYTHING: &str = r#"
[trusted]
cidrs = ["192.0.2.76/30", "2001:db8:bad::/64"]
ports = ["tcp/22", "tcp/7071"]
interfaces = ["lo"]
[unclaimed]
action = "drop"
[packets]
vlan_depth = "pass"
bad_transport = "monitor"
ipv4_options = "drop"
ipv6_extensions = "monitor"
first_fragments = "monitor"
later_fragments = "drop"
[groups.partners]
cidrs = ["198.51.100.0/24", "2001:db8:1::/48", "10.0.0.0/9"]
[groups.listed]
cidrs = ["198.51.100.64/26", "2001:db8:1:bad::/64", "172.16.0.0/12", "10.1.2.3"]
[groups.cdn]
cidrs = ["203.0.113.0/24", "2001:db8:cd::/48"]
[[api]]
name = "web"
listen = ["tcp/8080", "udp/8080", "203.0.113.5:tcp/8443", "[2001:db8:5::5]:tcp/8443"]
allow = ["partners", "cdn"]
deny = ["listed"]
proxies = ["cdn"]
limit = { packets = "1000000/s", bytes = "100GB/s", connections = "1000000/s", burst = "24h" }
limit_for.cdn = { packets = "1000000/s", burst = "24h", per = "group" }
limit_total = { packets = "1000000/s", bytes = "100GB/s", connections = "1000000/s", burst = "24h" }
[[api]]
name = "elsewhere"
listen = ["tcp/8443", "203.0.113.5:udp/53"]
allow = "any"
overflow = "pass"
[[api]]
name = "watched"
listen = ["tcp/9090", "udp/9090"]
allow = ["partners"]
deny = ["listed"]
mode = "monitor"
[[api]]
name = "secret"
kind = "opaque"
listen = ["tcp/22"]
allow = "any"
deny = ["listed"]
overflow = "drop"
"#;

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
