//! Values in an embedded store: a log that outlives the process.
//!
//! ```text
//! put, delete --> shares --> queue --when much waits--> log
//!                   |                                    |
//! get ------------> +-- in memory until it is written, then there
//! ```
//!
//! Eviction is decided in memory, by the policy of the memory tier over the sizes of the entries;
//! all keys are in memory. A crash loses the latest writes: the store is then as after some earlier
//! one, and no older than the last sync.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};
use tiercel_container::Vfs;

use crate::claim::{Begin, claim_log};
use crate::directory::Directory;
use crate::journal::{Index, Journal, Kept, Queue, Slot};
use crate::lock::Lock;
use crate::log::{Limits, Lost};
use crate::opened::{Opened, TOGETHER, Tended};
use crate::packing::Packed;
use crate::shares::new_cache;
use crate::tally::Tally;
use crate::{Counts, Evicted, Key, KeyRef, Lasting, OpenError, Put, Tier};

/// Bytes of an entry besides its key and its value: its places in memory and the head of its
/// record.
const OVERHEAD: u64 = 96;

/// Minimum bytes of a segment of the log, and segments per store: enough to free room in small
/// steps, and few enough for a process to keep them open.
const SEGMENT: u64 = 1 << 20;
const SEGMENTS: u64 = 32;

/// A tier in a directory. In a forked process it is empty and keeps nothing: the directory belongs
/// to the process that opened it.
pub struct Store {
    opened: Opened,
    level: Option<i32>,
    /// Bytes that the log may take before its dead records are removed.
    log_most: u64,
    shares: Cache<Key, Entry, Bytes, DefaultHashBuilder, Left>,
    most: u64,
    tally: Tally,
    /// `shares` and the queue change together, under this lock.
    queue: Mutex<Queue>,
}

#[derive(Clone)]
struct Entry {
    /// Its weight.
    bytes: u64,
    slot: Arc<Slot>,
}

/// Bytes that an entry takes. A damaged file may claim a value of any size.
pub(crate) fn weight(key: KeyRef<'_>, packed: u64) -> u64 {
    (key.bytes.len() as u64 + OVERHEAD).saturating_add(packed)
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Key, Entry> for Bytes {
    fn weight(&self, _: &Key, entry: &Entry) -> u64 {
        entry.bytes
    }
}

/// Hands out the entries that left, and the one that was replaced.
#[derive(Clone)]
struct Left;

impl Lifecycle<Key, Entry> for Left {
    type RequestState = Vec<(Key, Entry)>;

    fn on_evict(&self, state: &mut Self::RequestState, key: Key, entry: Entry) {
        state.push((key, entry));
    }
}

impl Store {
    /// Open a tier of `bytes` in a directory; `begin` says whether a new one may begin there. Values
    /// are compressed at a level of zstd where that makes them smaller.
    pub fn open(
        vfs: Arc<dyn Vfs>,
        directory: &Path,
        begin: Begin,
        bytes: u64,
        level: Option<i32>,
    ) -> Result<Self, OpenError> {
        // The files stay where they are, wherever the process goes later.
        let directory = Directory::new(vfs, &std::path::absolute(directory)?);
        claim_log(&directory, begin)?;
        let lock = Lock::take(&[&directory])?;
        let (shares, most) = new_cache(bytes, Bytes, Left);
        let limits = Limits { segment: (bytes / SEGMENTS).max(SEGMENT), record: most };
        let (journal, content) = Journal::open(&directory, lock, limits)?;
        let store = Self {
            opened: Opened::new(journal, TOGETHER),
            level,
            log_most: bytes.saturating_add(bytes / 4 * 3),
            shares,
            most,
            tally: Tally::default(),
            queue: Mutex::default(),
        };
        store.tally.damaged.add(content.damaged);
        for (key, kept) in content.slots {
            store.remember(&key, kept);
        }
        let waiting = store.queue.lock().bytes();
        store.opened.begin(&store, waiting);
        Ok(store)
    }

    /// Take up an entry of the log, unless there is no room for it.
    fn remember(&self, key: &Key, kept: Kept) {
        let mut queue = self.queue.lock();
        let entry = Entry { bytes: weight(key.borrow(), kept.packed), slot: kept.slot };
        let left = if weight(key.borrow(), kept.packed.max(kept.value)) > self.most {
            vec![(key.clone(), entry)]
        } else {
            self.share(key, entry)
        };
        self.leave(&mut queue, &left);
    }

    /// Count an entry in; return those that it drives out, including itself if the policy drops it
    /// at once.
    fn share(&self, key: &Key, entry: Entry) -> Vec<(Key, Entry)> {
        let slot = Arc::clone(&entry.slot);
        let mut left = Vec::new();
        self.shares.insert_with_lifecycle(key.clone(), entry, &mut left);
        // An earlier value of the key was not driven out, but replaced.
        left.retain(|(gone, entry)| gone != key || Arc::ptr_eq(&entry.slot, &slot));
        left
    }

    /// Delete driven-out entries from the log, so that they are not found again.
    fn leave(&self, queue: &mut Queue, left: &[(Key, Entry)]) {
        for (key, _) in left {
            queue.delete(key.clone());
        }
        self.tally.evictions.add(left.len() as u64);
    }

    /// Keep a value; return what had to leave, too.
    fn keep(&self, key: KeyRef<'_>, value: Arc<[u8]>) -> (Put, Vec<(Key, Entry)>) {
        if !self.opened.is_open() {
            return (Put::Failed, Vec::new());
        }
        // The unpacked size counts: a larger value would not be unpacked again.
        let bytes = weight(key, value.len() as u64);
        if bytes > self.most {
            self.delete(key);
            self.tally.refused.one();
            return (Put::TooLarge { bytes, most: self.most }, Vec::new());
        }
        let packed = Packed::new(value, self.level);
        let (packed_bytes, key) = (packed.body.len() as u64, key.to_key());
        let entry = Entry { bytes: weight(key.borrow(), packed_bytes), slot: Slot::waiting(packed) };
        let (left, waiting) = {
            let mut queue = self.queue.lock();
            if !self.opened.is_open() {
                return (Put::Failed, Vec::new());
            }
            let left = self.share(&key, entry.clone());
            queue.put(key, entry.slot, packed_bytes);
            self.leave(&mut queue, &left);
            (left, queue.bytes())
        };
        self.tally.puts.one();
        (if self.opened.write_if_much(self, waiting) { Put::Kept } else { Put::Failed }, left)
    }
}

impl Index for Store {
    fn slot(&self, key: KeyRef<'_>) -> Option<Arc<Slot>> {
        self.shares.peek(&key).map(|entry| entry.slot)
    }

    fn slots(&self) -> Vec<(Key, Arc<Slot>)> {
        self.shares.iter().map(|(key, entry)| (key, entry.slot)).collect()
    }

    fn lose(&self, key: KeyRef<'_>, slot: &Arc<Slot>, why: &Lost) {
        self.tally.lost(why);
        let mut queue = self.queue.lock();
        if self.shares.remove_if(&key, |entry| Arc::ptr_eq(&entry.slot, slot)).is_some() {
            queue.delete(key.to_key());
        }
    }
}

impl Tended for Store {
    fn take(&self) -> Queue {
        std::mem::take(&mut *self.queue.lock())
    }

    fn log_most(&self) -> u64 {
        self.log_most
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn forget(&self) {
        let mut queue = self.queue.lock();
        self.shares.clear();
        *queue = Queue::default();
    }

    fn let_go(&self) {
        self.forget();
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl Tier for Store {
    fn get(&self, key: KeyRef<'_>) -> Option<Arc<[u8]>> {
        if !self.opened.is_open() {
            return None;
        }
        let value = self.shares.get(&key).and_then(|entry| {
            entry.slot.value(key, self.most).inspect_err(|why| self.lose(key, &entry.slot, why)).ok()
        });
        self.tally.asked(value.is_some());
        value
    }

    fn put(&self, key: KeyRef<'_>, value: Arc<[u8]>) -> Put {
        self.keep(key, value).0
    }

    fn put_evicting(&self, key: KeyRef<'_>, value: Arc<[u8]>) -> (Put, Evicted) {
        let (put, left) = self.keep(key, value);
        let read =
            |(key, entry): (Key, Entry)| entry.slot.value(key.borrow(), self.most).ok().map(|value| (key, value));
        (put, left.into_iter().filter_map(read).collect())
    }

    fn delete(&self, key: KeyRef<'_>) -> bool {
        if !self.opened.is_open() {
            return false;
        }
        let (was_there, waiting) = {
            let mut queue = self.queue.lock();
            if !self.opened.is_open() {
                return false;
            }
            let was_there = self.shares.remove(&key).is_some();
            if was_there {
                queue.delete(key.to_key());
            }
            (was_there, queue.bytes())
        };
        self.opened.write_if_much(self, waiting);
        was_there
    }

    fn contains(&self, key: KeyRef<'_>) -> bool {
        self.opened.is_open() && self.shares.contains_key(&key)
    }

    fn len(&self) -> usize {
        if self.opened.is_open() { self.shares.len() } else { 0 }
    }

    fn bytes(&self) -> u64 {
        if self.opened.is_open() { self.shares.weight() } else { 0 }
    }

    fn clear(&self) {
        self.opened.clear(self);
    }

    fn keys(&self) -> Vec<Key> {
        if self.opened.is_open() { self.shares.iter().map(|(key, _)| key).collect() } else { Vec::new() }
    }

    fn counts(&self) -> Counts {
        self.tally.counts()
    }
}

impl Lasting for Store {
    fn flush(&self) -> bool {
        self.opened.flush(self)
    }

    fn write_out(&self) -> bool {
        self.opened.write_out(self)
    }

    fn close(&self) {
        self.opened.close(self);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // This does nothing in a forked process.
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use tiercel_container::OsVfs;

    use super::*;

    #[test]
    fn a_key_that_waits_counts_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let vfs = Arc::new(OsVfs);
        let tier = Store::open(vfs, directory.path(), Begin::IfMissing, 1 << 20, None).expect("a store");
        let waiting_after = |length: usize| {
            assert_eq!(tier.put(KeyRef::bytes(&vec![7; length]), vec![1; 10].into()), Put::Kept);
            tier.queue.lock().bytes()
        };
        let (first, second) = (waiting_after(1), waiting_after(1001));
        assert_eq!(second - first, first + 1000);
    }
}
