//! The interface of codecs: how vectors become rows of codes, and how a query is compared with a
//! row.

use std::borrow::Cow;

use thiserror::Error;
use tiercel_simd::tables::ROWS;
use tiercel_simd::{Isa, Level};

use crate::crew::{Alone, Crew};
use crate::key::Key;
use crate::rotation::Rotation;

/// The meaning of a distance between codes.
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

/// What a codec is fitted to, and how.
pub struct Training<'a> {
    /// The meaning of a distance.
    pub geometry: Geometry,
    /// A rotation of vectors of the dimension of the codec.
    pub rotation: Rotation,
    /// Vectors, one after the other, `rotation.dim()` values each. They may hold any finite values,
    /// and there may be none.
    pub sample: &'a [f32],
    /// The instruction set to work with. The result does not depend on it.
    pub level: Level,
    /// The threads to work on. The result does not depend on their number.
    pub crew: &'a dyn Crew,
}

impl<'a> Training<'a> {
    /// Fit on this thread alone, without instructions that only some machines have.
    pub fn alone(geometry: Geometry, rotation: Rotation, sample: &'a [f32]) -> Self {
        Self { geometry, rotation, sample, level: Level::Scalar, crew: &Alone }
    }
}

/// A codec fitted to a sample.
///
/// Its methods are plain code, compiled into the loops of [`tiercel_simd::Loop`]. Those that a
/// search calls are `#[inline(always)]`, and all return the same bits under every instruction set.
pub trait Codec: Clone + Send + Sync + 'static {
    /// A vector prepared for comparisons with rows. Its memory is reused for the next vector.
    type Query: Default + Send + 'static;

    /// The result of a comparison.
    type Key: Key;

    /// The parameters in the name of its kind; `()` without any.
    type Shape: Copy;

    /// Fewest dimensions for which `storage="auto"` tries this codec; `None` if it never does.
    const AUTO_MIN_DIM: Option<usize>;

    /// Whether its rows are good enough to link a graph by. If not, the full vectors are compared
    /// to link one, and the rows only in a search.
    const LINKS: bool = true;

    /// The bytes from one row to the next are the next multiple of this. It divides the size of a
    /// cache line, or is that.
    const ROW_ALIGN: usize = 64;

    /// Fit a codec to a sample of vectors. If the crew was stopped, discard the result.
    fn train(shape: Self::Shape, training: Training<'_>) -> Self;

    /// Return the number of values in a vector.
    fn dim(&self) -> usize;

    /// Return the bytes of a row for a vector of `dim` values: its codes, and the
    /// [`crate::factors`] that the codec keeps beside them. `dim` is [`Self::dim`], a constant if
    /// the loop is compiled for one dimension.
    fn row_bytes(&self, dim: usize) -> usize;

    /// Return the bytes from one row to the next; `dim` as for [`Self::row_bytes`].
    #[inline(always)]
    fn stride(&self, dim: usize) -> usize {
        self.row_bytes(dim).next_multiple_of(Self::ROW_ALIGN)
    }

    /// Write the row of a vector, [`Self::row_bytes`] bytes; `scratch` is memory to reuse.
    fn encode(&self, vector: &[f32], scratch: &mut Vec<f32>, row: &mut [u8]);

    /// Write the vector that a row stands for: the one whose distances [`Self::key`] computes, but
    /// for rounding.
    fn decode(&self, row: &[u8], vector: &mut Vec<f32>);

    /// Return the squared error of coding a vector; `scratch` is memory to reuse.
    fn error(&self, vector: &[f32], scratch: &mut Vec<f32>) -> f64;

    /// Prepare a vector for comparisons with rows.
    ///
    /// # Panics
    ///
    /// If the vector has another dimension than the codec.
    fn prepare(&self, vector: &[f32], query: &mut Self::Query);

    /// Prepare a coded vector for comparisons with other rows.
    fn prepare_row(&self, row: &[u8], query: &mut Self::Query);

    /// Compare a query with a row. `dim` is [`Self::dim`], a constant if the loop is compiled for
    /// one dimension.
    ///
    /// This runs once per distance. A check would keep the compiler from holding the query in
    /// registers from one row to the next, so the caller makes promises instead.
    ///
    /// # Safety
    ///
    /// This codec has prepared the query, the row has [`Self::row_bytes`] bytes, and the machine
    /// has the instruction set.
    unsafe fn key<I: Isa>(&self, query: &Self::Query, row: &[u8], dim: usize) -> Self::Key;

    /// Whether [`Self::keys`] takes less time than [`Self::key`] for each row.
    const COMPARES_TOGETHER: bool = false;

    /// Compare a query with the first `count` rows; the others may be compared, too, and may be equal.
    /// The keys are those of [`Self::key`].
    ///
    /// # Safety
    ///
    /// As for [`Self::key`]; each of the sixteen is valid for reads of [`Self::stride`] bytes.
    #[inline(always)]
    unsafe fn keys<I: Isa>(
        &self,
        query: &Self::Query,
        rows: &[*const u8; ROWS],
        count: usize,
        dim: usize,
        keys: &mut [Self::Key; ROWS],
    ) {
        // SAFETY: as the caller promises.
        unsafe { one_by_one::<Self, I>(self, query, &rows[..count], dim, keys) };
    }

    /// Return the distance that a key stands for.
    fn distance(query: &Self::Query, key: Self::Key) -> f32;

    /// Return the largest key whose distance is at most `distance`.
    fn key_within(query: &Self::Query, distance: f32) -> Self::Key;

    /// Whether distances by code rank the rows. They do not if a query lies so far from the sample
    /// that its codes say little about it.
    #[inline(always)]
    fn can_compare(_: &Self::Query) -> bool {
        true
    }

    /// Return the data of the codec in a file: a number in `META`, and a section for the codec.
    fn parameters(&self) -> Parameters<'_>;

    /// Return the bytes of [`Parameters::section`] for vectors of `dim` values.
    fn section_bytes(shape: Self::Shape, dim: usize) -> usize;

    /// Make a codec from the parameters in a file, whose section is [`Self::section_bytes`] long.
    fn from_parameters(
        shape: Self::Shape,
        geometry: Geometry,
        rotation: Rotation,
        parameters: &Parameters<'_>,
    ) -> Result<Self, ParametersError>;

    /// Pass the codec to a visitor, compiled for its dimension if that is a usual one for this
    /// codec.
    #[inline(always)]
    fn accept<V: Visitor>(&self, visitor: V) -> V::Output {
        visitor.visit::<Self, 0>(self)
    }
}

/// Compare a query with rows one by one.
///
/// # Safety
///
/// As for [`Codec::keys`].
#[inline(always)]
pub(crate) unsafe fn one_by_one<C: Codec, I: Isa>(
    codec: &C,
    query: &C::Query,
    rows: &[*const u8],
    dim: usize,
    keys: &mut [C::Key; ROWS],
) {
    for (row, key) in rows.iter().zip(keys) {
        // SAFETY: as the caller promises.
        unsafe {
            let row = std::slice::from_raw_parts(*row, codec.row_bytes(dim));
            *key = codec.key::<I>(query, row, dim);
        }
    }
}

/// The data of a codec in a file, besides the codes.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters<'a> {
    /// The size of a step, for a codec with one step for all values; else 0.
    pub step: f32,
    /// The section of the codec, little-endian.
    pub section: Cow<'a, [u8]>,
}

/// Why parameters are invalid.
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
        /// Its place in the section.
        column: usize,
    },
}

/// An operation on a codec of any type.
pub trait Visitor {
    /// The result of the operation.
    type Output;

    /// Run the operation. `DIM` is the dimension of the codec if it is compiled for that, else 0.
    fn visit<C: Codec, const DIM: usize>(self, codec: &C) -> Self::Output;
}
