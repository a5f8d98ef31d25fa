//! Codecs: vectors as few bits, and distances computed on them.
//!
//! Everything here is plain code without `unsafe`, compiled into the loops of [`tiercel_simd::Loop`]; it gives the same bits on
//! every instruction set.

#![forbid(unsafe_code)]

mod codec;
mod rotation;

pub use codec::{Bits, Codec, Geometry, Query, is_step};
pub use rotation::{Rotation, split_mix};
