//! Codecs store vectors in few bits and compute distances on these.
//!
//! Everything here is plain code, compiled into the loops of [`tiercel_simd::Loop`], with the same
//! bits on every instruction set. Only [`Codec::key`], the heart of the loops that search, is
//! `unsafe`. A codec is a type that implements [`Codec`], and a line in `registry.rs`.

mod additive;
mod any;
mod books;
mod bytes;
mod codec;
mod crew;
pub mod factors;
mod half;
mod key;
mod kmeans;
mod lanes;
mod mean;
mod panel;
mod polar;
mod procrustes;
mod product;
mod rabitq;
mod registry;
mod residual;
mod rotation;
mod scalar;
mod shape;

pub use additive::{Additive, AdditiveQuery};
pub use codec::{Codec, Geometry, Parameters, ParametersError, Training, Visitor};
pub use crew::{Alone, Crew};
pub use half::{Bf16, F16, Half, HalfQuery};
pub use key::{Key, order, unorder};
pub use rabitq::{Rabitq, Rabitq1, Rabitq2, Rabitq3, Rabitq4, RabitqQuery};
pub use registry::{AnyCodec, CodecKind};
pub use rotation::{Rotation, split_mix};
pub use scalar::{Scalar, ScalarQuery, Sq4, Sq8};
pub use shape::{AdditiveShape, Form};
