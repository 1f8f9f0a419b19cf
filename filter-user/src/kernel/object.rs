//! The compiled kernel half, and the sizes of its tables that are sections.
//!
//! A table that the program addresses directly is a `.bss` section, which the loader makes into a map
//! of one value. How large it is to be only the policy tells, so the size is written into a copy of the
//! object before it is loaded.

use super::error::{Error, Result};

/// The compiled kernel half.
pub(super) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/weir.bpf.o"));

/// SHA-256 over the compiled kernel half, in hex.
pub fn hash() -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(OBJECT).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The object with these sections of so many bytes, by name.
pub(super) fn with_sizes(sizes: &[(&str, usize)]) -> Result<Vec<u8>> {
    let mut object = OBJECT.to_vec();
    for (name, bytes) in sizes {
        resize(&mut object, name, *bytes as u64)
            .ok_or_else(|| Error::new(format!("the object has no section {name}")))?;
    }
    Ok(object)
}

// What is needed of an ELF64 file in little-endian order (System V ABI, "Object Files"): where the file
// header says that the section headers are, and a section header's fields.
const SECTION_HEADERS: usize = 0x28;
const SECTION_HEADER_BYTES: usize = 0x3a;
const SECTIONS: usize = 0x3c;
const NAMES_SECTION: usize = 0x3e;
const NAME: usize = 0;
const TYPE: usize = 4;
const OFFSET: usize = 0x18;
const SIZE: usize = 0x20;
/// A section that takes no room in the file.
const NOBITS: u32 = 8;

/// Gives a section that takes no room in the file another size; `None` when there is none of this name.
fn resize(object: &mut [u8], name: &str, bytes: u64) -> Option<()> {
    let table = usize::try_from(u64::from_le_bytes(field(object, SECTION_HEADERS)?)).ok()?;
    let each = usize::from(u16::from_le_bytes(field(object, SECTION_HEADER_BYTES)?));
    let sections = usize::from(u16::from_le_bytes(field(object, SECTIONS)?));
    let names = usize::from(u16::from_le_bytes(field(object, NAMES_SECTION)?));
    let header = |number: usize| table.checked_add(number.checked_mul(each)?);
    let names = u64::from_le_bytes(field(object, header(names)?.checked_add(OFFSET)?)?);
    let names = usize::try_from(names).ok()?;
    for number in 0..sections {
        let header = header(number)?;
        let at = u32::from_le_bytes(field(object, header.checked_add(NAME)?)?) as usize;
        let found = object.get(names.checked_add(at)?..)?;
        let is_it = found.starts_with(name.as_bytes()) && found.get(name.len()) == Some(&0);
        if !is_it || u32::from_le_bytes(field(object, header.checked_add(TYPE)?)?) != NOBITS {
            continue;
        }
        let size = header.checked_add(SIZE)?;
        object.get_mut(size..size.checked_add(8)?)?.copy_from_slice(&bytes.to_le_bytes());
        return Some(());
    }
    None
}

fn field<const N: usize>(object: &[u8], at: usize) -> Option<[u8; N]> {
    object.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_gets_another_size_and_nothing_else_changes() {
        let changed = with_sizes(&[(".bss.apis", 640)]).expect("a section");
        assert_eq!(changed.len(), OBJECT.len());
        let differ: Vec<_> =
            changed.iter().zip(OBJECT).filter(|(now, before)| now != before).collect();
        assert_eq!(differ, [(&0x80, &0x40), (&0x02, &0x00)], "640 and 64, the lowest byte first");
    }

    #[test]
    fn what_is_no_such_section_or_no_object_is_refused() {
        for name in [".bss.apiss", ".bss.api", ".text", "", "maps"] {
            assert!(with_sizes(&[(name, 8)]).is_err(), "{name}");
        }
        for length in [0, 1, 0x3f, 0x40, OBJECT.len() / 2] {
            assert_eq!(resize(&mut OBJECT[..length].to_vec(), ".bss.apis", 8), None);
        }
        assert_eq!(resize(&mut [0xff; 4096], ".bss.apis", 8), None);
    }
}
