//! Tiers of the cache.

mod every_tier;
mod files;
mod given;
mod packed;
mod store;
