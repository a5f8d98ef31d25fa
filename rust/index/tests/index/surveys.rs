//! The graph is surveyed and the codec checked as the index grows, whether it was saved and loaded
//! in between or not.

use tiercel_index::{Budget, CodecKind, Index, LoadError, Metric, Options, SearchSettings, Storage};

use crate::common::container::Container;
use crate::common::data::{Random, clustered};
use crate::common::{FLAT, add, built, optimize, options, quietly};

const ROWS: usize = FLAT + 108;
const DIM: usize = 8;

/// The section with what walks need.
const WALK: [u8; 4] = *b"walk";

/// Additions that are too few for a survey on their own, but not together.
const FEW: usize = 600;
const _: () = assert!(FEW * 8 < ROWS && 2 * FEW * 8 > ROWS);

fn vectors(rows: usize, seed: u64) -> Vec<f32> {
    clustered(rows, DIM, 30, seed)
}

fn grown(storage: Storage) -> Index {
    let options = Options { m: 4, ef_construction: 20, storage, ..options(DIM, Metric::L2) };
    built(options, &vectors(ROWS, 1))
}

/// Save an index and load it as if the last survey had found nothing, so that the next one shows.
fn reloaded(index: &Index, change: impl FnOnce(&mut Container)) -> Index {
    let mut file = Container::of(&index.to_bytes().unwrap());
    file.patch(*b"META", 84, &0f32.to_le_bytes());
    change(&mut file);
    let index = Index::from_bytes(&file.seal()).expect("an index");
    assert!(!was_surveyed(&index));
    index
}

fn was_surveyed(index: &Index) -> bool {
    index.stats().graph_recall.expect("a graph") > 0.0
}

#[test]
fn a_loaded_index_is_surveyed_once_an_eighth_is_new() {
    let index = grown(Storage::Raw);
    add(&index, &vectors(FEW, 2), None);
    let index = reloaded(&index, |_| ());
    add(&index, &vectors(FEW, 3), None);
    assert!(was_surveyed(&index));
}

#[test]
fn optimize_surveys_what_was_linked_before_the_index_was_saved() {
    let index = grown(Storage::Raw);
    add(&index, &vectors(FEW, 2), None);
    let index = reloaded(&index, |_| ());
    optimize(&index);
    assert!(was_surveyed(&index));
    let index = reloaded(&index, |_| ());
    optimize(&index);
    assert!(!was_surveyed(&index), "nothing is new");
}

#[test]
fn a_file_that_does_not_say_is_surveyed_by_optimize() {
    let index = grown(Storage::Raw);
    let loaded = || reloaded(&index, |file| file.remove(*b"last"));
    let optimized = loaded();
    optimize(&optimized);
    assert!(was_surveyed(&optimized));
    let extended = loaded();
    add(&extended, &vectors(FEW, 2), None);
    assert!(!was_surveyed(&extended), "an addition to each load of the file does not take as long");
}

/// Return the number of slots when the codec was fitted.
fn trained(index: &Index) -> u32 {
    Container::of(&index.to_bytes().unwrap()).numbers(*b"META")[14]
}

#[test]
fn vectors_added_between_saves_are_checked_together() {
    let codes = Storage::Codes(CodecKind::Sq8);
    for change in [|_: &mut Container| (), |file: &mut Container| file.remove(*b"last")] {
        let mut index = built(Options { storage: codes, ..options(DIM, Metric::L2) }, &vectors(2000, 1));
        for seed in 2..4 {
            assert_eq!(trained(&index), 2000);
            let far: Vec<f32> = vectors(200, seed).iter().map(|value| 100.0 * value).collect();
            add(&index, &far, None);
            let mut file = Container::of(&index.to_bytes().unwrap());
            change(&mut file);
            index = Index::from_bytes(&file.seal()).expect("an index");
        }
        assert_eq!(trained(&index), 2400, "the new vectors are unlike the old");
    }
}

#[test]
fn a_survey_measures_nothing_where_searches_never_walk() {
    let index = grown(Storage::Raw);
    index.delete(&(1100..ROWS as u64).collect::<Vec<u64>>());
    add(&index, &vectors(300, 2), None);
    let index = reloaded(&index, |_| ());
    optimize(&index);
    assert!(!was_surveyed(&index), "a walk to find 200 of 1,400 among {ROWS} would cost far more than a scan");
    let surveyed = Container::of(&index.to_bytes().unwrap()).numbers(*b"last")[0];
    assert_eq!(surveyed as usize, ROWS + 300, "but every vector is reachable");
}

#[test]
fn a_graph_with_other_codes_is_surveyed_again() {
    let index = grown(Storage::Codes(CodecKind::Sq8));
    add(&index, &vectors(2 * FEW, 2), None);
    let last = Container::of(&index.to_bytes().unwrap()).numbers(*b"last")[0];
    assert_eq!((last as usize, trained(&index) as usize), (ROWS + 2 * FEW, ROWS));
    let index = reloaded(&index, |_| ());
    optimize(&index);
    assert_eq!(trained(&index) as usize, ROWS + 2 * FEW, "the codec is fitted to all");
    assert!(was_surveyed(&index));
}

#[test]
fn a_file_keeps_how_much_walks_need() {
    // Vectors without clusters need more candidates than usual.
    const DIM: usize = 64;
    let vectors = Random(3).normals((ROWS + 40) * DIM);
    let (there, asked) = vectors.split_at(ROWS * DIM);
    let storage = Storage::Codes(CodecKind::Sq8);
    let index = built(Options { ef_construction: 60, storage, ..options(DIM, Metric::Cosine) }, there);
    let settings = SearchSettings { k: 10, recall: Some(0.95), ..SearchSettings::default() };
    let compared = |index: &Index| {
        let found = quietly(|work| index.search_within(asked, &settings, Budget::default(), work));
        found.expect("queries that can be searched").1.distances
    };
    let file = Container::of(&index.to_bytes().unwrap());
    let needed = file.numbers(WALK);
    assert!(needed.is_sorted() && needed[1] > 100, "percentages {needed:?}");
    assert_eq!(compared(&Index::from_bytes(&file.seal()).expect("its own file")), compared(&index));
    let mut early = file.clone();
    early.remove(WALK);
    let early = Index::from_bytes(&early.seal()).expect("a file of an early version");
    assert!(compared(&early) < compared(&index), "it assumes the usual");
    optimize(&early);
    assert_eq!(Container::of(&early.to_bytes().unwrap()).numbers(WALK), needed, "and is surveyed");
    for wrong in [[100, 100, 100, 100, 101], [200, 150, 200, 200, 200]] {
        let mut wrong_file = file.clone();
        let bytes: Vec<u8> = wrong.into_iter().flat_map(u32::to_le_bytes).collect();
        wrong_file.patch(WALK, 0, &bytes);
        assert!(matches!(Index::from_bytes(&wrong_file.seal()), Err(LoadError::Corrupt(_))), "{wrong:?}");
    }
}
