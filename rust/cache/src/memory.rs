//! Values in memory.

use std::sync::Arc;

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};

use crate::shares::shared;
use crate::tally::Tally;
use crate::{Counts, Evicted, Key, KeyRef, Put, Tier};

/// What an entry takes beside its key and its value: their headers, and its place in a table.
const OVERHEAD: u64 = 96;

/// A tier in memory. Reads take no lock that writers of other keys hold for long, and scale with threads.
pub struct Memory {
    cache: Cache<Key, Arc<[u8]>, Bytes, DefaultHashBuilder, Left>,
    most: u64,
    tally: Tally,
}

/// Bytes that an entry takes.
fn weight(key: KeyRef<'_>, value: usize) -> u64 {
    key.bytes.len() as u64 + value as u64 + OVERHEAD
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Key, Arc<[u8]>> for Bytes {
    fn weight(&self, key: &Key, value: &Arc<[u8]>) -> u64 {
        weight(key.borrow(), value.len())
    }
}

/// Hands out what leaves, and what is replaced.
#[derive(Clone)]
struct Left;

impl Lifecycle<Key, Arc<[u8]>> for Left {
    /// What left, dropped after the lock of the shard is.
    type RequestState = Evicted;

    fn on_evict(&self, state: &mut Self::RequestState, key: Key, value: Arc<[u8]>) {
        state.push((key, value));
    }
}

impl Memory {
    /// A tier of so many bytes, keys and bookkeeping among them.
    pub fn new(bytes: u64) -> Self {
        let (cache, most) = shared(bytes, Bytes, Left);
        Self { cache, most, tally: Tally::default() }
    }
}

impl Tier for Memory {
    fn get(&self, key: KeyRef<'_>) -> Option<Arc<[u8]>> {
        let value = self.cache.get(&key);
        self.tally.asked(value.is_some());
        value
    }

    fn put_evicting(&self, key: KeyRef<'_>, value: Arc<[u8]>) -> (Put, Evicted) {
        let bytes = weight(key, value.len());
        if bytes > self.most {
            self.cache.remove(&key);
            self.tally.refused.one();
            return (Put::TooLarge { bytes, most: self.most }, Evicted::new());
        }
        let mut left = Evicted::new();
        self.cache.insert_with_lifecycle(key.to_key(), Arc::clone(&value), &mut left);
        // The policy may let go of what has just come; an earlier value of the key was not evicted, but replaced.
        left.retain(|(gone, old)| gone.borrow() != key || Arc::ptr_eq(old, &value));
        self.tally.evictions.add(left.len() as u64);
        self.tally.puts.one();
        (Put::Kept, left)
    }

    fn delete(&self, key: KeyRef<'_>) -> bool {
        self.cache.remove(&key).is_some()
    }

    fn contains(&self, key: KeyRef<'_>) -> bool {
        self.cache.contains_key(&key)
    }

    fn len(&self) -> usize {
        self.cache.len()
    }

    fn bytes(&self) -> u64 {
        self.cache.weight()
    }

    fn clear(&self) {
        self.cache.clear();
    }

    fn keys(&self) -> Vec<Key> {
        self.cache.iter().map(|(key, _)| key).collect()
    }

    fn clear_in_steps(&self, pause: &mut dyn FnMut()) {
        self.cache.drain().for_each(|entry| {
            drop(entry);
            pause();
        });
    }

    fn keys_in_steps(&self, pause: &mut dyn FnMut()) -> Vec<Key> {
        self.cache.iter().map(|(key, _)| key).inspect(|_| pause()).collect()
    }

    fn counts(&self) -> Counts {
        self.tally.counts()
    }
}
