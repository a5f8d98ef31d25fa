//! The scalar codecs of all bits and geometries as one type.

use tiercel_quant::{Codec, Geometry, Parameters, Rotation, Scalar, ScalarQuery, Training};
use tiercel_simd::{Isa, Level, Loop, kernels};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bits {
    Four,
    Eight,
}

/// A scalar codec of any bits and geometry.
pub(crate) trait ScalarCodec {
    fn bits(&self) -> Bits;
    fn mean(&self) -> &[f32];
    fn step(&self) -> f32;
    fn row_bytes(&self) -> usize;
    fn parameters(&self) -> Parameters<'_>;
    fn row(&self, vector: &[f32]) -> Vec<u8>;
    fn prepare(&self, vector: &[f32], query: &mut ScalarQuery);
    fn prepare_row(&self, row: &[u8], query: &mut ScalarQuery);
    /// Compute a key with the kernel of the codec, and check that the codec returns the same.
    fn key(&self, query: &ScalarQuery, row: &[u8]) -> i32;
    fn distance(&self, query: &ScalarQuery, key: i32) -> f32;
    fn key_within(&self, query: &ScalarQuery, distance: f32) -> i32;
    fn coded(&self, level: Level, vector: &[f32]) -> Coded;
}

/// The codes of a vector, the codes of the queries made from the vector and from its codes, and
/// distances from these.
pub(crate) type Coded = (Vec<u8>, [Vec<i8>; 2], [f32; 4]);

pub(crate) fn train(bits: Bits, geometry: Geometry, rotation: Rotation, sample: &[f32]) -> Box<dyn ScalarCodec> {
    let training = Training::alone(geometry, rotation, sample);
    match (bits, geometry) {
        (Bits::Four, Geometry::Product { .. }) => Box::new(Scalar::<4, false>::train((), training)),
        (Bits::Four, Geometry::Square) => Box::new(Scalar::<4, true>::train((), training)),
        (Bits::Eight, Geometry::Product { .. }) => Box::new(Scalar::<8, false>::train((), training)),
        (Bits::Eight, Geometry::Square) => Box::new(Scalar::<8, true>::train((), training)),
    }
}

pub(crate) fn from_parts(
    bits: Bits,
    geometry: Geometry,
    rotation: Rotation,
    mean: Vec<f32>,
    step: f32,
) -> Box<dyn ScalarCodec> {
    match (bits, geometry) {
        (Bits::Four, Geometry::Product { .. }) => {
            Box::new(Scalar::<4, false>::from_parts(geometry, rotation, mean, step))
        }
        (Bits::Four, Geometry::Square) => Box::new(Scalar::<4, true>::from_parts(geometry, rotation, mean, step)),
        (Bits::Eight, Geometry::Product { .. }) => {
            Box::new(Scalar::<8, false>::from_parts(geometry, rotation, mean, step))
        }
        (Bits::Eight, Geometry::Square) => Box::new(Scalar::<8, true>::from_parts(geometry, rotation, mean, step)),
    }
}

impl<const BITS: u8, const SQUARE: bool> ScalarCodec for Scalar<BITS, SQUARE> {
    fn bits(&self) -> Bits {
        if BITS == 4 { Bits::Four } else { Bits::Eight }
    }

    fn mean(&self) -> &[f32] {
        self.mean()
    }

    fn step(&self) -> f32 {
        self.step()
    }

    fn row_bytes(&self) -> usize {
        Codec::row_bytes(self, self.dim())
    }

    fn parameters(&self) -> Parameters<'_> {
        Codec::parameters(self)
    }

    fn row(&self, vector: &[f32]) -> Vec<u8> {
        let mut row = vec![0; Codec::row_bytes(self, self.dim())];
        self.encode(vector, &mut Vec::new(), &mut row);
        row
    }

    fn prepare(&self, vector: &[f32], query: &mut ScalarQuery) {
        Codec::prepare(self, vector, query);
    }

    fn prepare_row(&self, row: &[u8], query: &mut ScalarQuery) {
        Codec::prepare_row(self, row, query);
    }

    fn key(&self, query: &ScalarQuery, row: &[u8]) -> i32 {
        let (level, codes) = (Level::Scalar, query.codes());
        let key = match (BITS, SQUARE) {
            (4, false) => -kernels::dot_u4i8(level, row, codes),
            (4, true) => kernels::l2_u4i8(level, row, codes),
            (_, false) => -kernels::dot_u8i8(level, row, codes),
            (_, true) => kernels::l2_u8i8(level, row, codes),
        };
        assert_eq!(level.run(KeyLoop { codec: self, query, row }), key);
        key
    }

    fn distance(&self, query: &ScalarQuery, key: i32) -> f32 {
        <Self as Codec>::distance(query, key)
    }

    fn key_within(&self, query: &ScalarQuery, distance: f32) -> i32 {
        <Self as Codec>::key_within(query, distance)
    }

    fn coded(&self, level: Level, vector: &[f32]) -> Coded {
        level.run(CodedLoop { codec: self, vector })
    }
}

struct KeyLoop<'a, C: Codec> {
    codec: &'a C,
    query: &'a C::Query,
    row: &'a [u8],
}

impl<C: Codec> Loop for KeyLoop<'_, C> {
    type Output = C::Key;

    #[inline(always)]
    fn run<I: Isa>(self) -> C::Key {
        let dim = self.codec.dim();
        assert_eq!(self.row.len(), self.codec.row_bytes(dim), "bytes of a row");
        // SAFETY: the row has the length of rows, tests compare queries that this codec prepared,
        // and `Level::run` checked the instruction set.
        unsafe { self.codec.key::<I>(self.query, self.row, dim) }
    }
}

struct CodedLoop<'a, C> {
    codec: &'a C,
    vector: &'a [f32],
}

impl<C: Codec<Query = ScalarQuery, Key = i32>> Loop for CodedLoop<'_, C> {
    type Output = Coded;

    #[inline(always)]
    fn run<I: Isa>(self) -> Coded {
        let Self { codec, vector } = self;
        let mut row = vec![0; codec.row_bytes(vector.len())];
        codec.encode(vector, &mut Vec::new(), &mut row);
        let (mut query, mut coded) = (ScalarQuery::default(), ScalarQuery::default());
        codec.prepare(vector, &mut query);
        codec.prepare_row(&row, &mut coded);
        let distances =
            [C::distance(&query, 0), C::distance(&query, 1), C::distance(&coded, 0), C::distance(&coded, 1)];
        (row, [query.codes().to_vec(), coded.codes().to_vec()], distances)
    }
}
