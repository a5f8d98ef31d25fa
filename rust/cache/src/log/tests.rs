//! A log compared with a dictionary, after crashes and after damage of every kind.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hashbrown::HashMap;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tempfile::{TempDir, tempdir};
use tiercel_container::OsVfs;

use super::purpose::Purpose;
use super::recover::recover;
use super::synced::Synced;
use crate::directory::Directory;
use crate::journal::{Index, Journal, Queue, Slot};
use crate::lock::Lock;
use crate::log::{Limits, Lost};
use crate::packing::Packed;
use crate::{Key, KeyRef};

/// Bytes of a segment.
const SEGMENT: u64 = 400;
const LIMITS: Limits = Limits { segment: SEGMENT, record: 1 << 20 };

/// A journal, and the keys that a tier would know.
struct Tried {
    directory: TempDir,
    /// Bytes of a log that needs no cleaning.
    most: u64,
    journal: Journal,
    queue: Queue,
    keys: Keys,
    model: Model,
}

#[derive(Default)]
struct Keys {
    slots: HashMap<Key, Arc<Slot>>,
    lost: AtomicU64,
}

impl Index for Keys {
    fn slot(&self, key: KeyRef<'_>) -> Option<Arc<Slot>> {
        self.slots.get(&key).cloned()
    }

    fn slots(&self) -> Vec<(Key, Arc<Slot>)> {
        self.slots.iter().map(|(key, slot)| (key.clone(), Arc::clone(slot))).collect()
    }

    fn lose(&self, _: KeyRef<'_>, _: &Arc<Slot>, _: &Lost) {
        self.lost.fetch_add(1, Relaxed);
    }
}

/// Values by key, as they were at the last sync, and what happened since.
#[derive(Clone, Default)]
struct Model {
    synced: BTreeMap<u8, Vec<u8>>,
    now: BTreeMap<u8, Vec<u8>>,
    /// All that keys had since; `None` for nothing.
    since: BTreeMap<u8, Vec<Option<Vec<u8>>>>,
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, usize),
    Delete(u8),
    Write,
    Sync,
    Anew,
}

fn key(number: u8) -> Key {
    KeyRef::text(&format!("key {number}")).to_key()
}

fn on_disk(directory: &Path) -> Directory {
    Directory::new(Arc::new(OsVfs), directory)
}

impl Tried {
    fn new(most: u64) -> Self {
        let directory = tempdir().expect("a directory");
        let there = on_disk(directory.path());
        let lock = Lock::take(&[&there]).expect("a directory of our own");
        let (journal, _) = Journal::open(&there, lock, LIMITS).expect("a journal that can be opened");
        Self { directory, most, journal, queue: Queue::default(), keys: Keys::default(), model: Model::default() }
    }

    fn step(&mut self, number: usize, step: &Step) {
        match *step {
            Step::Put(name, length) => {
                let value: Vec<u8> = (0..length).map(|i| (number * 31 + i * 7) as u8).collect();
                let slot = Slot::waiting(Packed::new(value[..].into(), Some(1)));
                self.keys.slots.insert(key(name), Arc::clone(&slot));
                self.queue.put(key(name), slot, length as u64);
                self.model.set(name, Some(value));
            }
            Step::Delete(name) => {
                if self.keys.slots.remove(&key(name)).is_some() {
                    self.queue.delete(key(name));
                }
                self.model.set(name, None);
            }
            Step::Write => self.write(),
            Step::Sync => {
                self.write();
                self.journal.sync().expect("a disk");
                self.model =
                    Model { synced: self.model.now.clone(), now: self.model.now.clone(), since: BTreeMap::new() };
            }
            Step::Anew => {
                (self.keys, self.queue, self.model) = Default::default();
                self.journal.begin_anew().expect("a disk");
            }
        }
    }

    fn write(&mut self) {
        let queue = std::mem::take(&mut self.queue);
        self.journal.write(queue, &self.keys, self.most).expect("a disk");
        assert_eq!(self.keys.lost.load(Relaxed), 0);
        let bytes: usize = self.files().values().map(Vec::len).sum();
        assert!(bytes as u64 <= self.most + 4 * SEGMENT, "{bytes} bytes");
    }

    /// The files of the log by name.
    fn files(&self) -> Files {
        files(self.directory.path())
    }
}

impl Model {
    fn set(&mut self, name: u8, value: Option<Vec<u8>>) {
        match &value {
            Some(value) => self.now.insert(name, value.clone()),
            None => self.now.remove(&name),
        };
        self.since.entry(name).or_default().push(value);
    }

    /// Whether a key may have this value, or none.
    fn allows(&self, name: u8, found: Option<&Vec<u8>>) -> bool {
        self.synced.get(&name) == found
            || self.since.get(&name).is_some_and(|since| since.iter().any(|value| value.as_ref() == found))
    }
}

type Files = BTreeMap<String, Vec<u8>>;

fn files(directory: &Path) -> Files {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry"));
    entries
        .filter(|entry| entry.file_name() != "LOCK")
        .map(|entry| (entry.file_name().into_string().expect("a name"), fs::read(entry.path()).expect("a file")))
        .collect()
}

/// The values in these files, read twice, because the first time repairs them; and the damage
/// counted the first time.
fn reopened(files: &Files) -> (BTreeMap<u8, Vec<u8>>, u64) {
    let directory = tempdir().expect("a directory");
    for (name, content) in files {
        fs::write(directory.path().join(name), content).expect("a file");
    }
    let (found, damaged) = values(directory.path());
    assert_eq!(values(directory.path()).0, found, "the second time");
    (found, damaged)
}

/// The values found, without starting over, which would wait for a disk.
fn values(directory: &Path) -> (BTreeMap<u8, Vec<u8>>, u64) {
    let directory = &on_disk(directory);
    let Some(synced) = Synced::open(directory, Purpose::Mend).expect("a disk") else { return (BTreeMap::new(), 1) };
    let found = recover(directory, &synced, LIMITS.record, Purpose::Mend).expect("a disk");
    let values = found.places.iter().filter_map(|(key, found)| {
        let name = std::str::from_utf8(key.borrow().bytes).ok()?.strip_prefix("key ")?;
        Some((name.parse().expect("a key that was put"), found.place.value(key.borrow(), LIMITS.record).ok()?.to_vec()))
    });
    (values.collect(), found.damaged)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => (0..9_u8, 0..100_usize).prop_map(|(name, length)| Step::Put(name, length)),
        5 => (0..9_u8).prop_map(Step::Delete),
        4 => Just(Step::Write),
        4 => Just(Step::Sync),
        1 => Just(Step::Anew),
    ];
    prop::collection::vec(step, 1..50)
}

/// A log of a few segments that was used and closed.
fn closed() -> Tried {
    let mut tried = Tried::new(1300);
    for number in 0..40 {
        tried.step(number, &Step::Put((number * 7 % 5) as u8, number * 13 % 50));
        if number % 3 == 0 {
            tried.step(number, &Step::Delete((number * 3 % 5) as u8));
        }
        tried.step(number, &Step::Write);
    }
    tried.step(40, &Step::Sync);
    assert!(tried.files().len() > 3 && tried.model.now.len() > 2, "{:?}", tried.model.now);
    tried
}

/// Check that keys have only what they had at the last sync.
fn check(tried: &Tried, files: &Files, what: &str) -> (usize, u64) {
    let (found, damaged) = reopened(files);
    for (name, value) in &found {
        assert_eq!(tried.model.synced.get(name), Some(value), "key {name} after {what}");
    }
    (found.len(), damaged)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn a_crash_loses_nothing_that_was_synced(
        steps in steps(),
        [kept, hole] in [0.0..1.0_f64, 0.0..1.0_f64],
        garbage in prop::collection::vec(any::<u8>(), 0..99),
    ) {
        let mut tried = Tried::new(1600);
        steps.iter().enumerate().for_each(|(number, step)| tried.step(number, step));
        // Some of what was not synced reached the disk, and garbage where a page was not written.
        let mut files = tried.files();
        let synced = Synced::open(&on_disk(tried.directory.path()), Purpose::Mend).expect("a disk").expect("a place");
        let last = (synced.segment..99).take_while(|number| files.contains_key(&format!("log-{number}"))).last();
        let last = last.unwrap_or(1);
        let offset = if last == synced.segment { synced.offset as usize } else { 0 };
        let content = files.get_mut(&format!("log-{last}")).expect("a segment");
        let within = |share: f64, content: &[u8]| offset + ((content.len() - offset) as f64 * share) as usize;
        content.truncate(within(kept, content));
        let at = within(hole, content);
        content[at..].iter_mut().zip(&garbage).for_each(|(byte, garbage)| *byte = *garbage);
        content.extend_from_slice(&garbage);
        let (found, damaged) = reopened(&files);
        prop_assert_eq!(damaged, 0);
        for name in 0..9 {
            prop_assert!(tried.model.allows(name, found.get(&name)), "key {}: {:?}", name, found.get(&name));
        }
    }

    #[test]
    fn a_log_that_is_opened_again_holds_the_same(steps in steps()) {
        let mut tried = Tried::new(2800);
        steps.iter().enumerate().for_each(|(number, step)| tried.step(number, step));
        tried.step(steps.len(), &Step::Sync);
        prop_assert_eq!(reopened(&tried.files()), (tried.model.now.clone(), 0));
    }
}

#[test]
fn no_flipped_bit_brings_back_what_was_replaced_or_deleted() {
    let tried = closed();
    let whole = tried.files();
    for (name, content) in &whole {
        for place in 0..content.len() {
            let mut damaged = whole.clone();
            damaged.get_mut(name).expect("a file")[place] ^= 1 << (place % 8);
            check(&tried, &damaged, &format!("bit {} of byte {place} of {name}", place % 8));
        }
    }
}

#[test]
fn no_file_that_is_cut_or_longer_brings_back_what_was_replaced_or_deleted() {
    let tried = closed();
    let whole = tried.files();
    for (name, content) in &whole {
        for length in 0..content.len() {
            let mut damaged = whole.clone();
            damaged.get_mut(name).expect("a file").truncate(length);
            let (_, count) = check(&tried, &damaged, &format!("{length} bytes of {name}"));
            assert!(count > 0 || name == "synced", "{length} bytes of {name}");
        }
        let mut longer = whole.clone();
        longer.get_mut(name).expect("a file").extend_from_slice(&content.clone());
        assert_eq!(check(&tried, &longer, &format!("{name} twice")), (tried.model.now.len(), 0));
    }
}

#[test]
fn no_file_that_is_missing_or_another_s_brings_back_what_was_replaced_or_deleted() {
    let tried = closed();
    let (whole, foreign) = (tried.files(), closed().files());
    let oldest = whole.keys().filter(|name| name.starts_with("log-")).min_by_key(|name| (name.len(), (*name).clone()));
    for (name, content) in &whole {
        let mut damaged = whole.clone();
        damaged.remove(name);
        let (_, count) = check(&tried, &damaged, &format!("{name} missing"));
        // As far as anyone can know, the oldest segment may have been removed.
        assert_eq!(count, u64::from(Some(name) != oldest), "{name} missing");
        for (other, of_other) in &whole {
            let mut swapped = whole.clone();
            swapped.insert(name.clone(), of_other.clone());
            swapped.insert(other.clone(), content.clone());
            check(&tried, &swapped, &format!("{name} and {other} swapped"));
        }
        for (other, of_other) in &foreign {
            let mut mixed = whole.clone();
            mixed.insert(name.clone(), of_other.clone());
            check(&tried, &mixed, &format!("{name} replaced by {other} of another"));
        }
    }
    assert_eq!(check(&tried, &foreign, "all replaced by those of another").1, 0);
}

#[test]
fn no_piece_of_a_file_in_another_s_place_brings_back_what_was_replaced_or_deleted() {
    // Records of one length, so that any of them fits in the place of any other.
    let mut tried = Tried::new(2800);
    for number in 0..24 {
        tried.step(number, &Step::Put((number % 4) as u8, 20));
        tried.step(number, &Step::Write);
    }
    tried.step(24, &Step::Sync);
    let whole = tried.files();
    let record = 44 + 1 + 5 + 20;
    let segments: Vec<_> = whole.iter().filter(|(name, _)| name.starts_with("log-")).collect();
    let mut tries = 0;
    for (from, source) in &segments {
        for (to, target) in &segments {
            for (a, b) in (0..source.len() / record).flat_map(|a| (0..target.len() / record).map(move |b| (a, b))) {
                let (a, b) = (28 + a * record, 28 + b * record);
                let mut mixed = whole.clone();
                let (Some(piece), Some(place)) =
                    (source.get(a..a + record), mixed.get_mut(*to).and_then(|file| file.get_mut(b..b + record)))
                else {
                    continue;
                };
                place.copy_from_slice(piece);
                check(&tried, &mixed, &format!("record at {a} of {from} at {b} of {to}"));
                tries += 1;
            }
        }
    }
    assert!(tries > 100);
}

#[test]
fn a_log_that_is_begun_anew_has_nothing_even_if_the_old_files_come_back() {
    let mut tried = closed();
    let old = tried.files();
    tried.step(0, &Step::Anew);
    let mut files = tried.files();
    assert_eq!(reopened(&files), (BTreeMap::new(), 0));
    // A crash before the removal of files reached the disk.
    for (name, content) in old {
        files.entry(name).or_insert(content);
    }
    assert_eq!(reopened(&files), (BTreeMap::new(), 0));
}

#[test]
fn what_was_put_before_a_flush_is_written_although_something_else_took_its_place_meanwhile() {
    let mut tried = Tried::new(2800);
    tried.step(0, &Step::Put(1, 20));
    tried.step(0, &Step::Put(2, 20));
    tried.step(0, &Step::Sync);
    tried.step(1, &Step::Put(1, 30));
    tried.step(1, &Step::Put(2, 30));
    let expected = tried.model.now.clone();
    // Changes made while the queue is being written wait in the next one.
    let taken = std::mem::take(&mut tried.queue);
    tried.step(2, &Step::Put(1, 40));
    tried.step(2, &Step::Delete(2));
    tried.journal.write(taken, &tried.keys, tried.most).expect("a disk");
    tried.journal.sync().expect("a disk");
    assert_eq!(reopened(&tried.files()), (expected, 0));
}
