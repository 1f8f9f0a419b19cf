//! smoke
use filter_user::image::Image;
use filter_user::kernel::{
    generation::Generation,
    state::{Settings, State},
};
fn main() {
    let settings = Settings {
        pins: "/sys/fs/bpf/smoke".into(),
        max_apis: 256,
        max_bans: 65536,
        sources: 262144,
        ring_bytes: 1 << 24,
        snap: 4096,
        sample: 1.0,
        log: std::env::var("LOG").is_ok(),
    };
    let mut state = State::open(settings).unwrap_or_else(|e| panic!("{e}"));
    println!("tick {:?} notes {:?}", state.tick(), state.notes);
    use filter_common::tables::feature as f;
    for features in [
        0,
        f::ENFORCE
            | f::APIS
            | f::LISTENS
            | f::V4_CLASSES
            | f::V6_CLASSES
            | f::TRUSTED
            | f::TRUSTED_PORTS
            | f::TRUSTED_INTERFACES
            | f::UNCLAIMED_DROP
            | f::LIMITS
            | f::LIMIT_BYTES
            | f::LIMIT_CONNECTIONS
            | f::LIMIT_SHARED,
    ] {
        let image = Image { shortest_burst: 1_000_000_000, features, ..Image::default() };
        let t = std::time::Instant::now();
        match Generation::load(&mut state, &image) {
            Ok(mut g) => {
                println!("loaded {} in {:?}", g.number, t.elapsed());
                let mut frame = [0u8; 64];
                frame[12] = 8;
                frame[14] = 0x45;
                frame[17] = 50;
                frame[23] = 17;
                frame[26] = 10;
                frame[30] = 10;
                frame[36] = 1;
                frame[39] = 30;
                for _ in 0..3 {
                    println!("{:?}", g.try_ingress(&frame, 1_000_000).unwrap());
                }
            }
            Err(e) => println!("{e}"),
        }
    }
    println!("{:?}", state.counters.of(0));
    for s in filter_common::stat::Stat::ALL {
        println!("{} {}", s.name(), state.counters.stat(*s).unwrap());
    }
    filter_user::kernel::attach::detach(std::path::Path::new("/sys/fs/bpf/smoke")).unwrap();
}
