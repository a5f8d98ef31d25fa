//! What `tiercel.cache` calls: tiers, envelopes around values, seals, and the sketch of how often keys are used.

pub(crate) mod envelope;
pub(crate) mod seal;
pub(crate) mod sketch;
pub(crate) mod tier;
