//! Durability: closing, opening, checkpoints.

use tiercel_engine::filter::Filter;
use tiercel_engine::{Collection, Durability, OpenError, OpenOptions, Running, Search};

use crate::{ALL, animals, ids, open, record};

#[test]
fn everything_is_there_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let (records, vectors) = animals();
    let zoo = open(directory.path(), Some(3));
    zoo.upsert(records, vectors).unwrap();
    zoo.delete(vec!["hen".into()]).unwrap();
    let before = zoo.get(&["cat".into(), "hen".into(), "eel".into()], ALL).unwrap();
    zoo.close().unwrap();
    let zoo = open(directory.path(), None);
    assert_eq!(zoo.get(&["cat".into(), "hen".into(), "eel".into()], ALL).unwrap(), before);
    assert_eq!(ids(&zoo, &Search { text: Some("sleeps"), k: 5, ..Search::default() }), ["cat", "eel"]);
    assert_eq!(ids(&zoo, &Search { vector: Some(&[0.0, 1.0, 0.1]), k: 5, ..Search::default() }), ["eel", "cat"]);
}

#[test]
fn checkpoints_hold_what_was_written_before_and_the_store_what_came_after() {
    let directory = tempfile::tempdir().unwrap();
    let (records, vectors) = animals();
    let zoo = open(directory.path(), Some(3));
    zoo.upsert(records, vectors).unwrap();
    zoo.checkpoint().unwrap();
    assert_eq!(zoo.stats().unwrap().checkpoint_rows, 3);
    zoo.upsert(vec![record("owl", "an owl sleeps", "{}"), record("cat", "a tiger sleeps", "{}")], vec![1.0; 6])
        .unwrap();
    zoo.delete(vec!["eel".into()]).unwrap();
    zoo.close().unwrap();
    let zoo = open(directory.path(), Some(3));
    assert_eq!(zoo.stats().unwrap().checkpoint_rows, 3);
    assert_eq!(zoo.len(), 3);
    assert_eq!(ids(&zoo, &Search { text: Some("sleeps"), k: 5, ..Search::default() }), ["owl", "cat"]);
    let near_z = Search { vector: Some(&[0.0, 0.0, 1.0]), k: 5, ..Search::default() };
    let mut found = ids(&zoo, &near_z);
    found.sort();
    assert_eq!(found, ["cat", "hen", "owl"]);
    zoo.checkpoint().unwrap();
    zoo.close().unwrap();
    let mut found = ids(&open(directory.path(), None), &near_z);
    found.sort();
    assert_eq!(found, ["cat", "hen", "owl"]);
}

#[test]
fn thousands_go_into_the_graph_and_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let collection = open(directory.path(), Some(8));
    let value = |row: usize, at: usize| ((row * 31 + at * 17) % 97) as f32 - 48.0 + (row % 7) as f32 * 0.1;
    for batch in 0..12 {
        let rows = batch * 1000..(batch + 1) * 1000;
        let vectors = rows.clone().flat_map(|row| (0..8).map(move |at| value(row, at))).collect();
        let records = rows.map(|row| record(&format!("r{row}"), &format!("word{}", row % 50), "{}")).collect();
        collection.upsert(records, vectors).unwrap();
    }
    collection.wait_idle().unwrap();
    let stats = collection.stats().unwrap();
    assert_eq!((stats.fresh_vectors, stats.index.unwrap().len), (0, 12_000));
    let query: Vec<f32> = (0..8).map(|at| value(1234, at)).collect();
    let near = Search { vector: Some(&query), k: 10, recall: Some(1.0), ..Search::default() };
    let before = collection.search(&near).unwrap().matches;
    collection.checkpoint().unwrap();
    collection.close().unwrap();
    let collection = open(directory.path(), None);
    assert_eq!(collection.search(&near).unwrap().matches, before);
    let text = Search { text: Some("word7"), k: 500, ..Search::default() };
    assert_eq!(collection.search(&text).unwrap().matches.len(), 240);
}

#[test]
fn records_that_are_replaced_again_and_again_give_their_memory_back() {
    let directory = tempfile::tempdir().unwrap();
    let collection = open(directory.path(), Some(2));
    let filter = Filter::from_text(r#"{"round": {"$gte": 0}}"#).unwrap();
    let mut bytes = Vec::new();
    for round in 0..40 {
        let new = |id| record(&format!("r{id}"), "eels", &format!(r#"{{"round": {}}}"#, 1000 * round + id));
        let records = (0..1000).map(new).collect();
        collection.upsert(records, (0..2000).map(|value| 1.0 + value as f32).collect()).unwrap();
        collection.wait_idle().unwrap();
        assert_eq!(collection.count(Some(&filter)).unwrap(), 1000);
        let stats = collection.stats().unwrap();
        bytes.push(stats.field_bytes);
        assert!(stats.index.unwrap().tombstones <= 10_000, "round {round}");
    }
    let most = |bytes: &[usize]| bytes.iter().copied().max().unwrap();
    assert!(2 * most(&bytes[20..]) < 3 * most(&bytes[..20]), "{bytes:?}");
    assert_eq!(ids(&collection, &Search { text: Some("eels"), k: 2000, ..Search::default() }).len(), 1000);
}

#[test]
fn what_it_was_made_with_is_checked() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path(), Some(3)).close().unwrap();
    let running = Running::new(Durability::Always);
    let error = Collection::open(directory.path(), OpenOptions { dim: Some(4), ..OpenOptions::default() }, running)
        .err()
        .unwrap();
    assert!(matches!(error, OpenError::Differs { option: "dim", .. }), "{error}");
}

#[test]
fn a_second_writer_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _first = open(directory.path(), Some(3));
    let running = Running::new(Durability::Always);
    let error = Collection::open(directory.path(), OpenOptions::default(), running).err().unwrap();
    assert!(error.to_string().contains("already open"), "{error}");
}
