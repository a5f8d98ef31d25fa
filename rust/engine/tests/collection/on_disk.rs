//! Full vectors on disk: the same answers as from memory, and an error instead of a wrong one.

use std::path::Path;

use tiercel_engine::{
    Collection, Durability, Found, Include, NewRecord, OpenError, OpenOptions, QueryError, Running, Search, WriteError,
};
use tiercel_index::{Metric, Raw, RawError, Storage};

const DIM: usize = 6;
const RUNNING: Running = Running::new(Durability::None);

fn wanted(raw: Raw, storage: &str) -> OpenOptions {
    let storage = Storage::from_name(storage);
    OpenOptions { metric: Some(Metric::L2), storage, raw: Some(raw), ..OpenOptions::default() }
}

fn open(path: &Path, raw: Raw) -> Collection {
    Collection::open(path, wanted(raw, "sq8"), RUNNING).unwrap()
}

fn vector(number: u32) -> [f32; DIM] {
    std::array::from_fn(|at| (number as f32 * 0.37 + at as f32 * 1.9).sin() + (number % 7) as f32)
}

fn put(collection: &Collection, numbers: std::ops::Range<u32>) {
    let record = |number: u32| NewRecord {
        id: number.to_string(),
        vector: true,
        metadata: Some(format!(r#"{{"third": {}}}"#, number.is_multiple_of(3))),
        ..NewRecord::default()
    };
    collection.upsert(numbers.clone().map(record).collect(), numbers.flat_map(vector).collect()).unwrap();
}

/// A result: its id, distance and vector.
type Answer = (String, Option<f32>, Option<Vec<f32>>);

/// What searches of all kinds find.
fn answers(collection: &Collection) -> Vec<Vec<Answer>> {
    let include = Include { vector: true, ..Include::default() };
    let mut all = Vec::new();
    for number in (0..3000).step_by(271) {
        let query = vector(number).map(|value| value + 0.01);
        let near = Search { vector: Some(&query), k: 9, include, ..Search::default() };
        for search in [
            near.clone(),
            Search { recall: Some(1.0), ..near.clone() },
            Search { filter: Some(r#"{"third": true}"#), ..near.clone() },
            Search { mmr: Some(0.5), ..near },
        ] {
            let Found { matches, .. } = collection.search(&search).unwrap();
            all.push(matches.into_iter().map(|found| (found.id, found.distance, found.vector)).collect());
        }
    }
    all
}

/// Bytes of full vectors in memory.
fn in_memory(collection: &Collection) -> usize {
    let stats = collection.stats().unwrap().index.unwrap();
    stats.bytes.iter().find(|(part, _)| *part == "vectors").unwrap().1
}

#[test]
fn a_collection_finds_the_same_wherever_its_full_vectors_are() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let places = [Raw::Memory, Raw::Disk];
    let path = |at: usize| directories[at].path();
    let mut both = [0, 1].map(|at| open(path(at), places[at]));
    let same = |both: &[Collection; 2], when: &str| {
        for collection in both {
            collection.wait_idle().unwrap();
        }
        assert!(answers(&both[0]) == answers(&both[1]), "{when}");
        assert_eq!((in_memory(&both[0]) > 0, in_memory(&both[1])), (true, 0), "{when}");
        assert!(both.iter().all(|collection| collection.verify().unwrap().is_empty()), "{when}");
    };
    let each = |both: &[Collection; 2], change: &dyn Fn(&Collection)| both.iter().for_each(change);
    each(&both, &|collection| put(collection, 0..2500));
    same(&both, "in the temporary file");
    each(&both, &|collection| collection.checkpoint().unwrap());
    same(&both, "in the file of the checkpoint");
    each(&both, &|collection| {
        put(collection, 2400..3000);
        collection.delete((0..50).map(|number| number.to_string()).collect()).unwrap();
    });
    same(&both, "in both");
    each(&both, &|collection| {
        collection.checkpoint().unwrap();
        put(collection, 3000..3100);
        collection.compact().unwrap();
    });
    same(&both, "built anew");
    each(&both, &|collection| collection.change_storage(Storage::from_name("sq4").unwrap()).unwrap());
    same(&both, "with other codes");
    each(&both, &|collection| put(collection, 3100..3110));
    each(&both, &|collection| collection.renumber().unwrap());
    same(&both, "renumbered");
    drop(both);
    // Each session chooses.
    both = [0, 1].map(|at| Collection::open(path(at), wanted(places[at], "sq4"), RUNNING).unwrap());
    same(&both, "opened again");
    drop(both);
    both = [1, 0].map(|at| Collection::open(path(at), wanted(places[1 - at], "sq4"), RUNNING).unwrap());
    same(&both, "opened the other way");
    assert_eq!(both.each_ref().map(Collection::raw), [Raw::Memory, Raw::Disk]);
}

/// Count the indexes and temporary files in a directory that are open and have no name.
#[cfg(target_os = "linux")]
fn unnamed(directory: &Path) -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let paths = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    let removed = paths.filter(|path| path.starts_with(directory) && path.to_string_lossy().ends_with(" (deleted)"));
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    removed.filter(|path| ["#", "index"].iter().any(|start| name(path).starts_with(start))).count()
}

#[test]
#[cfg(target_os = "linux")]
fn a_checkpoint_lets_go_of_the_temporary_file_and_of_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let collection = open(directory.path(), Raw::Disk);
    for first in [0, 2000, 4000] {
        put(&collection, first..first + 2000);
        collection.wait_idle().unwrap();
        assert_eq!(unnamed(directory.path()), 1, "new vectors");
        collection.checkpoint().unwrap();
        assert_eq!(unnamed(directory.path()), 0, "after {first}");
    }
}

#[test]
fn a_reader_may_keep_full_vectors_on_disk_too() {
    let directory = tempfile::tempdir().unwrap();
    let writer = open(directory.path(), Raw::Memory);
    put(&writer, 0..2500);
    writer.checkpoint().unwrap();
    let reader = Collection::view(directory.path(), &wanted(Raw::Disk, "sq8")).unwrap();
    assert_eq!(in_memory(&reader), 0);
    assert!(answers(&reader) == answers(&writer));
    // The file that it reads is removed.
    put(&writer, 2500..2600);
    writer.compact().unwrap();
    assert!(reader.refresh().unwrap());
    assert!(answers(&reader).iter().zip(&answers(&writer)).all(|(one, other)| one[..3] == other[..3]));
}

/// Flip a bit of the vector with a number in the file of the checkpoint.
fn damage(directory: &Path, number: u32) {
    let wanted: Vec<u8> = vector(number).iter().flat_map(|value| value.to_le_bytes()).collect();
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("index")) {
        let mut bytes = std::fs::read(&path).unwrap();
        let place = bytes.windows(wanted.len()).position(|some| some == wanted).unwrap();
        bytes[place] ^= 4;
        // The same file, not another in its place.
        std::fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn a_vector_that_has_changed_on_disk_is_an_error_wherever_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let collection = open(directory.path(), Raw::Disk);
    put(&collection, 0..2000);
    collection.checkpoint().unwrap();
    damage(directory.path(), 77);
    let include = Include { vector: true, ..Include::default() };
    let is_damage = |error: &QueryError| matches!(error, QueryError::Io(error) if error.get_ref().is_some_and(|inner| matches!(inner.downcast_ref(), Some(RawError::Changed { .. }))));
    let got = collection.get(&["77".into()], include).err().unwrap();
    assert!(is_damage(&got), "{got:?}");
    let query = vector(77);
    let near = Search { vector: Some(&query), k: 3, include, ..Search::default() };
    for search in [near.clone(), Search { recall: Some(1.0), ..near.clone() }, Search { mmr: Some(0.3), ..near }] {
        let found = collection.search(&search).err().unwrap();
        assert!(is_damage(&found), "{found:?}");
    }
    // An update without a vector keeps the old one, which it must read.
    let text = NewRecord { id: "77".into(), text: Some("a word".into()), ..NewRecord::default() };
    let updated = collection.update(&[text], &[], &[]).err().unwrap();
    assert!(matches!(&updated, WriteError::Query(error) if is_damage(error)), "{updated:?}");
    // Nothing is written from it, and the rest goes on.
    put(&collection, 5000..5001);
    assert!(collection.checkpoint().is_err());
    collection.delete(vec!["5".into()]).unwrap();
    assert!(collection.compact().is_err());
    assert_eq!(collection.get(&["76".into()], include).unwrap()[0].as_ref().unwrap().vector, Some(vector(76).to_vec()));
    assert_eq!(collection.len(), 2000);
    drop(collection);
    let opened = Collection::open(directory.path(), wanted(Raw::Disk, "sq8"), RUNNING).err();
    assert!(matches!(opened, Some(OpenError::Damaged { .. } | OpenError::Store(_))), "{opened:?}");
}

#[test]
fn searches_that_compare_full_vectors_need_them_in_memory() {
    let message = "raw: expected 'memory', since searches compare full vectors, got 'disk'; open with \
                   raw='memory', or let a writer choose codes: storage='sq8' for a new collection, \
                   compact(storage='sq8') for one that exists";
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("new");
    let refused = Collection::open(&inner, wanted(Raw::Disk, "raw"), RUNNING).err().unwrap();
    assert_eq!(refused.to_string(), message);
    assert!(!inner.exists());
    let collection = Collection::open(directory.path(), wanted(Raw::Memory, "raw"), RUNNING).unwrap();
    put(&collection, 0..1200);
    collection.close().unwrap();
    let refused = Collection::open(directory.path(), wanted(Raw::Disk, "raw"), RUNNING).err().unwrap();
    assert_eq!(refused.to_string(), message);
    let refused = Collection::view(directory.path(), &wanted(Raw::Disk, "raw")).err().unwrap();
    assert_eq!(refused.to_string(), message);
    let collection = Collection::open(directory.path(), wanted(Raw::Memory, "raw"), RUNNING).unwrap();
    collection.change_storage(Storage::from_name("sq8").unwrap()).unwrap();
    drop(collection);
    let collection = open(directory.path(), Raw::Disk);
    let refused = collection.change_storage(Storage::Raw).err().unwrap();
    assert_eq!(refused.to_string(), "storage: expected codes, since full vectors are on disk, got 'raw'");
}
