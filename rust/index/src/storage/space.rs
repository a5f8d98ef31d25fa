//! The space in which a walk compares vectors: codes, or the full vectors.

pub(crate) use tiercel_quant::{order, unorder};
use tiercel_simd::Isa;
use tiercel_simd::tables::ROWS;

use crate::storage::rows::Rows;

/// Vectors by slot, compared through integer keys: a smaller key is a smaller distance from the
/// same query.
pub(crate) trait Space: Copy + Sync {
    /// A vector prepared for comparisons. Reuse one for many vectors, since it keeps its memory.
    type Query: Default + Send + 'static;

    /// Prepare a vector that is not in the index.
    fn prepare(self, direction: &[f32], query: &mut Self::Query);

    /// Prepare a vector of the index.
    fn prepare_slot(self, slot: u32, query: &mut Self::Query);

    /// Return the number of slots; those below it can be compared.
    fn slots(self) -> usize;

    /// Return the bytes read to compare a slot.
    fn row_bytes(self) -> usize;

    /// Return the key of a slot.
    ///
    /// # Safety
    ///
    /// The slot is below [`Self::slots`], this space has prepared the query, and the machine has
    /// the instruction set.
    unsafe fn key<I: Isa>(self, query: &Self::Query, slot: u32) -> i32;

    /// Whether [`Self::keys`] takes less time than [`Self::key`] for each slot.
    const COMPARES_TOGETHER: bool = false;

    /// Return the keys of the first `count` slots, followed by any. The other slots may be equal.
    ///
    /// # Safety
    ///
    /// As for [`Self::key`], for each of the sixteen.
    #[inline(always)]
    unsafe fn keys<I: Isa>(self, query: &Self::Query, slots: &[u32; ROWS], count: usize) -> [i32; ROWS] {
        let mut keys = [0; ROWS];
        for (key, slot) in keys.iter_mut().zip(slots).take(count) {
            // SAFETY: as the caller promises.
            *key = unsafe { self.key::<I>(query, *slot) };
        }
        keys
    }

    /// Prefetch the memory of a slot.
    ///
    /// # Safety
    ///
    /// The slot is below [`Self::slots`].
    unsafe fn prefetch<I: Isa>(self, slot: u32);

    /// Return the distance that a key stands for.
    fn distance(query: &Self::Query, key: i32) -> f32;

    /// Return the largest key whose distance is at most `distance`.
    fn key_within(query: &Self::Query, distance: f32) -> i32;

    /// Return the root mean square error of the distances that keys stand for.
    fn error(self) -> f32;

    /// Whether a prepared query can be compared in this space.
    fn can_compare(self, query: &Self::Query) -> bool;
}

/// Full vectors, compared in full precision.
#[derive(Clone, Copy)]
pub(crate) struct RawSpace<'a>(pub(crate) &'a Rows);

/// Lines of a full vector to prefetch; the hardware prefetcher follows once a row is read in order.
const LINES: usize = 8;

impl Space for RawSpace<'_> {
    type Query = Vec<f32>;

    #[inline(always)]
    fn prepare(self, direction: &[f32], query: &mut Vec<f32>) {
        query.clear();
        query.extend_from_slice(direction);
    }

    #[inline(always)]
    fn prepare_slot(self, slot: u32, query: &mut Vec<f32>) {
        self.0.direction(slot as usize, query);
    }

    #[inline(always)]
    fn slots(self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn row_bytes(self) -> usize {
        self.0.row_bytes()
    }

    #[inline(always)]
    unsafe fn key<I: Isa>(self, query: &Self::Query, slot: u32) -> i32 {
        // SAFETY: the caller promises the instruction set.
        order(unsafe { self.0.distance::<I>(query, slot as usize) })
    }

    #[inline(always)]
    unsafe fn prefetch<I: Isa>(self, slot: u32) {
        self.0.prefetch::<I>(slot as usize, LINES);
    }

    #[inline(always)]
    fn distance(_: &Self::Query, key: i32) -> f32 {
        unorder(key)
    }

    #[inline(always)]
    fn key_within(_: &Self::Query, distance: f32) -> i32 {
        order(distance)
    }

    #[inline(always)]
    fn error(self) -> f32 {
        0.0
    }

    #[inline(always)]
    fn can_compare(self, _: &Self::Query) -> bool {
        true
    }
}
