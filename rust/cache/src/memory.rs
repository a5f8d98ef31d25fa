//! Values in memory.

use std::hash::BuildHasher;
use std::mem;
use std::sync::Arc;

use parking_lot::RwLock;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};

use crate::blocks::block;
use crate::shares::{divided, remembered, shards};
use crate::tally::Tally;
use crate::{Counts, Evicted, Key, KeyRef, Put, Tier};

/// Bytes of an entry, or of a remembered key, in the tables.
const PLACE: u64 = 72;

/// Bytes of an `Arc` besides its content.
const COUNTS: u64 = 16;

/// Bytes of an entry besides its key and its value: its place, and another one, because a full
/// table is copied to one of twice the size.
const OVERHEAD: u64 = PLACE + 64;

/// Bytes of a tier up to which remembered keys do not count.
const SMALL: u64 = 16 << 20;

/// A tier in memory. Reads take no lock that writers of other keys hold for long, and scale with
/// threads.
pub struct Memory {
    shards: Box<[Shard]>,
    /// Bytes of a shard.
    room: u64,
    hasher: DefaultHashBuilder,
    most: u64,
    tally: Tally,
}

type Entries = Cache<Key, Arc<[u8]>, Bytes, DefaultHashBuilder, Left>;

/// The entries. Tables never get smaller, so clearing begins with new ones.
struct Shard(RwLock<Arc<Entries>>);

/// Bytes that an entry takes.
fn weight(key: KeyRef<'_>, value: usize) -> u64 {
    block(key.bytes.len() as u64) + block(value as u64 + COUNTS) + OVERHEAD
}

/// Bytes for entries in a tier of `bytes`: remembered keys take places, too.
fn room(bytes: u64) -> u64 {
    bytes - bytes.saturating_sub(SMALL).min(remembered(bytes) * PLACE)
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Key, Arc<[u8]>> for Bytes {
    fn weight(&self, key: &Key, value: &Arc<[u8]>) -> u64 {
        weight(key.borrow(), value.len())
    }
}

/// Hands out entries that leave, and those that are replaced.
#[derive(Clone)]
struct Left;

impl Lifecycle<Key, Arc<[u8]>> for Left {
    /// Entries that left, dropped after the lock of the shard is released.
    type RequestState = Evicted;

    fn on_evict(&self, state: &mut Self::RequestState, key: Key, value: Arc<[u8]>) {
        state.push((key, value));
    }
}

impl Shard {
    fn new(room: u64) -> (Self, u64) {
        let (entries, most) = divided(room, 1, Bytes, Left);
        (Self(RwLock::new(Arc::new(entries))), most)
    }

    /// The current entries, for longer than one call.
    fn entries(&self) -> Arc<Entries> {
        Arc::clone(&self.0.read())
    }
}

impl Memory {
    /// Make a tier of `bytes`, which cover values, keys and bookkeeping as the allocator takes
    /// them.
    pub fn new(bytes: u64) -> Self {
        let count = shards(bytes);
        let room = room(bytes) / count;
        let (shards, most): (Vec<Shard>, Vec<u64>) = (0..count).map(|_| Shard::new(room)).unzip();
        let most = most.first().copied().unwrap_or(0);
        Self { shards: shards.into(), room, hasher: DefaultHashBuilder::default(), most, tally: Tally::default() }
    }

    fn shard(&self, key: KeyRef<'_>) -> &Shard {
        let at = if self.shards.len() == 1 { 0 } else { self.hasher.hash_one(key) as usize % self.shards.len() };
        &self.shards[at]
    }

    fn sum(&self, each: impl Fn(&Entries) -> u64) -> u64 {
        self.shards.iter().map(|shard| each(&shard.0.read())).sum()
    }
}

impl Tier for Memory {
    fn get(&self, key: KeyRef<'_>) -> Option<Arc<[u8]>> {
        let value = self.shard(key).0.read().get(&key);
        self.tally.asked(value.is_some());
        value
    }

    fn put_evicting(&self, key: KeyRef<'_>, value: Arc<[u8]>) -> (Put, Evicted) {
        let bytes = weight(key, value.len());
        if bytes > self.most {
            self.delete(key);
            self.tally.refused.one();
            return (Put::TooLarge { bytes, most: self.most }, Evicted::new());
        }
        let mut left = Evicted::new();
        self.shard(key).0.read().insert_with_lifecycle(key.to_key(), Arc::clone(&value), &mut left);
        // The policy may drop the new value at once. An earlier value of the key was not evicted,
        // but replaced.
        left.retain(|(gone, old)| gone.borrow() != key || Arc::ptr_eq(old, &value));
        self.tally.evictions.add(left.len() as u64);
        self.tally.puts.one();
        (Put::Kept, left)
    }

    fn delete(&self, key: KeyRef<'_>) -> bool {
        self.shard(key).0.read().remove(&key).is_some()
    }

    fn contains(&self, key: KeyRef<'_>) -> bool {
        self.shard(key).0.read().contains_key(&key)
    }

    fn len(&self) -> usize {
        self.sum(|entries| entries.len() as u64) as usize
    }

    fn bytes(&self) -> u64 {
        self.sum(Entries::weight)
    }

    fn clear(&self) {
        self.clear_in_steps(&mut || ());
    }

    fn keys(&self) -> Vec<Key> {
        self.keys_in_steps(&mut || ())
    }

    fn clear_in_steps(&self, pause: &mut dyn FnMut()) {
        for shard in &self.shards {
            let old = mem::replace(&mut *shard.0.write(), Arc::new(divided(self.room, 1, Bytes, Left).0));
            old.drain().for_each(|entry| {
                drop(entry);
                pause();
            });
        }
    }

    fn keys_in_steps(&self, pause: &mut dyn FnMut()) -> Vec<Key> {
        let all = self.shards.iter().map(Shard::entries);
        let mut keys = Vec::new();
        for entries in all {
            keys.extend(entries.iter().map(|(key, _)| key).inspect(|_| pause()));
        }
        keys
    }

    fn counts(&self) -> Counts {
        self.tally.counts()
    }
}
