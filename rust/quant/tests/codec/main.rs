//! The promises of codes: how near they are to vectors and to distances, and that they are the same
//! everywhere.

use tiercel_quant::{Geometry, Rotation, split_mix};
use tiercel_simd::packed;

use crate::scalar::{Bits, ScalarCodec, train};

mod additive;
mod coded;
mod distances;
mod every_codec;
mod extremes;
mod rabitq;
mod round_trip;
mod same_everywhere;
mod scalar;

/// Around the sizes of blocks and registers.
const DIMS: [usize; 13] = [1, 2, 3, 63, 64, 65, 100, 127, 128, 129, 384, 385, 1000];

const BITS: [Bits; 2] = [Bits::Four, Bits::Eight];

const GEOMETRIES: [Geometry; 3] = [Geometry::Product { base: 0.0 }, Geometry::Product { base: 1.0 }, Geometry::Square];

/// Rows that a codec is fitted to.
const SAMPLE: usize = 200;

/// Relative error that single precision may cause over a rotation and a sum.
const ROUNDING: f64 = 2e-5;

/// Vectors and the codec that was fitted to them.
struct Fitted {
    codec: Box<dyn ScalarCodec>,
    rotation: Rotation,
    rows: Vec<Vec<f32>>,
}

impl Fitted {
    /// Make vectors of deviation 1 around a centre whose values have the deviation `centre`.
    fn new(dim: usize, bits: Bits, geometry: Geometry, centre: f32) -> Self {
        let mut seed = dim as u64;
        let centre = normals(dim, centre, &mut seed);
        let row = || normals(dim, 1.0, &mut seed).iter().zip(&centre).map(|(value, centre)| value + centre).collect();
        let rows: Vec<Vec<f32>> = std::iter::repeat_with(row).take(SAMPLE).collect();
        let rotation = Rotation::new(dim, 7);
        let codec = train(bits, geometry, rotation.clone(), &rows.concat());
        Self { codec, rotation, rows }
    }

    fn rotated(&self, row: &[f32]) -> Vec<f32> {
        let mut rotated = row.to_vec();
        self.rotation.apply(&mut rotated);
        rotated
    }

    /// Return the code of each value, one per byte.
    fn codes(&self, row: &[f32]) -> Vec<u8> {
        let codes = self.codec.row(row);
        match self.codec.bits() {
            Bits::Four => {
                let mut values = vec![0; row.len()];
                packed::unpack(&codes, &mut values);
                values
            }
            Bits::Eight => codes,
        }
    }

    /// Return the rotated values that the codes of a row stand for.
    fn decoded(&self, row: &[f32]) -> Vec<f64> {
        let zero = match self.codec.bits() {
            Bits::Four => 7.5,
            Bits::Eight => 128.0,
        };
        let values = self.codes(row).into_iter().zip(self.codec.mean());
        values.map(|(code, mean)| f64::from(*mean) + f64::from(self.codec.step()) * (f64::from(code) - zero)).collect()
    }
}

/// Return values near a normal distribution.
fn normals(count: usize, deviation: f32, seed: &mut u64) -> Vec<f32> {
    let mut unit = || (split_mix(seed) >> 40) as f32 / (1u64 << 24) as f32;
    (0..count).map(|_| deviation * ((0..12).map(|_| unit()).sum::<f32>() - 6.0)).collect()
}

fn sum(terms: impl Iterator<Item = f64>) -> f64 {
    terms.sum()
}
