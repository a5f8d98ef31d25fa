//! The memory layout of tables for 4-bit codes: for each code of a row, the distances of its sixteen
//! centroids from a query, as bytes.
//!
//! Byte `j` of a row holds code `2 j` (bits 0 to 3) and code `2 j + 1` (bits 4 to 7). Four bytes have
//! 128 bytes of tables, so that one load holds those that one shuffle needs:
//!
//! ```text
//!        0          16         32         48         64         80         96         112
//!       +----------+----------+----------+----------+----------+----------+----------+----------+
//!       | code 0   | code 2   | code 4   | code 6   | code 1   | code 3   | code 5   | code 7   |
//!       +----------+----------+----------+----------+----------+----------+----------+----------+
//! ```
//!
//! Tables that fill up the last four bytes are all zeros.

/// Rows that are compared together.
pub const ROWS: usize = 16;

/// Bytes of a row whose tables lie together.
pub const TOGETHER: usize = 4;

/// Distances in a table.
pub const ENTRIES: usize = 16;

/// Bytes of a row are read in multiples of this.
pub const READ: usize = 16;

/// Return the bytes of the tables for rows of `bytes` bytes.
pub const fn bytes(bytes: usize) -> usize {
    bytes.div_ceil(TOGETHER) * 2 * TOGETHER * ENTRIES
}

/// Return where the table of a code begins.
#[inline(always)]
pub const fn place(code: usize) -> usize {
    let (byte, high) = (code / 2, code % 2);
    (byte / TOGETHER * 2 + high) * TOGETHER * ENTRIES + byte % TOGETHER * ENTRIES
}
