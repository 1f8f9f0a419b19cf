//! From a packet to a record in the ring: what is taken, what is in it, and that nothing is lost
//! without being counted.

mod flows;
mod notices;
mod records;
mod turns;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use filter_common::record::Header;
use filter_common::stat::Stat;
use filter_user::kernel::ring::{Positions, Reader, Received};
use filter_user::kernel::state::Settings;

use crate::frame::{ACK, Frame, PSH, tcp};
use crate::kernel::{Kernel, PASS, Pins, settings};
use crate::memory::policy;
use crate::script::script;

const POLICY: &str = r#"
[groups.partners]
cidrs = ["198.51.100.0/24", "2001:db8:1::/48", "10.0.0.0/8"]
[[api]]
name = "web"
listen = ["tcp/8080", "udp/8080"]
allow = ["partners"]
[[api]]
name = "watched"
listen = ["tcp/9090"]
allow = ["partners"]
mode = "monitor"
[[api]]
name = "secret"
kind = "opaque"
listen = ["tcp/22"]
allow = "any"
"#;

/// A kernel with a reader of its ring.
struct Sensor {
    kernel: Kernel,
    reader: Reader,
    received: Arc<Received>,
    positions: Positions,
}

/// A record: its header, its payload, and how many were lost just before it.
type Record = (Header, Vec<u8>, u64);

impl Sensor {
    fn open(change: impl FnOnce(&mut Settings)) -> Self {
        stay_on_this_cpu();
        let pins = Pins::new();
        let mut settings = settings(&pins);
        change(&mut settings);
        let mut kernel = Kernel::with(pins, settings, &policy(&script("sampling", POLICY, vec![])));
        let received = Arc::new(Received::default());
        let ring = kernel.state.take_ring().expect("the ring");
        let (reader, positions) = Reader::new(ring, Arc::clone(&received)).expect("a reader");
        Self { kernel, reader, received, positions }
    }

    /// A packet comes in; whether it passes.
    fn comes_in(&mut self, frame: &Frame) -> bool {
        let trial = self.kernel.generation.try_ingress(&frame.bytes(), 1);
        trial.unwrap_or_else(|e| panic!("{e}")).action == PASS
    }

    fn goes_out(&mut self, frame: &Frame) {
        let trial = self.kernel.generation.try_egress(&frame.bytes());
        trial.unwrap_or_else(|e| panic!("{e}"));
    }

    /// All records that wait.
    fn records(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        self.reader.drain(usize::MAX, |header, payload, lost| {
            records.push((*header, payload.to_vec(), lost));
        });
        assert_eq!(self.received.decode_errors.load(Ordering::Relaxed), 0);
        assert_eq!(self.positions.pending(), 0, "the ring is read to its end");
        records
    }

    fn stat(&self, stat: Stat) -> u64 {
        self.kernel.stat(stat)
    }

    /// Attempted, submitted, dropped, sampled out: the first is the sum of the others.
    fn outcomes(&self) -> [u64; 4] {
        let all = [Stat::Attempted, Stat::Submitted, Stat::Dropped, Stat::SampledOut]
            .map(|stat| self.stat(stat));
        assert_eq!(all[0], all[1] + all[2] + all[3], "{all:?}");
        all
    }

    fn api(&self, name: &str) -> u32 {
        self.kernel.state.ids_ref().find_api(name).expect("an API")
    }
}

/// Records are numbered for each processor: one is enough here.
fn stay_on_this_cpu() {
    // SAFETY: an all-zero set is empty.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: no arguments.
    let cpu = usize::try_from(unsafe { libc::sched_getcpu() }).expect("a processor");
    // SAFETY: the set is this function's own.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the set is valid for its size; 0 is this thread.
    let done = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    assert_eq!(done, 0);
}

fn data(source: &str, port: u16, payload: &[u8]) -> Frame {
    tcp(source, port, ACK | PSH).carrying(payload)
}
