//! Tiles of six queries and four rows give the sums that one pair at a time gives.

use tiercel_simd::{Isa, Level, Loop, reference};

use crate::guarded::{Guarded, Place};
use crate::{Sum, at_every_level, unit};

type Four<'a> = [&'a [f32]; 4];
type Six<'a> = [&'a [f32]; 6];

struct Tile<'a, const L2: bool> {
    queries: Six<'a>,
    rows: Four<'a>,
}

impl<const L2: bool> Loop for Tile<'_, L2> {
    type Output = [[f32; 4]; 6];
    #[expect(clippy::inline_always, reason = "compiled inside the function that enables the instruction set")]
    #[inline(always)]
    fn run<I: Isa>(self) -> [[f32; 4]; 6] {
        let n = self.rows[0].len();
        assert!(self.queries.iter().chain(&self.rows).all(|values| values.len() == n));
        // SAFETY: all lengths are `n`, and `Level::run` checked the instruction set.
        unsafe { I::tile_f32::<L2>(self.queries.map(<[f32]>::as_ptr), self.rows.map(<[f32]>::as_ptr), n) }
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

fn check<const L2: bool>(level: Level, queries: Six, rows: Four, expected: &[[Sum; 4]; 6]) {
    let got = level.run(Tile::<L2> { queries, rows });
    for (got, expected) in got.iter().flatten().zip(expected.iter().flatten()) {
        expected.assert_near(*got, level, if L2 { "tile_f32, l2" } else { "tile_f32, dot" });
    }
}

/// Short lengths all, then some around those of real vectors.
fn lengths() -> impl Iterator<Item = usize> {
    (0..=200).chain([256, 383, 384, 385, 768, 1023, 1100, 4096, 4111])
}

/// Six queries and four rows, each in guarded memory of its own.
struct Vectors([Guarded<f32>; 10]);

impl Vectors {
    fn new() -> Self {
        Self(std::array::from_fn(|_| Guarded::new(4111, f32::NAN)))
    }

    /// Vectors of `n` values each of a number and an index; the first is at the end of its memory, each other one
    /// `spread` further from it than the one before.
    fn put(&mut self, n: usize, spread: usize, value: impl Fn(usize, usize) -> f32) -> (Six<'_>, Four<'_>) {
        let mut number = 0;
        let [a, b, c, d, e, f, g, h, i, j] = self.0.each_mut().map(|memory| {
            let values: Vec<f32> = (0..n).map(|i| value(number, i)).collect();
            let place = Place::End(number * spread);
            number += 1;
            memory.put(&values, place)
        });
        ([a, b, c, d, e, f], [g, h, i, j])
    }
}

/// The same number for the same vector and index.
fn of(vector: usize, index: usize) -> f32 {
    unit(10_000 * vector + index)
}

#[test]
fn tiles_of_every_length() {
    let values: [fn(usize, usize) -> f32; 4] = [
        of,
        |vector, i| 1e17 * of(vector, i),
        |vector, i| 1e-20 * of(vector, i),
        // Vectors that hardly differ: each square cancels.
        |vector, i| 1e4 + of(0, i) + 0.01 * vector as f32,
    ];
    let mut vectors = Vectors::new();
    for n in lengths() {
        for value in values {
            for spread in [0, 3] {
                let (queries, rows) = vectors.put(n, spread, value);
                let dot = queries.map(|query| rows.map(|row| expected::<false>(query, row)));
                let l2 = queries.map(|query| rows.map(|row| expected::<true>(query, row)));
                at_every_level(|level| {
                    check::<false>(level, queries, rows, &dot);
                    check::<true>(level, queries, rows, &l2);
                });
            }
        }
    }
}

#[test]
fn nan_stays_in_its_row_and_column() {
    let mut vectors = Vectors::new();
    for n in 1..=200 {
        let (queries, rows) = vectors.put(n, 0, |vector, i| {
            // The second query begins with NaN, the fourth row ends with it.
            if (vector, i) == (1, 0) || (vector, i) == (9, n - 1) { f32::NAN } else { of(vector, i) }
        });
        at_every_level(|level| {
            let (dot, l2) = (level.run(Tile::<false> { queries, rows }), level.run(Tile::<true> { queries, rows }));
            for (q, r) in (0..6).flat_map(|q| (0..4).map(move |r| (q, r))) {
                let expected = q == 1 || r == 3;
                assert_eq!((dot[q][r].is_nan(), l2[q][r].is_nan()), (expected, expected), "{:?}", (level, n, q, r));
            }
        });
    }
}
