//! The keys that rank distances by code: integers, or floats in the order of integers.

/// A key of a row: for the same query, a smaller key is a smaller distance.
pub trait Key: Copy {
    /// Return an integer of the same order.
    fn order(self) -> i32;

    /// Undo [`Self::order`].
    fn from_order(order: i32) -> Self;
}

impl Key for i32 {
    #[inline(always)]
    fn order(self) -> i32 {
        self
    }

    #[inline(always)]
    fn from_order(order: i32) -> Self {
        order
    }
}

/// Not for NaN, which has no order.
impl Key for f32 {
    #[inline(always)]
    fn order(self) -> i32 {
        order(self)
    }

    #[inline(always)]
    fn from_order(order: i32) -> Self {
        unorder(order)
    }
}

/// Convert a float to an integer of the same order. Not for NaN.
#[inline(always)]
pub const fn order(value: f32) -> i32 {
    let bits = value.to_bits() as i32;
    if bits < 0 { bits ^ i32::MAX } else { bits }
}

/// Undo [`order`].
#[inline(always)]
pub const fn unorder(order: i32) -> f32 {
    f32::from_bits(if order < 0 { order ^ i32::MAX } else { order } as u32)
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
