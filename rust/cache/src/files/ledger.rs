//! Which key has which content, and where the content is: in its own file, or packed into the log.

use std::sync::Arc;

use blake3::Hash;
use hashbrown::{HashMap, HashSet};

use super::charges::{in_file, in_log};
use crate::journal::{Queue, Slot};
use crate::packing::{Codec, Packed};
use crate::{Key, KeyRef};

/// Bytes of the body of a key's record.
pub(super) const RECORDED: u64 = 40;

/// Keys and contents, and the changes that wait to be written.
#[derive(Default)]
pub(super) struct Ledger {
    keys: HashMap<Key, Held>,
    contents: HashMap<Hash, Content>,
    /// Contents in files that were not synced.
    unsynced: HashSet<Hash>,
    pub(super) queue: Queue,
    /// Packed contents without a key. Their deletions are written last, so that no key has lost its
    /// content wherever a crash cuts the log off.
    retired: Vec<Hash>,
    /// The charge of the log for living records.
    logged: u64,
}

/// The content of a key, and the key's record.
struct Held {
    hash: Hash,
    slot: Arc<Slot>,
}

/// A content and its keys.
struct Content {
    place: Place,
    keys: HashSet<Key>,
    /// The charge of it and its keys.
    weight: u64,
}

/// Where a content is.
#[derive(Clone)]
pub(super) struct Place {
    /// Bytes of its file, or of the body of its record.
    pub(super) bytes: u64,
    /// Its record in the log; `None` if it has a file.
    pub(super) packed: Option<Arc<Slot>>,
}

/// The charge of a key.
pub(super) fn weight(key: KeyRef<'_>) -> u64 {
    in_log(key, RECORDED)
}

impl Place {
    /// The charge of the content, without its keys.
    pub(super) fn weight(&self, hash: &Hash) -> u64 {
        if self.packed.is_some() { in_log(KeyRef::content(hash), self.bytes) } else { in_file(self.bytes) }
    }

    /// The log's part of that charge.
    fn logged(&self, hash: &Hash) -> u64 {
        if self.packed.is_some() { self.weight(hash) } else { 0 }
    }
}

/// The content of a key that was removed.
pub(super) struct Taken {
    pub(super) hash: Hash,
    /// Where the content was, if no other key has it: then it is gone from the ledger, too.
    pub(super) orphan: Option<Place>,
}

/// The record of a key: the hash and the bytes of its content.
pub(super) fn recorded(hash: Hash, bytes: u64) -> Packed {
    let body: Arc<[u8]> = [&hash.as_bytes()[..], &bytes.to_le_bytes()].concat().into();
    Packed { codec: Codec::Plain, length: body.len() as u64, body }
}

/// Read what [`recorded`] wrote.
pub(super) fn read_record(record: &[u8]) -> Option<(Hash, u64)> {
    let (hash, bytes) = record.split_at_checked(blake3::OUT_LEN)?;
    Some((Hash::from_slice(hash).ok()?, u64::from_le_bytes(bytes.try_into().ok()?)))
}

impl Ledger {
    pub(super) fn hash(&self, key: KeyRef<'_>) -> Option<Hash> {
        self.keys.get(&key).map(|held| held.hash)
    }

    /// The content of a key, and where it is.
    pub(super) fn find(&self, key: KeyRef<'_>) -> Option<(Hash, Place)> {
        let hash = self.hash(key)?;
        Some((hash, self.place(hash)?.clone()))
    }

    pub(super) fn place(&self, hash: Hash) -> Option<&Place> {
        self.contents.get(&hash).map(|content| &content.place)
    }

    /// Where the record of a key, or of a packed content, is in the log.
    pub(super) fn slot(&self, key: KeyRef<'_>) -> Option<&Arc<Slot>> {
        match key.content_hash() {
            Some(hash) => self.place(hash)?.packed.as_ref(),
            None => self.keys.get(&key).map(|held| &held.slot),
        }
    }

    /// All living records of the log.
    pub(super) fn slots(&self) -> Vec<(Key, Arc<Slot>)> {
        let keys = self.keys.iter().map(|(key, held)| (key.clone(), Arc::clone(&held.slot)));
        let packed = self.contents.iter().filter_map(|(hash, content)| {
            Some((KeyRef::content(hash).to_key(), Arc::clone(content.place.packed.as_ref()?)))
        });
        keys.chain(packed).collect()
    }

    /// The charge of a content and its keys; `None` if it is not in the ledger.
    pub(super) fn weight(&self, hash: Hash) -> Option<u64> {
        self.contents.get(&hash).map(|content| content.weight)
    }

    /// The charge of a content and its keys with `key` among them; `alone` is the charge of a
    /// content that is not in the ledger.
    pub(super) fn weight_with(&self, hash: Hash, alone: u64, key: KeyRef<'_>) -> u64 {
        let Some(content) = self.contents.get(&hash) else { return alone.saturating_add(weight(key)) };
        content.weight.saturating_add(if content.keys.contains(&key) { 0 } else { weight(key) })
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.keys()
    }

    /// Contents that have a file.
    pub(super) fn in_files(&self) -> impl Iterator<Item = Hash> {
        self.contents.iter().filter(|(_, content)| content.place.packed.is_none()).map(|(hash, _)| *hash)
    }

    /// The charge of the log for its living records.
    pub(super) fn logged(&self) -> u64 {
        self.logged
    }

    /// Take the contents in files that were written and not synced.
    pub(super) fn take_unsynced(&mut self) -> HashSet<Hash> {
        std::mem::take(&mut self.unsynced)
    }

    /// Note that a packed content has no key any more.
    pub(super) fn retire(&mut self, hash: Hash) {
        self.retired.push(hash);
    }

    /// Take the changes that wait to be written.
    pub(super) fn take_queue(&mut self) -> Queue {
        for hash in std::mem::take(&mut self.retired) {
            let key = KeyRef::content(&hash);
            // It may have come back.
            if self.slot(key).is_none() {
                self.queue.delete(key.to_key());
            }
        }
        std::mem::take(&mut self.queue)
    }

    /// Note that a content has a file that was not synced.
    pub(super) fn note_written(&mut self, hash: Hash) {
        self.unsynced.insert(hash);
    }

    /// Give a new key a content: one that is in the ledger, or else one at this place.
    pub(super) fn add(&mut self, key: Key, hash: Hash, place: Place, slot: Arc<Slot>) {
        let content = self.contents.entry(hash).or_insert_with(|| {
            self.logged += place.logged(&hash);
            Content { weight: place.weight(&hash), place, keys: HashSet::new() }
        });
        let bytes = weight(key.borrow());
        content.weight = content.weight.saturating_add(bytes);
        self.logged += bytes;
        content.keys.insert(key.clone());
        self.keys.insert(key, Held { hash, slot });
    }

    /// Remove a key, and its content if no other key has it.
    pub(super) fn take(&mut self, key: KeyRef<'_>) -> Option<Taken> {
        let (key, Held { hash, .. }) = self.keys.remove_entry(&key)?;
        let bytes = weight(key.borrow());
        self.logged -= bytes;
        let content = self.contents.get_mut(&hash)?;
        content.keys.remove(&key);
        content.weight -= bytes;
        let orphan = if content.keys.is_empty() { self.take_content(hash).map(|(place, _)| place) } else { None };
        Some(Taken { hash, orphan })
    }

    /// Remove a content and its keys.
    pub(super) fn take_content(&mut self, hash: Hash) -> Option<(Place, Vec<Key>)> {
        let content = self.contents.remove(&hash)?;
        self.unsynced.remove(&hash);
        self.logged -= content.place.logged(&hash);
        for key in &content.keys {
            self.keys.remove(&key.borrow());
            self.logged -= weight(key.borrow());
        }
        Some((content.place, content.keys.into_iter().collect()))
    }
}
