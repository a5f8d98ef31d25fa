//! The storage of graphs: it is kept, can be changed at any time, and is the old one or the
//! new one after a power cut.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tiercel_container::sim::{Fault, FaultKind, Replay, SimVfs};
use tiercel_engine::{
    Collection, Durability, NewRecord, OpenError, OpenOptions, Page, Running, Search, StorageError, WriteError,
};
use tiercel_index::{Metric, Raw, Storage};

use crate::crash::wrong;
use crate::long::{Tally, seed};
use crate::{ALL, scanned};

const RUNNING: Running = Running::new(Durability::Always);
/// Values of a vector.
const DIM: usize = 4;

fn of_name(name: &str) -> Storage {
    Storage::from_name(name).unwrap()
}

fn wanted(storage: Option<&str>) -> OpenOptions {
    OpenOptions { metric: Some(Metric::L2), storage: storage.map(of_name), ..OpenOptions::default() }
}

fn open(vfs: &SimVfs, storage: Option<&str>) -> Result<Collection, OpenError> {
    open_in(vfs, storage, Raw::Memory)
}

/// Open it with full vectors in memory or on disk.
fn open_in(vfs: &SimVfs, storage: Option<&str>, raw: Raw) -> Result<Collection, OpenError> {
    let wanted = OpenOptions { raw: Some(raw), ..wanted(storage) };
    Collection::open_on(Arc::new(vfs.clone()), Path::new("/collection"), wanted, RUNNING)
}

fn vector(number: u32) -> [f32; DIM] {
    std::array::from_fn(|at| (number as f32 * 0.37 + at as f32 * 1.9).sin() + (number % 7) as f32)
}

fn put(collection: &Collection, numbers: std::ops::Range<u32>) -> Result<usize, WriteError> {
    let record = |number: u32| NewRecord { id: number.to_string(), vector: true, ..NewRecord::default() };
    collection.upsert(numbers.clone().map(record).collect(), numbers.flat_map(vector).collect())
}

fn put_text(collection: &Collection) {
    let record = NewRecord { id: "text".into(), text: Some("a word".into()), ..NewRecord::default() };
    collection.upsert(vec![record], vec![]).unwrap();
}

fn ids(collection: &Collection) -> BTreeSet<String> {
    let page = Page { filter: None, order: None, limit: None, after: None, include: ALL };
    scanned(collection, &page).unwrap().into_iter().map(|got| got.id).collect()
}

/// Check that the graphs have the storage that the configuration names, and finds what is there.
fn check(collection: &Collection) {
    collection.wait_idle().unwrap();
    let storage = collection.config().storage;
    let index = collection.stats().unwrap().index;
    if let Some(index) = index.filter(|index| index.len > 1024 && storage != Storage::Auto) {
        assert_eq!(index.storage, storage.name());
    }
    for id in ids(collection).into_iter().filter_map(|id| id.parse().ok()).step_by(97) {
        let near = Search { vector: Some(&vector(id)), k: 1, recall: Some(1.0), ..Search::default() };
        assert_eq!(collection.search(&near).unwrap().matches[0].id, id.to_string());
    }
    assert_eq!(collection.verify().unwrap(), []);
}

enum Step {
    Text,
    Put(u32, u32),
    Store(&'static str),
    Checkpoint,
}

/// The first changes come before there is a vector.
const STEPS: [Step; 10] = [
    Step::Store("pq4x8"),
    Step::Text,
    Step::Store("sq4"),
    Step::Store("pq2x8"),
    Step::Put(0, 600),
    Step::Put(600, 1200),
    Step::Store("sq8"),
    Step::Put(1200, 1300),
    Step::Store("rabitq2"),
    Step::Checkpoint,
];

#[test]
fn after_a_power_cut_the_storage_is_the_old_or_the_new_one() {
    a_power_cut(Raw::Memory);
}

#[test]
fn after_a_power_cut_with_full_vectors_on_disk_it_is_too() {
    a_power_cut(Raw::Disk);
}

fn a_power_cut(raw: Raw) {
    const IMAGES: u64 = 100;
    let vfs = SimVfs::new();
    vfs.record();
    let collection = open_in(&vfs, None, raw).unwrap();
    let mut states = vec![(collection.config().storage, ids(&collection))];
    vfs.mark(1);
    for step in STEPS {
        match step {
            Step::Text => put_text(&collection),
            Step::Put(first, end) => drop(put(&collection, first..end).unwrap()),
            Step::Store(name) => collection.change_storage(of_name(name)).unwrap(),
            Step::Checkpoint => collection.checkpoint().unwrap(),
        }
        states.push((collection.config().storage, ids(&collection)));
        vfs.mark(states.len() as u64);
    }
    collection.close().unwrap();
    let is_right = |image: &SimVfs, mark: usize| {
        let Ok(collection) = open_in(image, None, raw) else { return false };
        let state = (collection.config().storage, ids(&collection));
        check(&collection);
        collection.change_storage(of_name("sq8")).unwrap();
        put(&collection, 2000..2002).unwrap();
        check(&collection);
        collection.close().unwrap();
        assert_eq!(open(image, Some("sq8")).unwrap().len(), state.1.len() as u64 + 2);
        states[mark.saturating_sub(1)..states.len().min(mark + 1)].contains(&state)
    };
    let mut tally = Tally::new("images of changes of storage", IMAGES, false);
    assert_eq!(wrong(&vfs, seed(), IMAGES, &mut tally, |image, replay| is_right(image, replay.mark() as usize)), 0);
}

#[test]
fn writes_and_searches_go_on_while_the_storage_changes() {
    let vfs = SimVfs::new();
    let collection = open(&vfs, None).unwrap();
    put(&collection, 0..1100).unwrap();
    std::thread::scope(|scope| {
        let changing = scope.spawn(|| {
            for name in ["sq8", "rabitq1", "pq2x4", "raw"] {
                collection.change_storage(of_name(name)).unwrap();
            }
        });
        let mut next = 1100;
        while !changing.is_finished() {
            put(&collection, next..next + 1).unwrap();
            let near = Search { vector: Some(&vector(next)), k: 1, recall: Some(1.0), ..Search::default() };
            assert_eq!(collection.search(&near).unwrap().matches[0].id, next.to_string());
            next += 1;
        }
    });
    check(&collection);
    assert_eq!(collection.config().storage, Storage::Raw);
}

#[test]
fn first_vectors_must_fit_the_storage_also_one_that_is_new() {
    let vfs = SimVfs::new();
    let collection = open(&vfs, Some("pq5x8")).unwrap();
    put_text(&collection);
    let short = put(&collection, 0..1);
    assert!(matches!(short, Err(WriteError::TooShort { least: 5, got: DIM, .. })), "{short:?}");
    let record = NewRecord { id: "text".into(), vector: true, ..NewRecord::default() };
    let short = collection.update(&[record], &vector(0), &[]);
    assert!(matches!(short, Err(WriteError::TooShort { .. })), "{short:?}");
    let none = collection.change_storage(of_name("rq33x8"));
    assert!(matches!(none, Err(WriteError::Storage(StorageError { most: 32, dim: None, .. }))), "{none:?}");
    assert_eq!((collection.config().dim, collection.len()), (None, 1));
    collection.change_storage(of_name("pq4x8")).unwrap();
    put(&collection, 0..1).unwrap();
    let long = collection.change_storage(of_name("pq5x8"));
    assert!(matches!(long, Err(WriteError::Storage(StorageError { most: DIM, dim: Some(DIM), .. }))), "{long:?}");
    collection.close().unwrap();
    let differs = open(&vfs, Some("pq5x8")).err();
    assert!(matches!(differs, Some(OpenError::Differs { option: "storage", .. })), "{differs:?}");
    check(&open(&vfs, Some("pq4x8")).unwrap());
}

#[test]
fn first_vectors_and_a_storage_that_does_not_fit_them_are_never_both_on_disk() {
    for (from, to) in [("sq8", "pq5x8"), ("pq5x8", "sq8")].repeat(4) {
        let vfs = SimVfs::new();
        let collection = open(&vfs, Some(from)).unwrap();
        vfs.record();
        let changed = std::thread::scope(|scope| {
            let changing = scope.spawn(|| collection.change_storage(of_name(to)));
            // Until the storage is one that these vectors fit, so as soon as it is.
            while let Err(refused) = put(&collection, 0..1) {
                assert!(matches!(refused, WriteError::TooShort { .. }), "{refused:?}");
                if changing.is_finished() {
                    break;
                }
            }
            changing.join().unwrap()
        });
        assert!(matches!(changed, Ok(()) | Err(WriteError::Storage(_))), "{changed:?}");
        assert_eq!(collection.config().storage, of_name(if changed.is_ok() { to } else { from }));
        drop(collection);
        let opens = |image: &SimVfs, _: &Replay| open(image, None).is_ok_and(|collection| collection.verify().is_ok());
        let mut tally = Tally::new("images of first vectors", 40, false);
        assert_eq!(wrong(&vfs, seed(), 40, &mut tally, opens), 0);
    }
}

#[test]
fn a_change_before_there_are_vectors_that_fails_leaves_a_collection_that_opens() {
    for kind in [FaultKind::Io, FaultKind::Full, FaultKind::Panic] {
        for nth in 1.. {
            let vfs = SimVfs::new();
            let collection = open(&vfs, Some("pq5x8")).unwrap();
            put_text(&collection);
            vfs.set_fault(Some(Fault { nth, forever: false, kind }));
            let change = || collection.change_storage(of_name("sq8"));
            // A panic of the disk is one of the thread that met it.
            let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(change)).is_ok_and(|done| done.is_ok());
            let reached = vfs.has_met_fault();
            vfs.set_fault(None);
            let vectors = put(&collection, 0..1).is_ok();
            assert!(vectors || !changed || reached, "{kind:?} {nth}");
            drop(collection);
            let collection = open(&vfs, None).unwrap();
            assert_eq!(collection.len(), 1 + u64::from(vectors), "{kind:?} {nth}");
            assert!(collection.config().storage == of_name("sq8") || !changed, "{kind:?} {nth}");
            check(&collection);
            if !reached {
                break;
            }
        }
    }
}

#[test]
fn a_storage_that_no_vectors_can_have_makes_no_collection() {
    let vfs = SimVfs::new();
    let refused = open(&vfs, Some("rq33x8")).err();
    assert!(matches!(refused, Some(OpenError::Storage(_))), "{refused:?}");
    let narrow = OpenOptions { dim: Some(3), ..wanted(Some("pq4x8")) };
    let refused = Collection::open_on(Arc::new(vfs.clone()), Path::new("/collection"), narrow, RUNNING).err();
    let message = "storage: expected at most 3 parts for vectors of length 3, got 'pq4x8'";
    assert_eq!(refused.unwrap().to_string(), message);
    assert!(vfs.files().is_empty());
}

#[test]
fn a_reader_takes_the_new_storage() {
    let directory = tempfile::tempdir().unwrap();
    let writer = Collection::open(directory.path(), wanted(Some("sq8")), RUNNING).unwrap();
    put(&writer, 0..1100).unwrap();
    writer.checkpoint().unwrap();
    let reader = Collection::view(directory.path(), &wanted(Some("sq8"))).unwrap();
    let storage = |reader: &Collection| (reader.config().storage, reader.stats().unwrap().index.unwrap().storage);
    assert_eq!(storage(&reader), (of_name("sq8"), "sq8".into()));
    writer.change_storage(of_name("rabitq1")).unwrap();
    put(&writer, 1100..1101).unwrap();
    assert!(reader.refresh().unwrap());
    assert_eq!(storage(&reader), (of_name("rabitq1"), "rabitq1".into()));
    assert!(!reader.refresh().unwrap());
    let refused = reader.change_storage(of_name("sq8"));
    assert!(matches!(refused, Err(WriteError::ReadOnly)), "{refused:?}");
    assert!(Collection::view(directory.path(), &wanted(Some("sq8"))).is_err());
}
