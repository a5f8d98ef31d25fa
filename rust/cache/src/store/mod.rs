//! Values in an embedded store: a file that outlives the process.
//!
//! ```text
//! put, delete --> pending --when it is large--> one transaction --> file
//!                    |                               |
//! get -----> shares -+-> found? ----- no ------------+--> found in the file?
//!            (who is there)
//! ```
//!
//! Who stays is decided in memory, by the policy of the memory tier over the sizes of the entries. What a crash loses is the
//! latest writes: the file is then as after some earlier transaction. Nothing that a damaged file gives is believed: values
//! carry checksums, and a file that cannot be opened is set aside.

mod file;
mod pending;

use std::path::Path;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::{Mutex, RwLock};
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};

use crate::frame::framed;
use crate::shares::shared;
use crate::tally::Tally;
use crate::{Counts, Evicted, Key, KeyRef, OpenError, Put, Tier};
use file::{File, Found};
use pending::{Pending, Waiting};

/// Bytes that wait before they are written in one transaction.
const TOGETHER: u64 = 1 << 20;

/// What an entry takes beside its key and its framed value: its places in two trees of the file.
const OVERHEAD: u64 = 64;

/// A tier in a file. In a forked process it has nothing and keeps nothing: the file belongs to the process that opened it.
pub struct Store {
    opened_by: u32,
    closed: AtomicBool,
    shares: Cache<Key, u64, Bytes, DefaultHashBuilder, Left>,
    most: u64,
    /// Changes of `shares` and `pending` go together, under this lock.
    pending: RwLock<Pending>,
    /// Taken before `pending` by who writes to the file.
    file: Mutex<File>,
    reader: RwLock<Option<file::Reader>>,
    tally: Tally,
}

/// Bytes that an entry takes; its weight is kept with it.
fn weight(key: KeyRef<'_>, value: usize) -> u64 {
    key.bytes.len() as u64 + framed(value) + OVERHEAD
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Key, u64> for Bytes {
    fn weight(&self, _: &Key, bytes: &u64) -> u64 {
        *bytes
    }
}

/// Hands out the keys that left, and the one that was replaced.
#[derive(Clone)]
struct Left;

impl Lifecycle<Key, u64> for Left {
    type RequestState = Vec<Key>;

    fn on_evict(&self, state: &mut Vec<Key>, key: Key, _: u64) {
        state.push(key);
    }
}

impl Store {
    /// A tier of so many bytes in a directory, which is made if it is not there.
    pub fn open(directory: &Path, bytes: u64) -> Result<Self, OpenError> {
        let (shares, most) = shared(bytes, Bytes, Left);
        let (file, damaged) = File::open(directory)?;
        let store = Self {
            opened_by: process::id(),
            closed: AtomicBool::new(false),
            shares,
            most,
            pending: RwLock::default(),
            reader: RwLock::new(file.reader().ok()),
            file: Mutex::new(file),
            tally: Tally::default(),
        };
        store.tally.damaged.add(u64::from(damaged));
        store.remember();
        Ok(store)
    }

    /// Write what waits, and sync the file.
    pub fn flush(&self) {
        if !self.is_open() {
            return;
        }
        let mut file = self.file.lock();
        self.write_pending(&mut file, true);
    }

    /// Write what waits, and close the file: from now on nothing is there, and nothing is kept.
    pub fn close(&self) {
        if !self.is_open() {
            return;
        }
        let mut file = self.file.lock();
        self.write_pending(&mut file, true);
        self.closed.store(true, Relaxed);
        // A reader that is left would keep the file from being closed.
        *self.reader.write() = None;
        file.close();
    }

    /// Whether there is a file to use. No lock may be taken before this is known: in a forked process one may be held by a
    /// thread that is not there.
    fn is_open(&self) -> bool {
        !self.closed.load(Relaxed) && process::id() == self.opened_by
    }

    /// Take up what the file holds; what is more than there is room for goes.
    fn remember(&self) {
        let entries = self.reader.read().as_ref().map(file::Reader::entries);
        if let Some(Ok(entries)) = entries {
            let mut pending = self.pending.write();
            for (key, bytes) in entries {
                self.share(&mut pending, key.borrow(), bytes, None);
            }
        } else {
            self.tally.damaged.one();
            self.forget_all();
        }
    }

    /// Count an entry in, and those that it drives out off; tells whether it stays. Their values are added to `evicted`.
    fn share(&self, pending: &mut Pending, key: KeyRef<'_>, bytes: u64, mut evicted: Option<&mut Evicted>) -> bool {
        let mut left = Vec::new();
        if bytes > self.most {
            left.push(key.to_key());
        } else {
            self.shares.insert_with_lifecycle(key.to_key(), bytes, &mut left);
        }
        // The policy may let go of what has just come; an entry of the key that was replaced leaves, too.
        let stays = self.shares.contains_key(&key);
        for gone in left {
            if gone.borrow() != key || !stays {
                if let Some(evicted) = &mut evicted
                    && gone.borrow() != key
                    && let Found::Value(value) = self.look(gone.borrow(), pending)
                {
                    evicted.push((gone.clone(), value));
                }
                pending.set(gone, None);
                self.tally.evictions.one();
            }
        }
        stays
    }

    /// Write what waits in one transaction. If that cannot be done, everything is forgotten: the transactions that were not synced are
    /// undone, so the file has older values than were put.
    fn write_pending(&self, file: &mut File, sync: bool) -> bool {
        let (changes, bytes) = self.pending.write().begin();
        if changes.is_empty() && !sync {
            return true;
        }
        if file.write(&changes, bytes, sync).is_err() {
            self.tally.failures.one();
            self.start_anew(file);
            return false;
        }
        let mut pending = self.pending.write();
        *self.reader.write() = file.reader().ok();
        pending.end();
        true
    }

    fn forget_all(&self) {
        self.start_anew(&mut self.file.lock());
    }

    /// Begin with an empty file.
    fn start_anew(&self, file: &mut File) {
        let mut pending = self.pending.write();
        self.shares.clear();
        *pending = Pending::default();
        // Readers hold pages of the file.
        *self.reader.write() = None;
        if file.start_anew().is_err() {
            self.tally.failures.one();
        }
        *self.reader.write() = file.reader().ok();
    }

    /// The value of a key that takes so many bytes, unless it is damaged or has just left.
    fn value(&self, key: KeyRef<'_>, bytes: u64) -> Option<Arc<[u8]>> {
        match self.look(key, &self.pending.read()) {
            Found::Value(value) if weight(key, value.len()) == bytes => return Some(value),
            Found::Deleted => return None,
            _ => {}
        }
        // It may have left or been replaced since it was seen; with `pending` held, nothing moves.
        let pending = self.pending.read();
        let bytes = self.shares.peek(&key)?;
        match self.look(key, &pending) {
            Found::Value(value) if weight(key, value.len()) == bytes => return Some(value),
            Found::Deleted => return None,
            _ => drop(pending),
        }
        self.tally.damaged.one();
        self.delete(key);
        None
    }

    /// Write if so much waits that it pays; tells whether the disk took it.
    fn write_if_much(&self, waiting: u64) -> bool {
        if waiting < TOGETHER {
            return true;
        }
        // One writes and the others go on, until too much waits.
        let file = if waiting < 4 * TOGETHER { self.file.try_lock() } else { Some(self.file.lock()) };
        file.is_none_or(|mut file| self.write_pending(&mut file, false))
    }

    /// Keep a value, and add to `evicted` what has to leave.
    fn keep(&self, key: KeyRef<'_>, value: Arc<[u8]>, mut evicted: Option<&mut Evicted>) -> Put {
        if !self.is_open() {
            return Put::Failed;
        }
        let bytes = weight(key, value.len());
        if bytes > self.most {
            self.delete(key);
            self.tally.refused.one();
            return Put::TooLarge { bytes, most: self.most };
        }
        let waiting = {
            let mut pending = self.pending.write();
            if self.share(&mut pending, key, bytes, evicted.as_deref_mut()) {
                pending.set(key.to_key(), Some(value));
            } else if let Some(evicted) = evicted {
                evicted.push((key.to_key(), value));
            }
            pending.bytes()
        };
        self.tally.puts.one();
        if self.write_if_much(waiting) { Put::Kept } else { Put::Failed }
    }

    /// What waits, or what the file has.
    fn look(&self, key: KeyRef<'_>, pending: &Pending) -> Found {
        match pending.get(key) {
            Waiting::Value(value) => Found::Value(value),
            Waiting::Deleted => Found::Deleted,
            Waiting::No => self.reader.read().as_ref().map_or(Found::Deleted, |reader| reader.get(key)),
        }
    }
}

impl Tier for Store {
    fn get(&self, key: KeyRef<'_>) -> Option<Arc<[u8]>> {
        if !self.is_open() {
            return None;
        }
        let value = self.shares.get(&key).and_then(|bytes| self.value(key, bytes));
        self.tally.asked(value.is_some());
        value
    }

    fn put(&self, key: KeyRef<'_>, value: Arc<[u8]>) -> Put {
        self.keep(key, value, None)
    }

    fn put_evicting(&self, key: KeyRef<'_>, value: Arc<[u8]>) -> (Put, Evicted) {
        let mut evicted = Evicted::new();
        let put = self.keep(key, value, Some(&mut evicted));
        (put, evicted)
    }

    fn delete(&self, key: KeyRef<'_>) -> bool {
        if !self.is_open() {
            return false;
        }
        let (was_there, waiting) = {
            let mut pending = self.pending.write();
            let was_there = self.shares.remove(&key).is_some();
            if was_there {
                pending.set(key.to_key(), None);
            }
            (was_there, pending.bytes())
        };
        self.write_if_much(waiting);
        was_there
    }

    fn contains(&self, key: KeyRef<'_>) -> bool {
        self.is_open() && self.shares.contains_key(&key)
    }

    fn len(&self) -> usize {
        if self.is_open() { self.shares.len() } else { 0 }
    }

    fn bytes(&self) -> u64 {
        if self.is_open() { self.shares.weight() } else { 0 }
    }

    fn clear(&self) {
        if self.is_open() {
            self.forget_all();
        }
    }

    fn keys(&self) -> Vec<Key> {
        if self.is_open() { self.shares.iter().map(|(key, _)| key).collect() } else { Vec::new() }
    }

    fn counts(&self) -> Counts {
        self.tally.counts()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if process::id() == self.opened_by {
            self.close();
        } else {
            std::mem::forget(self.reader.get_mut().take());
            self.file.get_mut().leave();
        }
    }
}
