//! Writers, searchers and background work at once: a record is found at every moment, exactly once,
//! in one of its possible versions. In the long form, `TIERCEL_ROUNDS` sets the number of rounds.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use tiercel_engine::filter::Filter;
use tiercel_engine::{Collection, Match, NewRecord, Search};

use crate::long::size;
use crate::{ALL, open};

const WRITERS: usize = 4;
/// Records per writer.
const OWN: usize = 40;
const DIM: usize = 8;

/// The versions of a record: the one acknowledged last, and the newest one that may be visible.
#[derive(Default)]
struct Versions {
    acknowledged: AtomicU64,
    begun: AtomicU64,
}

/// One record: its place, and the content of its versions.
#[derive(Clone, Copy)]
struct Key(usize);

impl Key {
    fn id(self) -> String {
        format!("id{}", self.0)
    }

    /// Return a vector whose direction is unique to the record; its versions hardly differ.
    fn vector(self, version: u64) -> Vec<f32> {
        let mut random = self.0 as u64 + 1;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 40) as f32 / 8_388_608.0 - 1.0
        };
        let mut vector: Vec<f32> = (0..DIM).map(|_| next()).collect();
        vector[0] += version as f32 * 1e-5;
        vector
    }

    fn record(self, version: u64) -> NewRecord {
        NewRecord {
            id: self.id(),
            vector: true,
            text: Some(format!("key{} version{version}", self.0)),
            metadata: Some(format!(r#"{{"key":{},"version":{version}}}"#, self.0)),
        }
    }

    /// Return the version of a match; all of its parts must have the same one.
    fn version_of(self, found: &Match) -> u64 {
        let text = found.text.as_deref().unwrap();
        let version = text.rsplit_once("version").unwrap().1.parse().unwrap();
        let expected = self.record(version);
        assert_eq!(
            (Some(text), found.metadata.as_deref()),
            (expected.text.as_deref(), expected.metadata.as_ref().map(String::as_bytes))
        );
        assert_eq!(found.vector.as_deref(), Some(&self.vector(version)[..]));
        version
    }

    /// Return the versions found by vector, by text and with a filter; each search must find
    /// exactly one.
    fn find(self, collection: &Collection) -> [u64; 3] {
        let (vector, text) = (self.vector(0), format!("key{}", self.0));
        let by_vector = Search { vector: Some(&vector), recall: Some(1.0), k: 5, include: ALL, ..Search::default() };
        let by_text = Search { text: Some(&text), k: 5, include: ALL, ..Search::default() };
        let own = format!(r#"{{"key":{}}}"#, self.0);
        let filter = Filter::from_text(&own).unwrap();
        assert_eq!(collection.count(Some(&filter)).unwrap(), 1, "{text}");
        // Repeated often: the passing rows are cached until the next write.
        let by_filter = Search { filter: Some(&own), ..by_vector.clone() };
        [by_vector, by_text, by_filter].map(|search| {
            let matches = collection.search(&search).unwrap().matches;
            let own: Vec<&Match> = matches.iter().filter(|found| found.id == self.id()).collect();
            assert_eq!(own.len(), 1, "{text}: {matches:?}");
            self.version_of(own[0])
        })
    }
}

fn put(collection: &Collection, keys: &[Key], version: u64) {
    let vectors = keys.iter().flat_map(|key| key.vector(version)).collect();
    collection.upsert(keys.iter().map(|key| key.record(version)).collect(), vectors).unwrap();
}

/// Replace all records of a writer round by round; when a call returns, its version must be found.
fn write(collection: &Collection, writer: usize, versions: &[Versions], rounds: u64) {
    let keys: Vec<Key> = (writer * OWN..(writer + 1) * OWN).map(Key).collect();
    let passing = Key(WRITERS * OWN + writer);
    for version in 1..=rounds {
        for keys in keys.chunks(1 + version as usize % 10) {
            for key in keys {
                versions[key.0].begun.store(version, Ordering::SeqCst);
            }
            put(collection, keys, version);
            for key in keys {
                versions[key.0].acknowledged.store(version, Ordering::SeqCst);
            }
            assert_eq!(keys[0].find(collection), [version; 3]);
        }
        put(collection, &[passing], version);
        assert_eq!(passing.find(collection), [version; 3]);
        assert_eq!(collection.delete(vec![passing.id()]).unwrap(), 1);
        let gone = Search { text: Some(&format!("key{}", passing.0)), k: 1, ..Search::default() };
        assert!(collection.search(&gone).unwrap().matches.is_empty());
    }
}

/// Search for records that always exist.
fn search(collection: &Collection, searcher: usize, versions: &[Versions], done: &AtomicBool) {
    let mut at = searcher;
    while !done.load(Ordering::SeqCst) {
        at = (at + 37) % (WRITERS * OWN);
        let oldest = versions[at].acknowledged.load(Ordering::SeqCst);
        let found = Key(at).find(collection);
        let newest = versions[at].begun.load(Ordering::SeqCst);
        assert!(found.iter().all(|version| (oldest..=newest).contains(version)), "{oldest}..={newest}: {found:?}");
    }
}

/// Sets the flag when dropped, even if a thread panics.
struct Finally<'a>(&'a AtomicBool);

impl Drop for Finally<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Run writers and searchers while `maintain` is called repeatedly; `filler` more records exist.
fn run(filler: usize, rounds: u64, maintain: impl Fn(&Collection) + Sync) {
    let directory = tempfile::tempdir().unwrap();
    let collection = open(directory.path(), Some(DIM));
    let versions: Vec<Versions> = (0..WRITERS * OWN).map(|_| Versions::default()).collect();
    let keys: Vec<Key> = (0..WRITERS * OWN).chain(1000..1000 + filler).map(Key).collect();
    put(&collection, &keys, 0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let _finally = Finally(&done);
        let (collection, versions, done) = (&collection, &versions, &done);
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || write(collection, writer, versions, rounds))).collect();
        for searcher in 0..4 {
            scope.spawn(move || search(collection, searcher, versions, done));
        }
        while !writers.iter().all(thread::ScopedJoinHandle::is_finished) {
            maintain(collection);
        }
    });
    assert_eq!(collection.len(), keys.len() as u64);
    assert_eq!(collection.stats().unwrap().trouble, None);
    collection.close().unwrap();
    let collection = open(directory.path(), None);
    for key in &keys[..WRITERS * OWN] {
        assert_eq!(key.find(&collection), [rounds; 3]);
    }
}

fn rounds(short: u64) -> u64 {
    size("TIERCEL_ROUNDS").unwrap_or(short)
}

#[test]
fn while_vectors_move_into_the_index_and_the_dead_are_taken_out() {
    run(0, rounds(20), |collection| collection.wait_idle().unwrap());
}

#[test]
fn while_checkpoints_are_written_and_the_index_is_built_anew() {
    run(0, rounds(10), |collection| {
        collection.checkpoint().unwrap();
        collection.compact().unwrap();
    });
}

#[test]
fn while_vectors_move_into_a_graph() {
    run(9_000, rounds(6), |collection| collection.wait_idle().unwrap());
}
