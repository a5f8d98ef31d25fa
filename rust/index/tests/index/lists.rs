//! Lists: what searches of the nearest ones promise, and that they follow every change.

use std::sync::atomic::AtomicBool;

use tiercel_index::{Budget, Ended, Filter, Index, Kind, Metric, Options, Raw, SearchSettings, Storage, Work};

use crate::common::container::Container;
use crate::common::data::{Random, clustered, far_apart, of_many_lengths, repeated, shuffled};
use crate::common::{FLAT, METRICS, add, built, exact, optimize, options, quietly, recall, search};

const DIM: usize = 24;
const ROWS: usize = 2 * FLAT;

/// Options for an index of lists.
fn of_lists(dim: usize, metric: Metric) -> Options {
    Options { kind: Kind::Partitions, ..options(dim, metric) }
}

fn settings(k: usize, target: f32) -> SearchSettings<'static> {
    SearchSettings { k, recall: Some(target), ..SearchSettings::default() }
}

/// Return the share of the vectors that each query compares.
fn compared(index: &Index, queries: &[f32], settings: &SearchSettings<'_>) -> f64 {
    let stop = AtomicBool::new(false);
    let work = Work::quiet(1, &stop);
    let (_, trace) = index.search_within(queries, settings, Budget::default(), &work).expect("queries");
    trace.distances as f64 / (queries.len() / index.options().dim * index.slots()) as f64
}

/// Check that an index keeps what it promises for queries that are not in it.
fn keeps_its_promises(index: &Index, queries: &[f32]) {
    for k in [1, 10, 100] {
        let truth = exact(index, queries, k, None);
        for target in [0.9, 0.95, 0.99] {
            let reached = recall(&search(index, queries, &settings(k, target)), &truth);
            assert!(reached >= f64::from(target), "{k} nearest at {target}: {reached}, {:?}", index.options());
        }
    }
}

/// Make an index of all vectors except some, and queries of these.
fn held_out(options: Options, vectors: &[f32]) -> (Index, Vec<f32>) {
    let (mut there, mut asked) = (Vec::new(), Vec::new());
    for (at, row) in vectors.chunks_exact(options.dim).enumerate() {
        if at % 80 == 0 { &mut asked } else { &mut there }.extend_from_slice(row);
    }
    (built(options, &there), asked)
}

#[test]
fn recall_is_kept_for_any_data() {
    for metric in METRICS {
        for (vectors, is_easy) in [
            (clustered(ROWS, DIM, 200, 1), true),
            (Random(1).normals(ROWS * DIM), false),
            (shuffled(&repeated(&clustered(ROWS / 50, DIM, 30, 1), DIM, 50), DIM, 2), true),
            (far_apart(ROWS, DIM, 1), false),
            (of_many_lengths(ROWS, DIM, 1), metric == Metric::Cosine),
        ] {
            let (index, queries) = held_out(of_lists(DIM, metric), &vectors);
            assert!(index.stats().lists > 200 && index.stats().linked == 0);
            keeps_its_promises(&index, &queries);
            let share = compared(&index, &queries, &settings(10, 0.95));
            assert!(share < 0.4 || !is_easy, "{metric:?}: a query compares {share} of the vectors");
        }
    }
}

/// A power of two changes no digit, so the answers must not change either.
#[test]
fn small_vectors_have_the_same_promise() {
    let vectors = clustered(ROWS, DIM, 200, 1);
    let small: Vec<f32> = vectors.iter().map(|value| value / 8192.0).collect();
    for metric in [Metric::Dot, Metric::L2] {
        let [large, small] = [&vectors, &small].map(|vectors| {
            let (index, queries) = held_out(of_lists(DIM, metric), vectors);
            [0.9, 0.95, 0.99].map(|recall| search(&index, &queries, &settings(10, recall)).ids)
        });
        assert!(large == small, "{metric:?}");
    }
}

/// The lists of what is left are measured anew.
#[test]
fn a_recall_is_kept_once_the_crowd_is_gone() {
    let (crowd, spread) = (clustered(9 * ROWS / 10, DIM, 20, 1), Random(2).normals(ROWS / 2 * DIM));
    let index = built(of_lists(DIM, Metric::L2), &[crowd.clone(), spread.clone()].concat());
    index.delete(&(0..(crowd.len() / DIM) as u64).collect::<Vec<u64>>());
    optimize(&index);
    keeps_its_promises(&index, &spread[..100 * DIM]);
}

#[test]
fn recall_is_kept_as_an_index_grows_and_changes() {
    let vectors = clustered(ROWS, DIM, 200, 1);
    let queries = clustered(100, DIM, 200, 1);
    let index = built(of_lists(DIM, Metric::Cosine), &vectors[..(FLAT + 1) * DIM]);
    let lists = index.stats().lists;
    // Others than the first, in parts, some too small to be put into lists at once.
    for part in vectors[(FLAT + 1) * DIM..].chunks(130 * DIM) {
        add(&index, part, None);
    }
    keeps_its_promises(&index, &queries);
    let ids: Vec<u64> = (0..ROWS as u64).filter(|id| id % 3 == 0).collect();
    index.delete(&ids);
    keeps_its_promises(&index, &queries);
    let moved = clustered(ids.len(), DIM, 70, 9);
    quietly(|work| index.upsert(moved.clone(), &ids, work)).expect("vectors");
    keeps_its_promises(&index, &queries);
    keeps_its_promises(&index, &moved[..100 * DIM]);
    assert_eq!(index.stats().tombstones, ids.len());
    optimize(&index);
    keeps_its_promises(&index, &queries);
    assert!(index.stats().lists > lists, "fitted to more vectors");
    assert_eq!(index.clear(), ROWS);
    assert_eq!(index.stats().lists, 0);
    add(&index, &vectors, None);
    keeps_its_promises(&index, &queries);
}

#[test]
fn effort_is_a_number_of_vectors() {
    let (index, queries) = held_out(of_lists(DIM, Metric::L2), &clustered(ROWS, DIM, 200, 1));
    let truth = exact(&index, &queries, 10, None);
    let (mut last, mut least) = (0.0, 0.0);
    for ef in [5, 20, 80] {
        let settings = SearchSettings { k: 10, ef_search: Some(ef), ..SearchSettings::default() };
        let share = compared(&index, &queries, &settings);
        let asked = (ef.max(10) * 48) as f64 / index.slots() as f64;
        assert!(share >= asked && share < asked + 0.02, "{share} for {ef} candidates, {asked} asked for");
        let reached = recall(&search(&index, &queries, &settings), &truth);
        assert!(share > last && reached >= least, "{ef} candidates: {reached}");
        (last, least) = (share, reached);
    }
    assert!(least > 0.95, "{least}");
}

#[test]
fn equal_vectors_do_not_make_every_search_compare_all() {
    for metric in METRICS {
        let mut vectors = clustered(ROWS, DIM, 200, 1);
        let equal = vectors[..DIM].repeat(ROWS / 2);
        vectors.extend_from_slice(&equal);
        let (index, queries) = held_out(of_lists(DIM, metric), &shuffled(&vectors, DIM, 3));
        keeps_its_promises(&index, &queries);
        let settings = SearchSettings { k: 10, ef_search: Some(20), ..SearchSettings::default() };
        assert!(compared(&index, &equal[..DIM], &settings) < 0.1, "of vectors that are equal");
    }
    let index = built(of_lists(DIM, Metric::L2), &[0.5; DIM].repeat(FLAT + 100));
    let found = search(&index, &[0.5; DIM], &settings(10, 0.95));
    assert_eq!(found.distances, [0.0; 10]);
}

#[test]
fn a_filter_leaves_enough_lists() {
    let (index, queries) = held_out(of_lists(DIM, Metric::Cosine), &clustered(ROWS, DIM, 200, 1));
    for share in [2, 5, 20, 100, 5000] {
        let allowed: Vec<u64> = index.ids().into_iter().filter(|id| id % share == 1).collect();
        let filter = Some(Filter::Ids(&allowed));
        let truth = exact(&index, &queries, 10, filter);
        for ef_search in [None, Some(40)] {
            let found = search(&index, &queries, &SearchSettings { filter, ef_search, ..settings(10, 0.95) });
            assert!(found.ids.iter().all(|id| *id == u64::MAX || id % share == 1));
            let reached = recall(&found, &truth);
            assert!(reached >= 0.95, "one in {share}: {reached}");
        }
    }
}

#[test]
fn a_budget_ends_a_search_and_what_was_found_comes_back() {
    let (index, queries) = held_out(of_lists(DIM, Metric::L2), &clustered(ROWS, DIM, 200, 1));
    let stop = AtomicBool::new(false);
    let budget = Budget { distances: Some(70), ..Budget::default() };
    let found = index.search_within(&queries[..DIM], &settings(10, 0.99), budget, &Work::quiet(1, &stop));
    let (found, trace) = found.expect("a query");
    assert_eq!((trace.ended, trace.distances), (Ended::Distances, 70));
    assert_eq!((found.counts, found.exact), (vec![10], false));
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(index.search(&queries, &settings(10, 0.99), &Work::quiet(1, &stop)).is_err());
    assert!(index.add(&queries[..], None, &Work::quiet(1, &stop)).is_err());
}

#[test]
fn an_addition_that_is_stopped_leaves_nothing() {
    let vectors = clustered(FLAT + 500, DIM, 30, 1);
    let index = built(of_lists(DIM, Metric::L2), &vectors[..FLAT * DIM]);
    for at in [0, 1] {
        let stop = AtomicBool::new(false);
        let progress = |done: usize, _: usize| {
            stop.fetch_or(done >= at, std::sync::atomic::Ordering::Relaxed);
        };
        let work = Work { threads: 2, stop: &stop, progress: &progress };
        // The last report comes when everything is done.
        let is_late = index.add(vectors[FLAT * DIM..].to_vec(), None, &work).is_ok();
        assert_eq!((is_late, index.stats().lists > 0, index.len() > FLAT), (at == 1, at == 1, at == 1));
    }
}

/// The bytes of an index with lists and with vectors that are in none yet.
fn file(threads: usize, storage: Storage) -> Container {
    let vectors = clustered(FLAT + 900, DIM, 50, 1);
    let index = Index::new(Options { storage, ..of_lists(DIM, Metric::L2) }).expect("options");
    let stop = AtomicBool::new(false);
    for part in [&vectors[..(FLAT + 10) * DIM], &vectors[(FLAT + 10) * DIM..(FLAT + 800) * DIM], &vectors[..40 * DIM]] {
        index.add(part, None, &Work::quiet(threads, &stop)).expect("vectors");
    }
    index.delete(&[3]);
    Container::of(&index.to_bytes().expect("memory"))
}

#[test]
fn files_are_the_same_whatever_the_threads_and_come_back() {
    let one = file(1, Storage::Auto);
    assert!(one.clone().without_time() == file(3, Storage::Auto).without_time());
    let bytes = one.seal();
    let loaded = Index::from_bytes(&bytes).expect("an index");
    assert_eq!(loaded.options().kind, Kind::Partitions);
    assert!(loaded.to_bytes().expect("memory") == bytes);
    let more = clustered(600, DIM, 50, 4);
    let copy = loaded.clone();
    assert_eq!(add(&copy, &more, None), add(&loaded, &more, None));
    let bytes = |index: &Index| Container::of(&index.to_bytes().expect("memory")).without_time();
    assert!(bytes(&copy) == bytes(&loaded));
    let found = search(&copy, &more, &settings(10, 0.95));
    assert_eq!(search(&loaded, &more, &settings(10, 0.95)), found);
}

#[test]
fn a_file_without_lists_is_an_index() {
    let mut file = file(1, Storage::Raw);
    for tag in [*b"prob", *b"cntr", *b"list"] {
        file.remove(tag);
    }
    let index = Index::from_bytes(&file.seal()).expect("an index");
    assert_eq!(index.stats().lists, 0);
    let queries = clustered(50, DIM, 50, 1);
    keeps_its_promises(&index, &queries);
    optimize(&index);
    assert!(index.stats().lists > 200);
    keeps_its_promises(&index, &queries);
}

#[test]
fn lists_that_no_index_would_write() {
    let whole = file(1, Storage::Raw);
    let refused = |what: &str, change: &dyn Fn(&mut Container)| {
        let mut file = whole.clone();
        change(&mut file);
        assert!(Index::from_bytes(&file.seal()).is_err(), "{what}");
    };
    let (lists, assigned) = (whole.numbers(*b"prob")[0], whole.numbers(*b"prob")[1]);
    for (what, at, values) in [
        ("lists", 0, &[0, lists - 1, lists + 1, u32::MAX][..]),
        ("in lists", 4, &[0, assigned - 1, assigned + 1, FLAT as u32 + 1000, u32::MAX]),
        ("fitted", 8, &[assigned + 1, u32::MAX]),
        ("surveyed", 12, &[assigned + 1, u32::MAX]),
        ("living", 16, &[assigned + 1, u32::MAX]),
        ("added", 20, &[lists + 1, u32::MAX]),
        ("a rank", 24, &[0, lists + 1, u32::MAX - 1]),
        ("the last rank", 60, &[0, lists + 1]),
    ] {
        for value in values {
            refused(&format!("{value} {what}"), &|file| file.patch(*b"prob", at, &value.to_le_bytes()));
        }
    }
    for value in [f32::NAN, f32::INFINITY] {
        refused(&format!("a centroid of {value}"), &|file| file.patch(*b"cntr", 4 * 77, &value.to_le_bytes()));
    }
    for value in [lists, u32::MAX] {
        refused(&format!("list {value}"), &|file| file.patch(*b"list", 4 * 77, &value.to_le_bytes()));
    }
    for tag in [*b"prob", *b"cntr", *b"list", *b"kind"] {
        refused(&format!("no {}", tag.escape_ascii()), &|file| file.remove(tag));
    }
    refused("lists of a flat index", &|file| file.patch(*b"kind", 0, &1u64.to_le_bytes()));
}

#[test]
fn vectors_on_disk_are_divided_too() {
    let options = Options { raw: Raw::Disk, ..of_lists(DIM, Metric::Dot) };
    let (index, queries) = held_out(options, &clustered(ROWS, DIM, 200, 1));
    assert_eq!(index.raw(), Raw::Disk);
    keeps_its_promises(&index, &queries);
}
