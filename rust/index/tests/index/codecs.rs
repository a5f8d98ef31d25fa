//! Every registered codec can be requested, searched and kept in a file.

use tiercel_index::{CodecKind, Index, Metric, Options, Storage};

use crate::common::data::clustered;
use crate::common::{FLAT, add, built, exact, options, recall, walked};

const DIM: usize = 48;

/// Enough for a graph.
const ROWS: usize = FLAT + 300;
const ASKED: usize = 40;

fn index(kind: CodecKind, metric: Metric, vectors: &[f32]) -> Index {
    let storage = Storage::Codes(kind);
    built(Options { storage, ef_construction: 60, ..options(DIM, metric) }, vectors)
}

#[test]
fn a_search_by_code_finds_the_nearest() {
    let vectors = clustered(ROWS, DIM, 100, 1);
    for kind in CodecKind::ALL {
        for metric in [Metric::Cosine, Metric::L2] {
            let index = index(*kind, metric, &vectors);
            assert_eq!(index.stats().storage, kind.name());
            assert_eq!(index.stats().linked, index.len(), "all vectors are in the graph");
            let asked = &vectors[..ASKED * DIM];
            let reached = recall(&walked(&index, asked, 10, 200), &exact(&index, asked, 10, None));
            assert!(reached >= 0.9, "{kind:?} {metric:?}: recall {reached}");
        }
    }
}

#[test]
fn a_file_keeps_codec_and_codes() {
    let vectors = clustered(2000, DIM, 20, 1);
    for kind in CodecKind::ALL {
        for metric in [Metric::Cosine, Metric::L2] {
            let index = index(*kind, metric, &vectors[..1900 * DIM]);
            let loaded = Index::from_bytes(&index.to_bytes()).expect("a sound file");
            assert_eq!((loaded.options(), loaded.stats().storage), (index.options(), kind.name()));
            // Later vectors are coded like earlier ones.
            for index in [&index, &loaded] {
                add(index, &vectors[1900 * DIM..], None);
            }
            assert!(loaded.to_bytes() == index.to_bytes(), "{kind:?} {metric:?}");
            let asked = &vectors[..ASKED * DIM];
            assert_eq!(walked(&loaded, asked, 10, 30), walked(&index, asked, 10, 30), "{kind:?} {metric:?}");
        }
    }
}

#[test]
fn every_storage_has_a_name_of_its_own() {
    let names: Vec<_> = Storage::all().map(Storage::name).collect();
    assert_eq!(names.first().map(AsRef::as_ref), Some("auto"));
    assert_eq!(names.last().map(AsRef::as_ref), Some("raw"));
    for (at, name) in names.iter().enumerate() {
        assert!(!names[..at].contains(name), "{name}");
    }
    for storage in Storage::all() {
        assert_eq!(Storage::from_name(&storage.name()), Some(storage));
    }
    for unknown in ["", "sq", "sq2", "SQ4", "sq4 "] {
        assert_eq!(Storage::from_name(unknown), None, "{unknown}");
    }
}
