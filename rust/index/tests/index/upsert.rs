//! Vectors replace those of their ids, all or none.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tiercel_index::{AddError, Filter, Index, Metric, Work};

use crate::common::data::{Random, clustered};
use crate::common::{FLAT, add, built, exact, options, quietly};

const DIM: usize = 8;

fn upsert(index: &Index, ids: &[u64], vectors: &[f32]) -> usize {
    quietly(|work| index.upsert(vectors.to_vec(), ids, work)).expect("vectors that can be upserted")
}

#[test]
fn are_a_map_in_which_the_last_of_equal_ids_counts() {
    let index = built(options(DIM, Metric::L2), &clustered(300, DIM, 10, 1));
    let mut model: BTreeMap<u64, Vec<f32>> =
        index.ids().into_iter().map(|id| (id, index.get(&[id]).expect("an id of the index"))).collect();
    let mut random = Random(3);
    for round in 0..40 {
        let ids: Vec<u64> = (0..random.below(30)).map(|_| random.below(400) as u64).collect();
        let vectors = clustered(ids.len(), DIM, 10, 100 + round);
        let version = index.version();
        let mut distinct: Vec<u64> = ids.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(upsert(&index, &ids, &vectors), distinct.len());
        model.extend(ids.iter().copied().zip(vectors.chunks(DIM).map(<[f32]>::to_vec)));
        assert_eq!(index.version() > version, !ids.is_empty());
        let mut known = index.ids();
        known.sort_unstable();
        assert_eq!(known, model.keys().copied().collect::<Vec<_>>());
        let of_model: Vec<Option<Vec<f32>>> = model.values().cloned().map(Some).collect();
        assert_eq!(index.vectors(&known), Ok(of_model));
        let found = exact(&index, &model.values().flatten().copied().collect::<Vec<f32>>(), 1, None);
        assert!(found.distances.iter().all(|distance| *distance == 0.0), "each vector is found");
    }
    assert_eq!(index.vectors(&[1_000_000]), Ok(vec![None]));
    let loaded = Index::from_bytes(&index.to_bytes().unwrap()).expect("its own file");
    assert_eq!(loaded.vectors(&index.ids()), index.vectors(&index.ids()));
}

#[test]
fn what_is_refused_or_stopped_changes_nothing() {
    let vectors = clustered(FLAT + 400, DIM, 30, 2);
    let index = built(options(DIM, Metric::L2), &vectors[..FLAT * DIM]);
    let before = (index.ids(), index.vectors(&index.ids()), index.version());
    let new = &vectors[FLAT * DIM..];
    let ids: Vec<u64> = (0..400).map(|at| at * 40).collect();
    let refused = |ids: &[u64], expected: AddError| {
        assert_eq!(quietly(|work| index.upsert(new.to_vec(), ids, work)), Err(expected));
    };
    refused(&ids[1..], AddError::Ids { expected: 400, got: 399 });
    let reserved: Vec<u64> = ids[1..].iter().copied().chain([u64::MAX]).collect();
    refused(&reserved, AddError::Reserved { row: 399 });
    // Stopped while vectors are linked, after the old ones were removed.
    let stop = AtomicBool::new(false);
    let progress = |_, _| stop.store(true, Ordering::Relaxed);
    let work = Work { threads: 2, stop: &stop, progress: &progress };
    assert_eq!(index.upsert(new.to_vec(), &ids, &work), Err(AddError::Interrupted));
    assert_eq!((index.ids(), index.vectors(&index.ids()), index.version()), before);
    assert_eq!(upsert(&index, &ids, new), 400);
    let of_new: Vec<Option<Vec<f32>>> = new.chunks(DIM).map(|row| Some(row.to_vec())).collect();
    assert_eq!(index.vectors(&ids), Ok(of_new));
}

/// All vectors of a batch have the same distance from the origin, which grows with each batch.
#[test]
fn searches_find_each_id_once_and_all_of_one_batch() {
    const IDS: usize = 50;
    let ids: Vec<u64> = (0..IDS as u64).collect();
    let batch = |number: usize| vec![number as f32; IDS * DIM];
    let index = built(options(DIM, Metric::L2), &batch(0));
    add(&index, &clustered(2000, DIM, 10, 4).iter().map(|value| value + 1e6).collect::<Vec<f32>>(), None);
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_done.load(Ordering::Acquire) {
                    let found = exact(&index, &[0.0; DIM], IDS, Some(Filter::Ids(&ids)));
                    let mut distinct = found.ids.clone();
                    distinct.sort_unstable();
                    assert_eq!(distinct, ids);
                    assert!(found.distances.iter().all(|distance| distance.to_bits() == found.distances[0].to_bits()));
                }
            });
        }
        for number in 1..200 {
            assert_eq!(upsert(&index, &ids, &batch(number)), IDS);
        }
        is_done.store(true, Ordering::Release);
    });
}
