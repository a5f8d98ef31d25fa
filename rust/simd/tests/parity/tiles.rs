//! Tiles of rows and queries have the same sums as single pairs.

use tiercel_simd::{Isa, Level, Loop, reference};

use crate::guarded::{Guarded, Place};
use crate::{Sum, at_every_level, unit};

/// Rows in a test: more than a whole tile of any instruction set.
const ROWS: usize = 15;

/// Sums of `count` rows with the queries of a panel; `query` returns their values by query and
/// index.
struct Tile<'a, const L2: bool> {
    rows: &'a [f32],
    count: usize,
    queries: &'a mut Guarded<f32>,
    query: fn(usize, usize) -> f32,
}

impl<const L2: bool> Loop for Tile<'_, L2> {
    /// The sums of each row.
    type Output = Vec<Vec<f32>>;
    #[expect(clippy::inline_always, reason = "compiled inside the function that enables the instruction set")]
    #[inline(always)]
    fn run<I: Isa>(self) -> Vec<Vec<f32>> {
        let n = self.rows.len() / self.count;
        let panel: Vec<f32> = (0..n * I::WIDE).map(|at| (self.query)(at % I::WIDE, at / I::WIDE)).collect();
        let panel = self.queries.put(&panel, Place::End(0));
        let mut sums = Vec::new();
        for first in (0..self.count).step_by(I::HIGH) {
            let count = I::HIGH.min(self.count - first);
            // NaN, to detect a sum that was not written.
            let mut out = vec![f32::NAN; count * I::WIDE];
            let rows = self.rows[first * n..(first + count) * n].as_ptr();
            // SAFETY: rows, panel and sums have the required lengths, and `Level::run` checked the
            // instruction set.
            unsafe { I::tile_f32::<L2>(rows, count, panel.as_ptr(), n, out.as_mut_ptr()) };
            sums.extend(out.chunks_exact(I::WIDE).map(<[f32]>::to_vec));
        }
        sums
    }
}

fn expected<const L2: bool>(query: &[f32], row: &[f32]) -> Sum {
    let terms = query.iter().zip(row).map(|(x, y)| {
        let (x, y) = (f64::from(*x), f64::from(*y));
        if L2 { (x - y).powi(2) } else { (x * y).abs() }
    });
    let value = if L2 { reference::l2_f32(query, row) } else { reference::dot_f32(query, row) };
    Sum { value, magnitude: terms.sum(), n: row.len() }
}

/// All short lengths, then some around those of real vectors.
fn lengths() -> impl Iterator<Item = usize> {
    (1..=70).chain([256, 383, 384, 385, 768, 1023, 1100])
}

/// Return a number that is fixed for a vector and an index.
fn of(vector: usize, index: usize) -> f32 {
    unit(10_000 * vector + index)
}

/// Values of a row, and of a query, by number and index.
type Values = [fn(usize, usize) -> f32; 2];

/// Compare a level's sums with those of the reference.
fn check<const L2: bool>(level: Level, rows: &[f32], count: usize, queries: &mut Guarded<f32>, query: Values) {
    let n = rows.len() / count;
    let sums = level.run(Tile::<L2> { rows, count, queries, query: query[1] });
    assert_eq!(sums.len(), count, "rows of sums");
    for (row, sums) in rows.chunks_exact(n).zip(&sums) {
        for (q, sum) in sums.iter().enumerate() {
            let query: Vec<f32> = (0..n).map(|i| query[1](q, i)).collect();
            expected::<L2>(&query, row).assert_near(*sum, level, if L2 { "tile_f32, l2" } else { "tile_f32, dot" });
        }
    }
}

#[test]
fn tiles_of_every_length() {
    let values: [Values; 4] = [
        [of, |query, i| of(100 + query, i)],
        [|row, i| 1e17 * of(row, i), |query, i| 1e17 * of(100 + query, i)],
        [|row, i| 1e-20 * of(row, i), |query, i| 1e-20 * of(100 + query, i)],
        // Vectors that hardly differ, so that each square cancels.
        [|row, i| 1e4 + of(0, i) + 0.01 * row as f32, |query, i| 1e4 + of(0, i) + 0.02 * query as f32],
    ];
    let (mut rows, mut queries) = (Guarded::new(1100 * ROWS, f32::NAN), Guarded::new(1100 * 64, f32::NAN));
    for n in lengths() {
        for value in values {
            // Full tiles, and a partial one.
            let count = 1 + n % ROWS;
            let some: Vec<f32> = (0..count * n).map(|at| value[0](at / n, at % n)).collect();
            let rows = rows.put(&some, Place::End(0));
            at_every_level(|level| {
                check::<false>(level, rows, count, &mut queries, value);
                check::<true>(level, rows, count, &mut queries, value);
            });
        }
    }
}

/// Values of a row, and of a query, by number and index.
type Bytes = (fn(usize, usize) -> i8, fn(usize, usize) -> u8);

/// Integer sums of `count` rows with the queries of a panel, both by vector and index.
struct IntegerTile {
    count: usize,
    n: usize,
    row: fn(usize, usize) -> i8,
    query: fn(usize, usize) -> u8,
}

impl Loop for IntegerTile {
    type Output = ();
    #[expect(clippy::inline_always, reason = "compiled inside the function that enables the instruction set")]
    #[inline(always)]
    fn run<I: Isa>(self) {
        let Self { count, n, row, query } = self;
        let mut rows = Guarded::new(count * n, 0);
        let mut queries = Guarded::new(n * I::WIDE, 0);
        let values: Vec<i8> = (0..count * n).map(|at| row(at / n, at % n)).collect();
        let values = rows.put(&values, Place::End(0));
        let panel: Vec<u8> =
            (0..n * I::WIDE).map(|at| query(at / 4 % I::WIDE, at / (4 * I::WIDE) * 4 + at % 4)).collect();
        let panel = queries.put(&panel, Place::End(0));
        for first in (0..count).step_by(I::HIGH) {
            let some = I::HIGH.min(count - first);
            let mut out = vec![i32::MIN; some * I::WIDE];
            // SAFETY: rows, panel and sums have the required lengths, and `Level::run` checked the
            // instruction set.
            unsafe { I::tile_i8(values[first * n..].as_ptr(), some, panel.as_ptr(), n, out.as_mut_ptr()) };
            for (at, sum) in out.iter().enumerate() {
                let (r, q) = (first + at / I::WIDE, at % I::WIDE);
                let expected: i32 = (0..n).map(|i| i32::from(row(r, i)) * i32::from(query(q, i))).sum();
                assert_eq!(*sum, expected, "{:?}", (I::LEVEL, n, r, q));
            }
        }
    }
}

#[test]
fn integer_tiles_have_the_sums_of_single_pairs() {
    let mixed = |row: usize, i: usize| (row * 37 + i * 101 + i * i) as u8 as i8;
    let values: [Bytes; 3] = [
        (mixed, |query, i| (query * 59 + i * 83) as u8),
        (|_, _| i8::MIN, |_, _| u8::MAX),
        (|_, _| i8::MAX, |_, _| u8::MAX),
    ];
    for n in (4..=72).step_by(4).chain([384, 1024, 4096, 32_768]) {
        for (row, query) in values {
            at_every_level(|level| level.run(IntegerTile { count: 1 + n % 15, n, row, query }));
        }
    }
}

#[test]
fn nan_stays_in_its_row_and_column() {
    let mut queries = Guarded::new(64 * 70, f32::NAN);
    // The second query begins with NaN, the fourth row ends with it.
    let query = |query, i| if (query, i) == (1, 0) { f32::NAN } else { of(100 + query, i) };
    for n in 1..=70 {
        let mut rows: Vec<f32> = (0..ROWS * n).map(|at| of(at / n, at % n)).collect();
        rows[4 * n - 1] = f32::NAN;
        at_every_level(|level| {
            let rows = &rows[..];
            let dot = level.run(Tile::<false> { rows, count: ROWS, queries: &mut queries, query });
            let l2 = level.run(Tile::<true> { rows, count: ROWS, queries: &mut queries, query });
            for (r, (dot, l2)) in dot.iter().zip(&l2).enumerate() {
                for (q, (dot, l2)) in dot.iter().zip(l2).enumerate() {
                    let expected = q == 1 || r == 3;
                    assert_eq!((dot.is_nan(), l2.is_nan()), (expected, expected), "{:?}", (level, n, q, r));
                }
            }
        });
    }
}
