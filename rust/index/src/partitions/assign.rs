//! The nearest centroid of each of many vectors.

use tiercel_simd::{Isa, Level, Loop};

use super::centroids::{Centroids, height};
use crate::errors::Interrupted;
use crate::storage::coarse::{Block, Queries};
use crate::storage::rows::Rows;
use crate::work::Work;

/// Vectors rounded to bytes together: they stay in the second-level cache.
pub(super) const TOGETHER: usize = 256;

/// Memory to read vectors.
#[derive(Default)]
struct Reader {
    row: Vec<f32>,
    values: Vec<f32>,
}

impl Reader {
    /// Round the directions of slots to bytes.
    fn read(&mut self, rows: &Rows, slots: &[u32], level: Level, block: &mut Block) {
        self.values.clear();
        for slot in slots {
            rows.direction(*slot as usize, &mut self.row);
            self.values.extend_from_slice(&self.row);
        }
        level.run(Fill { values: &self.values, dim: rows.dim(), block });
    }
}

struct Fill<'a> {
    values: &'a [f32],
    dim: usize,
    block: &'a mut Block,
}

impl Loop for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self) {
        self.block.fill(self.values, self.dim);
    }
}

/// Round the directions of slots to bytes, [`TOGETHER`] in a block.
pub(super) fn gather(rows: &Rows, slots: &[u32], level: Level, work: &Work<'_>) -> Result<Vec<Block>, Interrupted> {
    let mut blocks: Vec<Block> = slots.chunks(TOGETHER).map(|_| Block::default()).collect();
    work.fill(&mut blocks, 1, 1, Reader::default, |reader, item, out| {
        let some = &slots[item * TOGETHER..slots.len().min((item + 1) * TOGETHER)];
        reader.read(rows, some, level, &mut out[0]);
    })?;
    Ok(blocks)
}

/// Return the list of the nearest centroid of each slot.
pub(super) fn nearest(
    rows: &Rows,
    slots: &[u32],
    centroids: &Centroids,
    level: Level,
    work: &Work<'_>,
) -> Result<Vec<u32>, Interrupted> {
    let panels = level.run(Lay(centroids));
    let mut lists = vec![0; slots.len()];
    work.fill(&mut lists, TOGETHER, 1, <(Reader, Block)>::default, |(reader, block), item, out| {
        reader.read(rows, &slots[item * TOGETHER..][..out.len()], level, block);
        level.run(Nearest { centroids, panels: &panels, block, out });
    })?;
    Ok(lists)
}

/// Return the list of the nearest centroid of each row of blocks that [`gather`] made.
pub(super) fn nearest_of(
    blocks: &[Block],
    centroids: &Centroids,
    level: Level,
    work: &Work<'_>,
) -> Result<Vec<u32>, Interrupted> {
    let panels = level.run(Lay(centroids));
    let mut lists = vec![0; blocks.iter().map(Block::len).sum()];
    work.fill(
        &mut lists,
        TOGETHER,
        1,
        || (),
        |(), item, out| {
            level.run(Nearest { centroids, panels: &panels, block: &blocks[item], out });
        },
    )?;
    Ok(lists)
}

/// Centroids laid out for tiles.
struct Panels {
    codes: Option<Queries>,
    /// Of each centroid, and of the zeros that fill the last panel, which are infinitely far.
    scales: Vec<f32>,
    halves: Vec<f32>,
}

struct Lay<'a>(&'a Centroids);

impl Loop for Lay<'_> {
    type Output = Panels;

    #[inline(always)]
    fn run<I: Isa>(self) -> Panels {
        let Self(centroids) = self;
        let padded = centroids.len().next_multiple_of(I::WIDE);
        let (scales, halves) = centroids.scales_and_halves();
        let (mut scales, mut halves) = (scales.to_vec(), halves.to_vec());
        scales.resize(padded, 0.0);
        halves.resize(padded, f32::INFINITY);
        let codes = I::HAS_INTEGER_TILES.then(|| Queries::new(centroids.values(), centroids.dim(), I::WIDE));
        Panels { codes, scales, halves }
    }
}

/// Find the nearest centroid of each row of a block, the first of equal ones.
struct Nearest<'a> {
    centroids: &'a Centroids,
    panels: &'a Panels,
    block: &'a Block,
    /// A list for each row.
    out: &'a mut [u32],
}

impl Loop for Nearest<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self) {
        self.out.fill(0);
        if let Some(codes) = &self.panels.codes {
            self.each_tile::<I>(codes);
        } else {
            self.each_pair::<I>();
        }
    }
}

impl Nearest<'_> {
    /// Compare tile by tile.
    #[inline(always)]
    fn each_tile<I: Isa>(self, codes: &Queries) {
        let Self { panels, block, out, .. } = self;
        let mut least = vec![f32::INFINITY; out.len()];
        let mut sums = vec![0; I::HIGH * I::WIDE];
        for first in (0..panels.scales.len()).step_by(I::WIDE) {
            let (scales, halves) = (&panels.scales[first..][..I::WIDE], &panels.halves[first..][..I::WIDE]);
            for start in (0..block.len()).step_by(I::HIGH) {
                // SAFETY: `Level::run` checked the instruction set.
                let high = unsafe { block.tile::<I>(start, codes, first / I::WIDE, &mut sums) };
                for (row, sums) in (start..start + high).zip(sums.chunks_exact(I::WIDE)) {
                    let (_, rounded) = block.row(row);
                    let height = |q: usize| height(halves[q], scales[q], rounded.scale, sums[q], rounded.sum);
                    // Check all rather than stop at the first, so that the compiler vectorizes the
                    // loop.
                    let mut is_near = false;
                    for q in 0..I::WIDE {
                        is_near |= height(q) < least[row];
                    }
                    for q in (0..I::WIDE).filter(|_| is_near) {
                        if height(q) < least[row] {
                            (least[row], out[row]) = (height(q), (first + q) as u32);
                        }
                    }
                }
            }
        }
    }

    /// Compare pair by pair, which gives the same integers.
    #[inline(always)]
    fn each_pair<I: Isa>(self) {
        let Self { centroids, panels, block, out } = self;
        for (row, out) in out.iter_mut().enumerate() {
            let (codes, rounded) = block.row(row);
            let mut least = f32::INFINITY;
            for list in 0..centroids.len() {
                // SAFETY: `Level::run` checked the instruction set.
                let sum = unsafe { centroids.sum::<I>(list, codes) };
                let height = height(panels.halves[list], panels.scales[list], rounded.scale, sum, rounded.sum);
                if height < least {
                    (least, *out) = (height, list as u32);
                }
            }
        }
    }
}
