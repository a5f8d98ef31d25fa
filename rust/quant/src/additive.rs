//! Additive codecs: a vector is coded as a sum of centroids, one from each of several books.
//!
//! ```text
//! books    0        1        2                 product: each codes some of the values
//!        [ . . . ][ . . . ][ . . . ]           residual: each codes what is left of all values
//! row    | code   | code   | code   |          a byte for 256 centroids, half a byte for 16:
//!        | norm: f32 |                         byte j holds code 2 j (low half) and 2 j + 1
//! query  the distances from the centroids of each book; that of a row is the sum of one from each
//! ```
//!
//! For codes of 4 bits, these distances are rounded to [bytes](crate::bytes), unless that would lose what
//! tells rows apart.
//!
//! A row also has the squared length of what it stands for if the centroids of several books overlap
//! and distances are squares, since |q - x|^2 = |q|^2 - 2 <q, x> + |x|^2. Sums have a fixed order, so
//! a key has the same bits under every instruction set.

use std::borrow::Cow;

use tiercel_simd::tables::{READ, ROWS};
use tiercel_simd::{Buffer, Isa};

use crate::books::Books;
use crate::bytes::ByteTables;
use crate::codec::{Codec, Geometry, Parameters, ParametersError, Training, one_by_one};
use crate::factors;
use crate::panel::{LIMIT, limited};
use crate::rotation::Rotation;
use crate::shape::{AdditiveShape, Form};

/// Distances in the table of a code of 8 bits.
const ENTRIES: usize = 256;

/// Sums added up separately, so that one need not wait for the other.
const SUMS: usize = 4;

/// An additive codec; `SQUARE` for [`Geometry::Square`].
#[derive(Clone, Debug, PartialEq)]
pub struct Additive<const SQUARE: bool> {
    /// The base of [`Geometry::Product`].
    base: f32,
    books: Books,
}

/// The tables of a vector, to compare it with rows. Reuse one for many vectors, since it keeps its
/// memory.
#[derive(Clone, Default)]
pub struct AdditiveQuery {
    /// The distances from the centroids of each book.
    tables: Buffer<f32>,
    /// These in bytes, for codes of 4 bits.
    bytes: ByteTables,
    /// Whether the bytes are looked up.
    in_bytes: bool,
    scratch: Vec<f32>,
    /// Whether a distance overflowed.
    overflowed: bool,
}

impl<const SQUARE: bool> Additive<SQUARE> {
    fn new(geometry: Geometry, books: Books) -> Self {
        let base = match geometry {
            Geometry::Product { base } if !SQUARE => base,
            Geometry::Square if SQUARE => 0.0,
            _ => panic!("a codec for another geometry than {geometry:?}"),
        };
        Self { base, books }
    }

    /// Whether a row has a norm.
    #[inline(always)]
    fn has_norm(&self) -> bool {
        SQUARE && self.books.shape().form() == Form::Residual
    }

    /// Fill the tables for the rotated vector in `query.scratch`.
    #[inline(always)]
    fn tabulate(&self, query: &mut AdditiveQuery) {
        let shape = self.books.shape();
        let vector = std::mem::take(&mut query.scratch);
        let count = shape.centroids();
        query.tables.resize(shape.parts() * count, 0.0);
        let mut overflow = 0.0f32;
        for (book, table) in query.tables.chunks_exact_mut(count).enumerate() {
            overflow += self.entries(book, &vector, table);
        }
        // What all sums have in common.
        let common = if self.has_norm() { vector.iter().map(|x| x * x).sum() } else { self.base };
        overflow += f32::from(common > LIMIT);
        let common = common.min(LIMIT);
        query.in_bytes = count < ENTRIES && query.bytes.fill(&query.tables, common, shape.bytes());
        for entry in query.tables.iter_mut().take(count) {
            *entry += common;
        }
        query.overflowed = overflow > 0.0;
        query.scratch = vector;
    }

    /// Return the sum of the distances of a row, from tables of floats.
    ///
    /// # Safety
    ///
    /// There is a table for each byte of the codes.
    #[inline(always)]
    unsafe fn sum(query: &AdditiveQuery, codes: &[u8]) -> f32 {
        let mut sums = [0.0f32; SUMS];
        let mut table = query.tables.as_ptr();
        let (together, rest) = codes.as_chunks::<SUMS>();
        for codes in together {
            for (sum, code) in sums.iter_mut().zip(codes) {
                // SAFETY: the caller promises a table, which has an entry for each value of a byte.
                unsafe {
                    *sum += *table.add(usize::from(*code));
                    table = table.add(ENTRIES);
                }
            }
        }
        for (sum, code) in sums.iter_mut().zip(rest) {
            // SAFETY: as above.
            unsafe {
                *sum += *table.add(usize::from(*code));
                table = table.add(ENTRIES);
            }
        }
        (sums[0] + sums[1]) + (sums[2] + sums[3])
    }

    /// Write the distances of a vector from the centroids of one book, or their share of it. Return
    /// how many overflowed.
    #[inline(always)]
    fn entries(&self, book: usize, vector: &[f32], out: &mut [f32]) -> f32 {
        let (panel, part) = self.books.part(book, vector);
        let factor = if self.has_norm() { -2.0 } else { -1.0 };
        if SQUARE && !self.has_norm() {
            panel.squares(part, out);
        } else {
            panel.products(part, out);
            for entry in &mut *out {
                *entry *= factor;
            }
        }
        let mut overflowed = 0.0;
        for entry in out {
            overflowed += if entry.abs() <= LIMIT { 0.0 } else { 1.0 };
            *entry = limited(*entry);
        }
        overflowed
    }
}

/// Return the sum of the distances of a row of 4-bit codes, from tables of floats.
///
/// # Safety
///
/// The query has a table for each code of the shape.
#[inline(always)]
unsafe fn sum_of_halves(query: &AdditiveQuery, shape: AdditiveShape, row: &[u8]) -> f32 {
    let (count, mut sums) = (shape.centroids(), [0.0f32; SUMS]);
    for code in 0..shape.parts() {
        let half = usize::from(row[code / 2] >> (code % 2 * 4) & 15);
        // SAFETY: as the caller promises; each table has an entry for each value of half a byte.
        sums[code % SUMS] += unsafe { *query.tables.as_ptr().add(code * count + half) };
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}

impl<const SQUARE: bool> Codec for Additive<SQUARE> {
    type Query = AdditiveQuery;
    type Key = f32;
    type Shape = AdditiveShape;

    const AUTO_MIN_DIM: Option<usize> = None;
    const LINKS: bool = false;
    const ROW_ALIGN: usize = 2 * READ;

    fn train(shape: AdditiveShape, training: Training<'_>) -> Self {
        Self::new(training.geometry, Books::train(shape, &training))
    }

    #[inline(always)]
    fn dim(&self) -> usize {
        self.books.dim()
    }

    #[inline(always)]
    fn row_bytes(&self, _: usize) -> usize {
        factors::row_bytes(self.books.shape().bytes(), usize::from(self.has_norm()))
    }

    #[inline(always)]
    fn encode(&self, vector: &[f32], scratch: &mut Vec<f32>, row: &mut [u8]) {
        self.books.rotate(vector, scratch);
        let codes = &mut row[..self.books.shape().bytes()];
        self.books.encode(scratch, codes);
        if self.has_norm() {
            self.books.decode(codes, scratch);
            let norm: f32 = scratch.iter().map(|value| value * value).sum();
            factors::put(row, [limited(norm)]);
        }
    }

    fn decode(&self, row: &[u8], vector: &mut Vec<f32>) {
        self.books.decode(&row[..self.books.shape().bytes()], vector);
        self.books.rotate_back(vector);
    }

    fn error(&self, vector: &[f32], scratch: &mut Vec<f32>) -> f64 {
        self.books.rotate(vector, scratch);
        let mut codes = vec![0; self.books.shape().bytes()];
        let mut decoded = Vec::new();
        self.books.encode(scratch, &mut codes);
        self.books.decode(&codes, &mut decoded);
        scratch.iter().zip(decoded).map(|(value, decoded)| (f64::from(*value) - f64::from(decoded)).powi(2)).sum()
    }

    #[inline(always)]
    fn prepare(&self, vector: &[f32], query: &mut AdditiveQuery) {
        assert_eq!(vector.len(), self.dim(), "values of a vector to compare with codes");
        self.books.rotate(vector, &mut query.scratch);
        self.tabulate(query);
    }

    #[inline(always)]
    fn prepare_row(&self, row: &[u8], query: &mut AdditiveQuery) {
        self.books.decode(&row[..self.books.shape().bytes()], &mut query.scratch);
        self.tabulate(query);
    }

    #[inline(always)]
    unsafe fn key<I: Isa>(&self, query: &AdditiveQuery, row: &[u8], dim: usize) -> f32 {
        debug_assert!(row.len() == self.row_bytes(dim));
        if query.in_bytes {
            // SAFETY: a query that this codec prepared has tables of bytes for its rows.
            return unsafe { query.bytes.of(row) };
        }
        if self.books.shape().centroids() < ENTRIES {
            // SAFETY: a query that this codec prepared has a table for each code of its rows.
            return unsafe { sum_of_halves(query, self.books.shape(), row) };
        }
        let (codes, norm) = if self.has_norm() {
            let (codes, [norm]) = factors::split(row);
            (codes, norm)
        } else {
            (row, 0.0)
        };
        debug_assert!(query.tables.len() == ENTRIES * codes.len());
        // SAFETY: a query that this codec prepared has a table for each byte of the codes.
        unsafe { Self::sum(query, codes) + norm }
    }

    const COMPARES_TOGETHER: bool = true;

    #[inline(always)]
    unsafe fn keys<I: Isa>(
        &self,
        query: &AdditiveQuery,
        rows: &[*const u8; ROWS],
        count: usize,
        dim: usize,
        keys: &mut [f32; ROWS],
    ) {
        let shape = self.books.shape();
        if query.in_bytes {
            let mut sums = [0; ROWS];
            // SAFETY: a query that this codec prepared has tables of bytes for its rows; the caller
            // promises these up to the next one, which begins at a multiple of `READ`.
            unsafe { I::sums_of_tables(query.bytes.entries(), rows, shape.bytes(), &mut sums) };
            for (key, sum) in keys.iter_mut().zip(sums) {
                *key = query.bytes.distance(sum);
            }
        } else {
            // SAFETY: as the caller promises.
            unsafe { one_by_one::<Self, I>(self, query, &rows[..count], dim, keys) };
        }
    }

    #[inline(always)]
    fn distance(_: &AdditiveQuery, key: f32) -> f32 {
        key
    }

    #[inline(always)]
    fn key_within(_: &AdditiveQuery, distance: f32) -> f32 {
        distance
    }

    #[inline(always)]
    fn can_compare(query: &AdditiveQuery) -> bool {
        !query.overflowed
    }

    fn parameters(&self) -> Parameters<'_> {
        Parameters { step: 0.0, section: Cow::Owned(self.books.to_bytes()) }
    }

    fn section_bytes(shape: AdditiveShape, dim: usize) -> usize {
        Books::bytes(shape, dim)
    }

    fn from_parameters(
        shape: AdditiveShape,
        geometry: Geometry,
        rotation: Rotation,
        parameters: &Parameters<'_>,
    ) -> Result<Self, ParametersError> {
        if parameters.step != 0.0 {
            return Err(ParametersError::Step(parameters.step));
        }
        Ok(Self::new(geometry, Books::from_bytes(shape, rotation.dim(), &parameters.section)?))
    }
}
