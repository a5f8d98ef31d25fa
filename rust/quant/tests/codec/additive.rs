//! Additive codecs: what a row stands for, what fitting promises, and what no sample can break.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tiercel_quant::{Additive, AdditiveQuery, AdditiveShape, Codec, Crew, Form, Geometry, Rotation, Training};
use tiercel_simd::{Isa, Level, Loop};

use crate::{GEOMETRIES, SAMPLE, normals};

/// Forms, bits, odd numbers of parts, and parts that do not divide the dimensions.
const NAMES: [&str; 7] = ["pq1x8", "pq3x8", "pq3x4", "pq4x4", "opq3x8", "opq3x4", "rq3x8"];
const DIMS: [usize; 4] = [3, 16, 37, 100];

fn shape(name: &str) -> AdditiveShape {
    AdditiveShape::from_name(name).expect(name)
}

/// Three threads that take the last items first.
struct Backwards;

impl Crew for Backwards {
    fn each(&self, items: usize, run: &(dyn Fn(usize) + Sync)) {
        let left = AtomicUsize::new(items);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let take = |left: usize| left.checked_sub(1);
                    while let Ok(left) = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
                        run(left - 1);
                    }
                });
            }
        });
    }
}

/// Nobody works, as if the caller had stopped before anything began.
struct Stopped;

impl Crew for Stopped {
    fn each(&self, _: usize, _: &(dyn Fn(usize) + Sync)) {}
}

/// A codec of either geometry, used through the scalar instruction set.
trait AnyAdditive {
    fn section(&self) -> Vec<u8>;
    fn row(&self, vector: &[f32]) -> Vec<u8>;
    fn error(&self, vector: &[f32]) -> f64;
    /// Distances of a vector from rows, by the vector and by the row that codes it.
    fn distances(&self, vector: &[f32], rows: &[Vec<u8>]) -> [Vec<f32>; 2];
}

impl<const SQUARE: bool> AnyAdditive for Additive<SQUARE> {
    fn section(&self) -> Vec<u8> {
        self.parameters().section.to_vec()
    }

    fn row(&self, vector: &[f32]) -> Vec<u8> {
        let mut row = vec![0; self.row_bytes(self.dim())];
        self.encode(vector, &mut Vec::new(), &mut row);
        row
    }

    fn error(&self, vector: &[f32]) -> f64 {
        Codec::error(self, vector, &mut Vec::new())
    }

    fn distances(&self, vector: &[f32], rows: &[Vec<u8>]) -> [Vec<f32>; 2] {
        let (mut query, mut coded) = (AdditiveQuery::default(), AdditiveQuery::default());
        self.prepare(vector, &mut query);
        self.prepare_row(&self.row(vector), &mut coded);
        [query, coded].map(|query| Level::Scalar.run(Distances { codec: self, query: &query, rows }))
    }
}

struct Distances<'a, const SQUARE: bool> {
    codec: &'a Additive<SQUARE>,
    query: &'a AdditiveQuery,
    rows: &'a [Vec<u8>],
}

impl<const SQUARE: bool> Loop for Distances<'_, SQUARE> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<I: Isa>(self) -> Vec<f32> {
        let dim = self.codec.dim();
        // SAFETY: tests pass rows of this codec and queries that it prepared.
        let key = |row: &Vec<u8>| unsafe { self.codec.key::<I>(self.query, row, dim) };
        self.rows.iter().map(|row| Additive::<SQUARE>::distance(self.query, key(row))).collect()
    }
}

fn train(name: &str, training: Training<'_>) -> Box<dyn AnyAdditive> {
    match training.geometry {
        Geometry::Product { .. } => Box::new(Additive::<false>::train(shape(name), training)),
        Geometry::Square => Box::new(Additive::<true>::train(shape(name), training)),
    }
}

fn alone(name: &str, dim: usize, geometry: Geometry, sample: &[f32]) -> Box<dyn AnyAdditive> {
    train(name, Training::alone(geometry, Rotation::new(dim, 7), sample))
}

/// What a file says of a codec: the rotation, value by value of the vector, and the books, value by
/// value of the centroids.
struct Section {
    shape: AdditiveShape,
    dim: usize,
    values: Vec<f32>,
}

impl Section {
    fn of(name: &str, dim: usize, codec: &dyn AnyAdditive) -> Self {
        let bytes = codec.section();
        let values =
            bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("4 bytes"))).collect();
        Self { shape: shape(name), dim, values }
    }

    fn rotated(&self, vector: &[f32]) -> Vec<f64> {
        if self.shape.form() != Form::Rotated {
            return vector.iter().copied().map(f64::from).collect();
        }
        let share = |to: usize, from: usize| f64::from(self.values[from * self.dim + to]);
        let of = |to| (0..self.dim).map(|from| share(to, from) * f64::from(vector[from])).sum();
        (0..self.dim).map(of).collect()
    }

    /// Return the rotated vector that a row stands for.
    fn decoded(&self, row: &[u8]) -> Vec<f64> {
        let Self { shape, dim, values } = self;
        let mut at = if shape.form() == Form::Rotated { dim * dim } else { 0 };
        let mut out = vec![0.0; *dim];
        for book in 0..shape.parts() {
            let code = match shape.centroids() {
                16 => row[book / 2] >> (4 * (book % 2)) & 15,
                _ => row[book],
            };
            let (start, end) = shape.range(book, *dim);
            for value in &mut out[start..end] {
                *value += f64::from(values[at + usize::from(code)]);
                at += shape.centroids();
            }
        }
        assert_eq!(at, values.len(), "values of the section");
        out
    }

    /// Return by how much the sum of the distances that bytes stand for may be off: half a step for each
    /// code of 4 bits.
    fn rounding(&self, asked: &[f64], geometry: Geometry) -> f64 {
        let Self { shape, dim, values } = self;
        if shape.centroids() > 16 {
            return 0.0;
        }
        let mut at = if shape.form() == Form::Rotated { dim * dim } else { 0 };
        let mut widest = 0.0f64;
        for book in 0..shape.parts() {
            let (start, end) = shape.range(book, *dim);
            let of = |code: usize| -> f64 {
                let pairs = asked[start..end].iter().zip(values[at + code..].iter().step_by(16));
                pairs
                    .map(|(asked, value)| (*asked, f64::from(*value)))
                    .map(|(a, b)| match geometry {
                        Geometry::Product { .. } => -a * b,
                        Geometry::Square => (a - b).powi(2),
                    })
                    .sum()
            };
            let distances: Vec<f64> = (0..16).map(of).collect();
            let ends = |start, end: fn(f64, f64) -> f64| distances.iter().copied().fold(start, end);
            widest = widest.max(ends(f64::NEG_INFINITY, f64::max) - ends(f64::INFINITY, f64::min));
            at += 16 * (end - start);
        }
        widest / 255.0 / 2.0 * shape.parts() as f64
    }
}

fn square(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

#[test]
fn distances_are_those_of_what_a_row_stands_for() {
    for name in NAMES {
        for dim in DIMS {
            for geometry in GEOMETRIES {
                let sample = normals(SAMPLE * dim, 1.0, &mut (dim as u64));
                let codec = alone(name, dim, geometry, &sample);
                let section = Section::of(name, dim, &*codec);
                let others = normals(20 * dim, 1.0, &mut 99);
                let rows: Vec<Vec<u8>> = others.chunks_exact(dim).map(|vector| codec.row(vector)).collect();
                let query = &others[..dim];
                let asked = [section.rotated(query), section.decoded(&rows[0])];
                for (asked, distances) in asked.iter().zip(codec.distances(query, &rows)) {
                    let allowed = 1e-5 * dim as f64 + section.rounding(asked, geometry);
                    for (row, distance) in rows.iter().zip(distances) {
                        let decoded = section.decoded(row);
                        let products = asked.iter().zip(&decoded).map(|(a, b)| a * b);
                        let expected = match geometry {
                            Geometry::Product { base } => f64::from(base) - products.sum::<f64>(),
                            Geometry::Square => square(asked, &decoded),
                        };
                        let off = (f64::from(distance) - expected).abs();
                        assert!(off < allowed, "{name}, dim {dim} {geometry:?}: {distance}, not {expected}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_code_of_a_part_is_its_nearest_centroid() {
    for name in ["pq3x8", "pq3x4", "opq3x8", "opq3x4"] {
        for dim in DIMS {
            let sample = normals(SAMPLE * dim, 1.0, &mut (dim as u64));
            let codec = alone(name, dim, Geometry::Square, &sample);
            let section = Section::of(name, dim, &*codec);
            for vector in normals(10 * dim, 1.0, &mut 99).chunks_exact(dim) {
                let (rotated, row) = (section.rotated(vector), codec.row(vector));
                let own = square(&rotated, &section.decoded(&row));
                assert!((codec.error(vector) - own).abs() < 1e-4 * own, "{name}, dim {dim}");
                for half in 0..2 * row.len() {
                    // Another code in any half of a byte is no nearer.
                    let mut other = row.clone();
                    let unused = shape(name).centroids() == 16 && half >= shape(name).parts();
                    other[half / 2] ^= if unused { 0 } else { 5 << (4 * (half % 2)) };
                    assert!(own <= square(&rotated, &section.decoded(&other)) + 1e-4, "{name}, dim {dim}, {half}");
                }
            }
        }
    }
}

#[test]
fn a_sample_fits_the_same_codec_on_any_threads_and_instruction_set() {
    for name in ["pq3x8", "pq5x4", "opq3x4", "rq2x8"] {
        for dim in [7, 20] {
            let sample = normals(1500 * dim, 1.0, &mut 5);
            let expected = alone(name, dim, Geometry::Square, &sample).section();
            for level in Level::available() {
                let training = Training::alone(Geometry::Square, Rotation::new(dim, 7), &sample);
                let got = train(name, Training { level, crew: &Backwards, ..training }).section();
                assert!(got == expected, "{name}, dim {dim}, {level:?}");
            }
        }
    }
}

#[test]
fn fitting_can_be_stopped() {
    for name in NAMES {
        let sample = normals(300 * 16, 1.0, &mut 5);
        let training = Training::alone(Geometry::Square, Rotation::new(16, 7), &sample);
        train(name, Training { crew: &Stopped, ..training });
    }
}

/// Return vectors whose values depend on each other: mixes of a few numbers, and a little noise.
fn correlated(rows: usize, dim: usize, seed: u64) -> Vec<f32> {
    let few = 6;
    let (mix, mut state) = (normals(few * dim, 1.0, &mut 1), seed);
    let row = |_| {
        let (own, noise) = (normals(few, 1.0, &mut state), normals(dim, 0.3, &mut state));
        let value = |at: usize| (0..few).map(|source| own[source] * mix[source * dim + at]).sum::<f32>() + noise[at];
        (0..dim).map(value).collect::<Vec<f32>>()
    };
    (0..rows).flat_map(row).collect()
}

/// Return the mean squared error over vectors that a codec was not fitted to.
fn error(name: &str, dim: usize) -> f64 {
    let codec = alone(name, dim, Geometry::Square, &correlated(3000, dim, 3));
    let others = correlated(200, dim, 4);
    others.chunks_exact(dim).map(|vector| codec.error(vector)).sum::<f64>() / 200.0
}

#[test]
fn more_bits_and_a_fitted_rotation_lower_the_error() {
    let dim = 24;
    for (worse, better) in [
        ("pq4x8", "pq8x8"),
        ("pq8x4", "pq8x8"),
        ("pq4x8", "opq4x8"),
        ("pq4x4", "opq4x4"),
        ("rq2x8", "rq3x8"),
        ("rq3x8", "rq4x8"),
        // Books of all values code what the values have in common.
        ("pq4x8", "rq4x8"),
    ] {
        let (high, low) = (error(worse, dim), error(better, dim));
        assert!(low < 0.9 * high, "{worse}: {high}, {better}: {low}");
    }
}

#[test]
fn a_vector_of_a_small_sample_is_coded_exactly() {
    // There are more centroids than vectors, so that each has its own.
    for name in ["pq1x8", "pq3x8", "rq2x8"] {
        for dim in DIMS {
            let sample = normals(200 * dim, 1.0, &mut (dim as u64));
            let codec = alone(name, dim, Geometry::Square, &sample);
            for vector in sample.chunks_exact(dim) {
                assert!(codec.error(vector) < 1e-9, "{name}, dim {dim}");
            }
        }
    }
}

#[test]
fn any_sample_makes_a_codec_without_nan() {
    let dim = 19;
    let usual = normals(300 * dim, 1.0, &mut 2);
    let mut constant = usual.clone();
    constant.chunks_exact_mut(dim).for_each(|row| row[3..12].fill(4.0));
    let largest: Vec<f32> = usual.iter().map(|value| value.signum() * f32::MAX).collect();
    let scaled = |scale: f32| usual.iter().map(|value| value * scale).collect::<Vec<f32>>();
    let samples = [
        Vec::new(),
        usual[..dim].to_vec(),
        usual[..5 * dim].to_vec(),
        usual[..dim].repeat(400),
        vec![0.0; 40 * dim],
        constant,
        largest.clone(),
        scaled(1e30),
        scaled(1e18),
        scaled(1e-18),
        scaled(1e-30),
        scaled(1e-44),
    ];
    for name in ["pq4x8", "pq5x4", "opq4x4", "rq2x8"] {
        for geometry in GEOMETRIES {
            for (at, sample) in samples.iter().enumerate() {
                let codec = alone(name, dim, geometry, sample);
                let section = Section::of(name, dim, &*codec);
                assert!(section.values.iter().all(|value| value.is_finite()), "{name} {geometry:?}, sample {at}");
                for vectors in [&usual, sample, &largest] {
                    let rows: Vec<_> = vectors.chunks_exact(dim).take(3).map(|vector| codec.row(vector)).collect();
                    for vector in [&usual, &largest].map(|vectors| &vectors[..dim]) {
                        let distances = codec.distances(vector, &rows).concat();
                        assert!(distances.iter().all(|value| value.is_finite()), "{name} {geometry:?}, sample {at}");
                    }
                }
            }
        }
    }
}

/// One column is a flag of 0 or 100, the others are small: rounding all distances by the same step would
/// leave nothing of the others.
#[test]
fn a_wide_column_does_not_hide_the_others() {
    let (dim, rows) = (24, 600);
    let mut vectors = normals(rows * dim, 1.0, &mut 3);
    for (at, vector) in vectors.chunks_exact_mut(dim).enumerate() {
        vector[0] = (at % 2 * 100) as f32;
    }
    for geometry in GEOMETRIES {
        for name in ["pq12x4", "opq12x4"] {
            let codec = alone(name, dim, geometry, &vectors);
            let section = Section::of(name, dim, &*codec);
            let coded: Vec<Vec<u8>> = vectors.chunks_exact(dim).map(|vector| codec.row(vector)).collect();
            // One with the flag, which is far from those without under every geometry.
            let query = &vectors[dim..2 * dim];
            let asked = section.rotated(query);
            let [distances, _] = codec.distances(query, &coded);
            for (row, distance) in coded.iter().zip(distances) {
                let pairs = asked.iter().zip(section.decoded(row));
                let expected: f64 = match geometry {
                    Geometry::Product { base } => f64::from(base) - pairs.map(|(a, b)| a * b).sum::<f64>(),
                    Geometry::Square => pairs.map(|(a, b)| (a - b).powi(2)).sum(),
                };
                let off = (f64::from(distance) - expected).abs();
                assert!(off < 1e-5 * expected.abs() + 0.01, "{name} {geometry:?}: {distance}, not {expected}");
            }
        }
    }
}
