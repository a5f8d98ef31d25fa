//! Tiers of the cache.

mod crash;
mod every_tier;
mod faults;
mod files;
mod given;
mod packed;
mod simulated;
mod store;
