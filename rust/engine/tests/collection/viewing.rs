//! Readers next to a writer.

use std::path::Path;
use std::sync::Arc;

use tiercel_container::sim::SimVfs;
use tiercel_engine::filter::Filter;
use tiercel_engine::{Collection, NewRecord, OpenError, OpenOptions, Page, Search, StoreOpenError, WriteError};

use crate::{ALL, animals, ids, open, open_sim, record, scanned};

fn sleeps() -> Search<'static> {
    Search { text: Some("sleeps"), k: 9, include: ALL, ..Search::default() }
}

fn view(path: &Path) -> Collection {
    Collection::view(path, &OpenOptions::default()).unwrap()
}

#[test]
fn a_reader_stays_where_it_is_until_it_is_refreshed() {
    let directory = tempfile::tempdir().unwrap();
    let (records, vectors) = animals();
    let zoo = open(directory.path(), Some(3));
    zoo.upsert(records, vectors).unwrap();
    zoo.checkpoint().unwrap();
    let (one, other) = (view(directory.path()), view(directory.path()));
    zoo.upsert(vec![record("owl", "an owl sleeps", "{}")], vec![1.0; 3]).unwrap();
    zoo.delete(vec!["cat".into()]).unwrap();
    zoo.checkpoint().unwrap();
    assert_eq!(ids(&one, &sleeps()), ["cat", "eel"]);
    assert_eq!(one.len(), 3);
    assert!(one.refresh().unwrap());
    assert!(!one.refresh().unwrap());
    assert_eq!(ids(&one, &sleeps()), ["owl", "eel"]);
    assert_eq!(one.get(&["owl".into()], ALL).unwrap(), zoo.get(&["owl".into()], ALL).unwrap());
    assert_eq!(one.stats().unwrap().checkpoint_rows, 4);
    assert!(one.verify().unwrap().is_empty());
    assert_eq!(other.len(), 3);
    assert!(!zoo.refresh().unwrap());
}

#[test]
fn a_refresh_goes_along_the_log() {
    let vfs = SimVfs::default();
    let zoo = open_sim(&vfs).unwrap();
    let (records, vectors) = animals();
    zoo.upsert(records, vectors).unwrap();
    let reader = Collection::view_on(Arc::new(vfs.clone()), Path::new("/collection"), &OpenOptions::default()).unwrap();
    assert_eq!(ids(&reader, &sleeps()), ["cat", "eel"]);
    let reading = reader.moment().reading;
    for round in 0..20 {
        zoo.upsert(vec![record("owl", &format!("an owl sleeps {round}"), "{}")], vec![1.0; 3]).unwrap();
        zoo.set_metadata(vec![("hen".into(), Some(format!(r#"{{"round": {round}}}"#)))]).unwrap();
        if round % 5 == 0 {
            zoo.delete(vec!["cat".into()]).unwrap();
            zoo.wait_idle().unwrap();
        }
        assert!(reader.refresh().unwrap());
        assert!(!reader.refresh().unwrap());
        for id in ["cat", "hen", "owl"] {
            assert_eq!(reader.get(&[id.into()], ALL).unwrap(), zoo.get(&[id.into()], ALL).unwrap());
        }
        let filter = Filter::from_text(&format!(r#"{{"round": {round}}}"#)).unwrap();
        assert_eq!(reader.count(Some(&filter)).unwrap(), 1);
        assert_eq!(ids(&reader, &sleeps()), ids(&zoo, &sleeps()));
    }
    assert_eq!(reader.moment().reading, reading, "it was not read from disk again");
}

#[test]
fn what_was_followed_is_loaded_once_a_checkpoint_has_much_of_it() {
    let vfs = SimVfs::default();
    let zoo = open_sim(&vfs).unwrap();
    let put = |round: u32| {
        let new = |at| NewRecord { id: format!("{round}-{at}"), ..NewRecord::default() };
        zoo.upsert((0..6000).map(new).collect(), vec![]).unwrap();
    };
    put(0);
    let reader = Collection::view_on(Arc::new(vfs.clone()), Path::new("/collection"), &OpenOptions::default()).unwrap();
    let reading = reader.moment().reading;
    (1..6).for_each(put);
    assert!(reader.refresh().unwrap());
    assert_eq!((reader.len(), reader.moment().reading), (36_000, reading));
    zoo.checkpoint().unwrap();
    put(6);
    reader.refresh().unwrap();
    assert_eq!((reader.len(), reader.stats().unwrap().checkpoint_rows), (42_000, 36_000));
    assert_ne!(reader.moment().reading, reading);
}

#[test]
fn what_a_refresh_reads_goes_with_the_change() {
    let vfs = SimVfs::default();
    let zoo = open_sim(&vfs).unwrap();
    let put = |id: &str| zoo.upsert(vec![record(id, "a text", "{}")], vec![1.0; 3]).unwrap();
    let reader = Collection::view_on(Arc::new(vfs.clone()), Path::new("/collection"), &OpenOptions::default()).unwrap();
    let mut operations = Vec::new();
    for round in 0..400 {
        put(&format!("id{round}"));
        let before = vfs.counts().all;
        assert!(reader.refresh().unwrap());
        operations.push(vfs.counts().all - before);
    }
    assert!(operations.iter().all(|count| *count <= 20), "{operations:?}");
}

#[test]
fn a_reader_answers_however_far_the_writer_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let zoo = open(directory.path(), Some(3));
    let put = |round: usize| {
        let text = format!("round {round} {}", "x".repeat(3000));
        let ids = (0..20).map(|at| record(&format!("r{at}"), &text, "{}")).collect();
        zoo.upsert(ids, vec![1.0; 60]).unwrap();
    };
    put(0);
    zoo.checkpoint().unwrap();
    let reader = view(directory.path());
    for round in 1..8 {
        put(round);
        if round % 3 == 0 {
            zoo.compact().unwrap();
        } else {
            zoo.checkpoint().unwrap();
        }
        let found = reader
            .read(|reader| reader.search(&Search { text: Some("round"), k: 50, include: ALL, ..Search::default() }))
            .unwrap();
        let texts: Vec<_> = found.matches.iter().map(|found| found.text.as_deref().unwrap()).collect();
        assert_eq!(texts.len(), 20);
        assert!(texts.iter().all(|text| text == &texts[0]), "records of different batches");
        assert!(reader.read(Collection::verify).unwrap().is_empty());
    }
}

#[test]
fn a_reader_changes_nothing() {
    let vfs = SimVfs::default();
    let zoo = open_sim(&vfs).unwrap();
    let (records, vectors) = animals();
    zoo.upsert(records.clone(), vectors.clone()).unwrap();
    zoo.checkpoint().unwrap();
    zoo.wait_idle().unwrap();
    let before = (vfs.counts().writes, vfs.counts().syncs);
    let reader = Collection::view_on(Arc::new(vfs.clone()), Path::new("/collection"), &OpenOptions::default()).unwrap();
    assert_eq!(ids(&reader, &sleeps()), ["cat", "eel"]);
    let refused = [
        reader.upsert(records, vectors).err(),
        reader.set_metadata(vec![("cat".into(), None)]).err(),
        reader.delete(vec!["cat".into()]).err(),
        reader.checkpoint().err(),
        reader.compact().err(),
        reader.wait_idle().err(),
    ];
    for error in refused {
        assert!(matches!(error, Some(WriteError::ReadOnly)), "{error:?}");
    }
    reader.close().unwrap();
    assert_eq!((vfs.counts().writes, vfs.counts().syncs), before);
}

/// A reader uses the old row numbers until it advances, and never reads records by the new ones
/// with them.
#[test]
fn a_reader_goes_on_to_new_numbers_of_rows() {
    let directory = tempfile::tempdir().unwrap();
    let zoo = open(directory.path(), Some(3));
    let put = |round: usize, numbers: std::ops::Range<usize>| {
        let text = format!("round{round}");
        let new = numbers.clone().map(|at| record(&format!("r{at}"), &text, "{}"));
        zoo.upsert(new.collect(), numbers.flat_map(|at| [at as f32, round as f32, 1.0]).collect()).unwrap();
    };
    put(0, 0..20);
    let reader = view(directory.path());
    let often = view(directory.path());
    for round in 1..9 {
        put(round, 0..10);
        // With and without a checkpoint and batches of the old numbers since the reader last
        // advanced.
        if round % 2 == 0 {
            often.refresh().unwrap();
        }
        if round % 3 == 0 {
            zoo.checkpoint().unwrap();
        }
        let before = all_of(&reader);
        zoo.renumber().unwrap();
        assert_eq!(all_of(&reader), before, "round {round}");
        if round % 4 < 2 {
            put(round, 10..12);
        }
        reader.refresh().unwrap();
        often.refresh().unwrap();
        let expected = all_of(&zoo);
        assert_eq!((all_of(&reader), all_of(&often)), (expected.clone(), expected), "round {round}");
        assert!(reader.read(Collection::verify).unwrap().is_empty());
        zoo.delete(vec!["r10".into(), "r11".into()]).unwrap();
        reader.refresh().unwrap();
        put(0, 10..12);
    }
}

/// Return the ids and texts of all records, and check that each is found by its vector.
fn all_of(collection: &Collection) -> Vec<(String, String)> {
    let read = |collection: &Collection| {
        let records = scanned(collection, &Page { include: ALL, ..Page::default() })?;
        let mut all = Vec::new();
        for got in records {
            let near = Search { vector: got.vector.as_deref(), k: 1, recall: Some(1.0), ..Search::default() };
            assert_eq!(collection.search(&near)?.matches[0].id, got.id);
            all.push((got.id, got.text.unwrap()));
        }
        all.sort();
        Ok(all)
    };
    collection.read(read).unwrap()
}

#[test]
fn there_must_be_something_to_read() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    for path in [directory.path(), &missing] {
        let error = Collection::view(path, &OpenOptions::default()).err().unwrap();
        assert!(matches!(error, OpenError::Store(StoreOpenError::NotFound)), "{error}");
    }
    assert!(!missing.exists());
}

#[test]
fn a_reader_says_what_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let (records, vectors) = animals();
    let zoo = open(directory.path(), Some(3));
    zoo.upsert(records, vectors).unwrap();
    zoo.checkpoint().unwrap();
    zoo.close().unwrap();
    let reader = view(directory.path());
    let segment = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let segment = segment.filter(|path| path.extension().is_some_and(|end| end == "seg")).max().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    assert_eq!(reader.verify().unwrap().len(), 1);
    assert!(Collection::view(directory.path(), &OpenOptions::default()).is_err());
}
