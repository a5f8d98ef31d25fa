//! Values in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};

use crate::shares::shared;
use crate::{Counts, Key, KeyRef, Put, Tier};

/// What an entry takes beside its key and its value: their headers, and its place in a table.
const OVERHEAD: u64 = 96;

/// A tier in memory. Reads take no lock that writers of other keys hold for long, and scale with threads.
pub struct Memory {
    cache: Cache<Key, Arc<[u8]>, Bytes, DefaultHashBuilder, Evicted>,
    most: u64,
    evictions: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
    puts: AtomicU64,
    refused: AtomicU64,
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
struct Evicted;

impl Lifecycle<Key, Arc<[u8]>> for Evicted {
    /// What left, dropped after the lock of the shard is.
    type RequestState = Vec<(Key, Arc<[u8]>)>;

    fn on_evict(&self, state: &mut Self::RequestState, key: Key, value: Arc<[u8]>) {
        state.push((key, value));
    }
}

impl Memory {
    /// A tier of so many bytes, keys and bookkeeping among them.
    pub fn new(bytes: u64) -> Self {
        let (cache, most) = shared(bytes, Bytes, Evicted);
        Self {
            cache,
            most,
            evictions: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            puts: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }
}

impl Tier for Memory {
    fn get(&self, key: KeyRef<'_>) -> Option<Arc<[u8]>> {
        let value = self.cache.get(&key);
        if value.is_some() { &self.hits } else { &self.misses }.fetch_add(1, Relaxed);
        value
    }

    fn put(&self, key: KeyRef<'_>, value: Arc<[u8]>) -> Put {
        let bytes = weight(key, value.len());
        if bytes > self.most {
            self.cache.remove(&key);
            self.refused.fetch_add(1, Relaxed);
            return Put::TooLarge { bytes, most: self.most };
        }
        let mut left = Vec::new();
        self.cache.insert_with_lifecycle(key.to_key(), Arc::clone(&value), &mut left);
        // The policy may let go of what has just come; an earlier value of the key was not evicted, but replaced.
        let evicted = left.iter().filter(|(gone, old)| gone.borrow() != key || Arc::ptr_eq(old, &value)).count();
        self.evictions.fetch_add(evicted as u64, Relaxed);
        self.puts.fetch_add(1, Relaxed);
        Put::Kept
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

    fn counts(&self) -> Counts {
        Counts {
            hits: self.hits.load(Relaxed),
            misses: self.misses.load(Relaxed),
            puts: self.puts.load(Relaxed),
            evictions: self.evictions.load(Relaxed),
            refused: self.refused.load(Relaxed),
            ..Counts::default()
        }
    }
}
