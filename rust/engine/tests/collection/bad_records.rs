//! Records by other programs whose text or metadata cannot be read: each is reported, counted and
//! left out; all others are found as usual.

use std::path::Path;
use std::sync::Arc;

use tiercel_container::sim::SimVfs;
use tiercel_engine::filter::Filter;
use tiercel_engine::{Collection, Include, NewRecord, OpenOptions, Page, QueryError, Search, WriteError};
use tiercel_store::{Batch, Change, Options, Store};

use crate::{ALL, animals, ids, open_sim, scanned};

/// Return unreadable metadata for the cat.
fn damages() -> [Vec<u8>; 5] {
    [
        b"{".to_vec(),
        b"[4]".to_vec(),
        b"{\"legs\": 4, \"x\": \"\xff\"}".to_vec(),
        format!("{{\"legs\": {}}}", "4".repeat(5000)).into_bytes(),
        format!("{{\"legs\": 4, \"x\": {}}}", "[".repeat(100_000)).into_bytes(),
    ]
}

/// Make a collection of the animals, where the cat has this metadata.
fn damaged(metadata: &[u8]) -> SimVfs {
    changed(Batch {
        changes: vec![Change::SetMetadata { id: "cat".into(), metadata: Some(metadata.to_vec()) }],
        ..Batch::default()
    })
}

/// Make a collection of the animals, and write a batch that no collection would write.
fn changed(batch: Batch) -> SimVfs {
    let vfs = SimVfs::new();
    let collection = open_sim(&vfs).unwrap();
    let (records, vectors) = animals();
    collection.upsert(records, vectors).unwrap();
    collection.close().unwrap();
    let store = Store::open(Arc::new(vfs.clone()), Path::new("/collection"), Options::default()).unwrap();
    store.commit(batch, |_| ()).unwrap();
    store.close().unwrap();
    vfs
}

fn count(collection: &Collection, filter: &str) -> u64 {
    collection.count(Some(&Filter::from_text(filter).unwrap())).unwrap()
}

fn assert_one_is_damaged(collection: &Collection) {
    let search = Search { vector: Some(&[1.0, 0.1, 0.0]), k: 3, include: ALL, ..Search::default() };
    let found = collection.search(&search).unwrap();
    assert_eq!(found.matches.iter().map(|found| found.id.as_str()).collect::<Vec<_>>(), ["hen", "eel"]);
    assert_eq!(found.damaged, 1);
    // A search that does not include metadata finds the record.
    let found = collection.search(&Search { include: Include::default(), ..search.clone() }).unwrap();
    assert_eq!((found.matches[0].id.as_str(), found.matches.len(), found.damaged), ("cat", 3, 0));
    // Twice: the first may build an index.
    for _ in 0..2 {
        assert_eq!(count(collection, r#"{"legs": 4}"#), 0);
        assert_eq!(count(collection, r#"{"legs": {"$ne": 2}}"#), 1);
        assert_eq!(count(collection, r#"{"kind": {"$exists": false}}"#), 0);
    }
    let found = collection.search(&Search { filter: Some(r#"{"legs": {"$ne": 2}}"#), ..search }).unwrap();
    assert_eq!((found.matches.len(), found.damaged), (1, 1));
    let scanned = collection.scan(&Page { include: ALL, ..Page::default() }).unwrap().next_chunk().unwrap();
    assert_eq!(scanned.iter().map(|got| got.id.as_str()).collect::<Vec<_>>(), ["hen", "eel"]);
    let error = collection.get(&["hen".into(), "cat".into()], ALL).unwrap_err();
    assert!(matches!(error, QueryError::Corrupt(_)), "{error}");
    assert!(error.to_string().starts_with("records: metadata of record 'cat' in row 0: expected "), "{error}");
    assert_eq!(collection.get(&["hen".into()], ALL).unwrap().len(), 1);
    assert!(collection.get(&["cat".into()], Include::default()).unwrap()[0].is_some());
    let [named] = &collection.verify().unwrap()[..] else { panic!("one record is damaged") };
    assert!(error.to_string().starts_with(&named.to_string()), "{named}");
    assert_eq!(collection.stats().unwrap().damaged, 1);
    let [told] = &collection.troubles().take_untold()[..] else { panic!("it is reported once") };
    assert!(told.contains("'cat'") && told.ends_with("the record is left out of answers"), "{told}");
}

#[test]
fn one_record_whose_metadata_cannot_be_read_is_left_out() {
    for metadata in damages() {
        let vfs = damaged(&metadata);
        let collection = open_sim(&vfs).unwrap();
        assert_one_is_damaged(&collection);
        let reader =
            Collection::view_on(Arc::new(vfs.clone()), Path::new("/collection"), &OpenOptions::default()).unwrap();
        assert_one_is_damaged(&reader);
        let repaired = (String::from("cat"), Some(r#"{"legs": 4}"#.to_owned()));
        assert_eq!(collection.set_metadata(vec![repaired]).unwrap(), 1);
        assert_eq!(count(&collection, r#"{"legs": 4}"#), 1);
        assert_eq!(collection.stats().unwrap().damaged, 0);
        assert_eq!(collection.verify().unwrap(), []);
        assert!(collection.get(&["cat".into()], ALL).unwrap()[0].is_some());
    }
}

/// Make a batch where the text of the cat is not UTF-8.
fn cat() -> Batch {
    let (id, text, metadata) = ("cat".into(), Some(b"a cat \xff".to_vec()), Some(b"{\"legs\": 4}".to_vec()));
    let vectors = [1.0_f32, 0.0, 0.0].into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>().into();
    let change = Change::Upsert { id, vector: true, text, metadata };
    Batch { changes: vec![change], width: 12, vectors, ..Batch::default() }
}

fn assert_one_text_is_damaged(collection: &Collection) {
    assert_eq!((collection.len(), collection.stats().unwrap().damaged), (3, 1));
    let [told] = &collection.troubles().take_untold()[..] else { panic!("it is reported once") };
    assert!(told.starts_with("records: text of record 'cat' in row 3: expected UTF-8"), "{told}");
    let search = Search { vector: Some(&[1.0, 0.1, 0.0]), k: 3, ..Search::default() };
    assert_eq!(ids(collection, &search), ["cat", "hen", "eel"]);
    let found = collection.search(&Search { include: ALL, ..search }).unwrap();
    assert_eq!((found.matches.len(), found.damaged), (2, 1));
    let by_text = |text| ids(collection, &Search { text: Some(text), k: 3, include: ALL, ..Search::default() });
    assert_eq!((by_text("cat"), by_text("eggs")), (vec![], vec!["hen".to_owned()]));
    let found = collection.search(&Search { text: Some("eggs"), k: 3, ..Search::default() }).unwrap();
    assert_eq!((found.matches.len(), found.damaged), (1, 1), "it is unknown whether it has the word");
    assert_eq!(count(collection, r#"{"legs": 4}"#), 1, "a filter needs no text");
    assert_eq!(scanned(collection, &Page { include: ALL, ..Page::default() }).unwrap().len(), 2);
    assert_eq!(scanned(collection, &Page::default()).unwrap().len(), 3);
    let error = collection.get(&["cat".into()], ALL).unwrap_err();
    assert!(told.starts_with(&error.to_string()), "{error}");
    let [named] = &collection.verify().unwrap()[..] else { panic!("one record is damaged") };
    assert!(told.starts_with(&named.to_string()), "{named}");
}

#[test]
fn one_record_whose_text_cannot_be_read_is_left_out() {
    let vfs = changed(cat());
    let reader = Collection::view_on(Arc::new(vfs.clone()), Path::new("/collection"), &OpenOptions::default()).unwrap();
    assert_one_text_is_damaged(&reader);
    let collection = open_sim(&vfs).unwrap();
    assert_one_text_is_damaged(&collection);
    let (records, vectors) = animals();
    collection.upsert(records, vectors).unwrap();
    assert_eq!((collection.stats().unwrap().damaged, collection.verify().unwrap().len()), (0, 0));
    assert_eq!(ids(&collection, &Search { text: Some("cat"), k: 3, ..Search::default() }), ["cat"]);
}

#[test]
fn metadata_that_could_not_be_read_are_not_written() {
    let collection = open_sim(&SimVfs::new()).unwrap();
    for metadata in damages() {
        let Ok(metadata) = String::from_utf8(metadata) else { continue };
        let good = NewRecord { id: "a".into(), ..NewRecord::default() };
        let bad = NewRecord { id: "b".into(), metadata: Some(metadata.clone()), ..NewRecord::default() };
        let refused = collection.upsert(vec![good, bad], vec![]).unwrap_err();
        assert!(matches!(refused, WriteError::Metadata { .. }), "{refused}");
        assert!(refused.to_string().starts_with("metadata[1] of record 'b': expected "), "{refused}");
        let refused = collection.set_metadata(vec![("a".into(), Some(metadata))]).unwrap_err();
        assert!(matches!(refused, WriteError::Metadata { .. }), "{refused}");
    }
    assert!(collection.is_empty());
}
