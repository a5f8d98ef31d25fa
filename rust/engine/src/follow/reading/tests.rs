use std::path::Path;

use tiercel_container::sim::SimVfs;
use tiercel_index::Index;
use tiercel_store::Durability;

use super::*;
use crate::collection::Collection;
use crate::config::OpenOptions;
use crate::open::Running;
use crate::search::request::Search;
use crate::write::upsert::NewRecord;

/// Vectors of a full graph: few enough that the others are enough for a reader to load a checkpoint.
const GRAPH: usize = 1000;

fn put(collection: &Collection, numbers: std::ops::Range<usize>) {
    let record = |number: usize| NewRecord { id: number.to_string(), vector: true, ..NewRecord::default() };
    let vectors = numbers.clone().flat_map(|number| [number as f32, 1.0]).collect();
    collection.upsert(numbers.map(record).collect(), vectors).unwrap();
    collection.wait_idle().unwrap();
}

fn graphs(collection: &Collection) -> Vec<Arc<Index>> {
    collection.core.snapshot().vectors.iter().flat_map(Vectors::graphs).cloned().collect()
}

fn nearest(collection: &Collection, number: usize) -> String {
    let search = Search { vector: Some(&[number as f32, 1.0]), k: 1, ..Search::default() };
    collection.search(&search).unwrap().matches.remove(0).id
}

#[test]
fn a_reader_reads_only_graphs_that_it_does_not_have() {
    let vfs = SimVfs::new();
    let path = Path::new("/collection");
    let wanted = OpenOptions { dim: Some(2), metric: Some(tiercel_index::Metric::L2), ..OpenOptions::default() };
    let running = Running { graph: GRAPH, ..Running::new(Durability::Always) };
    let collection = Collection::open_on(Arc::new(vfs.clone()), path, wanted, running).unwrap();
    put(&collection, 0..GRAPH);
    collection.checkpoint().unwrap();
    let reader = Collection::view_on(Arc::new(vfs), path, &OpenOptions::default()).unwrap();
    let (before, held) = (graphs(&reader), reader.core.snapshot());
    collection.delete(vec!["3".into()]).unwrap();
    put(&collection, GRAPH..GRAPH + MANY as usize);
    put(&collection, 5..6);
    collection.checkpoint().unwrap();
    reader.refresh().unwrap();
    let after = graphs(&reader);
    assert_eq!((before.len(), after.len()), (1, 3));
    assert!(Arc::ptr_eq(&before[0], &after[0]), "the graph is the one that was there");
    assert_eq!((reader.len(), reader.stats().unwrap().fresh_vectors), (collection.len(), 0));
    for number in [0, 2, 5, GRAPH - 1, GRAPH, GRAPH + MANY as usize - 1] {
        assert_eq!(nearest(&reader, number), number.to_string());
    }
    assert!(["2", "4"].contains(&&*nearest(&reader, 3)));
    // An older snapshot still shows what was deleted, and its row goes once nobody holds it.
    assert!(held.lives(3) && before[0].contains(3) && before[0].contains(5));
    drop(held);
    let ids: Vec<String> = (GRAPH..GRAPH + BURIED).map(|number| number.to_string()).collect();
    collection.delete(ids).unwrap();
    reader.refresh().unwrap();
    assert!(!before[0].contains(3) && !before[0].contains(5) && before[0].contains(4));
    // So do those that the refresh itself removed: searches would have to pass over them.
    assert_eq!(graphs(&reader).iter().map(|graph| graph.len() as u64).sum::<u64>(), reader.len());
}
