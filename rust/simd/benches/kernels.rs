//! Time of a distance by kernel, dimension and instruction set: `cargo bench -p tiercel-simd
//! --bench kernels`.
//!
//! Every kernel runs as in an index, inside a loop compiled for the instruction set, over 256 KiB
//! of rows. These stay in the second-level cache, so that the kernel is measured rather than the
//! memory.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(
    clippy::inline_always,
    reason = "a loop must be compiled inside the function that enables its instruction set"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use tiercel_simd::{Buffer, Isa, Level, Loop, packed, packed1, packed2};

const DIMS: [usize; 4] = [96, 384, 768, 1536];
const ROWS_BYTES: usize = 256 << 10;
const PASSES: usize = 7;
const PASS: Duration = Duration::from_millis(5);

type Kernel = (&'static str, fn(Level, usize) -> (usize, f64));
/// Each returns the bytes of a row and the nanoseconds of a distance.
const KERNELS: [Kernel; 11] = [
    ("dot f32", dot_f32),
    ("l2 f32", l2_f32),
    ("dot f16", dot_f16),
    ("l2 f16", l2_f16),
    ("dot u8 x i8", dot_u8i8),
    ("l2 u8 x i8", l2_u8i8),
    ("dot u4 x i8", dot_u4i8),
    ("l2 u4 x i8", l2_u4i8),
    ("dot u1 x i8", dot_u1i8),
    ("dot u2 x i8", dot_u2i8),
    ("tile f32", tile_f32),
];

/// Define a function that measures one query against many rows, from the types of both, the values
/// of a row, and the call of the kernel.
macro_rules! measured {
    ($name:ident, $Query:ty, $Row:ty, $width:expr, |$I:ident, $query:ident, $row:ident, $dim:ident| $call:expr) => {
        fn $name(level: Level, dim: usize) -> (usize, f64) {
            struct Scan<'a>(&'a [$Query], &'a [$Row], usize);
            impl Loop for Scan<'_> {
                type Output = ();
                #[inline(always)]
                fn run<$I: Isa>(self) {
                    let ($query, $dim) = (self.0.as_ptr(), self.2);
                    for row in self.1.chunks_exact($width(self.2)) {
                        let $row = row.as_ptr();
                        // SAFETY: query and row have the lengths that the kernel reads;
                        // `Level::run` checked the rest.
                        black_box(unsafe { $call });
                    }
                }
            }
            let width = $width(dim);
            let count = ROWS_BYTES / size_of::<$Row>() / width;
            let (query, rows) = (Buffer::<$Query>::zeroed(dim), Buffer::<$Row>::zeroed(count * width));
            (width * size_of::<$Row>(), nanoseconds(|| level.run(Scan(&query, &rows, dim))) / count as f64)
        }
    };
}

/// Values of a row with one value per dimension.
const fn whole(dim: usize) -> usize {
    dim
}

measured!(dot_f32, f32, f32, whole, |I, query, row, dim| I::dot_f32(query, row, dim));
measured!(l2_f32, f32, f32, whole, |I, query, row, dim| I::l2_f32(query, row, dim));
measured!(dot_f16, f32, u16, whole, |I, query, row, dim| I::dot_f16(query, row, dim));
measured!(l2_f16, f32, u16, whole, |I, query, row, dim| I::l2_f16(query, row, dim));
measured!(dot_u8i8, i8, u8, whole, |I, query, row, dim| I::dot_u8i8(row, query, dim));
measured!(l2_u8i8, i8, u8, whole, |I, query, row, dim| I::l2_u8i8(row, query, dim));
measured!(dot_u4i8, i8, u8, packed::bytes, |I, query, row, dim| I::dot_u4i8(row, query, dim));
measured!(l2_u4i8, i8, u8, packed::bytes, |I, query, row, dim| I::l2_u4i8(row, query, dim));
measured!(dot_u1i8, i8, u8, packed1::bytes, |I, query, row, dim| I::dot_u1i8(row, query, dim));
measured!(dot_u2i8, i8, u8, packed2::bytes, |I, query, row, dim| I::dot_u2i8(row, query, dim));

/// Compare a panel of queries with a tile of rows at a time, as an exact scan compares a batch.
fn tile_f32(level: Level, dim: usize) -> (usize, f64) {
    struct Scan<'a>(&'a [f32], usize);
    impl Loop for Scan<'_> {
        /// Pairs compared.
        type Output = usize;
        #[inline(always)]
        fn run<I: Isa>(self) -> usize {
            let dim = self.1;
            let (queries, mut out) = (Buffer::<f32>::zeroed(I::WIDE * dim), vec![0.0; I::HIGH * I::WIDE]);
            let tiles = self.0.chunks_exact(I::HIGH * dim);
            let pairs = tiles.len() * I::HIGH * I::WIDE;
            for rows in tiles {
                // SAFETY: rows, queries and sums have these lengths, and `Level::run` checked the
                // instruction set.
                unsafe { I::tile_f32::<false>(rows.as_ptr(), I::HIGH, queries.as_ptr(), dim, out.as_mut_ptr()) };
                black_box(&out);
            }
            pairs
        }
    }
    let rows = Buffer::<f32>::zeroed(ROWS_BYTES / size_of::<f32>() / dim * dim);
    let pairs = level.run(Scan(&rows, dim));
    let time = nanoseconds(|| {
        level.run(Scan(&rows, dim));
    });
    (dim * size_of::<f32>(), time / pairs as f64)
}

/// Time one call. The best of several passes counts, since other load on the machine can only slow
/// it.
fn nanoseconds(mut work: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..PASSES {
        let (start, mut calls) = (Instant::now(), 0_u32);
        while start.elapsed() < PASS {
            work();
            calls += 1;
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(calls));
    }
    best
}

fn main() {
    // `cargo test --all-targets` also starts benchmarks, without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let levels: Vec<Level> = Level::available().collect();
    let heads: Vec<String> = levels.iter().map(|level| format!(" {0}, ns | {0}, GB/s |", level.name())).collect();
    println!("| kernel | dim |{}\n|---|---:|{}", heads.concat(), "---:|---:|".repeat(levels.len()));
    for (name, measure) in KERNELS {
        for dim in DIMS {
            print!("| {name} | {dim} |");
            for level in &levels {
                let (bytes, nanoseconds) = measure(*level, dim);
                print!(" {nanoseconds:.1} | {:.1} |", bytes as f64 / nanoseconds);
            }
            println!();
        }
    }
}
