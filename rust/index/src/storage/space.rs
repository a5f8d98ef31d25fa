//! What a walk compares vectors on: codes, or the full vectors.

use tiercel_simd::Isa;

use crate::storage::rows::Rows;

/// A vector made ready to compare others with; reuse one for many, its memory is kept.
#[derive(Clone, Default)]
pub(crate) struct Query {
    /// Set by a space of codes.
    pub(crate) coded: tiercel_quant::Query,
    /// Set by the space of full vectors.
    pub(crate) vector: Vec<f32>,
}

/// Vectors by slot, compared through integer keys: a smaller key is a smaller distance from the same query.
pub(crate) trait Space: Copy + Sync {
    /// Make ready to compare a vector that is not in the index.
    fn prepare(self, direction: &[f32], query: &mut Query);

    /// Make ready to compare a vector of the index.
    fn prepare_slot(self, slot: u32, query: &mut Query);

    /// Slots that can be compared: those below.
    fn slots(self) -> usize;

    /// Bytes that are read to compare a slot.
    fn row_bytes(self) -> usize;

    /// The key of a slot.
    ///
    /// # Safety
    ///
    /// The slot is below [`Self::slots`], this space has made the query ready, and the machine has the instruction set.
    unsafe fn key<I: Isa>(self, query: &Query, slot: u32) -> i32;

    /// Ask for the memory of a slot.
    fn prefetch<I: Isa>(self, slot: u32);

    /// The distance that a key stands for.
    fn distance(query: &Query, key: i32) -> f32;

    /// The largest key whose distance is at most `distance`.
    fn key_within(query: &Query, distance: f32) -> i32;

    /// Root mean square error of the distances that keys stand for.
    fn error(self) -> f32;

    /// Whether a query that was made ready can be compared in this space.
    fn can_compare(self, query: &Query) -> bool;
}

/// A float as an integer of the same order. Not for NaN.
#[inline(always)]
pub(crate) const fn order(value: f32) -> i32 {
    let bits = value.to_bits() as i32;
    if bits < 0 { bits ^ i32::MAX } else { bits }
}

/// Undo [`order`].
#[inline(always)]
pub(crate) const fn unorder(key: i32) -> f32 {
    f32::from_bits(if key < 0 { key ^ i32::MAX } else { key } as u32)
}

/// Full vectors, compared in full precision.
#[derive(Clone, Copy)]
pub(crate) struct RawSpace<'a>(pub(crate) &'a Rows);

/// Lines of a full vector asked for ahead: the machine's own prefetcher follows once a row is read in order.
const LINES: usize = 8;

impl Space for RawSpace<'_> {
    #[inline(always)]
    fn prepare(self, direction: &[f32], query: &mut Query) {
        query.vector.clear();
        query.vector.extend_from_slice(direction);
    }

    #[inline(always)]
    fn prepare_slot(self, slot: u32, query: &mut Query) {
        self.0.direction(slot as usize, &mut query.vector);
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
    unsafe fn key<I: Isa>(self, query: &Query, slot: u32) -> i32 {
        // SAFETY: the caller promises the instruction set.
        order(unsafe { self.0.distance::<I>(&query.vector, slot as usize) })
    }

    #[inline(always)]
    fn prefetch<I: Isa>(self, slot: u32) {
        self.0.prefetch::<I>(slot as usize, LINES);
    }

    #[inline(always)]
    fn distance(_: &Query, key: i32) -> f32 {
        unorder(key)
    }

    #[inline(always)]
    fn key_within(_: &Query, distance: f32) -> i32 {
        order(distance)
    }

    #[inline(always)]
    fn error(self) -> f32 {
        0.0
    }

    #[inline(always)]
    fn can_compare(self, _: &Query) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default()
        })]

        #[test]
        fn keys_are_in_the_order_of_their_floats(a in any::<u32>(), b in any::<u32>()) {
            let (a, b) = (f32::from_bits(a), f32::from_bits(b));
            prop_assume!(!a.is_nan() && !b.is_nan());
            prop_assert_eq!(order(a).cmp(&order(b)), a.total_cmp(&b));
            prop_assert_eq!(unorder(order(a)).to_bits(), a.to_bits());
        }
    }

    #[test]
    fn keys_of_the_extremes() {
        let ordered = [f32::NEG_INFINITY, f32::MIN, -1.0, -1e-45, -0.0, 0.0, 1e-45, 1.0, f32::MAX, f32::INFINITY];
        assert!(ordered.map(order).is_sorted());
        assert_eq!(ordered.map(order).map(unorder).map(f32::to_bits), ordered.map(f32::to_bits));
    }
}
