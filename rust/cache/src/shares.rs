//! Eviction: the policy of `quick_cache` over weights in bytes.
//!
//! ```text
//! new -> cold --used again--> hot       85% of the room is for entries that were used again; keys of those that
//!         |                    |        left are remembered for a while, and come back as hot
//!         +------> gone <------+
//! ```
//!
//! The room is divided among independent shards, so no entry may be larger than the part of a
//! shard.

use std::hash::Hash;

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};

/// Part of the room for entries that were used again. Between 0.8 and 0.9 every trace that was
/// tried does well; with more, traces that soon reuse new entries do badly.
const HOT: f64 = 0.85;

/// Keys remembered after they left, as a share of those that fit.
const REMEMBERED: f64 = 1.0;

/// Few entries are smaller than this, which bounds their number.
const USUAL: u64 = 1 << 10;

/// Maximum entries that room is made for at once; tables grow.
const TABLE: u64 = 1 << 22;

/// Room for each shard before there is another one.
const ROOM: u64 = 128 << 20;

/// Maximum shards.
const SHARDS: u64 = 16;

/// Number of shards for `bytes`: a power of two, since the library would round up to one.
pub(crate) fn shards(bytes: u64) -> u64 {
    1 << (bytes / ROOM).clamp(1, SHARDS).ilog2()
}

/// Number of keys that a room of `bytes` remembers after they left.
pub(crate) fn remembered(bytes: u64) -> u64 {
    (bytes / USUAL).clamp(1 << 10, TABLE)
}

/// Make a cache of `bytes`, and return the maximum for one entry, too.
pub(crate) fn new_cache<K, V, W, L>(
    bytes: u64,
    weighter: W,
    lifecycle: L,
) -> (Cache<K, V, W, DefaultHashBuilder, L>, u64)
where
    K: Eq + Hash,
    V: Clone,
    W: Weighter<K, V> + Clone,
    L: Lifecycle<K, V> + Clone,
{
    divided(bytes, shards(bytes), weighter, lifecycle)
}

/// Make a cache of `bytes` in `shards` shards, and return the maximum for one entry, too.
pub(crate) fn divided<K, V, W, L>(
    bytes: u64,
    shards: u64,
    weighter: W,
    lifecycle: L,
) -> (Cache<K, V, W, DefaultHashBuilder, L>, u64)
where
    K: Eq + Hash,
    V: Clone,
    W: Weighter<K, V> + Clone,
    L: Lifecycle<K, V> + Clone,
{
    let options = OptionsBuilder::new()
        .shards(shards as usize)
        .hot_allocation(HOT)
        .ghost_allocation(REMEMBERED)
        .estimated_items_capacity(remembered(bytes) as usize)
        .weight_capacity(bytes)
        .build()
        .unwrap_or_else(|_| unreachable!("all options are set"));
    let cache = Cache::with_options(options, weighter, DefaultHashBuilder::default(), lifecycle);
    let most = (cache.shard_capacity() as f64 * HOT) as u64;
    (cache, most)
}
