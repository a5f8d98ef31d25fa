//! What every tier can do.

use std::sync::Arc;

use crate::{Key, KeyRef};

/// Bytes by key.
pub trait Tier: Send + Sync {
    /// The value of a key.
    fn get(&self, key: KeyRef<'_>) -> Option<Arc<[u8]>>;

    /// The values of keys, in their order.
    fn get_many(&self, keys: &[KeyRef<'_>]) -> Vec<Option<Arc<[u8]>>> {
        keys.iter().map(|key| self.get(*key)).collect()
    }

    /// Keep a value under a key, in place of the one that is there.
    fn put(&self, key: KeyRef<'_>, value: Arc<[u8]>) -> Put {
        self.put_evicting(key, value).0
    }

    /// The same, and hand out what had to leave to make room: not the value that was replaced, but the one that has just
    /// come, if that is the one to leave. Those that cannot be read are left out, and what is more than can be handed out.
    fn put_evicting(&self, key: KeyRef<'_>, value: Arc<[u8]>) -> (Put, Evicted);

    /// Forget a key; tells whether it was there.
    fn delete(&self, key: KeyRef<'_>) -> bool;

    /// Whether the key is there. This is no use of it: what is evicted next stays the same.
    fn contains(&self, key: KeyRef<'_>) -> bool;

    /// Keys that are there.
    fn len(&self) -> usize;

    /// Whether no key is there.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that count against the size of the tier.
    fn bytes(&self) -> u64;

    /// Forget everything. Where the tier outlives the process and the disk refuses, this is counted, and the next flush
    /// tells.
    fn clear(&self);

    /// The same, with a pause after each of many steps. No lock is held meanwhile.
    fn clear_in_steps(&self, pause: &mut dyn FnMut()) {
        self.clear();
        pause();
    }

    /// Every key, in no order.
    fn keys(&self) -> Vec<Key>;

    /// The same, with a pause after each of many steps. No lock is held meanwhile.
    fn keys_in_steps(&self, pause: &mut dyn FnMut()) -> Vec<Key> {
        let keys = self.keys();
        pause();
        keys
    }

    /// What happened so far.
    fn counts(&self) -> Counts;
}

/// A tier that outlives the process.
pub trait Lasting: Tier {
    /// Write what waits, and sync it; tells whether what was put and deleted before is on disk for good now. If it is not,
    /// everything is forgotten, now or at an earlier write that the disk refused.
    fn flush(&self) -> bool;

    /// Write what waits to the files, so that it outlives the process; tells whether the disk took it.
    fn write_out(&self) -> bool;

    /// Write what waits, and close the files: from now on nothing is there, and nothing is kept.
    fn close(&self);
}

/// Keys and values that had to leave a tier.
pub type Evicted = Vec<(Key, Arc<[u8]>)>;

/// What became of a value that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is kept, until something else needs the room.
    Kept,
    /// It is larger than anything that the tier keeps. An earlier value of the key is gone, for it is outdated.
    TooLarge {
        /// Bytes that it would have taken.
        bytes: u64,
        /// Most that an entry may take.
        most: u64,
    },
    /// The disk refuses. An earlier value of the key is gone.
    Failed,
}

/// What happened in a tier since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Values found.
    pub hits: u64,
    /// Keys that were not there.
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
