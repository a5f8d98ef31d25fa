//! Reads with filters while others write: each answer is right for one state that the collection
//! had during the read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use parking_lot::RwLock;
use tiercel_engine::filter::Filter;
use tiercel_engine::{
    Collection, Durability, Expand, Found, Include, NewRecord, OpenOptions, Page, QueryError, Running, Search, Walk,
};
use tiercel_index::Work;

use crate::scanned;

const RECORDS: usize = 30;
/// More fields than are indexed at a time, so that there are always some to build.
const FIELDS: usize = 300;
const GROUPS: usize = 3;
const READS: usize = 80;

/// The group and the version of each existing record.
type State = BTreeMap<usize, (usize, u64)>;

/// The state after each batch, starting with the empty one. A state is added before its batch is
/// written.
type States = RwLock<Vec<State>>;

/// Ids and versions.
type Answer = BTreeSet<(String, u64)>;

/// The records found in groups, and the number counted in a group.
type Reply = (Vec<(usize, Answer)>, Option<(usize, u64)>);

fn id(number: usize) -> String {
    format!("id{number}")
}

/// Make metadata where every field has the group as its value, so a filter by any field passes the
/// same records.
fn metadata(group: usize, version: u64) -> String {
    let fields: Vec<String> = (0..FIELDS).map(|field| format!(r#""f{field}":{group}"#)).collect();
    format!(r#"{{"version":{version},"next":["id0","id1"],{}}}"#, fields.join(","))
}

fn version(metadata: Option<&[u8]>) -> u64 {
    let value: serde_json::Value = serde_json::from_slice(metadata.unwrap()).unwrap();
    value["version"].as_u64().unwrap()
}

fn filter(field: usize, group: usize) -> String {
    format!(r#"{{"f{field}":{group}}}"#)
}

fn of_group(state: &State, group: usize) -> Answer {
    state.iter().filter(|(_, record)| record.0 == group).map(|(number, record)| (id(*number), record.1)).collect()
}

struct Writing<'a> {
    collection: &'a Collection,
    states: &'a States,
    random: u64,
}

impl Writing<'_> {
    fn next(&mut self, below: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % below
    }

    /// Add the state after the next batch, then write the batch.
    fn write(&mut self, version: u64) {
        let mut state = self.states.read().last().cloned().unwrap();
        let (number, group) = (self.next(RECORDS), self.next(GROUPS));
        let numbers = [number, (number + 1) % RECORDS];
        match self.next(8) {
            0 => {
                state.remove(&number);
                self.states.write().push(state);
                self.collection.delete(vec![id(number)]).unwrap();
            }
            1 => {
                let expected = of_group(&state, group).len();
                state.retain(|_, record| record.0 != group);
                // A deletion of nothing writes no batch.
                if expected > 0 {
                    self.states.write().push(state);
                }
                let filter = Filter::from_text(&filter(self.next(FIELDS), group)).unwrap();
                assert_eq!(self.collection.delete_where(&filter).unwrap(), expected);
            }
            2 | 3 => {
                for number in &numbers {
                    state.entry(*number).and_modify(|record| *record = (group, version));
                }
                self.states.write().push(state);
                let new = numbers.map(|number| (id(number), Some(metadata(group, version))));
                self.collection.set_metadata(new.to_vec()).unwrap();
            }
            _ => {
                state.extend(numbers.map(|number| (number, (group, version))));
                self.states.write().push(state);
                let new = numbers.map(|number| NewRecord {
                    id: id(number),
                    vector: true,
                    text: Some("word".into()),
                    metadata: Some(metadata(group, version)),
                });
                self.collection.upsert(new.to_vec(), vec![1.0, number as f32, 1.0, version as f32]).unwrap();
            }
        }
        assert_eq!(self.collection.sequence() as usize, self.states.read().len() - 1);
    }
}

/// Read in one of several ways.
fn read(collection: &Collection, way: usize, field: usize) -> Result<Reply, QueryError> {
    let group = field % GROUPS;
    let text = filter(field, group);
    let filter = Filter::from_text(&text).unwrap();
    let include = Include { metadata: true, ..Include::default() };
    let search = Search { filter: Some(&text), k: RECORDS, include, ..Search::default() };
    let by_vector = Search { vector: Some(&[1.0, 0.0]), recall: Some(1.0), ..search.clone() };
    let by_text = Search { text: Some("word"), ..search.clone() };
    let answer = |found: Found| -> Answer {
        found.matches.into_iter().map(|found| (found.id, version(found.metadata.as_deref()))).collect()
    };
    let found = match way % 7 {
        0 => return Ok((vec![], Some((group, collection.count(Some(&filter))?)))),
        1 => {
            let got = scanned(collection, &Page { filter: Some(&filter), include, ..Page::default() })?;
            vec![got.into_iter().map(|got| (got.id, version(got.metadata.as_deref()))).collect()]
        }
        2 => vec![answer(collection.search(&by_vector)?)],
        3 => vec![answer(collection.search(&by_text)?)],
        4 => vec![answer(collection.search(&Search { vector: by_vector.vector, ..by_text })?)],
        5 => {
            let expand = Expand { walk: Walk::Field("next".into()), hops: 1, decay: 0.5 };
            vec![answer(collection.search(&Search { expand: Some(&expand), ..by_text })?)]
        }
        _ => {
            let (stop, texts) = (AtomicBool::new(false), vec!["word".to_owned(); 12]);
            let many = collection.search_many(None, Some(&texts), &search, &Work::quiet(2, &stop))?;
            many.into_iter().map(answer).collect()
        }
    };
    Ok((found.into_iter().map(|answer| (group, answer)).collect(), None))
}

/// Read again and again while others write: each answer as a whole must be right for one state.
fn reads(collection: &Collection, states: &States, reader: usize) {
    for at in 0..READS {
        let field = (at * 5 + reader * 67) % FIELDS;
        let begin = collection.sequence() as usize;
        let (found, counted) = loop {
            match collection.read(|collection| read(collection, at + reader, field)) {
                // As in another process after the writer has overwritten the state: the newest one
                // is available.
                Err(QueryError::LeftBehind) => {
                    collection.refresh().unwrap();
                }
                read => break read.unwrap(),
            }
        };
        let end = collection.sequence() as usize;
        let states = &states.read()[begin..=end];
        let holds = |state: &State| {
            let is_of = |(group, answer): &(usize, Answer)| of_group(state, *group) == *answer;
            let counts = counted.is_none_or(|(group, count)| of_group(state, group).len() as u64 == count);
            found.iter().all(is_of) && counts
        };
        assert!(states.iter().any(holds), "way {}, batches {begin} to {end}: {found:?} {counted:?}", (at + reader) % 7);
    }
}

#[test]
fn every_answer_is_of_one_state() {
    let directory = tempfile::tempdir().unwrap();
    let wanted = OpenOptions { dim: Some(2), ..OpenOptions::default() };
    let running = Running::new(Durability::None);
    let collection = Collection::open(directory.path(), wanted, running).unwrap();
    let states = States::new(vec![State::new()]);
    let mut writing = Writing { collection: &collection, states: &states, random: 7 };
    (0..40).for_each(|version| writing.write(version));
    collection.checkpoint().unwrap();
    let viewer = Collection::view(directory.path(), &OpenOptions::default()).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (collection, viewer, states, done) = (&collection, &viewer, &states, &done);
        let mut readers: Vec<_> = (0..2).map(|reader| scope.spawn(move || reads(collection, states, reader))).collect();
        readers.push(scope.spawn(move || reads(viewer, states, 2)));
        let maintenance = scope.spawn(move || {
            for round in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                match round % 3 {
                    0 => collection.wait_idle().unwrap(),
                    1 => collection.checkpoint().unwrap(),
                    _ => collection.compact().unwrap(),
                }
                viewer.refresh().unwrap();
            }
        });
        for version in 40.. {
            if readers.iter().all(thread::ScopedJoinHandle::is_finished) {
                break;
            }
            writing.write(version);
        }
        done.store(true, Ordering::Relaxed);
        maintenance.join().unwrap();
    });
    assert_eq!(collection.stats().unwrap().trouble, None);
}

/// Make a record that holds "old" or "new".
fn state(id: &str, state: &str) -> NewRecord {
    let metadata = Some(format!(r#"{{"state":"{state}"}}"#));
    NewRecord { id: id.into(), vector: false, text: None, metadata }
}

#[test]
fn a_deletion_by_filter_takes_what_passes_when_it_is_committed() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::new(Durability::None);
    let collection = Collection::open(directory.path(), OpenOptions::default(), running).unwrap();
    let old = Filter::from_text(r#"{"state":"old"}"#).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (collection, old, done) = (&collection, &old, &done);
        for _ in 0..2 {
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    collection.delete_where(old).unwrap();
                }
            });
        }
        let writers = (0..2).map(|writer| {
            scope.spawn(move || {
                let (id, other) = (format!("id{writer}"), format!("other{writer}"));
                for _ in 0..300 {
                    for value in ["old", "new"] {
                        collection.upsert(vec![state(&id, value)], vec![]).unwrap();
                    }
                    assert!(collection.contains(&id).unwrap(), "it does not pass the filter");
                    collection.upsert(vec![state(&other, "old")], vec![]).unwrap();
                    collection.delete_where(old).unwrap();
                    assert!(!collection.contains(&other).unwrap(), "it passes the filter");
                }
            })
        });
        let written: Vec<_> = writers.collect::<Vec<_>>().into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        for written in written {
            written.unwrap();
        }
    });
    assert_eq!(collection.len(), 2);
}
