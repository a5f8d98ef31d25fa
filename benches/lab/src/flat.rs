//! A graph and codes in plain arrays, each row on its own cache lines.

use std::alloc::{Layout, alloc, dealloc};
use std::sync::OnceLock;

use tiercel_index::lab::{Parts, Upper};

use crate::entries::Entries;
use crate::sketch::Sketches;

/// Ends a row of links that is not full.
pub const NONE: u32 = u32::MAX;

/// Bytes of a cache line.
pub const LINE: usize = 64;

/// Bytes of a huge page.
const HUGE: usize = 2 << 20;

/// Bytes that begin on a huge page, and lie in such pages where the system has them.
pub struct Lines {
    memory: *mut u8,
    layout: Layout,
}

impl Lines {
    pub fn of(bytes: &[u8]) -> Self {
        let layout = Layout::from_size_align(bytes.len().next_multiple_of(HUGE).max(HUGE), HUGE).expect("a size");
        // SAFETY: the layout is not empty; the advice and the copy stay within the memory.
        unsafe {
            let memory = alloc(layout);
            assert!(!memory.is_null(), "no memory");
            libc::madvise(memory.cast(), layout.size(), libc::MADV_HUGEPAGE);
            memory.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            Self { memory, layout }
        }
    }

    pub fn as_ptr(&self) -> *const u8 {
        self.memory
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.memory, self.layout) };
    }
}

/// The graph and the codes.
pub struct Flat {
    /// Number of vectors.
    pub len: usize,
    /// Values in a row of links.
    pub degree: usize,
    links: Lines,
    /// Bytes from one row of codes to the next.
    pub stride: usize,
    codes: Lines,
    signs: Lines,
    /// Root mean square error of what signs and factor estimate, for a query of length 1.
    pub sign_error: f32,
    /// The length of rows: of all, or of the longest if they differ.
    pub length: f32,
    /// The levels above, the lowest first.
    pub upper: Vec<Upper>,
    /// The node of the highest level where a descent begins.
    pub entry: u32,
    entries: [OnceLock<Entries>; 2],
    sketches: OnceLock<Sketches>,
}

/// Where the two factors are in the line of a row's signs: after 384 bits. The first is that of the
/// signs, the second the first times the number of ones.
pub const FACTOR: usize = 48;

impl Flat {
    /// Copy the arrays of an index.
    pub fn of(parts: &Parts) -> Self {
        let links: Vec<u8> = parts.links().iter().flat_map(|link| link.to_le_bytes()).collect();
        let (degree, stride) = (parts.degree(), parts.stride());
        assert!(degree * 4 % LINE == 0 && stride % LINE == 0, "rows are whole cache lines");
        let codes = parts.codes();
        let (signs, sign_error) = signs(&codes, stride);
        let length = length(&codes, stride);
        let (links, codes) = (Lines::of(&links), Lines::of(&codes));
        let signs = Lines::of(&signs);
        let (upper, entry) = (parts.upper(), parts.entry());
        let (entries, sketches) = Default::default();
        let len = parts.len();
        Self { len, degree, links, stride, codes, signs, sign_error, length, upper, entry, entries, sketches }
    }

    /// 64 or 256 medoids, which are found when they are first asked for.
    pub fn entries(&self, count: usize) -> &Entries {
        self.entries[usize::from(count > 64)].get_or_init(|| Entries::medoids(self, count))
    }

    /// The sketches of links, which are made when they are first asked for.
    pub fn sketches(&self) -> &Sketches {
        self.sketches.get_or_init(|| Sketches::of(self))
    }

    /// Where the line of a node's signs begins.
    #[inline(always)]
    pub fn signs(&self, node: u32) -> *const u8 {
        self.signs.as_ptr().wrapping_add(node as usize * LINE)
    }

    /// The links of a node.
    #[inline(always)]
    pub fn row(&self, node: u32) -> &[u32] {
        assert!((node as usize) < self.len);
        // SAFETY: there is a row of `degree` values for each of the `len` nodes.
        unsafe {
            std::slice::from_raw_parts(self.links.as_ptr().cast::<u32>().add(node as usize * self.degree), self.degree)
        }
    }

    /// Where the codes of a node begin.
    #[inline(always)]
    pub fn codes(&self, node: u32) -> *const u8 {
        self.codes.as_ptr().wrapping_add(node as usize * self.stride)
    }

    /// The bytes of the codes of a node.
    pub fn code_bytes(&self, node: u32) -> &[u8] {
        assert!((node as usize) < self.len);
        // SAFETY: there are `stride` bytes for each of the `len` nodes.
        unsafe { std::slice::from_raw_parts(self.codes(node), self.stride) }
    }

    /// What the codes of a node stand for, in the order of a query's.
    pub fn values(&self, node: u32) -> Vec<f32> {
        values(self.code_bytes(node))
    }
}

/// What a row of codes stands for. Blocks of 64 bytes hold 128 codes: the low halves first.
fn values(row: &[u8]) -> Vec<f32> {
    let value = |code: u8| f32::from(code) - 7.5;
    let halves = |block: &[u8]| -> Vec<f32> {
        block.iter().map(|pair| value(pair & 15)).chain(block.iter().map(|pair| value(pair >> 4))).collect()
    };
    row.chunks(LINE).flat_map(halves).collect()
}

/// The length of most rows, or of the longest if some are far longer.
fn length(codes: &[u8], stride: usize) -> f32 {
    let squares = codes.chunks_exact(stride).map(|row| values(row).iter().map(|value| value * value).sum::<f32>());
    let (sum, most) = squares.fold((0.0, 0.0_f32), |(sum, most), square| (sum + f64::from(square), most.max(square)));
    let usual = (sum / (codes.len() / stride) as f64) as f32;
    if most > 2.0 * usual { most.sqrt() } else { usual.sqrt() }
}

/// A line for each row: a bit for each code, 1 if it is above the middle, and the factors that make
/// the product of the signs with a query an unbiased estimate of that of the codes (RaBitQ). And the
/// error of that estimate for queries of length 1, in any direction across the row.
fn signs(codes: &[u8], stride: usize) -> (Vec<u8>, f32) {
    let mut lines = vec![0_u8; codes.len() / stride * LINE];
    let mut squares = 0.0_f64;
    for (row, line) in codes.chunks_exact(stride).zip(lines.chunks_exact_mut(LINE)) {
        let (mut size, mut sum) = (0.0_f32, 0.0_f32);
        for (at, pair) in row.iter().enumerate() {
            // Blocks of 64 bytes hold 128 codes: the low halves first.
            let (block, within) = (at / 64, at % 64);
            for (half, code) in [pair & 15, pair >> 4].into_iter().enumerate() {
                let value = f32::from(code) - 7.5;
                size += value * value;
                sum += value.abs();
                let bit = 128 * block + 64 * half + within;
                if value > 0.0 && bit < 8 * FACTOR {
                    line[bit / 8] |= 1 << (bit % 8);
                }
            }
        }
        let dim = 2 * row.len();
        let factor = size / sum;
        let ones: u32 = line.iter().map(|byte| byte.count_ones()).sum();
        line[FACTOR..FACTOR + 4].copy_from_slice(&factor.to_le_bytes());
        line[FACTOR + 4..FACTOR + 8].copy_from_slice(&(factor * ones as f32).to_le_bytes());
        // What is left of the row beside its signs, in each direction.
        squares += f64::from((factor * factor * dim as f32 - size) / (dim as f32 - 1.0));
    }
    (lines, (squares / (codes.len() / stride) as f64).sqrt() as f32)
}
