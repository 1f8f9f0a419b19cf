//! Keeps the kernel's verifier from following what does not matter.
//!
//! The verifier walks every path, and takes two paths for one only where all it knows of them is the
//! same. Where paths meet that differ in some constant (which header it was, which way of a cell)
//! these functions make it forget the constant, so that what follows is checked once and not once
//! for each combination. On other targets they do nothing.

/// The same number, of which the verifier then knows only that it is at most `MASK`.
///
/// The caller holds it to that: `MASK` is a power of two less one, and `number` is not above it.
/// `salt` is any value of whose low bits the verifier knows nothing, such as one just read from a
/// map: what is known survives masking, but not being mixed with it and back.
#[inline(always)]
pub fn forget<const MASK: usize>(number: usize, salt: u64) -> usize {
    const { assert!((MASK + 1).is_power_of_two()) };
    debug_assert!(number <= MASK);
    #[cfg(target_arch = "bpf")]
    {
        let mut number = number;
        // SAFETY: works on registers alone. Written as assembly because the compiler, which knows
        // better, would leave it out.
        unsafe {
            core::arch::asm!(
                "{0} ^= {1}",
                "{0} ^= {1}",
                "{0} &= {2}",
                inout(reg) number,
                in(reg) salt,
                const MASK as i32,
                options(pure, nomem, nostack)
            );
        }
        number
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        let _unused = salt;
        number
    }
}

/// The same number, at most `MASK`, a power of two less one. The compiler knows that already and would
/// leave a plain mask out; verifiers that forget what was on the stack (6.1) do not.
#[inline(always)]
pub fn bound<const MASK: usize>(number: usize) -> usize {
    const { assert!((MASK + 1).is_power_of_two()) };
    debug_assert!(number <= MASK);
    #[cfg(target_arch = "bpf")]
    {
        let mut number = number;
        // SAFETY: as in `forget`.
        unsafe {
            core::arch::asm!(
                "{0} &= {1}",
                inout(reg) number,
                const MASK as i32,
                options(pure, nomem, nostack)
            );
        }
        number
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        number
    }
}

/// The same number, of which the verifier then knows nothing. `salt` is as for [`forget`].
#[inline(always)]
pub fn forget_all(number: u64, salt: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut number = number;
        // SAFETY: as in `forget`.
        unsafe {
            core::arch::asm!(
                "{0} ^= {1}",
                "{0} ^= {1}",
                inout(reg) number,
                in(reg) salt,
                options(pure, nomem, nostack)
            );
        }
        number
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        let _unused = salt;
        number
    }
}

/// The same flag, of which the verifier then knows nothing.
#[inline(always)]
pub fn forget_flag(flag: bool, salt: u64) -> bool {
    forget::<1>(flag as usize, salt) != 0
}
