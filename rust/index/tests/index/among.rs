//! The questions of a cache of answers: whether the index has changed, and which vectors of a list
//! and of all later ones are nearest.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tiercel_index::{AddError, Among, Filter, Index, Matches, Metric, SearchError, Work};

use crate::common::data::clustered;
use crate::common::{FLAT, add, built, exact, new, optimize, options, quietly};

const DIM: usize = 3;

fn among(index: &Index, query: &[f32], among: &Among<'_>) -> Option<Matches> {
    let found = quietly(|work| index.search_among(query, among, work)).expect("a query that can be searched");
    let (found, version) = found?;
    assert_eq!(version, index.version());
    Some(found)
}

/// Find all vectors of a list and all that were added since a version.
fn all(index: &Index, candidates: &[u64], since: u64) -> BTreeSet<u64> {
    let some = Among { k: index.len(), candidates, since, limit: usize::MAX, filter: None };
    let found = among(index, &[1.0, 2.0, 3.0], &some).expect("no limit");
    assert_eq!((found.k, found.ids.len(), found.exact), (index.len(), index.len(), true));
    found.ids.into_iter().take(found.counts[0] as usize).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_came_since_a_version_is_found(
        steps in prop::collection::vec((any::<bool>(), prop::collection::vec(0..40u64, 0..9)), 1..30),
    ) {
        let index = new(options(DIM, Metric::L2));
        // A version, the ids at that time, and the ids added since.
        let mut known = vec![(index.version(), BTreeSet::<u64>::new(), BTreeSet::<u64>::new())];
        for (adds, some) in steps {
            let before = (index.version(), index.ids());
            if adds {
                let ids: BTreeSet<u64> = some.into_iter().filter(|id| !index.contains(*id)).collect();
                let ids: Vec<u64> = ids.into_iter().collect();
                add(&index, &clustered(ids.len(), DIM, 4, index.version()), Some(&ids));
                for (_, _, since) in &mut known {
                    since.extend(&ids);
                }
            } else {
                index.delete(&some);
                for (_, _, since) in &mut known {
                    since.retain(|id| !some.contains(id));
                }
            }
            if index.is_empty() {
                optimize(&index);
            }
            prop_assert_eq!(before.0 == index.version(), before.1 == index.ids());
            prop_assert!(before.0 <= index.version());
            for (version, there, since) in &known {
                let listed: Vec<u64> = there.iter().copied().filter(|id| id % 2 == 0).collect();
                let found = all(&index, &listed, *version);
                prop_assert!(found.is_superset(since), "{found:?} is without some of {since:?}");
                prop_assert!(listed.iter().all(|id| found.contains(id) == index.contains(*id)));
            }
            known.push((index.version(), index.ids().into_iter().collect(), BTreeSet::new()));
        }
    }
}

#[test]
fn distances_are_those_of_an_exact_search() {
    for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
        let (vectors, queries) = (clustered(2000, DIM, 9, 1), clustered(20, DIM, 9, 2));
        let index = built(options(DIM, metric), &vectors);
        let candidates: Vec<u64> = (0..2000).filter(|id| id % 3 > 0).collect();
        let allowed: Vec<u64> = (500..1500).collect();
        let both: Vec<u64> = (500..1500).filter(|id| id % 3 > 0).collect();
        for query in queries.chunks_exact(DIM) {
            let some = Among { k: 10, candidates: &candidates, since: index.version(), limit: 0, filter: None };
            assert_eq!(among(&index, query, &some), Some(exact(&index, query, 10, Some(Filter::Ids(&candidates)))));
            let some = Among { filter: Some(Filter::Ids(&allowed)), ..some };
            assert_eq!(among(&index, query, &some), Some(exact(&index, query, 10, Some(Filter::Ids(&both)))));
        }
    }
}

#[test]
fn more_than_the_limit_is_refused() {
    let index = built(options(DIM, Metric::L2), &clustered(20, DIM, 9, 1));
    let some = Among { k: 3, candidates: &[], since: 15, limit: 5, filter: None };
    assert!(among(&index, &[0.0; DIM], &some).is_some());
    assert_eq!(among(&index, &[0.0; DIM], &Among { limit: 4, ..some }), None);
    assert_eq!(among(&index, &[0.0; DIM], &Among { since: 21, limit: usize::MAX, ..some }), None, "a version to come");
}

#[test]
fn an_empty_index_has_an_empty_answer() {
    let index = new(options(DIM, Metric::Cosine));
    let some = Among { k: 3, candidates: &[1, 2], since: 0, limit: 9, filter: None };
    let found = among(&index, &[1.0; DIM], &some).expect("within the limit");
    assert_eq!((found.k, found.ids, found.counts), (0, vec![], vec![0]));
}

#[test]
fn bad_queries_and_masks_are_refused() {
    let index = built(options(DIM, Metric::L2), &clustered(20, DIM, 9, 1));
    let search = |query: &[f32], filter| {
        let some = Among { k: 3, candidates: &[], since: 0, limit: 99, filter };
        quietly(|work| index.search_among(query, &some, work)).expect_err("a mistake")
    };
    assert!(search(&[f32::NAN; DIM], None).to_string().starts_with("query: "));
    assert_eq!(search(&[0.0; DIM], Some(Filter::Mask(&[1]))), SearchError::MaskLength { expected: 20, got: 1 });
}

#[test]
fn nobody_sees_an_addition_before_it_is_whole() {
    let index = built(options(DIM, Metric::L2), &clustered(FLAT + 100, DIM, 9, 1));
    let (before, bytes, stop) = ((index.version(), index.ids()), index.to_bytes().unwrap(), AtomicBool::new(false));
    let progress = |_, _| {
        assert_eq!((index.version(), index.ids()), before);
        assert!(index.to_bytes().unwrap() == bytes, "a file of the state before");
        stop.store(true, Ordering::Relaxed);
    };
    let work = Work { threads: 1, stop: &stop, progress: &progress };
    assert_eq!(index.add(clustered(1000, DIM, 9, 2), None, &work), Err(AddError::Interrupted));
    assert_eq!((index.version(), index.ids()), before);
    let ids: BTreeSet<u64> = add(&index, &clustered(50, DIM, 9, 3), None).into_iter().collect();
    assert_eq!(all(&index, &[], before.0), ids);
}

#[test]
fn norms_are_those_of_all_vectors_that_there_ever_were() {
    let index = new(options(2, Metric::Dot));
    assert_eq!(index.norms(), (f64::INFINITY, 0.0));
    add(&index, &[3.0, 4.0, 0.5, 0.0], None);
    add(&index, &[0.0, 0.0, 1.0, 0.0], None);
    assert_eq!(index.norms(), (0.0, 5.0));
    index.delete(&[0]);
    assert_eq!(index.norms(), (0.0, 5.0), "a vector that others may have listed");
    let loaded = Index::from_bytes(&index.to_bytes().unwrap()).expect("its own file");
    assert_eq!(loaded.norms(), (0.0, 5.0));
    index.delete(&[1, 2, 3]);
    optimize(&index);
    add(&index, &[2.0, 0.0], None);
    assert_eq!(index.norms(), (0.0, 5.0), "a search that began earlier may have found them");
    assert_eq!(built(options(2, Metric::L2), &[3.0, 4.0]).norms(), (f64::INFINITY, 0.0));
}
