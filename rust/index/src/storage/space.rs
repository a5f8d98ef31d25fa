//! What a walk compares vectors on: codes, or the full vectors.

pub(crate) use tiercel_quant::{order, unorder};
use tiercel_simd::Isa;

use crate::storage::rows::Rows;

/// Vectors by slot, compared through integer keys: a smaller key is a smaller distance from the same query.
pub(crate) trait Space: Copy + Sync {
    /// A vector made ready to compare others with; reuse one for many, its memory is kept.
    type Query: Default + Send + 'static;

    /// Make ready to compare a vector that is not in the index.
    fn prepare(self, direction: &[f32], query: &mut Self::Query);

    /// Make ready to compare a vector of the index.
    fn prepare_slot(self, slot: u32, query: &mut Self::Query);

    /// Slots that can be compared: those below.
    fn slots(self) -> usize;

    /// Bytes that are read to compare a slot.
    fn row_bytes(self) -> usize;

    /// The key of a slot.
    ///
    /// # Safety
    ///
    /// The slot is below [`Self::slots`], this space has made the query ready, and the machine has the instruction set.
    unsafe fn key<I: Isa>(self, query: &Self::Query, slot: u32) -> i32;

    /// Ask for the memory of a slot.
    fn prefetch<I: Isa>(self, slot: u32);

    /// The distance that a key stands for.
    fn distance(query: &Self::Query, key: i32) -> f32;

    /// The largest key whose distance is at most `distance`.
    fn key_within(query: &Self::Query, distance: f32) -> i32;

    /// Root mean square error of the distances that keys stand for.
    fn error(self) -> f32;

    /// Whether a query that was made ready can be compared in this space.
    fn can_compare(self, query: &Self::Query) -> bool;
}

/// Full vectors, compared in full precision.
#[derive(Clone, Copy)]
pub(crate) struct RawSpace<'a>(pub(crate) &'a Rows);

/// Lines of a full vector asked for ahead: the machine's own prefetcher follows once a row is read in order.
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
    fn prefetch<I: Isa>(self, slot: u32) {
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
