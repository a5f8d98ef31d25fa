//! Batches that are committed only if the records are as somebody read them.

use std::sync::Arc;
use std::thread;

use crate::model::{ALWAYS, NEVER, create, open};
use tiercel_container::sim::SimVfs;
use tiercel_store::{Applied, Batch, Change, CommitError, Condition, Reader, Store};

const THREADS: u64 = 6;
const EACH: u64 = 40;

fn put(id: &str, number: u64) -> Change {
    Change::Upsert { id: id.into(), vector: false, text: None, metadata: Some(number.to_string().into_bytes()) }
}

fn batch(changes: Vec<Change>, conditions: &[(&str, u64)]) -> Batch {
    let condition = |(id, sequence): &(&str, u64)| Condition { id: (*id).into(), sequence: *sequence };
    Batch { changes, conditions: conditions.iter().map(condition).collect(), ..Batch::default() }
}

/// The result of making a commit from the newest records.
type Made = Option<(Batch, fn(&Applied))>;

/// A publication that nobody looks at.
fn quietly(_: &Applied) {}

/// The number in a record, and the batch that wrote it; zeros if there is no record.
fn read(reader: &Reader, id: &str) -> (u64, u64) {
    let Some((_, record)) = reader.get(id).unwrap() else { return (0, 0) };
    (String::from_utf8(record.metadata.unwrap()).unwrap().parse().unwrap(), record.sequence)
}

fn conflict(result: Result<Applied, CommitError>) -> (String, u64, u64) {
    match result {
        Err(CommitError::Conflict { id, expected, actual }) => (id, expected, actual),
        other => panic!("expected a conflict, got {other:?}"),
    }
}

#[test]
fn a_batch_whose_conditions_do_not_hold_changes_nothing() {
    let vfs = SimVfs::new();
    let store = create(&vfs, ALWAYS);
    let commit = |batch| store.commit(batch, |_| ());
    commit(batch(vec![put("a", 1), put("b", 1)], &[("a", 0), ("b", 0)])).unwrap();
    commit(batch(vec![Change::SetMetadata { id: "b".into(), metadata: Some(b"2".to_vec()) }], &[("b", 1)])).unwrap();
    assert_eq!((read(&store.reader(), "a"), read(&store.reader(), "b")), ((1, 1), (2, 2)));
    let both = || vec![put("a", 9), Change::Delete { id: "b".into() }];
    assert_eq!(conflict(commit(batch(both(), &[("a", 1), ("b", 1)]))), ("b".into(), 1, 2));
    assert_eq!(conflict(commit(batch(both(), &[("a", 0)]))), ("a".into(), 0, 1));
    assert_eq!(conflict(commit(batch(both(), &[("c", 7)]))), ("c".into(), 7, 0));
    assert_eq!((read(&store.reader(), "a"), read(&store.reader(), "b")), ((1, 1), (2, 2)));
    assert_eq!(store.reader().sequence(), 2, "a batch that is refused has no number");
    commit(batch(both(), &[("a", 1), ("b", 2)])).unwrap();
    assert_eq!((read(&store.reader(), "a"), read(&store.reader(), "b")), ((9, 3), (0, 0)));
    store.close().unwrap();
    let store = open(&vfs, ALWAYS).unwrap();
    assert_eq!(read(&store.reader(), "a"), (9, 3));
}

/// Add one to a record, again until no other write came in between.
fn add_one(store: &Store) {
    loop {
        let (number, sequence) = read(&store.reader(), "counter");
        match store.commit(batch(vec![put("counter", number + 1)], &[("counter", sequence)]), |_| ()) {
            Ok(_) => return,
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Add one to a record in a commit that nothing can come in between.
fn add_one_at_once(store: &Store) {
    let next = || put("counter", read(&store.reader(), "counter").0 + 1);
    let make = || Ok::<_, CommitError>(Some((batch(vec![next()], &[]), quietly)));
    assert!(store.commit_made(&[], make).unwrap().is_some());
}

#[test]
fn no_update_is_lost_whoever_else_writes() {
    let store = Arc::new(create(&SimVfs::new(), NEVER));
    let threads = (0..THREADS).map(|thread| {
        let store = Arc::clone(&store);
        thread::spawn(move || {
            for number in 0..EACH {
                match thread % 3 {
                    0 => add_one(&store),
                    1 => add_one_at_once(&store),
                    // Batches that share a group with the others.
                    _ => drop(store.commit(batch(vec![put("other", number)], &[]), |_| ()).unwrap()),
                }
            }
        })
    });
    threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(read(&store.reader(), "counter").0, THREADS * 2 / 3 * EACH);
    assert_eq!(store.reader().sequence(), THREADS * EACH);
}

#[test]
fn a_commit_that_makes_no_batch_or_fails_changes_nothing() {
    let store = create(&SimVfs::new(), ALWAYS);
    let none = || Ok::<Made, CommitError>(None);
    assert_eq!(store.commit_made(&[], none).unwrap(), None);
    let no_id = || Ok::<_, CommitError>(Some((batch(vec![put("", 1)], &[]), quietly)));
    assert!(matches!(store.commit_made(&[], no_id), Err(CommitError::Invalid(_))));
    let asked = || -> Result<Made, CommitError> { panic!("conditions come first") };
    let there = Condition { id: "a".into(), sequence: 1 };
    assert!(matches!(store.commit_made(&[there], asked), Err(CommitError::Conflict { expected: 1, actual: 0, .. })));
    assert_eq!(store.reader().sequence(), 0);
    store.commit(batch(vec![put("a", 1)], &[]), |_| ()).unwrap();
}
