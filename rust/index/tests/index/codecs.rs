//! Every registered codec can be requested, searched and kept in a file.

use tiercel_index::{CodecKind, Index, Metric, Options, OptionsError, SearchSettings, Storage};

use crate::common::data::{clustered, of_many_lengths};
use crate::common::{FLAT, METRICS, add, built, exact, options, recall, search, walked};

const DIM: usize = 48;

/// Enough for a graph.
const ROWS: usize = FLAT + 300;
const ASKED: usize = 40;

/// Return the codecs without parameters, and some of each form with them.
fn kinds() -> Vec<CodecKind> {
    let named = ["pq12x8", "pq25x4", "opq6x8", "opq12x4", "rq3x8"];
    let with_parts = named.iter().map(|name| CodecKind::from_name(name).expect(name));
    CodecKind::ALL.iter().copied().chain(with_parts).collect()
}

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

/// Coarse codes have the nearest among more candidates, which a search for a recall keeps.
fn reaches_its_recall(kind: &str, metric: Metric, vectors: &[f32]) {
    let kind = CodecKind::from_name(kind).expect(kind);
    let index = index(kind, metric, vectors);
    assert_eq!(index.stats().storage, kind.name());
    assert_eq!(index.stats().linked, index.len(), "all vectors are in the graph");
    let asked = &vectors[..4 * ASKED * DIM];
    let truth = exact(&index, asked, 10, None);
    for asked_for in [0.9, 0.95] {
        let settings = SearchSettings { k: 10, recall: Some(asked_for), ..SearchSettings::default() };
        let reached = recall(&search(&index, asked, &settings), &truth);
        assert!(reached >= f64::from(asked_for), "{kind:?} {metric:?}: recall {reached}, not {asked_for}");
    }
}

#[test]
fn a_search_by_products_reaches_its_recall() {
    let vectors = clustered(ROWS, DIM, 100, 1);
    for (name, metric) in ["pq12x8", "pq25x4", "pq6x8"].into_iter().zip(METRICS) {
        reaches_its_recall(name, metric, &vectors);
    }
}

#[test]
fn a_search_by_rotated_products_reaches_its_recall() {
    let vectors = clustered(ROWS, DIM, 100, 1);
    reaches_its_recall("opq6x8", Metric::Cosine, &vectors);
    reaches_its_recall("opq12x4", Metric::L2, &vectors);
}

#[test]
fn a_search_by_residuals_reaches_its_recall() {
    reaches_its_recall("rq3x8", Metric::L2, &clustered(ROWS, DIM, 100, 1));
}

#[test]
fn a_search_by_products_of_unequal_lengths_reaches_its_recall() {
    reaches_its_recall("pq12x8", Metric::Dot, &of_many_lengths(ROWS, DIM, 1));
}

#[test]
fn a_codec_with_more_parts_than_vectors_can_have_is_refused() {
    for (name, high) in [("pq49x8", 48), ("opq100x4", 48), ("rq33x8", 32)] {
        let storage = Storage::from_name(name).expect(name);
        let refused = Options { storage, ..options(DIM, Metric::L2) }.check().expect_err(name);
        let got = storage.name()[name.find(char::is_numeric).unwrap()..].split('x').next().unwrap().parse().unwrap();
        assert_eq!(refused, OptionsError { option: "parts of storage", low: 1, high, got });
    }
}

#[test]
fn a_file_keeps_codec_and_codes() {
    let vectors = clustered(2000, DIM, 20, 1);
    for kind in kinds() {
        for metric in [Metric::Cosine, Metric::L2] {
            let index = index(kind, metric, &vectors[..1900 * DIM]);
            let loaded = Index::from_bytes(&index.to_bytes().unwrap()).expect("a sound file");
            assert_eq!((loaded.options(), loaded.stats().storage), (index.options(), kind.name()));
            // Later vectors are coded like earlier ones.
            for index in [&index, &loaded] {
                add(index, &vectors[1900 * DIM..], None);
            }
            assert!(loaded.to_bytes().unwrap() == index.to_bytes().unwrap(), "{kind:?} {metric:?}");
            let asked = &vectors[..ASKED * DIM];
            assert_eq!(walked(&loaded, asked, 10, 30), walked(&index, asked, 10, 30), "{kind:?} {metric:?}");
            // A recall is reached with as many candidates.
            let settings = SearchSettings { k: 10, recall: Some(0.9), ..SearchSettings::default() };
            assert_eq!(search(&loaded, asked, &settings), search(&index, asked, &settings), "{kind:?} {metric:?}");
        }
    }
}

#[test]
fn a_file_without_codes_keeps_the_parts() {
    for kind in kinds() {
        let index = index(kind, Metric::L2, &clustered(20, DIM, 2, 1));
        let loaded = Index::from_bytes(&index.to_bytes().unwrap()).expect("a sound file");
        assert_eq!((loaded.options(), loaded.stats().storage), (index.options(), "none".into()));
    }
}

#[test]
fn short_rows_take_no_more_than_they_need() {
    let rows = 1100;
    let vectors = clustered(rows, 100, 20, 1);
    for (name, stride) in [("pq96x8", 96), ("pq96x4", 64), ("pq24x8", 32), ("pq97x8", 128), ("sq4", 64)] {
        let storage = Storage::from_name(name).expect(name);
        let index = built(Options { storage, ..options(100, Metric::Cosine) }, &vectors);
        let codes = index.stats().bytes.iter().find(|part| part.0 == "codes").expect("a part").1;
        assert_eq!(codes / rows, stride, "{name}");
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
    for unknown in ["", "sq", "sq2", "SQ4", "sq4 ", "pq", "pq4", "pq0x8", "pq4x2", "rq1x8"] {
        assert_eq!(Storage::from_name(unknown), None, "{unknown}");
    }
}
