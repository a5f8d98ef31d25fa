//! Values in files, equal ones once.
//!
//! ```text
//! directory/  LOCK
//!             ledger/      a log: key -> hash of its content
//!             blobs/ab/    the contents, by their hash
//! ```
//!
//! Who stays is decided by content: one that has to leave takes all of its keys along. The ledger is what counts: a
//! file that no key refers to is removed by the next opening, and a key whose content did not reach the disk before a
//! crash is dropped, as is one whose content was removed when it was replaced, and what replaced it did not reach the
//! disk. A deleted key may be back if another one has its content. A flush syncs the contents first, and then the ledger.

mod blobs;
mod ledger;
mod look;

use std::fs::{self, DirEntry, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use blake3::Hash;
use hashbrown::HashMap;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};

use tiercel_container::sync_directory;

use crate::claim::{claim, claim_log};
use crate::journal::{Index, Journal, Queue, Slot};
use crate::lock::Lock;
use crate::log::{self, Limits, Lost};
use crate::opened::{Opened, Tended};
use crate::packing::Packed;
use crate::shares::shared;
use crate::tally::Tally;
use crate::{Counts, Evicted, Key, KeyRef, Lasting, OpenError, Put, Tier};
use blobs::{Blobs, Written, file_bytes};
use ledger::{Ledger, RECORDED, read_record, recorded, weight};

pub(crate) use look::{Looked, look};

/// The ledger's segments: the part of the tier that one is large, the least and the most.
const SEGMENTS: u64 = 32;
const SMALLEST: u64 = 1 << 20;
const LARGEST: u64 = 16 << 20;

/// What lies in the directory beside the lock.
const LEDGER: &str = "ledger";
const BLOBS: &str = "blobs";

/// Make a directory for files, and refuse one that has something in it and is none.
fn claim_files(directory: &Path) -> Result<(), OpenError> {
    let (ledger, blobs) = (directory.join(LEDGER), directory.join(BLOBS));
    let is_ours = || Ok((is_directory(&ledger)? && log::is_there(&ledger)?) || blobs::is_there(&blobs)?);
    claim(directory, is_ours, |entry: &DirEntry, name: &str| {
        let is_directory = entry.file_type()?.is_dir();
        Ok(is_directory && (name == LEDGER || (name == BLOBS && blobs::is_empty(&blobs)?)))
    })?;
    match fs::create_dir(&ledger) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_directory(&ledger)? => Ok(()),
        made => Ok(made?),
    }
}

fn is_directory(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        there => Ok(there?.is_dir()),
    }
}

/// A tier of files in a directory. In a forked process it has nothing and keeps nothing: the directory belongs to the
/// process that opened it.
pub struct Files {
    opened: Opened,
    level: Option<i32>,
    shares: Cache<Hash, u64, Bytes, DefaultHashBuilder, Left>,
    most: u64,
    tally: Tally,
    /// Changes of `shares` and of the names of contents go together with it, under this lock.
    ledger: Mutex<Ledger>,
    blobs: Blobs,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Hash, u64> for Bytes {
    fn weight(&self, _: &Hash, bytes: &u64) -> u64 {
        *bytes
    }
}

/// Hands out the contents that left, and the one that was replaced.
#[derive(Clone)]
struct Left;

impl Lifecycle<Hash, u64> for Left {
    type RequestState = Vec<Hash>;

    fn on_evict(&self, state: &mut Vec<Hash>, hash: Hash, _: u64) {
        state.push(hash);
    }
}

/// Most contents that are handed out when they have to leave for one value: a process may have only so many files open.
const HANDED_OUT: usize = 64;

/// What had to leave for a value.
struct Gone {
    /// How many more contents are handed out.
    wanted: usize,
    contents: Vec<GoneContent>,
}

struct GoneContent {
    hash: Hash,
    keys: Vec<Key>,
    /// It can still be read, although its name is gone.
    file: File,
}

impl Gone {
    /// The first so many contents that leave are to be handed out.
    fn wanted(wanted: usize) -> Self {
        Self { wanted, contents: Vec::new() }
    }

    fn add(&mut self, hash: Hash, keys: Vec<Key>, blobs: &Blobs) {
        if self.contents.len() < self.wanted
            && let Ok(file) = blobs.file(hash)
        {
            self.contents.push(GoneContent { hash, keys, file });
        }
    }

    /// The keys, and the values that can be read.
    fn read(self, most: u64) -> Evicted {
        let mut evicted = Evicted::new();
        for GoneContent { hash, keys, file } in self.contents {
            if let Ok(value) = blobs::read(&file, hash, most) {
                evicted.extend(keys.into_iter().map(|key| (key, Arc::clone(&value))));
            }
        }
        evicted
    }
}

impl Files {
    /// A tier of so many bytes in a directory, which is made if it is not there. Values are compressed at a level of
    /// zstd where that makes them smaller.
    pub fn open(directory: &Path, bytes: u64, level: Option<i32>) -> Result<Self, OpenError> {
        // Wherever the process goes later, the files stay where they are.
        let directory = std::path::absolute(directory)?;
        let of_ledger = directory.join(LEDGER);
        claim_files(&directory)?;
        claim_log(&of_ledger)?;
        let lock = Lock::take(&[&directory, &of_ledger])?;
        let (shares, most) = shared(bytes, Bytes, Left);
        let limits = Limits { segment: (bytes / SEGMENTS).clamp(SMALLEST, LARGEST), record: most };
        let (journal, content) = Journal::open(&of_ledger, lock, limits)?;
        let (blobs, there) = Blobs::open(directory.join(BLOBS))?;
        sync_directory(&directory)?;
        let opened = Opened::new(journal);
        let files = Self { opened, level, shares, most, tally: Tally::default(), ledger: Mutex::default(), blobs };
        files.tally.damaged.add(content.damaged);
        let waiting = {
            let mut ledger = files.ledger.lock();
            for (key, kept) in content.slots {
                files.remember(&mut ledger, key, kept.slot, &there);
            }
            let unknown = there.into_keys().filter(|hash| ledger.bytes(*hash).is_none());
            unknown.for_each(|hash| files.blobs.remove_unknown(hash));
            ledger.queue.bytes()
        };
        files.opened.begin(&files, waiting);
        Ok(files)
    }

    /// Take up a key of the ledger, unless its content is not there or there is no room for it.
    fn remember(&self, ledger: &mut Ledger, key: Key, slot: Arc<Slot>, there: &HashMap<Hash, u64>) {
        let found = slot.value(key.borrow(), RECORDED).ok().and_then(|record| read_record(&record));
        if found.is_none() {
            self.tally.damaged.one();
        }
        let Some((hash, bytes)) = found.filter(|(hash, bytes)| there.get(hash) == Some(bytes)) else {
            return ledger.queue.delete(key);
        };
        if ledger.weight_with(hash, bytes, key.borrow()) > self.most {
            self.tally.evictions.one();
            return ledger.queue.delete(key);
        }
        let bytes = ledger.add(key, hash, bytes, slot);
        self.weigh(ledger, hash, bytes, &mut Gone::wanted(0));
    }

    /// A content and its keys weigh so much now; others may have to leave for it, or itself.
    fn weigh(&self, ledger: &mut Ledger, hash: Hash, bytes: u64, gone: &mut Gone) {
        let mut left = Vec::new();
        self.shares.insert_with_lifecycle(hash, bytes, &mut left);
        left.retain(|left| *left != hash || !self.shares.contains_key(&hash));
        for hash in left {
            self.leave(ledger, hash, gone);
        }
    }

    /// A content has to leave with its keys.
    fn leave(&self, ledger: &mut Ledger, hash: Hash, gone: &mut Gone) {
        let keys = ledger.take_content(hash);
        for key in &keys {
            ledger.queue.delete(key.clone());
        }
        self.tally.evictions.add(keys.len() as u64);
        gone.add(hash, keys, &self.blobs);
        self.blobs.remove(hash);
    }

    /// Take its content from a key, and remove it if no other key has it; tells whether the key was there.
    fn release(&self, ledger: &mut Ledger, key: KeyRef<'_>, gone: &mut Gone) -> bool {
        match ledger.take(key) {
            None => return false,
            Some((hash, Some(bytes))) => self.weigh(ledger, hash, bytes, gone),
            Some((hash, None)) => {
                self.shares.remove(&hash);
                self.blobs.remove(hash);
            }
        }
        true
    }

    /// Keep a value; tells how much waits to be written then, or why it is not kept.
    fn keep(&self, key: KeyRef<'_>, value: &Arc<[u8]>, gone: &mut Gone) -> Result<u64, Put> {
        if !self.opened.holds(self) {
            return Err(Put::Failed);
        }
        let hash = blake3::hash(value);
        loop {
            // Others go on while a content is written.
            let is_there = self.ledger.lock().bytes(hash).is_some();
            let written = if is_there { Ok(None) } else { self.write(key, hash, value).map(Some) };
            match written.and_then(|written| self.commit(key, hash, written, gone)) {
                Ok(Some(waiting)) => return Ok(waiting),
                // It was there, and has left since.
                Ok(None) => {}
                Err(put) => return Err(self.turn_away(key, put)),
            }
        }
    }

    /// What became of a value, when what waits was written if it was much.
    fn kept(&self, waiting: Result<u64, Put>) -> Put {
        match waiting {
            Ok(waiting) => {
                self.tally.puts.one();
                if self.opened.write_if_much(self, waiting) { Put::Kept } else { Put::Failed }
            }
            Err(put) => put,
        }
    }

    /// Write a content, or tell why it is not kept.
    fn write(&self, key: KeyRef<'_>, hash: Hash, value: &Arc<[u8]>) -> Result<Written, Put> {
        // However small it is packed: what is larger is not unpacked again.
        self.fits(file_bytes(value.len()) + weight(key))?;
        let packed = Packed::new(Arc::clone(value), self.level);
        self.blobs.write(hash, &packed).map_err(|_| Put::Failed)
    }

    fn fits(&self, bytes: u64) -> Result<(), Put> {
        if bytes <= self.most { Ok(()) } else { Err(Put::TooLarge { bytes, most: self.most }) }
    }

    /// Give a key a content, which is there or was written; tells how much waits to be written to the ledger. None if
    /// the content is not there any more.
    fn commit(
        &self,
        key: KeyRef<'_>,
        hash: Hash,
        written: Option<Written>,
        gone: &mut Gone,
    ) -> Result<Option<u64>, Put> {
        let ledger = &mut *self.ledger.lock();
        if !self.opened.is_open() {
            return Err(Put::Failed);
        }
        let was_there = ledger.bytes(hash);
        let Some(bytes) = was_there.or(written.as_ref().map(Written::bytes)) else { return Ok(None) };
        self.fits(ledger.weight_with(hash, bytes, key))?;
        if let Some(written) = written.filter(|_| was_there.is_none()) {
            written.place().map_err(|_| Put::Failed)?;
            ledger.note_written(hash);
        }
        if ledger.hash(key) == Some(hash) {
            self.shares.get(&hash);
            return Ok(Some(0));
        }
        self.release(ledger, key, gone);
        if was_there.is_some() && ledger.bytes(hash).is_none() {
            return Ok(None);
        }
        let slot = Slot::waiting(recorded(hash, bytes));
        let bytes = ledger.add(key.to_key(), hash, bytes, Arc::clone(&slot));
        ledger.queue.put(key.to_key(), slot, RECORDED);
        self.weigh(ledger, hash, bytes, gone);
        Ok(Some(ledger.queue.bytes()))
    }

    /// A value is not kept; an earlier one of the key is outdated.
    fn turn_away(&self, key: KeyRef<'_>, put: Put) -> Put {
        if put == Put::Failed { &self.tally.failures } else { &self.tally.refused }.one();
        self.delete(key);
        put
    }

    /// The value of a key that could not be read: it may have left or been replaced meanwhile. With the ledger held,
    /// nothing moves.
    fn read_again(&self, key: KeyRef<'_>) -> Option<Arc<[u8]>> {
        let mut ledger = self.ledger.lock();
        let hash = ledger.hash(key)?;
        match self.blobs.read(hash, self.most) {
            Ok(value) => return Some(value),
            Err(Lost::Refused) => self.tally.failures.one(),
            Err(Lost::Damaged) => {
                self.tally.damaged.one();
                self.shares.remove(&hash);
                self.blobs.remove(hash);
                for key in ledger.take_content(hash) {
                    ledger.queue.delete(key);
                }
            }
        }
        None
    }
}

impl Index for Files {
    fn slot(&self, key: KeyRef<'_>) -> Option<Arc<Slot>> {
        self.ledger.lock().slot(key).cloned()
    }

    fn slots(&self) -> Vec<(Key, Arc<Slot>)> {
        self.ledger.lock().slots()
    }

    fn lose(&self, key: KeyRef<'_>, slot: &Arc<Slot>, why: &Lost) {
        self.tally.lost(why);
        let mut ledger = self.ledger.lock();
        if ledger.slot(key).is_some_and(|current| Arc::ptr_eq(current, slot)) {
            self.release(&mut ledger, key, &mut Gone::wanted(0));
            ledger.queue.delete(key.to_key());
        }
    }
}

impl Tended for Files {
    fn take(&self) -> Queue {
        std::mem::take(&mut self.ledger.lock().queue)
    }

    fn log_most(&self) -> u64 {
        self.ledger.lock().record_bytes() / 4 * 7
    }

    fn sync(&self) -> io::Result<()> {
        let unsynced = self.ledger.lock().take_unsynced();
        self.blobs.sync(&unsynced)
    }

    fn forget(&self) {
        let mut ledger = self.ledger.lock();
        ledger.contents().for_each(|hash| self.blobs.remove(hash));
        self.shares.clear();
        *ledger = Ledger::default();
    }

    fn let_go(&self) {
        let mut ledger = self.ledger.lock();
        self.shares.clear();
        *ledger = Ledger::default();
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl Tier for Files {
    fn get(&self, key: KeyRef<'_>) -> Option<Arc<[u8]>> {
        if !self.opened.is_open() {
            return None;
        }
        let hash = self.ledger.lock().hash(key);
        let value = hash.and_then(|hash| {
            self.shares.get(&hash);
            self.blobs.read(hash, self.most).ok().or_else(|| self.read_again(key))
        });
        self.tally.asked(value.is_some());
        value
    }

    fn put(&self, key: KeyRef<'_>, value: Arc<[u8]>) -> Put {
        self.kept(self.keep(key, &value, &mut Gone::wanted(0)))
    }

    fn put_evicting(&self, key: KeyRef<'_>, value: Arc<[u8]>) -> (Put, Evicted) {
        let mut gone = Gone::wanted(HANDED_OUT);
        let waiting = self.keep(key, &value, &mut gone);
        // Files of contents are closed before the ledger is written, which may need others.
        let evicted = gone.read(self.most);
        (self.kept(waiting), evicted)
    }

    fn delete(&self, key: KeyRef<'_>) -> bool {
        if !self.opened.holds(self) {
            return false;
        }
        let (was_there, waiting) = {
            let mut ledger = self.ledger.lock();
            if !self.opened.is_open() {
                return false;
            }
            let was_there = self.release(&mut ledger, key, &mut Gone::wanted(0));
            if was_there {
                ledger.queue.delete(key.to_key());
            }
            (was_there, ledger.queue.bytes())
        };
        self.opened.write_if_much(self, waiting);
        was_there
    }

    fn contains(&self, key: KeyRef<'_>) -> bool {
        self.opened.is_open() && self.ledger.lock().hash(key).is_some()
    }

    fn len(&self) -> usize {
        if self.opened.is_open() { self.ledger.lock().len() } else { 0 }
    }

    fn bytes(&self) -> u64 {
        if self.opened.is_open() { self.shares.weight() } else { 0 }
    }

    fn clear(&self) {
        self.opened.clear(self);
    }

    fn keys(&self) -> Vec<Key> {
        if self.opened.is_open() { self.ledger.lock().keys().cloned().collect() } else { Vec::new() }
    }

    fn counts(&self) -> Counts {
        self.tally.counts()
    }
}

impl Lasting for Files {
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

impl Drop for Files {
    fn drop(&mut self) {
        // In a forked process this does nothing.
        self.close();
    }
}
