//! Properties of every registered codec.

use tiercel_quant::{
    AnyCodec, Codec, CodecKind, Geometry, Key, Parameters, Rotation, Training, Visitor, order as order_of,
};
use tiercel_simd::tables::ROWS;
use tiercel_simd::{Isa, Level, Loop};

use crate::{GEOMETRIES, SAMPLE, normals};

/// With two values, the errors of codes do not cancel, so ranking is tested only for the other
/// dimensions.
const DIMS: [usize; 5] = [2, 65, 128, 384, 385];

/// Computes the rows of vectors, and their distances from the first vector and from the first row.
pub(crate) struct Compared<'a> {
    pub(crate) level: Level,
    pub(crate) vectors: &'a [f32],
}

/// The rows, then the distances.
pub(crate) type Distances = (Vec<Vec<u8>>, [Vec<f32>; 2]);

impl Visitor for Compared<'_> {
    type Output = Distances;

    fn visit<C: Codec, const DIM: usize>(self, codec: &C) -> Distances {
        assert!(DIM == 0 || DIM == codec.dim());
        self.level.run(ComparedLoop { codec, vectors: self.vectors })
    }
}

struct ComparedLoop<'a, C> {
    codec: &'a C,
    vectors: &'a [f32],
}

impl<C: Codec> Loop for ComparedLoop<'_, C> {
    type Output = Distances;

    #[inline(always)]
    fn run<I: Isa>(self) -> Distances {
        let Self { codec, vectors } = self;
        let dim = codec.dim();
        let (mut rows, mut scratch) = (Vec::new(), Vec::new());
        for vector in vectors.chunks_exact(dim) {
            let mut row = vec![0; codec.row_bytes(dim)];
            codec.encode(vector, &mut scratch, &mut row);
            rows.push(row);
        }
        let (mut query, mut coded) = (C::Query::default(), C::Query::default());
        codec.prepare(&vectors[..dim], &mut query);
        codec.prepare_row(&rows[0], &mut coded);
        let (mut by_query, mut by_code) = (Vec::new(), Vec::new());
        for row in &rows {
            for (query, distances) in [(&query, &mut by_query), (&coded, &mut by_code)] {
                // Convert the key back and forth, as an index does.
                // SAFETY: the rows have the length of rows, and this codec prepared the query;
                // `Level::run` checked the instruction set.
                let key = C::Key::from_order(unsafe { codec.key::<I>(query, row, dim) }.order());
                distances.push(C::distance(query, key));
            }
        }
        for (query, distances) in [(&query, &by_query), (&coded, &by_code)] {
            assert_eq!(together::<I, C>(codec, query, &rows), *distances, "sixteen at a time");
        }
        (rows, [by_query, by_code])
    }
}

/// Compare a query with rows, sixteen at a time. After a row, there may be anything up to the next one.
#[expect(clippy::inline_always, reason = "compiled inside the function that enables the instruction set")]
#[inline(always)]
fn together<I: Isa, C: Codec>(codec: &C, query: &C::Query, rows: &[Vec<u8>]) -> Vec<f32> {
    let (dim, mut distances) = (codec.dim(), Vec::new());
    for rows in rows.chunks(ROWS) {
        let padded: Vec<Vec<u8>> = rows
            .iter()
            .map(|row| {
                let mut row = row.clone();
                row.resize(codec.stride(dim), 0xa5);
                row
            })
            .collect();
        let places: [*const u8; ROWS] = std::array::from_fn(|at| padded[at.min(rows.len() - 1)].as_ptr());
        let mut keys = [C::Key::from_order(0); ROWS];
        // SAFETY: all have the length of rows with what is between them, and this codec prepared the
        // query; `Level::run` checked the instruction set.
        unsafe { codec.keys::<I>(query, &places, rows.len(), dim, &mut keys) };
        distances.extend(keys[..rows.len()].iter().map(|key| C::distance(query, *key)));
    }
    distances
}

/// Return the codecs without parameters, and some of each form with them.
fn kinds() -> Vec<CodecKind> {
    let named = ["pq2x8", "pq7x8", "pq65x4", "opq1x8", "opq2x4", "rq2x8", "rq3x8"];
    let with_parts = named.iter().map(|name| CodecKind::from_name(name).expect(name));
    CodecKind::ALL.iter().copied().chain(with_parts).collect()
}

/// Whether a codec fits vectors of `dim` values, and that takes no longer than a test may.
fn fits(kind: CodecKind, dim: usize) -> bool {
    let takes_long = dim > 128 && kind.name().starts_with("opq");
    kind.parts(dim).is_none_or(|(parts, most)| parts <= most) && !takes_long
}

/// Call `check` with every kind of codec, fitted to vectors of every dimension and geometry.
fn each(check: impl Fn(&AnyCodec, &[f32], usize, Geometry)) {
    for kind in kinds() {
        for geometry in GEOMETRIES {
            for dim in DIMS.into_iter().filter(|dim| fits(kind, *dim)) {
                let vectors = normals(SAMPLE * dim, 1.0, &mut (dim as u64));
                let training = Training::alone(geometry, Rotation::new(dim, 7), &vectors);
                check(&kind.train(training), &vectors, dim, geometry);
            }
        }
    }
}

#[test]
fn distances_are_the_same_under_every_instruction_set() {
    each(|codec, vectors, dim, geometry| {
        let some = &vectors[..20 * dim];
        let expected = codec.accept(Compared { level: Level::Scalar, vectors: some });
        for level in Level::available() {
            let got = codec.accept(Compared { level, vectors: some });
            assert_eq!(got, expected, "{level:?}, {:?}, dim {dim} {geometry:?}", codec.kind());
        }
    });
}

#[test]
fn a_codec_is_what_a_file_holds_of_it() {
    each(|codec, vectors, dim, geometry| {
        let (kind, parameters) = (codec.kind(), codec.parameters());
        assert_eq!(parameters.section.len(), kind.section_bytes(geometry, dim), "{kind:?}");
        let again = kind.from_parameters(geometry, Rotation::new(dim, 7), &parameters).expect("its own parameters");
        assert_eq!(again.parameters(), parameters, "{kind:?}");
        let distances = |codec: &AnyCodec| codec.accept(Compared { level: Level::Scalar, vectors });
        assert_eq!(distances(&again), distances(codec), "{kind:?}, dim {dim} {geometry:?}");
    });
}

#[test]
fn values_that_are_no_numbers_are_refused() {
    each(|codec, _, dim, geometry| {
        let (kind, parameters) = (codec.kind(), codec.parameters());
        for value in [f32::NAN, f32::INFINITY] {
            let step = Parameters { step: value, ..parameters.clone() };
            let mut all = vec![step];
            let mut section = parameters.section.to_vec();
            if let Some(start) = section.len().checked_sub(4) {
                section[start..].copy_from_slice(&value.to_le_bytes());
                all.push(Parameters { section: section.into(), ..parameters.clone() });
            }
            for wrong in all {
                assert!(kind.from_parameters(geometry, Rotation::new(dim, 7), &wrong).is_err(), "{kind:?}");
            }
        }
    });
}

#[test]
fn rows_are_ranked_like_their_vectors() {
    each(|codec, vectors, dim, geometry| {
        // Sixteen centroids of many values say too little to rank vectors without any structure.
        let is_coarse =
            codec.kind().name().ends_with("x4") && codec.kind().parts(dim).is_some_and(|(parts, _)| dim > 2 * parts);
        if dim < DIMS[1] || is_coarse {
            return;
        }
        let (_, [by_query, by_code]) = codec.accept(Compared { level: Level::Scalar, vectors });
        let query = &vectors[..dim];
        let distance = |row: &[f32]| match geometry {
            Geometry::Product { base } => base - query.iter().zip(row).map(|(q, x)| q * x).sum::<f32>(),
            Geometry::Square => query.iter().zip(row).map(|(q, x)| (q - x).powi(2)).sum(),
        };
        let true_distances: Vec<f32> = vectors.chunks_exact(dim).map(distance).collect();
        let nearest = |distances: &[f32], count: usize| {
            // The first is the query itself.
            let mut order: Vec<usize> = (1..distances.len()).collect();
            order.sort_by(|a, b| distances[*a].total_cmp(&distances[*b]));
            order.truncate(count);
            order
        };
        let truth = nearest(&true_distances, 10);
        // Rows too coarse to link a graph by still rank half of the true among the first fifth.
        let (by, wanted) = if codec.kind().links() { (vec![by_query, by_code], 8) } else { (vec![by_query], 5) };
        for by in by {
            let found = nearest(&by, 40);
            let hits = truth.iter().filter(|row| found.contains(row)).count();
            assert!(hits >= wanted, "{:?}, dim {dim} {geometry:?}: {hits} of 10", codec.kind());
        }
    });
}

/// Codes vectors and decodes them again.
struct Decoded<'a>(&'a [f32]);

impl Visitor for Decoded<'_> {
    type Output = Vec<Vec<f32>>;

    fn visit<C: Codec, const DIM: usize>(self, codec: &C) -> Vec<Vec<f32>> {
        let (dim, mut scratch, mut decoded) = (codec.dim(), Vec::new(), Vec::new());
        for vector in self.0.chunks_exact(dim) {
            let mut row = vec![0; codec.row_bytes(dim)];
            codec.encode(vector, &mut scratch, &mut row);
            // What was in the memory before does not matter.
            let mut again = vec![7.0; 3];
            codec.decode(&row, &mut again);
            decoded.push(again);
        }
        decoded
    }
}

#[test]
fn a_row_stands_for_a_vector_as_near_as_the_error_of_the_codec() {
    each(|codec, vectors, dim, geometry| {
        let (mut scratch, mut apart, mut errors) = (Vec::new(), 0.0, 0.0);
        for (vector, decoded) in vectors.chunks_exact(dim).zip(codec.accept(Decoded(vectors))) {
            assert_eq!(decoded.len(), dim);
            let pairs = vector.iter().zip(&decoded);
            apart += pairs.map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum::<f64>();
            errors += codec.error(vector, &mut scratch);
        }
        // Directions are scaled so that products have no bias, and not to be nearest: with one bit
        // per value, that is 1.6 times the error.
        let rounding = 1e-9 * (SAMPLE * dim) as f64;
        let ratio = (apart + rounding) / (errors + rounding);
        assert!((0.5..1.8).contains(&ratio), "{:?}, dim {dim} {geometry:?}: {ratio}", codec.kind());
    });
}

#[test]
fn numbers_and_names_are_of_one_codec_each() {
    for kind in kinds() {
        // 0 and 1 do not stand for codecs.
        assert!(kind.number() > 1, "{kind:?}");
        let parts = kind.parts(2).map(|(parts, _)| parts as u32);
        assert_eq!(CodecKind::from_number(kind.number(), parts), Some(kind));
        assert_eq!(CodecKind::from_name(&kind.name()), Some(kind));
    }
    for number in [0, 1, 100, 255] {
        assert_eq!([None, Some(2)].map(|parts| CodecKind::from_number(number, parts)), [None, None]);
    }
}

/// Checks that the key of every pair is a number: none exceeds the key of infinity.
struct AreNumbers<'a>(&'a [f32]);

impl Visitor for AreNumbers<'_> {
    type Output = bool;

    fn visit<C: Codec, const DIM: usize>(self, codec: &C) -> bool {
        Level::Scalar.run(AreNumbersLoop { codec, vectors: self.0 })
    }
}

struct AreNumbersLoop<'a, C> {
    codec: &'a C,
    vectors: &'a [f32],
}

impl<C: Codec> Loop for AreNumbersLoop<'_, C> {
    type Output = bool;

    #[inline(always)]
    fn run<I: Isa>(self) -> bool {
        let Self { codec, vectors } = self;
        let (dim, mut scratch) = (codec.dim(), Vec::new());
        let mut rows = Vec::new();
        for vector in vectors.chunks_exact(dim) {
            rows.push(vec![0; codec.row_bytes(dim)]);
            codec.encode(vector, &mut scratch, rows.last_mut().expect("a row"));
        }
        let (mut query, mut coded, mut are_numbers) = (C::Query::default(), C::Query::default(), true);
        for (vector, own) in vectors.chunks_exact(dim).zip(&rows) {
            codec.prepare(vector, &mut query);
            codec.prepare_row(own, &mut coded);
            for row in &rows {
                for query in [&query, &coded] {
                    // SAFETY: the rows have the length of rows, and this codec prepared the query;
                    // `Level::run` checked the instruction set.
                    let order = unsafe { codec.key::<I>(query, row, dim) }.order();
                    are_numbers &= (order_of(f32::NEG_INFINITY)..=order_of(f32::INFINITY)).contains(&order);
                }
            }
        }
        are_numbers
    }
}

/// However strange the vectors and the sample, a key can be compared with others.
#[test]
fn keys_are_numbers() {
    for dim in [1, 2, 3, 65, 129] {
        let usual = normals(6 * dim, 1.0, &mut 2);
        let scaled = |scale: f32| usual.iter().map(move |value| value * scale).collect::<Vec<f32>>();
        let mut vectors = [f32::MAX / 7.0, 1e30, 1e19, 1.0, 1e-19, 1e-30, 1e-40].map(scaled).concat();
        for value in [0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45] {
            vectors.extend(vec![value; dim]);
        }
        vectors.extend((0..dim).map(|at| if at % 2 == 0 { f32::MAX } else { f32::MIN }));
        let constant = usual[..dim].repeat(9);
        for geometry in GEOMETRIES {
            for kind in CodecKind::ALL {
                for sample in [&[][..], &usual[..dim], &usual, &constant, &vectors] {
                    let codec = kind.train(Training::alone(geometry, Rotation::new(dim, 7), sample));
                    assert!(codec.accept(AreNumbers(&vectors)), "{kind:?}, dim {dim} {geometry:?}");
                }
            }
        }
    }
}
