//! Whoever may write to the maps can change what is enforced: whichever table it is, it is found, and
//! so is its end.

use aya::maps::{Array, Map, MapData};
use aya::programs::loaded_programs;
use filter_user::kernel::whole::Whole;
use filter_user::policy::compile;

use crate::kernel::Kernel;
use crate::loading::EVERYTHING;
use crate::memory::policy;
use crate::script::script;

/// Steps in which every cell of a policy of a few prefixes is compared.
const STEPS: usize = 12;

/// A map of a loaded program, as any process with the right to may open it.
fn open(program: u32, name: &str) -> MapData {
    let known = |found: &aya::programs::ProgramInfo| found.id() == program;
    let program = loaded_programs().flatten().find(known).expect("the program");
    let ids = program.map_ids().expect("ids of maps").expect("a kernel that tells them");
    ids.into_iter()
        .map(|id| MapData::from_id(id).expect("a map"))
        .find(|data| data.info().expect("a map").name_as_str() == Some(name))
        .unwrap_or_else(|| panic!("no map {name}"))
}

/// Flips a bit of a cell of so many words in a table that is one value.
fn flip_in_value<const N: usize>(data: &MapData, index: u32) {
    let table = Whole::<u64>::of("a table", data).expect("one value");
    let mut words = table.read().expect("its words");
    words[N * (index as usize + 1) - 1] ^= 1 << 40;
    table.fill(&words, 0).expect("the kernel takes it");
}

/// The same where a cell is 16 bits.
fn flip_port(data: &MapData, index: u32) {
    let table = Whole::<u16>::of("the ports", data).expect("one value");
    let mut cells = table.read().expect("its cells");
    cells[index as usize] ^= 1 << 9;
    table.fill(&cells, 0).expect("the kernel takes it");
}

/// Flips a bit of a cell of so many words.
fn flip<const N: usize>(data: MapData, index: u32) {
    let mut cells: Array<_, [u64; N]> = Map::Array(data).try_into().expect("an array");
    let mut words = cells.get(&index, 0).expect("a cell");
    words[N - 1] ^= 1 << 40;
    cells.set(index, words, 0).expect("the kernel takes it");
}

#[test]
fn a_changed_cell_of_any_table_is_found() {
    let script = script("everything", EVERYTHING, Vec::new());
    let mut kernel = Kernel::open(&script);
    let image = compile(&policy(&script), &mut kernel.state.ids()).expect("compiles");
    let [ingress, _] = kernel.generation.efforts().expect("efforts");
    let differing = |kernel: &Kernel| {
        let entries = kernel.generation.entries(&image);
        let differ = entries.iter().filter(|entry| entry.enforced < entry.desired);
        differ.map(|entry| (entry.kind, entry.desired - entry.enforced)).collect::<Vec<_>>()
    };
    type Flip = fn(MapData, u32);
    let rows: [(&str, &str, Flip, usize); 10] = [
        (".bss.apis", "apis", |data, at| flip_in_value::<8>(&data, at), image.apis.len()),
        (".bss.rules", "rules", |data, at| flip_in_value::<1>(&data, at), image.rules.len()),
        (
            ".bss.profiles",
            "limits",
            |data, at| flip_in_value::<12>(&data, at),
            image.profiles.len(),
        ),
        ("LISTENS", "listens", flip::<3>, image.listens.len()),
        (".bss.ports", "ports", |data, at| flip_port(&data, at), image.ports.len()),
        ("CLASS_GROUPS", "groups", flip::<4>, image.class_groups.len()),
        ("V4_TOP", "sources", flip::<1>, image.v4_top.len()),
        ("V6_ROOT", "sources", flip::<1>, image.v6_root.len()),
        ("ENTRIES", "sources", flip::<1>, image.entries.len()),
        ("NODES", "sources", flip::<5>, image.nodes.len()),
    ];
    for (map, kind, flip, cells) in rows {
        let last = u32::try_from(cells).expect("a table") - 1;
        assert!(last > 0, "{map} has one cell only");
        for (place, expected) in [(0, 1), (last, 2), (0, 1), (last, 0)] {
            flip(open(ingress.id, map), place);
            (0..2 * STEPS).for_each(|_| kernel.generation.compare(&image));
            let expected = if expected == 0 { vec![] } else { vec![(kind, expected)] };
            assert_eq!(differing(&kernel), expected, "{map}, cell {place}");
        }
    }
}
