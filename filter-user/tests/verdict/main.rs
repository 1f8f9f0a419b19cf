//! The verdict, row by row, from one table judged twice: by the shared code over a compiled policy
//! in memory, and by the loaded programs in the kernel (root, `BPF_PROG_TEST_RUN`). A row says what
//! becomes of a packet, why, for which API, and which one counter changes. And what the programs put
//! into the ring.
//!
//! How packets get to the programs, and what the sensor makes of the records, is left to others.

mod agreement;
mod differential;
mod frame;
mod kernel;
mod loading;
mod memory;
mod naive;
mod rows;
mod sampling;
mod script;

macro_rules! topics {
    ($($topic:ident)+) => {
        $(
            mod $topic {
                #[test]
                fn in_memory() {
                    crate::script::run(crate::rows::$topic::scripts(), crate::memory::Memory::open);
                }

                #[test]
                fn in_the_kernel() {
                    crate::script::run(crate::rows::$topic::scripts(), crate::kernel::Kernel::open);
                }
            }
        )+
    };
}

topics! { parse lengths extensions fragments trusted bans orders rules unclaimed limits overflow observe oddities }
