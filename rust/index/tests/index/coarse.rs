//! A search for a recall reaches it by coarse codes too: it keeps as many candidates as these need.

use tiercel_index::{Budget, CodecKind, Index, Metric, Options, SearchSettings, Storage};

use crate::common::container::Container;
use crate::common::data::{Random, clustered};
use crate::common::{FLAT, built, exact, options, quietly, recall, search};

const DIM: usize = 40;
const ROWS: usize = FLAT + 2000;
const ASKED: usize = 60;

const KINDS: [CodecKind; 4] = [CodecKind::Rabitq1, CodecKind::Rabitq2, CodecKind::Rabitq3, CodecKind::Rabitq4];

fn asked_for(target: f32) -> SearchSettings<'static> {
    SearchSettings { k: 10, recall: Some(target), ..SearchSettings::default() }
}

/// Make vectors without clusters, which are the hardest to rank by few bits, of different lengths.
fn vectors() -> Vec<f32> {
    let mut random = Random(3);
    let mut vectors = random.normals((ROWS + ASKED) * DIM);
    for row in vectors.chunks_exact_mut(DIM) {
        let length = 0.5 + 1.5 * random.unit();
        for value in row {
            *value *= length;
        }
    }
    vectors
}

fn index(kind: CodecKind, options: &Options, vectors: &[f32]) -> Index {
    built(Options { storage: Storage::Codes(kind), ef_construction: 60, ..options.clone() }, vectors)
}

fn reaches_what_is_asked_for(metric: Metric) {
    let vectors = vectors();
    let (there, asked) = vectors.split_at(ROWS * DIM);
    for kind in KINDS {
        let index = index(kind, &options(DIM, metric), there);
        let found = search(&index, asked, &asked_for(0.95));
        assert!(!found.exact, "a search by code");
        let reached = recall(&found, &exact(&index, asked, 10, None));
        assert!(reached >= 0.95, "{kind:?} {metric:?}: recall {reached}");
    }
}

#[test]
fn a_recall_is_reached_under_cosine() {
    reaches_what_is_asked_for(Metric::Cosine);
}

#[test]
fn a_recall_is_reached_under_dot() {
    reaches_what_is_asked_for(Metric::Dot);
}

#[test]
fn a_recall_is_reached_under_l2() {
    reaches_what_is_asked_for(Metric::L2);
}

/// Return the vectors that searches compare by code and then again.
fn work(index: &Index, asked: &[f32]) -> (u64, u64) {
    let settings = asked_for(0.9);
    let searched = quietly(|work| index.search_within(asked, &settings, Budget::default(), work));
    let trace = searched.expect("queries that can be searched").1;
    (trace.distances, trace.rescored)
}

#[test]
fn a_file_keeps_what_codes_need() {
    let vectors = clustered(ROWS + ASKED, DIM, 100, 1);
    let (there, asked) = vectors.split_at(ROWS * DIM);
    let index = index(CodecKind::Rabitq1, &options(DIM, Metric::Cosine), there);
    let file = index.to_bytes().unwrap();
    let loaded = Index::from_bytes(&file).expect("its own file");
    assert_eq!(work(&loaded, asked), work(&index, asked));
    let mut early = Container::of(&file);
    early.remove(*b"rank");
    let early = Index::from_bytes(&early.seal()).expect("a file of an early version");
    assert!(work(&early, asked).1 < work(&index, asked).1, "without its ranks, a search keeps fewer");
}
