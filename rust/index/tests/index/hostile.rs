//! A file with correct checksums and wrong content is refused as damaged, without a crash and
//! without more memory than the file is long.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tiercel_index::{CodecKind, Dtype, Filter, Index, LoadError, Metric, Options, SearchSettings, Storage};

use crate::common::container::{Container, Tag};
use crate::common::data::{Random, clustered};
use crate::common::{FLAT, add, built, exact, optimize, options, search};

const ROWS: usize = FLAT + 64;
const DIM: usize = 3;
const REMOVED: u64 = 77;

/// A file with something in every section.
static WHOLE: LazyLock<Container> = LazyLock::new(|| {
    let vectors = clustered(ROWS, DIM, 20, 1);
    let storage = Storage::Codes(CodecKind::Sq8);
    let index = built(Options { m: 2, ef_construction: 20, storage, ..options(DIM, Metric::L2) }, &vectors);
    assert_eq!(index.delete(&[REMOVED]), 1);
    let file = Container::of(&index.to_bytes().unwrap());
    assert!(file.tags().into_iter().all(|tag| !file.section(tag).is_empty()));
    file
});

fn refused(what: &str, file: &Container) {
    match Index::from_bytes(&file.seal()) {
        Err(LoadError::Corrupt(_)) => {}
        Err(other) => panic!("{what}: {other}"),
        Ok(_) => panic!("{what}: taken for an index"),
    }
}

/// Return the whole file with some bytes of a section replaced.
fn patched(tag: Tag, at: usize, bytes: &[u8]) -> Container {
    let mut file = WHOLE.clone();
    file.patch(tag, at, bytes);
    file
}

fn number(tag: Tag, at: usize) -> u32 {
    u32::from_le_bytes(WHOLE.section(tag)[at..at + 4].try_into().expect("4 bytes"))
}

#[test]
fn the_container_is_as_documented() {
    let file = WHOLE.seal();
    let index = Index::from_bytes(&file).expect("an index");
    assert!(index.to_bytes().unwrap() == file);
    assert_eq!(index.len(), ROWS - 1);
}

#[test]
fn options_and_kinds() {
    for (what, at, values) in [
        ("dim", 0, &[0, DIM as u32 - 1, DIM as u32 + 1, 32_769, u32::MAX][..]),
        ("m", 8, &[0, 1, 9, 100, 513, u32::MAX]),
        ("ef_construction", 12, &[0, 65_537, u32::MAX]),
    ] {
        for value in values {
            refused(&format!("{what} {value}"), &patched(*b"META", at, &value.to_le_bytes()));
        }
    }
    for (what, at, kinds) in [("metric", 4, 3u8), ("dtype", 5, 2), ("storage", 6, 4), ("coding", 7, 4)] {
        for kind in [kinds, 128, 255] {
            refused(&format!("{what} {kind}"), &patched(*b"META", at, &[kind]));
        }
    }
    refused("half precision", &patched(*b"META", 5, &[1]));
    for coding in [0, 1] {
        refused(&format!("coding {coding} with 8-bit codes"), &patched(*b"META", 7, &[coding]));
    }
}

#[test]
fn a_storage_in_use_that_was_not_asked_for() {
    // With three values, a row of either codec takes one cache line, so that no length differs.
    refused("4-bit codes where 8-bit ones were requested", &patched(*b"META", 7, &[2]));
    refused("8-bit codes where 4-bit ones were requested", &patched(*b"META", 6, &[1]));
}

#[test]
fn counts_that_disagree() {
    let (rows, levels) = (ROWS as u64, number(*b"META", 40));
    for (what, at, values) in [
        ("slots", 24, &[0, 1, rows - 1, rows + 1, rows + 64, 1 << 31, 1 << 40, u64::MAX / 8, u64::MAX][..]),
        ("linked", 32, &[0, rows - 1, rows + 1, 1 << 32, u64::MAX]),
        ("next", 48, &[0, rows - 1]),
        ("trained", 56, &[rows + 1, u64::MAX]),
    ] {
        for value in values {
            refused(&format!("{what} {value}"), &patched(*b"META", at, &value.to_le_bytes()));
        }
    }
    for value in [0, 1, levels - 1, levels + 1, 1 << 31, u32::MAX] {
        refused(&format!("{value} levels"), &patched(*b"META", 40, &value.to_le_bytes()));
    }
    for (what, at) in [("surveyed", 0), ("checked", 8)] {
        for value in [rows + 1, u64::MAX] {
            refused(&format!("{what} {value}"), &patched(*b"last", at, &value.to_le_bytes()));
        }
    }
    for value in [rows as u32 + 1, u32::MAX] {
        refused(&format!("{value} ranked"), &patched(*b"rank", 0, &value.to_le_bytes()));
        refused(&format!("rank {value}"), &patched(*b"rank", 4, &value.to_le_bytes()));
    }
    let nodes = u64::from(number(*b"LEVL", 0));
    for value in [0, nodes - 1, nodes + 1, rows, rows + 1, u64::MAX / 18, u64::MAX] {
        refused(&format!("{value} nodes at level 1"), &patched(*b"LEVL", 0, &value.to_le_bytes()));
    }
}

#[test]
fn ids_and_tombstones() {
    let id = |slot: usize| WHOLE.section(*b"IDS_")[8 * slot..8 * slot + 8].to_vec();
    refused("an id twice", &patched(*b"IDS_", 8 * 40, &id(41)));
    refused("the padding as an id", &patched(*b"IDS_", 8 * 40, &u64::MAX.to_le_bytes()));
    refused("an id that is not counted yet", &patched(*b"IDS_", 8 * 40, &(ROWS as u64).to_le_bytes()));
    // The id of a tombstone may occur again.
    let file = patched(*b"IDS_", 8 * 40, &id(REMOVED as usize));
    assert!(Index::from_bytes(&file.seal()).expect("an index").contains(REMOVED));
    // The slots do not fill the last word.
    const { assert!(!(ROWS + 10).is_multiple_of(64)) };
    let index = Index::from_bytes(&WHOLE.seal()).expect("an index");
    add(&index, &clustered(10, DIM, 2, 1), None);
    let mut file = Container::of(&index.to_bytes().unwrap());
    let end = file.section(*b"DEAD").len();
    file.patch(*b"DEAD", end - 1, &[128]);
    refused("a tombstone without a slot", &file);
}

#[test]
fn links_out_of_range() {
    let stride = 16;
    let (rows, nodes) = (ROWS as u32, number(*b"LEVL", 0));
    let upper = nodes as usize * 4;
    for (what, tag, at, limit) in [
        ("link", *b"LNK0", 4 * stride * 5, rows),
        ("link of the last node", *b"LNK0", 4 * stride * (ROWS - 1), rows),
        ("link past the end of a row", *b"LNK0", 4 * (stride - 1), rows),
        ("slot of a node", *b"LNKU", 4 * 3, rows),
        ("node below", *b"LNKU", upper + 4 * 3, rows),
        ("link of level 1", *b"LNKU", 2 * upper, nodes),
    ] {
        for value in [limit, limit + 1, u32::MAX - 1] {
            refused(&format!("{what} {value}"), &patched(tag, at, &value.to_le_bytes()));
        }
    }
    refused("no slot of a node", &patched(*b"LNKU", 0, &[255; 4]));
    refused("no node below", &patched(*b"LNKU", upper, &[255; 4]));
    let levels = number(*b"META", 40) as usize;
    let top = number(*b"LEVL", 8 * (levels - 2));
    for entry in [top, rows, u32::MAX] {
        refused(&format!("entry {entry}"), &patched(*b"META", 44, &entry.to_le_bytes()));
    }
}

#[test]
fn links_of_nodes_to_themselves() {
    let mut file = WHOLE.clone();
    file.patch(*b"LNK0", 0, &0u32.to_le_bytes());
    refused("node 0 linked to itself", &file);
}

#[test]
fn levels_without_a_graph() {
    let index = built(options(DIM, Metric::L2), &clustered(100, DIM, 5, 1));
    for (levels, entry) in [(1, 1), (1, u32::MAX), (2, 0), (5, 0), (5, 77)] {
        let mut file = Container::of(&index.to_bytes().unwrap());
        file.patch(*b"META", 40, &u32::to_le_bytes(levels));
        file.patch(*b"META", 44, &u32::to_le_bytes(entry));
        *file.section_mut(*b"LEVL") = vec![0; 8 * (levels as usize - 1)];
        refused(&format!("{levels} levels, entry {entry}"), &file);
    }
}

#[test]
fn more_levels_than_any_node_has() {
    let with_levels = |levels: u32| {
        let mut file = WHOLE.clone();
        for _ in number(*b"META", 40)..levels {
            // One node without links, which is the first one below.
            file.section_mut(*b"LEVL").extend(1u64.to_le_bytes());
            let node = [vec![0; 2], vec![u32::MAX; 16]].concat();
            file.section_mut(*b"LNKU").extend(node.into_iter().flat_map(u32::to_le_bytes));
        }
        file.patch(*b"META", 40, &levels.to_le_bytes());
        file.patch(*b"META", 44, &0u32.to_le_bytes());
        file
    };
    assert_eq!(Index::from_bytes(&with_levels(33).seal()).expect("an index").stats().levels, 33);
    assert!(complaint(&with_levels(34)).starts_with("section META: unexpected 34 levels"));
}

#[test]
fn sections_of_other_lengths() {
    for tag in WHOLE.tags() {
        let len = WHOLE.section(tag).len();
        for other in [0, len / 2, len - 1, len + 1, len + 8, 2 * len] {
            let mut file = WHOLE.clone();
            file.section_mut(tag).resize(other, 0);
            refused(&format!("{} of {other} bytes, not {len}", tag.escape_ascii()), &file);
        }
    }
}

/// Use every operation of an index.
fn use_all(index: &Index) {
    let queries = clustered(3, DIM, 3, 1);
    let allowed: Vec<u64> = index.ids().into_iter().step_by(3).collect();
    for filter in [None, Some(Filter::Ids(&allowed))] {
        exact(index, &queries, 3, filter);
        for ef in [1, 100] {
            search(index, &queries, &SearchSettings { k: 3, ef_search: Some(ef), filter, ..SearchSettings::default() });
        }
    }
    assert!(index.get(&index.ids()).is_ok());
    let added: Vec<u64> = (1 << 40..(1 << 40) + 300).collect();
    assert_eq!(add(index, &clustered(300, DIM, 5, 2), Some(&added)), added);
    assert_eq!(index.delete(&added), 300);
    optimize(index);
    assert!(Index::from_bytes(&index.to_bytes().unwrap()).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_is_read_can_be_used(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<[u8; 4]>()), 1..6),
    ) {
        let mut file = WHOLE.clone();
        for (section, at, bytes) in changes {
            let tag = *section.get(&file.tags());
            let start = at.index(file.section(tag).len() - 3);
            file.patch(tag, start, &bytes);
        }
        match Index::from_bytes(&file.seal()) {
            Ok(index) => use_all(&index),
            Err(error) => prop_assert!(matches!(error, LoadError::Corrupt(_)), "{error}"),
        }
    }
}

/// Return the error about a damaged file.
fn complaint(file: &Container) -> String {
    match Index::from_bytes(&file.seal()) {
        Err(LoadError::Corrupt(corruption)) => corruption.what,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("taken for an index"),
    }
}

#[test]
fn vectors_that_are_no_numbers() {
    let half = {
        let options = Options { dtype: Dtype::F16, ..options(DIM, Metric::Dot) };
        Container::of(&built(options, &clustered(5000, DIM, 5, 1)).to_bytes().unwrap())
    };
    for (row, column) in [(0, 0), (4000, 1), (4999, DIM - 1)] {
        let at = row * DIM + column;
        for (value, half_value) in
            [(f32::NAN, 0x7e00u16), (-f32::NAN, 0xfc01), (f32::INFINITY, 0x7c00), (f32::NEG_INFINITY, 0xfc00)]
        {
            let shown = if value.is_nan() { "NaN".to_owned() } else { value.to_string() };
            let expected = format!("section VECT: expected finite values, got {shown} at row {row}, column {column}");
            assert_eq!(complaint(&patched(*b"VECT", 4 * at, &value.to_le_bytes())), expected);
            let mut file = half.clone();
            file.patch(*b"VECT", 2 * at, &half_value.to_le_bytes());
            assert_eq!(complaint(&file), expected);
        }
    }
}

#[test]
fn vectors_without_a_direction_under_cosine() {
    for (dtype, zeros) in [(Dtype::F32, vec![0; 8]), (Dtype::F16, vec![0; 4])] {
        let index = built(Options { dtype, ..options(2, Metric::Cosine) }, &clustered(50, 2, 5, 1));
        let mut file = Container::of(&index.to_bytes().unwrap());
        file.patch(*b"VECT", 7 * zeros.len(), &zeros);
        let expected = "section VECT: expected a vector with a direction for the cosine metric, got norm 0 at row 7";
        assert_eq!(complaint(&file), expected);
    }
    // The norm is so large that its inverse is zero.
    let mut file = Container::of(&built(options(2, Metric::Cosine), &clustered(50, 2, 5, 1)).to_bytes().unwrap());
    file.patch(*b"VECT", 8, &[f32::MAX.to_le_bytes(); 2].concat());
    assert!(complaint(&file).ends_with("got norm inf at row 1"));
}

#[test]
fn numbers_that_no_index_would_write() {
    let (nan, infinity) = (f32::NAN, f32::INFINITY);
    for (what, tag, at, values) in [
        ("recall of the codec", *b"META", 64, &[nan, infinity, -0.5, 1.5][..]),
        ("step", *b"META", 68, &[nan, infinity, -1.0, 0.0, f32::MIN_POSITIVE / 4.0, f32::MAX]),
        ("error of the codec", *b"META", 80, &[nan, -1.0, -infinity]),
        ("recall of the graph", *b"META", 84, &[nan, infinity, -0.5]),
        ("mean", *b"MEAN", 4, &[nan, infinity, -infinity]),
    ] {
        for value in values {
            refused(&format!("{what} {value}"), &patched(tag, at, &value.to_le_bytes()));
        }
    }
    for seconds in [f64::NAN, f64::INFINITY, -1.0] {
        refused(&format!("{seconds} seconds"), &patched(*b"META", 72, &seconds.to_le_bytes()));
    }
}

#[test]
fn extreme_values_can_be_used() {
    for value in [0.0, -1.0, f32::MAX, f32::MIN_POSITIVE / 4.0] {
        for (tag, at) in [(*b"META", 68), (*b"MEAN", 4), (*b"VECT", 0), (*b"VECT", 4 * DIM * 4000)] {
            match Index::from_bytes(&patched(tag, at, &value.to_le_bytes()).seal()) {
                Ok(index) => use_all(&index),
                Err(error) => assert!(matches!(error, LoadError::Corrupt(_)), "{error}"),
            }
        }
    }
}

#[test]
fn what_overflows_can_be_saved_and_loaded() {
    let vectors: Vec<f32> = Random(5).normals(1500 * DIM).iter().map(|value| value.signum() * f32::MAX).collect();
    for metric in [Metric::Dot, Metric::L2] {
        let coarse = ["pq2x8", "opq2x4", "rq2x8"].map(|name| Storage::from_name(name).expect(name));
        for storage in Storage::all().chain(coarse) {
            let index = built(Options { storage, ..options(DIM, metric) }, &vectors);
            assert!(Index::from_bytes(&index.to_bytes().unwrap()).is_ok(), "{metric:?} {storage:?}");
        }
    }
}
