//! Values in files: equal ones are stored once, and small ones are packed.
//!
//! ```text
//! directory/  LOCK
//!             ledger/      a log: key -> hash of its content, hash -> content if it is small
//!             blobs/ab/    the other contents, by their hash
//! ```
//!
//! Eviction is by content: one that has to leave takes all of its keys along. The ledger is what
//! counts: the next opening removes a file that no key refers to, and a packed content that no key
//! has. A key whose content did not reach the disk before a crash is dropped. So is one whose
//! content was removed when it was replaced, if the new content did not reach the disk. A deleted
//! key may be back if another one has its content. A flush syncs the contents first, and then the
//! ledger.
//!
//! In the ledger, a packed content comes before its keys, and its deletion after theirs: wherever a
//! crash cuts the log off, no key has lost it.

mod blobs;
mod charges;
mod claim;
mod gone;
mod ledger;
mod look;

use std::io;
use std::path::Path;
use std::sync::Arc;

use blake3::Hash;
use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};
use tiercel_container::Vfs;

use crate::claim::{Begin, claim_log};
use crate::directory::Directory;
use crate::journal::{Index, Journal, Kept, Queue, Slot};
use crate::lock::Lock;
use crate::log::Lost;
use crate::opened::{Opened, Tended};
use crate::packing::Packed;
use crate::shares::new_cache;
use crate::tally::Tally;
use crate::{Counts, Evicted, Key, KeyRef, Lasting, OpenError, Put, Tier};
use blobs::{Blobs, Written};
use charges::{Division, PACKED};
use claim::{BLOBS, LEDGER, claim_files};
use gone::Gone;
use ledger::{Ledger, Place, RECORDED, Taken, read_record, recorded};

pub(crate) use look::{Looked, look};

/// A tier of files in a directory. In a forked process it is empty and keeps nothing: the directory
/// belongs to the process that opened it.
pub struct Files {
    opened: Opened,
    level: Option<i32>,
    shares: Cache<Hash, u64, Bytes, DefaultHashBuilder, Left>,
    most: u64,
    tally: Tally,
    /// `shares` and the names of contents change together with it, under this lock.
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

/// A content that is new to the tier.
enum New {
    File(Written),
    Packed(Packed),
}

impl New {
    fn place(&self) -> Place {
        match self {
            Self::File(written) => Place { bytes: written.bytes(), packed: None },
            Self::Packed(packed) => {
                Place { bytes: packed.body.len() as u64, packed: Some(Slot::waiting(packed.clone())) }
            }
        }
    }
}

impl Files {
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
        let of_ledger = directory.below(LEDGER);
        claim_files(&directory, begin)?;
        claim_log(&of_ledger, Begin::IfMissing)?;
        let lock = Lock::take(&[&directory, &of_ledger])?;
        let division = Division::of(bytes);
        let (shares, most) = new_cache(division.room, Bytes, Left);
        let (journal, content) = Journal::open(&of_ledger, lock, division.limits(most))?;
        let (blobs, there) = Blobs::open(directory.below(BLOBS))?;
        directory.sync()?;
        let opened = Opened::new(journal, division.together());
        let files = Self { opened, level, shares, most, tally: Tally::default(), ledger: Mutex::default(), blobs };
        files.tally.damaged.add(content.damaged);
        let waiting = files.take_up(content.slots, &there);
        files.opened.begin(&files, waiting);
        Ok(files)
    }

    /// Take up the ledger's entries, and remove contents that no key has; return how much waits to
    /// be written then.
    fn take_up(&self, slots: Vec<(Key, Kept)>, there: &HashSet<Hash>) -> u64 {
        let ledger = &mut *self.ledger.lock();
        let (mut packed, mut keys) = (HashMap::new(), Vec::new());
        for (key, Kept { packed: bytes, slot, .. }) in slots {
            match key.borrow().content_hash() {
                Some(hash) => drop(packed.insert(hash, Place { bytes, packed: Some(slot) })),
                None => keys.push((key, slot)),
            }
        }
        for (key, slot) in keys {
            self.remember(ledger, key, slot, &packed, there);
        }
        for hash in packed.into_keys() {
            if ledger.place(hash).is_none() {
                ledger.retire(hash);
            }
        }
        let has_file = |hash| ledger.place(hash).is_some_and(|place| place.packed.is_none());
        there.iter().filter(|hash| !has_file(**hash)).for_each(|hash| self.blobs.remove_unknown(*hash));
        ledger.queue.bytes()
    }

    /// Take up a key of the ledger, unless its content is missing or there is no room for it.
    fn remember(
        &self,
        ledger: &mut Ledger,
        key: Key,
        slot: Arc<Slot>,
        packed: &HashMap<Hash, Place>,
        there: &HashSet<Hash>,
    ) {
        let found = slot.value(key.borrow(), RECORDED).ok().and_then(|record| read_record(&record));
        if found.is_none() {
            self.tally.damaged.one();
        }
        let place = found.and_then(|(hash, bytes)| {
            let in_file = || there.contains(&hash).then_some(Place { bytes, packed: None });
            Some((hash, packed.get(&hash).cloned().or_else(in_file)?))
        });
        let Some((hash, place)) = place else { return ledger.queue.delete(key) };
        if ledger.weight_with(hash, place.weight(&hash), key.borrow()) > self.most {
            self.tally.evictions.one();
            return ledger.queue.delete(key);
        }
        ledger.add(key, hash, place, slot);
        self.weigh(ledger, hash, &mut Gone::unwanted());
    }

    /// Weigh a content after it or its keys changed, if it is present: others may have to leave for
    /// it, or itself.
    fn weigh(&self, ledger: &mut Ledger, hash: Hash, gone: &mut Gone) {
        let Some(weight) = ledger.weight(hash) else { return };
        let mut left = Vec::new();
        self.shares.insert_with_lifecycle(hash, weight, &mut left);
        left.retain(|left| *left != hash || !self.shares.contains_key(&hash));
        for hash in left {
            self.leave(ledger, hash, gone);
        }
    }

    /// Evict a content with its keys.
    fn leave(&self, ledger: &mut Ledger, hash: Hash, gone: &mut Gone) {
        let Some((place, keys)) = ledger.take_content(hash) else { return };
        self.tally.evictions.add(keys.len() as u64);
        for key in &keys {
            ledger.queue.delete(key.clone());
        }
        gone.add(hash, keys, &place, &self.blobs);
        self.discard(ledger, hash, &place);
    }

    /// Drop a content that nothing needs any more.
    fn drop_content(&self, ledger: &mut Ledger, hash: Hash) {
        let Some((place, keys)) = ledger.take_content(hash) else { return };
        self.shares.remove(&hash);
        for key in keys {
            ledger.queue.delete(key);
        }
        self.discard(ledger, hash, &place);
    }

    /// Free the room of a content that is no longer in the ledger.
    fn discard(&self, ledger: &mut Ledger, hash: Hash, place: &Place) {
        match place.packed {
            Some(_) => ledger.retire(hash),
            None => self.blobs.remove(hash),
        }
    }

    /// After a key was removed, remove its content if no other key has it.
    fn settle(&self, ledger: &mut Ledger, Taken { hash, orphan }: Taken, gone: &mut Gone) {
        match orphan {
            None => self.weigh(ledger, hash, gone),
            Some(place) => {
                self.shares.remove(&hash);
                self.discard(ledger, hash, &place);
            }
        }
    }

    /// Remove a key; return whether it was present.
    fn release(&self, ledger: &mut Ledger, key: KeyRef<'_>) -> bool {
        let Some(taken) = ledger.take(key) else { return false };
        ledger.queue.delete(key.to_key());
        self.settle(ledger, taken, &mut Gone::unwanted());
        true
    }

    /// Keep a value; return how much waits to be written then, or why it is not kept.
    fn keep(&self, key: KeyRef<'_>, value: &Arc<[u8]>, gone: &mut Gone) -> Result<u64, Put> {
        if !self.opened.holds(self) {
            return Err(Put::Failed);
        }
        let hash = blake3::hash(value);
        loop {
            // Other threads go on while a content is written.
            let is_there = self.ledger.lock().place(hash).is_some();
            let new = if is_there { Ok(None) } else { self.write(key, hash, value).map(Some) };
            match new.and_then(|new| self.commit(key, hash, new, gone)) {
                Ok(Some(waiting)) => return Ok(waiting),
                // It was present, and has left since.
                Ok(None) => {}
                Err(put) => return Err(self.turn_away(key, put)),
            }
        }
    }

    /// The outcome of a put, after writing what waits if there is too much of it.
    fn kept(&self, waiting: Result<u64, Put>) -> Put {
        match waiting {
            Ok(waiting) => {
                self.tally.puts.one();
                if self.opened.write_if_much(self, waiting) { Put::Kept } else { Put::Failed }
            }
            Err(put) => put,
        }
    }

    /// Write a content, unless it is so small that it is packed; or return why it is not kept.
    fn write(&self, key: KeyRef<'_>, hash: Hash, value: &Arc<[u8]>) -> Result<New, Put> {
        // The unpacked size counts: a larger value would not be unpacked again.
        self.fits((value.len() as u64).saturating_add(ledger::weight(key)))?;
        let packed = Packed::new(Arc::clone(value), self.level);
        if packed.body.len() <= PACKED {
            return Ok(New::Packed(packed));
        }
        self.blobs.write(hash, &packed).map(New::File).map_err(|_| Put::Failed)
    }

    fn fits(&self, bytes: u64) -> Result<(), Put> {
        if bytes <= self.most { Ok(()) } else { Err(Put::TooLarge { bytes, most: self.most }) }
    }

    /// Give a key a content, existing or new; return how much waits to be written to the ledger.
    /// `None` if the content no longer exists.
    fn commit(&self, key: KeyRef<'_>, hash: Hash, new: Option<New>, gone: &mut Gone) -> Result<Option<u64>, Put> {
        let ledger = &mut *self.ledger.lock();
        if !self.opened.is_open() {
            return Err(Put::Failed);
        }
        let there = ledger.place(hash).cloned();
        let is_new = there.is_none();
        let Some(place) = there.or_else(|| new.as_ref().map(New::place)) else { return Ok(None) };
        self.fits(ledger.weight_with(hash, place.weight(&hash), key))?;
        if ledger.hash(key) == Some(hash) {
            self.shares.get(&hash);
            return Ok(Some(0));
        }
        if let Some(New::File(written)) = new.filter(|_| is_new) {
            written.place().map_err(|_| Put::Failed)?;
            ledger.note_written(hash);
        }
        if let Some(slot) = place.packed.as_ref().filter(|_| is_new) {
            ledger.queue.put(KeyRef::content(&hash).to_key(), Arc::clone(slot), place.bytes);
        }
        let slot = Slot::waiting(recorded(hash, place.bytes));
        ledger.queue.put(key.to_key(), Arc::clone(&slot), RECORDED);
        // Its old content goes last: a crash that cuts the log off leaves one or the other.
        let old = ledger.take(key);
        ledger.add(key.to_key(), hash, place, slot);
        if let Some(old) = old {
            self.settle(ledger, old, gone);
        }
        self.weigh(ledger, hash, gone);
        Ok(Some(ledger.queue.bytes()))
    }

    /// Count a value that is not kept, and delete the earlier one of the key, which is outdated.
    fn turn_away(&self, key: KeyRef<'_>, put: Put) -> Put {
        if put == Put::Failed { &self.tally.failures } else { &self.tally.refused }.one();
        self.delete(key);
        put
    }

    fn read(&self, hash: Hash, place: &Place) -> Result<Arc<[u8]>, Lost> {
        match &place.packed {
            Some(slot) => slot.value(KeyRef::content(&hash), self.most),
            None => self.blobs.read(hash, self.most),
        }
    }

    /// Read again the value of a key that could not be read: it may have left or been replaced
    /// meanwhile. While the ledger is locked, nothing moves.
    fn read_again(&self, key: KeyRef<'_>) -> Option<Arc<[u8]>> {
        let mut ledger = self.ledger.lock();
        let (hash, place) = ledger.find(key)?;
        self.read(hash, &place).inspect_err(|why| self.lose_content(&mut ledger, hash, why)).ok()
    }

    /// Count a content that could not be read, and drop it if it is damaged. The system may return
    /// later what it refuses now.
    fn lose_content(&self, ledger: &mut Ledger, hash: Hash, why: &Lost) {
        self.tally.lost(why);
        if matches!(why, Lost::Damaged) {
            self.drop_content(ledger, hash);
        }
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
        if !ledger.slot(key).is_some_and(|current| Arc::ptr_eq(current, slot)) {
            return;
        }
        match key.content_hash() {
            Some(hash) => self.drop_content(&mut ledger, hash),
            None => drop(self.release(&mut ledger, key)),
        }
    }
}

impl Tended for Files {
    fn take(&self) -> Queue {
        self.ledger.lock().take_queue()
    }

    fn log_most(&self) -> u64 {
        self.ledger.lock().logged()
    }

    fn sync(&self) -> io::Result<()> {
        let unsynced = self.ledger.lock().take_unsynced();
        self.blobs.sync(&unsynced)?;
        // While the ledger is locked, nothing of ours is removed.
        let is_kept = |hash: &Hash| self.ledger.lock().place(*hash).is_none() || self.blobs.is_there(*hash);
        if unsynced.iter().all(is_kept) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn forget(&self) {
        let mut ledger = self.ledger.lock();
        ledger.in_files().for_each(|hash| self.blobs.remove(hash));
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
        let found = self.ledger.lock().find(key);
        let value = found.and_then(|(hash, place)| {
            self.shares.get(&hash);
            self.read(hash, &place).ok().or_else(|| self.read_again(key))
        });
        self.tally.asked(value.is_some());
        value
    }

    fn put(&self, key: KeyRef<'_>, value: Arc<[u8]>) -> Put {
        self.kept(self.keep(key, &value, &mut Gone::unwanted()))
    }

    fn put_evicting(&self, key: KeyRef<'_>, value: Arc<[u8]>) -> (Put, Evicted) {
        let mut gone = Gone::wanted();
        let waiting = self.keep(key, &value, &mut gone);
        // Files of contents are closed before the ledger is written, which may open others.
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
            (self.release(&mut ledger, key), ledger.queue.bytes())
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
        // This does nothing in a forked process.
        self.close();
    }
}
