//! The core of `tiercel.cache`: tiers, envelopes around values, seals, and the sketch of request
//! frequencies.

pub(crate) mod envelope;
pub(crate) mod seal;
pub(crate) mod sketch;
pub(crate) mod tier;
