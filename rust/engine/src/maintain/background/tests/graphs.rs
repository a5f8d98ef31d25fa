//! Several graphs: they are filled, merged, rebuilt and written one by one.

use std::collections::BTreeSet;

use tiercel_index::Index;

use super::*;
use crate::state::vectors::GRAPHS;

/// Batches of records.
const BATCHES: usize = 9;

/// Open a collection whose graphs are full with one batch, and whose background is stopped.
fn quiet_with_small_graphs(vfs: &SimVfs) -> Collection {
    quieted(open_with(vfs, Running { graph: BATCH, ..Running::new(Durability::Interval) }))
}

fn graphs(collection: &Collection) -> Vec<Arc<Index>> {
    collection.core.snapshot().vectors.iter().flat_map(Vectors::graphs).cloned().collect()
}

/// Put in a batch, link it, and merge graphs if that is due.
fn add(collection: &Collection, batch: usize) -> bool {
    upsert(collection, batch * BATCH..(batch + 1) * BATCH);
    link(collection)
}

fn link(collection: &Collection) -> bool {
    attempt(collection, |writer| {
        move_growing(writer)?;
        while merge_graphs(writer)? {}
        Ok(())
    })
}

/// Check that searches find these records, and that each is in one graph.
fn assert_found(collection: &Collection, numbers: std::ops::Range<usize>) {
    assert_eq!(collection.len(), numbers.len() as u64);
    for number in numbers.clone().step_by(7) {
        let search = Search { vector: Some(&vector(number)), k: 5, ..Search::default() };
        let found: Vec<String> =
            collection.search(&search).unwrap().matches.into_iter().map(|found| found.id).collect();
        assert_eq!(found[0], number.to_string());
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 5, "{found:?}");
    }
}

#[test]
fn graphs_are_filled_one_after_the_other_and_merged_when_there_are_as_many_as_may_be() {
    let vfs = SimVfs::new();
    let collection = quiet_with_small_graphs(&vfs);
    let mut most = 0;
    for batch in 0..BATCHES {
        assert!(add(&collection, batch));
        let graphs = graphs(&collection);
        most = most.max(graphs.len());
        assert!(graphs.len() <= GRAPHS);
        assert_eq!(graphs.iter().map(|graph| graph.len()).sum::<usize>(), (batch + 1) * BATCH);
        assert_found(&collection, 0..(batch + 1) * BATCH);
    }
    assert!(most > 2, "{most}");
}

#[test]
fn a_failure_while_graphs_are_filled_or_merged_loses_nothing_and_the_next_attempt_goes_on() {
    let mut steps = BTreeSet::new();
    for panics in [false, true] {
        for nth in 1.. {
            let vfs = SimVfs::new();
            let collection = quiet_with_small_graphs(&vfs);
            let faults = &writer(&collection).faults;
            faults.plant(nth, panics);
            for batch in 0..BATCHES {
                add(&collection, batch);
                assert_found(&collection, 0..(batch + 1) * BATCH);
            }
            let (met, reached) = faults.clear();
            if !reached {
                break;
            }
            steps.insert(*met.last().unwrap());
            assert!(link(&collection) && write_checkpoint(&collection));
            let sizes = || graphs(&collection).iter().map(|graph| graph.len()).collect::<Vec<_>>();
            assert_eq!(sizes().iter().sum::<usize>(), BATCHES * BATCH, "{met:?}: {:?}", sizes());
            drop(collection);
            assert_found(&open(&vfs), 0..BATCHES * BATCH);
        }
    }
    let expected = ["drop a graph", "drop segments", "merge graphs", "move segments", "seal segments", "start a graph"];
    assert_eq!(steps.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_compaction_that_fails_after_some_graphs_leaves_each_record_in_one_graph_in_the_end() {
    let gone = 3 * BATCH + 5;
    for nth in 1.. {
        let vfs = SimVfs::new();
        let collection = quiet_with_small_graphs(&vfs);
        for batch in 0..BATCHES {
            assert!(add(&collection, batch));
        }
        collection.delete((0..gone).map(|number| number.to_string()).collect()).unwrap();
        writer(&collection).faults.plant(nth, false);
        let compacted = collection.compact().is_ok();
        let (met, reached) = writer(&collection).faults.clear();
        assert_eq!(compacted, !reached, "{met:?}");
        let found = |collection: &Collection| {
            assert_eq!(collection.len(), (BATCHES * BATCH - gone) as u64);
            for number in (gone..BATCHES * BATCH).step_by(11) {
                let search = Search { vector: Some(&vector(number)), k: 3, ..Search::default() };
                let found = collection.search(&search).unwrap().matches;
                assert_eq!(found[0].id, number.to_string(), "{met:?}");
                assert_ne!(found[0].id, found[1].id);
            }
        };
        found(&collection);
        collection.compact().unwrap();
        found(&collection);
        let graphs = graphs(&collection);
        assert!(graphs.len() <= GRAPHS && graphs.iter().all(|graph| graph.len() == graph.slots()), "{met:?}");
        assert_eq!(graphs.iter().map(|graph| graph.len()).sum::<usize>(), BATCHES * BATCH - gone, "{met:?}");
        drop(graphs);
        drop(collection);
        found(&open(&vfs));
        if !reached {
            assert!(met.contains(&"rebuilt some"), "{met:?}");
            break;
        }
    }
}

#[test]
fn a_checkpoint_writes_only_graphs_that_have_grown() {
    let vfs = SimVfs::new();
    let collection = quiet_with_small_graphs(&vfs);
    let files = |collection: &Collection| writer(collection).maintenance.lock().last.graphs.clone();
    assert!(add(&collection, 0) && add(&collection, 1) && write_checkpoint(&collection));
    let before = files(&collection);
    assert_eq!(before.len(), 2);
    assert!(add(&collection, 2));
    // The dead are left out of a graph when its file is read.
    collection.delete(vec!["3".into()]).unwrap();
    assert!(attempt(&collection, take_out_dead) && write_checkpoint(&collection));
    let after = files(&collection);
    assert_eq!((after.len(), &after[..2]), (3, &before[..]));
    drop(collection);
    let collection = quiet_with_small_graphs(&vfs);
    assert_eq!(collection.len(), 3 * BATCH as u64 - 1);
    assert!(!graphs(&collection)[0].contains(3));
    // Nothing is new, so nothing is written.
    assert!(write_checkpoint(&collection));
    assert_eq!(files(&collection), after);
    assert_eq!(collection.verify().unwrap(), []);
}

#[test]
fn a_graph_that_was_emptied_and_filled_again_is_written_again() {
    let vfs = SimVfs::new();
    let collection = quieted(open(&vfs));
    assert!(add(&collection, 0) && write_checkpoint(&collection));
    collection.delete((0..BATCH).map(|number| number.to_string()).collect()).unwrap();
    assert!(attempt(&collection, take_out_dead));
    upsert(&collection, BATCH..2 * BATCH);
    assert!(link(&collection) && write_checkpoint(&collection));
    drop(collection);
    let collection = open(&vfs);
    for number in BATCH..2 * BATCH {
        let search = Search { vector: Some(&vector(number)), k: 1, ..Search::default() };
        assert_eq!(collection.search(&search).unwrap().matches[0].id, number.to_string());
    }
}
