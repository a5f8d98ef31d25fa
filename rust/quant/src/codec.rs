//! What a codec is: how vectors become rows of codes, and how a query is compared with such a row.

use std::borrow::Cow;

use thiserror::Error;
use tiercel_simd::Isa;

use crate::key::Key;
use crate::rotation::Rotation;

/// What a distance between codes stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Geometry {
    /// `base - <q, x>`.
    Product {
        /// 1 for the cosine distance of unit vectors, 0 for the negated inner product.
        base: f32,
    },
    /// `|q - x|^2`.
    Square,
}

/// A codec that was fitted to a sample.
///
/// Its methods are plain code that is compiled into the loops of [`tiercel_simd::Loop`]: those that a search calls are
/// `#[inline(always)]`, and none returns other bits under another instruction set.
pub trait Codec: Clone + Send + Sync + 'static {
    /// A vector made ready to be compared with rows. Its memory is used again for the next vector.
    type Query: Default + Send + 'static;

    /// What a comparison returns.
    type Key: Key;

    /// Fewest values of a vector for which `storage="auto"` tries this codec; `None` if it never does.
    const AUTO_DIM: Option<usize>;

    /// Fit a codec to a sample: values after values, `rotation.dim()` a row. A vector of a sample may hold any finite values, and
    /// a sample may be empty.
    fn train(geometry: Geometry, rotation: Rotation, sample: &[f32]) -> Self;

    /// Values of a vector.
    fn dim(&self) -> usize;

    /// Bytes of the row of a vector of `dim` values: its codes, and what [`crate::factors`] the codec keeps beside them.
    fn row_bytes(dim: usize) -> usize;

    /// Write the row of a vector, [`Self::row_bytes`] bytes; `scratch` is memory to use again.
    fn encode(&self, vector: &[f32], scratch: &mut Vec<f32>, row: &mut [u8]);

    /// The squared error that coding a vector makes; `scratch` is memory to use again.
    fn error(&self, vector: &[f32], scratch: &mut Vec<f32>) -> f64;

    /// Make a vector ready to be compared with rows.
    ///
    /// # Panics
    ///
    /// When the vector has another dimension than the codec.
    fn prepare(&self, vector: &[f32], query: &mut Self::Query);

    /// Make a coded vector ready to be compared with other rows.
    fn prepare_row(&self, row: &[u8], query: &mut Self::Query);

    /// Compare a query with a row. `dim` is [`Self::dim`], a constant where the loop is compiled for one dimension.
    ///
    /// It runs once a distance. A check in it keeps the compiler from holding the query in registers from one row to the next, so the
    /// loop promises what would be checked.
    ///
    /// # Safety
    ///
    /// This codec has made the query ready, the row has [`Self::row_bytes`] bytes, and the machine has the instruction set.
    unsafe fn key<I: Isa>(&self, query: &Self::Query, row: &[u8], dim: usize) -> Self::Key;

    /// The distance that a key stands for.
    fn distance(query: &Self::Query, key: Self::Key) -> f32;

    /// The largest key whose distance is at most `distance`.
    fn key_within(query: &Self::Query, distance: f32) -> Self::Key;

    /// Whether distances by code rank the rows: not if a query lies so far from the sample that its codes say little about it.
    #[inline(always)]
    fn can_compare(_: &Self::Query) -> bool {
        true
    }

    /// What a file holds of the codec: a number in `META`, and a section of its own.
    fn parameters(&self) -> Parameters<'_>;

    /// Bytes of [`Parameters::section`] for vectors of `dim` values.
    fn section_bytes(dim: usize) -> usize;

    /// The codec of parameters that a file held, the section [`Self::section_bytes`] long.
    fn from_parameters(
        geometry: Geometry,
        rotation: Rotation,
        parameters: &Parameters<'_>,
    ) -> Result<Self, ParametersError>;

    /// Hand the codec to a visitor, compiled for its dimension if that is one of the usual ones of this codec.
    #[inline(always)]
    fn accept<V: Visitor>(&self, visitor: V) -> V::Output {
        visitor.visit::<Self, 0>(self)
    }
}

/// What a file holds of a codec, besides the codes.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters<'a> {
    /// The size of a step, of a codec that has one step for all values; else 0.
    pub step: f32,
    /// The section of the codec, little endian.
    pub section: Cow<'a, [u8]>,
}

/// Why parameters are not those of a codec.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ParametersError {
    /// No codec has a step of this size.
    #[error("step of the codec: {0}")]
    Step(f32),
    /// A value that the section may not hold.
    #[error("{value} at column {column}")]
    Value {
        /// The value.
        value: f32,
        /// Where it stands.
        column: usize,
    },
}

/// Something to do with a codec of any type.
pub trait Visitor {
    /// What it returns.
    type Output;

    /// Do it. `DIM` is the dimension of the codec where it is compiled for that, else 0.
    fn visit<C: Codec, const DIM: usize>(self, codec: &C) -> Self::Output;
}
