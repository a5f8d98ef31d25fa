//! A filter allows exactly what it names, however much that is, and `k` results come if `k` exist.

use tiercel_index::{Chosen, Filter, Index, Matches, SearchSettings};

use crate::common::data::{Random, clustered};
use crate::common::model::Model;
use crate::common::{FLAT, METRICS, add, built, exact, options, recall, search};

const DIM: usize = 16;
const K: usize = 10;

/// Choose among `ids`: none, one, fewer than `k`, a few, half, all but a few, all.
fn choices(ids: &[u64]) -> Vec<Vec<u64>> {
    let mut shuffled = ids.to_vec();
    Random(11).shuffle(&mut shuffled);
    let shares = [0, 1, K - 1, ids.len() / 50, ids.len() / 5, ids.len() / 2, ids.len() - 3, ids.len()];
    shares.iter().map(|count| shuffled[..*count].to_vec()).collect()
}

fn mask(ids: &[u64], allowed: &[u64]) -> Vec<u8> {
    let allowed: std::collections::HashSet<_> = allowed.iter().collect();
    ids.iter().map(|id| if allowed.contains(id) { 1 + (id % 255) as u8 } else { 0 }).collect()
}

/// Search through both kinds of filter, which must agree.
fn filtered(index: &Index, queries: &[f32], allowed: &[u64], settings: &SearchSettings<'_>) -> Matches {
    let mask = mask(&index.ids(), allowed);
    // Unknown and repeated ids in a filter mean nothing.
    let ids = [allowed, &[u64::MAX, 1 << 40], allowed].concat();
    let by_mask = search(index, queries, &SearchSettings { filter: Some(Filter::Mask(&mask)), ..*settings });
    let by_ids = search(index, queries, &SearchSettings { filter: Some(Filter::Ids(&ids)), ..*settings });
    let chosen = index.choose(&ids);
    let by_choice = search(index, queries, &SearchSettings { filter: Some(Filter::Chosen(&chosen)), ..*settings });
    assert!(by_mask == by_ids && by_mask == by_choice);
    by_mask
}

#[test]
fn a_choice_finds_what_was_chosen_and_is_still_there() {
    for rows in [200, 1500] {
        let index = built(options(DIM, METRICS[0]), &clustered(rows, DIM, 10, 1));
        let found = |index: &Index, chosen: &Chosen| {
            let mut ids = exact(index, &[0.5; DIM], rows, Some(Filter::Chosen(chosen))).ids;
            ids.retain(|id| *id != u64::MAX);
            ids.sort_unstable();
            assert_eq!(index.count(Some(&Filter::Chosen(chosen))), Ok(ids.len()));
            ids
        };
        let even = |ids: std::ops::Range<u64>| ids.filter(|id| id.is_multiple_of(2)).collect::<Vec<_>>();
        let chosen = index.choose(&even(0..2000));
        assert_eq!((found(&index, &chosen), index.has_all(&chosen)), (even(0..rows as u64), true));
        index.delete(&even(0..10));
        assert_eq!((found(&index, &chosen), index.has_all(&chosen)), (even(10..rows as u64), true));
        add(&index, &clustered(20, DIM, 3, 2), Some(&(5000..5020).collect::<Vec<_>>()));
        assert_eq!((found(&index, &chosen), index.has_all(&chosen)), (even(10..rows as u64), false));
        // Again, with the new ones, without some and with others.
        let again = index.choose_again(&chosen, [12, 13, 15, 7000], |id| id != 12 && id != 5001);
        let mut expected = even(10..rows as u64);
        expected.retain(|id| *id != 12);
        expected.extend([13, 15].into_iter().chain((5000..5020).filter(|id| *id != 5001)));
        expected.sort_unstable();
        assert_eq!((found(&index, &again), index.has_all(&again)), (expected.clone(), true));
        // A copy goes its own way, and so does an index that was emptied.
        let copy = index.clone();
        assert_eq!((found(&copy, &again), copy.has_all(&again)), (vec![], false));
        assert_eq!(found(&copy, &copy.choose_again(&again, [], |id| expected.contains(&id))), expected);
        index.clear();
        add(&index, &clustered(rows, DIM, 10, 1), None);
        assert_eq!(found(&index, &again), []);
    }
}

#[test]
fn exact_results_equal_the_model() {
    for metric in METRICS {
        for rows in [200, 1500] {
            let options = options(DIM, metric);
            let vectors = clustered(rows, DIM, 10, 1);
            let (index, mut model) = (built(options.clone(), &vectors), Model::of(&options, &vectors));
            let removed: Vec<u64> = (0..rows as u64).filter(|id| id % 7 == 3).collect();
            for round in 0..2 {
                let queries = clustered(9, DIM, 10, 2);
                for allowed in choices(&model.ids()) {
                    let settings = SearchSettings { k: K, recall: Some(1.0), ..SearchSettings::default() };
                    for queries in [&queries[..], &queries[..DIM]] {
                        let found = filtered(&index, queries, &allowed, &settings);
                        model.assert_nearest(queries, K, |id| allowed.contains(&id), &found);
                    }
                }
                if round == 0 {
                    assert_eq!(index.delete(&removed), model.remove(&removed));
                }
            }
        }
    }
}

#[test]
fn approximate_results_are_full_and_near() {
    for metric in METRICS {
        let index = built(options(DIM, metric), &clustered(FLAT + 1000, DIM, 40, 1));
        let removed: Vec<u64> = (0..FLAT as u64).filter(|id| id % 9 == 4).collect();
        for round in 0..2 {
            for allowed in choices(&index.ids()) {
                // With few candidates a walk is still cheaper, where with more a scan takes over.
                for ef_search in [None, Some(40)] {
                    assert_near(&index, &allowed, ef_search);
                }
            }
            assert_eq!(index.delete(&removed), if round == 0 { removed.len() } else { 0 });
        }
    }
}

fn assert_near(index: &Index, allowed: &[u64], ef_search: Option<usize>) {
    let queries = clustered(40, DIM, 40, 1);
    let found = filtered(index, &queries, allowed, &SearchSettings { k: K, ef_search, ..SearchSettings::default() });
    let truth = exact(index, &queries, K, Some(Filter::Ids(allowed)));
    let (count, metric) = (allowed.len(), index.options().metric);
    assert!(found.ids.iter().all(|id| *id == u64::MAX || allowed.contains(id)), "{count} allowed");
    assert!(found.counts.iter().all(|got| *got == count.min(K) as u64), "{count} allowed");
    let reached = recall(&found, &truth);
    assert!(reached >= 0.95, "{metric:?}, {count} allowed, {ef_search:?} candidates: recall {reached}");
}

#[test]
fn removed_vectors_are_never_found_and_come_back_when_added_again() {
    for rows in [300, 1500, FLAT + 500] {
        let vectors = clustered(rows, DIM, 10, 1);
        let index = built(options(DIM, METRICS[2]), &vectors);
        let ids: Vec<u64> = (0..rows as u64).filter(|id| id % 2 == 0).collect();
        assert_eq!(index.delete(&ids), ids.len());
        assert_eq!(index.delete(&ids), 0);
        let settings = SearchSettings { k: 50, ..SearchSettings::default() };
        let all = SearchSettings { filter: Some(Filter::Ids(&ids)), ..settings };
        let queries = &vectors[..20 * DIM];
        let found = search(&index, queries, &settings);
        assert!(found.ids.iter().all(|id| id % 2 == 1), "{rows} rows");
        assert!(found.counts.iter().all(|count| *count == 50), "{rows} rows");
        assert!(search(&index, queries, &all).counts.iter().all(|count| *count == 0), "{rows} rows");
        let again: Vec<f32> = ids.iter().flat_map(|id| &vectors[*id as usize * DIM..][..DIM]).copied().collect();
        add(&index, &again, Some(&ids));
        let found = exact(&index, queries, 1, None);
        assert_eq!(found.ids, (0..20).collect::<Vec<u64>>(), "{rows} rows");
    }
}
