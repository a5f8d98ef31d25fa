//! The interface of every tier.

use std::sync::Arc;

use crate::{Key, KeyRef};

/// A tier: bytes by key.
pub trait Tier: Send + Sync {
    /// The value of a key.
    fn get(&self, key: KeyRef<'_>) -> Option<Arc<[u8]>>;

    /// The values of keys, in the order of the keys.
    fn get_many(&self, keys: &[KeyRef<'_>]) -> Vec<Option<Arc<[u8]>>> {
        keys.iter().map(|key| self.get(*key)).collect()
    }

    /// Keep a value under a key, in place of an earlier one.
    fn put(&self, key: KeyRef<'_>, value: Arc<[u8]>) -> Put {
        self.put_evicting(key, value).0
    }

    /// As [`Self::put`], and return what had to leave to make room: not a replaced value, but the
    /// new one if that has to leave. Values that cannot be read are left out, and so are those
    /// beyond what can be handed out.
    fn put_evicting(&self, key: KeyRef<'_>, value: Arc<[u8]>) -> (Put, Evicted);

    /// Forget a key; return whether it was present.
    fn delete(&self, key: KeyRef<'_>) -> bool;

    /// Whether a key is present. This does not count as a use, so it does not change what is
    /// evicted next.
    fn contains(&self, key: KeyRef<'_>) -> bool;

    /// Number of keys.
    fn len(&self) -> usize;

    /// Whether there are no keys.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that count against the size of the tier.
    fn bytes(&self) -> u64;

    /// Forget everything. If the tier outlives the process and the disk refuses, this is counted,
    /// and the next flush reports it.
    fn clear(&self);

    /// As [`Self::clear`], with a pause after each of many steps. No lock is held during a pause.
    fn clear_in_steps(&self, pause: &mut dyn FnMut()) {
        self.clear();
        pause();
    }

    /// Every key, in no particular order.
    fn keys(&self) -> Vec<Key>;

    /// As [`Self::keys`], with a pause after each of many steps. No lock is held during a pause.
    fn keys_in_steps(&self, pause: &mut dyn FnMut()) -> Vec<Key> {
        let keys = self.keys();
        pause();
        keys
    }

    /// What has been counted so far.
    fn counts(&self) -> Counts;
}

/// A tier that outlives the process.
pub trait Lasting: Tier {
    /// Write what waits, and sync it. Return whether all earlier puts and deletions are on disk for
    /// good. If not, everything is forgotten, now or at an earlier write that the disk refused.
    fn flush(&self) -> bool;

    /// Write what waits to the files, so that it outlives the process. Return whether the disk took
    /// it.
    fn write_out(&self) -> bool;

    /// Write what waits, and close the files: from now on the tier is empty and keeps nothing.
    fn close(&self);
}

/// Keys and values that had to leave a tier.
pub type Evicted = Vec<(Key, Arc<[u8]>)>;

/// The outcome for a value that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is kept, until something else needs the room.
    Kept,
    /// It is larger than anything that the tier keeps. An earlier value of the key is gone, because
    /// it is outdated.
    TooLarge {
        /// Bytes that it would have taken.
        bytes: u64,
        /// Maximum bytes of an entry.
        most: u64,
    },
    /// The disk refused. An earlier value of the key is gone.
    Failed,
}

/// Events in a tier since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Values found.
    pub hits: u64,
    /// Keys not found.
    pub misses: u64,
    /// Values kept.
    pub puts: u64,
    /// Values removed to make room.
    pub evictions: u64,
    /// Values too large to be kept.
    pub refused: u64,
    /// Values or files that were damaged: each was a miss.
    pub damaged: u64,
    /// Reads and writes that the disk refused: each was a miss, or a value not kept.
    pub failures: u64,
}
