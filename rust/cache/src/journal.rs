//! Changes on their way to a log, and the log kept small.
//!
//! ```text
//! put, delete --> queue --when much waits--> log
//!                                             |  ^
//! what lives in the oldest segment, again:    +--+
//! ```

use std::io;
use std::sync::Arc;

use hashbrown::HashSet;
use parking_lot::Mutex;

use crate::directory::Directory;
use crate::lock::Lock;
use crate::log::{Found, Limits, Log, Lost, Place};
use crate::packing::Packed;
use crate::{Key, KeyRef, OpenError};

/// Bytes of the oldest segment that are cleaned per byte written. Everything that lives there may
/// have to be written again, so the log grows by an eighth of it meanwhile.
const FASTER: u64 = 8;

/// Bytes of a change besides its key and its value until it is written.
const CHANGE: u64 = 64;

/// Where the value of a key is: in memory until it is written, then in the log.
pub(crate) struct Slot(Mutex<State>);

#[derive(Clone)]
enum State {
    Waiting(Packed),
    Written(Place),
}

impl Slot {
    pub(crate) fn waiting(packed: Packed) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State::Waiting(packed))))
    }

    fn written(place: Place) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State::Written(place))))
    }

    /// The value of `key`, if it has no more bytes than `most`.
    pub(crate) fn value(&self, key: KeyRef<'_>, most: u64) -> Result<Arc<[u8]>, Lost> {
        let state = self.0.lock().clone();
        match state {
            State::Waiting(packed) => packed.value().ok_or(Lost::Refused),
            State::Written(place) => place.value(key, most),
        }
    }

    fn packed(&self) -> Option<Packed> {
        match &*self.0.lock() {
            State::Waiting(packed) => Some(packed.clone()),
            State::Written(_) => None,
        }
    }

    fn is_at(&self, place: &Place) -> bool {
        matches!(&*self.0.lock(), State::Written(there) if there.is(place))
    }

    fn place(&self) -> Option<Place> {
        match &*self.0.lock() {
            State::Waiting(_) => None,
            State::Written(place) => Some(place.clone()),
        }
    }

    fn settle(&self, place: Place) {
        *self.0.lock() = State::Written(place);
    }
}

/// Changes that wait to be written, in their order.
#[derive(Default)]
pub(crate) struct Queue {
    changes: Vec<Change>,
    bytes: u64,
}

struct Change {
    key: Key,
    /// `None` for a key that was deleted.
    slot: Option<Arc<Slot>>,
}

impl Queue {
    /// Note that a key has a value of `bytes` packed bytes.
    pub(crate) fn put(&mut self, key: Key, slot: Arc<Slot>, bytes: u64) {
        self.add(key, Some(slot), bytes);
    }

    /// Note that a key has no value.
    pub(crate) fn delete(&mut self, key: Key) {
        self.add(key, None, 0);
    }

    fn add(&mut self, key: Key, slot: Option<Arc<Slot>>, bytes: u64) {
        self.bytes += CHANGE + key.borrow().bytes.len() as u64 + bytes;
        self.changes.push(Change { key, slot });
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The last change of each key, the only one that counts. Changes that are added to the queue
    /// later may be lost in a crash, so they make none of these superfluous.
    fn latest(self) -> impl Iterator<Item = Change> {
        let mut later = HashSet::new();
        let mut is_last: Vec<bool> = self.changes.iter().rev().map(|change| later.insert(&change.key)).collect();
        is_last.reverse();
        drop(later);
        self.changes.into_iter().zip(is_last).filter_map(|(change, is_last)| is_last.then_some(change))
    }
}

/// Knows the keys of a tier.
pub(crate) trait Index {
    /// Where the value of a key is.
    fn slot(&self, key: KeyRef<'_>) -> Option<Arc<Slot>>;

    /// Every key, and where its value is.
    fn slots(&self) -> Vec<(Key, Arc<Slot>)>;

    /// Note that a value cannot be read; the key may have another one by now.
    fn lose(&self, key: KeyRef<'_>, slot: &Arc<Slot>, why: &Lost);
}

/// The log of a tier.
pub(crate) struct Journal {
    log: Log,
    /// How far the oldest segment has been cleaned.
    cleaned: Option<u64>,
    lock: Arc<Lock>,
}

/// The content of an opened journal.
pub(crate) struct Content {
    /// The keys that have a value, oldest first.
    pub(crate) slots: Vec<(Key, Kept)>,
    /// Number of damaged parts.
    pub(crate) damaged: u64,
}

/// The value that a key had when the journal was opened.
pub(crate) struct Kept {
    /// Its bytes, packed and unpacked.
    pub(crate) packed: u64,
    pub(crate) value: u64,
    pub(crate) slot: Arc<Slot>,
}

impl Journal {
    /// Open the log of a directory.
    pub(crate) fn open(directory: &Directory, lock: Lock, limits: Limits) -> Result<(Self, Content), OpenError> {
        let (log, content) = Log::open(directory, limits)?;
        let slots = content.places.into_iter().map(|(key, Found { place, value })| {
            let packed = place.packed(key.borrow());
            (key, Kept { packed, value, slot: Slot::written(place) })
        });
        let slots = slots.collect();
        Ok((Self { log, cleaned: None, lock: Arc::new(lock) }, Content { slots, damaged: content.damaged }))
    }

    /// The lock that shows whether the directory is still this process's.
    pub(crate) fn lock(&self) -> Arc<Lock> {
        Arc::clone(&self.lock)
    }

    /// Bytes of the log.
    pub(crate) fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    /// Write what waits, and keep the log to about `most` bytes.
    pub(crate) fn write(&mut self, queue: Queue, index: &impl Index, most: u64) -> io::Result<()> {
        let (bytes, mut written) = (queue.bytes, Vec::new());
        for Change { key, slot } in queue.latest() {
            let Some(slot) = slot else {
                self.log.delete(key.borrow())?;
                continue;
            };
            if let Some(packed) = slot.packed() {
                let place = self.log.put(key.borrow(), &packed)?;
                written.push((slot, place));
            }
        }
        self.log.write()?;
        for (slot, place) in written {
            slot.settle(place);
        }
        self.clean(index, most, FASTER * bytes)
    }

    /// Sync everything that was written.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.log.sync()
    }

    /// Check that what was written is where the next opening looks for it.
    pub(crate) fn check_in_place(&self) -> io::Result<()> {
        self.log.check_in_place()
    }

    /// Forget everything, for good when this returns.
    pub(crate) fn begin_anew(&mut self) -> io::Result<()> {
        self.cleaned = None;
        self.log.begin_anew()
    }

    /// Clean `budget` bytes of the oldest segments while the log is larger than `most`, and at
    /// least as many bytes as it is too large: what lives there is written again.
    fn clean(&mut self, index: &impl Index, most: u64, budget: u64) -> io::Result<()> {
        let mut budget = budget.max(self.log.bytes().saturating_sub(most));
        while budget > 0 && self.log.bytes() > most {
            let Some(part) = self.log.oldest(self.cleaned, budget)? else { break };
            budget = budget.saturating_sub(part.bytes);
            let values = if part.is_damaged { self.all_of_oldest(index) } else { part.values };
            self.move_living(index, values)?;
            if part.is_last {
                // Until it is synced elsewhere, what lived there exists nowhere else.
                self.log.sync()?;
                self.log.remove_oldest()?;
            }
            self.cleaned = (!part.is_last).then_some(part.next);
        }
        Ok(())
    }

    /// All values in the oldest segment, according to the keys: after a damaged head, only the
    /// keys lead to them.
    fn all_of_oldest(&self, index: &impl Index) -> Vec<(Key, Place)> {
        let placed = index.slots().into_iter().filter_map(|(key, slot)| Some((key, slot.place()?)));
        placed.filter(|(_, place)| self.log.is_in_oldest(place)).collect()
    }

    fn move_living(&mut self, index: &impl Index, values: Vec<(Key, Place)>) -> io::Result<()> {
        let mut moved = Vec::new();
        for (key, place) in values {
            let Some(slot) = index.slot(key.borrow()).filter(|slot| slot.is_at(&place)) else { continue };
            match place.record(key.borrow()) {
                Ok(record) => moved.push((slot, self.log.put_again(record)?)),
                Err(why) => index.lose(key.borrow(), &slot, &why),
            }
        }
        self.log.write()?;
        for (slot, place) in moved {
            slot.settle(place);
        }
        Ok(())
    }
}
