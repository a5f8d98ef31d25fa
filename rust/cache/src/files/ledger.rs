//! Which key has which content.

use std::sync::Arc;

use blake3::Hash;
use hashbrown::{HashMap, HashSet};

use crate::journal::{Queue, Slot};
use crate::packing::{Codec, Packed};
use crate::{Key, KeyRef};

/// What a key takes beside itself: its places in memory and its record in the log.
const OVERHEAD: u64 = 160;

/// Bytes of what a record says of a key, and of all of the record beside the key.
pub(super) const RECORDED: u64 = 40;
const RECORD: u64 = 45 + RECORDED;

/// Bytes that a key takes.
pub(super) fn weight(key: KeyRef<'_>) -> u64 {
    key.bytes.len() as u64 + OVERHEAD
}

/// Keys and contents, and the changes that wait to be written.
#[derive(Default)]
pub(super) struct Ledger {
    keys: HashMap<Key, Held>,
    contents: HashMap<Hash, Content>,
    /// Contents that no sync has seen.
    unsynced: HashSet<Hash>,
    pub(super) queue: Queue,
    key_bytes: u64,
}

/// What a key has.
struct Held {
    hash: Hash,
    slot: Arc<Slot>,
}

/// A content, and who has it.
struct Content {
    /// Bytes of its file.
    bytes: u64,
    keys: HashSet<Key>,
    /// Bytes of it and of its keys.
    weight: u64,
}

/// The content and the bytes of its file as a record of the log has them.
pub(super) fn recorded(hash: Hash, bytes: u64) -> Packed {
    let body: Arc<[u8]> = [&hash.as_bytes()[..], &bytes.to_le_bytes()].concat().into();
    Packed { codec: Codec::Plain, length: body.len() as u64, body }
}

/// What [`recorded`] wrote.
pub(super) fn read_record(record: &[u8]) -> Option<(Hash, u64)> {
    let (hash, bytes) = record.split_at_checked(blake3::OUT_LEN)?;
    Some((Hash::from_slice(hash).ok()?, u64::from_le_bytes(bytes.try_into().ok()?)))
}

impl Ledger {
    pub(super) fn hash(&self, key: KeyRef<'_>) -> Option<Hash> {
        self.keys.get(&key).map(|held| held.hash)
    }

    pub(super) fn slot(&self, key: KeyRef<'_>) -> Option<&Arc<Slot>> {
        self.keys.get(&key).map(|held| &held.slot)
    }

    pub(super) fn slots(&self) -> Vec<(Key, Arc<Slot>)> {
        self.keys.iter().map(|(key, held)| (key.clone(), Arc::clone(&held.slot))).collect()
    }

    /// Bytes of the file of a content, if it is there.
    pub(super) fn bytes(&self, hash: Hash) -> Option<u64> {
        self.contents.get(&hash).map(|content| content.bytes)
    }

    /// Bytes of a content and its keys with another one among them.
    pub(super) fn weight_with(&self, hash: Hash, bytes: u64, key: KeyRef<'_>) -> u64 {
        let Some(content) = self.contents.get(&hash) else { return bytes + weight(key) };
        content.weight + if content.keys.contains(&key) { 0 } else { weight(key) }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.keys()
    }

    pub(super) fn contents(&self) -> impl Iterator<Item = Hash> {
        self.contents.keys().copied()
    }

    /// Bytes of the records of living keys.
    pub(super) fn record_bytes(&self) -> u64 {
        self.key_bytes + self.keys.len() as u64 * RECORD
    }

    /// Contents that were written and not synced, which are not told again.
    pub(super) fn take_unsynced(&mut self) -> HashSet<Hash> {
        std::mem::take(&mut self.unsynced)
    }

    /// A content has a file that no sync has seen.
    pub(super) fn note_written(&mut self, hash: Hash) {
        self.unsynced.insert(hash);
    }

    /// Give a key, which has none, a content of which the file has so many bytes; tells what that and its keys weigh
    /// now.
    pub(super) fn add(&mut self, key: Key, hash: Hash, bytes: u64, slot: Arc<Slot>) -> u64 {
        let content =
            self.contents.entry(hash).or_insert_with(|| Content { bytes, keys: HashSet::new(), weight: bytes });
        content.weight += weight(key.borrow());
        content.keys.insert(key.clone());
        self.key_bytes += key.borrow().bytes.len() as u64;
        self.keys.insert(key, Held { hash, slot });
        content.weight
    }

    /// Take a key away; tells which content it had, and what that and its other keys weigh now, or nothing if it has
    /// none.
    pub(super) fn take(&mut self, key: KeyRef<'_>) -> Option<(Hash, Option<u64>)> {
        let (key, Held { hash, .. }) = self.keys.remove_entry(&key)?;
        self.key_bytes -= key.borrow().bytes.len() as u64;
        let content = self.contents.get_mut(&hash)?;
        content.keys.remove(&key);
        content.weight -= weight(key.borrow());
        if content.keys.is_empty() {
            self.contents.remove(&hash);
            self.unsynced.remove(&hash);
            return Some((hash, None));
        }
        Some((hash, Some(content.weight)))
    }

    /// Take a content and its keys away.
    pub(super) fn take_content(&mut self, hash: Hash) -> Vec<Key> {
        let Some(content) = self.contents.remove(&hash) else { return Vec::new() };
        self.unsynced.remove(&hash);
        for key in &content.keys {
            self.keys.remove(&key.borrow());
            self.key_bytes -= key.borrow().bytes.len() as u64;
        }
        content.keys.into_iter().collect()
    }
}
