//! Sums of table lookups are those of the reference, for rows of every length, and read no further
//! than they may.

use tiercel_simd::tables::{self, ENTRIES, READ, ROWS, place};
use tiercel_simd::{Isa, Level, Loop, reference, sum_of_tables};

use crate::guarded::{Guarded, Place};
use crate::{at_every_level, mixed};

/// Longest row: more than the sums of 16 bits of any kernel hold at once.
const LONGEST: usize = if cfg!(miri) { 40 } else { 700 };

struct Lookup<'a> {
    tables: &'a [u8],
    rows: [*const u8; ROWS],
    bytes: usize,
}

impl Loop for Lookup<'_> {
    type Output = [u32; ROWS];
    #[expect(clippy::inline_always, reason = "compiled inside the function that enables the instruction set")]
    #[inline(always)]
    fn run<I: Isa>(self) -> [u32; ROWS] {
        let mut sums = [u32::MAX; ROWS];
        // SAFETY: `check` made rows and tables of the required lengths; `Level::run` checked the
        // instruction set.
        unsafe { I::sums_of_tables(self.tables.as_ptr(), &self.rows, self.bytes, &mut sums) };
        sums
    }
}

/// Memory for the rows and for their tables, in which a read past the end is detected.
fn memory(poison: u8) -> [Guarded<u8>; 2] {
    [ROWS * LONGEST.next_multiple_of(READ), tables::bytes(LONGEST)].map(|longest| Guarded::new(longest, poison))
}

/// Compare rows of `bytes` bytes; `entry` returns the distances in the tables, one after the other.
fn check(bytes: usize, [memory, of_tables]: &mut [Guarded<u8>; 2], entry: impl Fn(usize) -> u8) {
    let entries: Vec<u8> = (0..2 * bytes * ENTRIES).map(&entry).collect();
    let mut laid_out = vec![0; tables::bytes(bytes)];
    for (code, table) in entries.chunks_exact(ENTRIES).enumerate() {
        laid_out[place(code)..][..ENTRIES].copy_from_slice(table);
    }
    let stride = bytes.next_multiple_of(READ);
    let laid_out = of_tables.put(&laid_out, Place::End(0));
    // What follows a row may be anything.
    let codes: Vec<u8> = (0..ROWS * stride).map(|at| mixed(bytes * 1000 + at) as u8).collect();
    let expected: Vec<u32> =
        codes.chunks_exact(stride).map(|row| reference::sum_of_tables(&entries, &row[..bytes])).collect();
    let held = memory.put(&codes, Place::End(0));
    let rows = std::array::from_fn(|row| held[row * stride..].as_ptr());
    at_every_level(|level: Level| {
        let got = level.run(Lookup { tables: laid_out, rows, bytes });
        assert_eq!(got[..], expected, "{bytes} bytes {level:?}");
    });
    for (row, expected) in rows.iter().zip(&expected) {
        // SAFETY: the row has `bytes` bytes, the tables those for as many.
        assert_eq!(unsafe { sum_of_tables(laid_out.as_ptr(), *row, bytes) }, *expected, "{bytes} bytes");
    }
    // Rows may be the same memory.
    let same = [rows[3]; ROWS];
    at_every_level(|level| {
        assert_eq!(level.run(Lookup { tables: laid_out, rows: same, bytes }), [expected[3]; ROWS], "{level:?}");
    });
}

#[test]
fn rows_of_every_length() {
    let mut memory = memory(0xa5);
    for bytes in (1..=40).chain([47, 48, 49, 63, 64, 65, 96, 255, 256, 257, 511, 512, 513, 700]) {
        if bytes <= LONGEST {
            check(bytes, &mut memory, |at| mixed(at) as u8);
        }
    }
}

#[test]
fn the_largest_distances_do_not_overflow() {
    let mut memory = memory(0);
    for bytes in [16, 64, 256, 700] {
        if bytes <= LONGEST {
            check(bytes, &mut memory, |_| u8::MAX);
        }
    }
}
