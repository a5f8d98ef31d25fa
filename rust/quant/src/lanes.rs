//! Arithmetic on vectors that has the same bits on every machine: sums have a fixed order, and
//! operations are not fused.

/// Limit a value to a range. NaN, as from sums that overflow both ways, becomes the lower bound.
#[inline(always)]
pub(crate) fn within(value: f32, low: f32, high: f32) -> f32 {
    // Unlike this, `clamp` returns NaN for NaN.
    value.max(low).min(high)
}

/// Round a value below 2^22 in size to the nearest integer, ties to even: adding this constant
/// leaves no bit for a fraction.
#[inline(always)]
pub(crate) fn round(value: f32) -> i32 {
    const SHIFT: f32 = 12_582_912.0;
    (value + SHIFT).to_bits() as i32 - SHIFT.to_bits() as i32
}

/// Sums of a vector: as many as the widest registers hold.
pub(crate) const LANES: usize = 16;

/// Return the inner product, summed in lanes of a fixed order.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a, a_tail) = a.as_chunks::<LANES>();
    let (b, b_tail) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for (lane, (x, y)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += x * y;
        }
    }
    for (lane, (x, y)) in lanes.iter_mut().zip(a_tail.iter().zip(b_tail)) {
        *lane += x * y;
    }
    lanes.iter().sum()
}

/// Return the largest absolute value, or 0 without values. NaN does not count.
#[inline(always)]
pub(crate) fn max_abs(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (chunks, tail) = values.as_chunks::<LANES>();
    for chunk in chunks.iter().chain(&[padded(tail)]) {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if value.abs() > *lane { value.abs() } else { *lane };
        }
    }
    lanes.iter().fold(0.0, |m, lane| m.max(*lane))
}

#[inline(always)]
fn padded(tail: &[f32]) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    lanes[..tail.len()].copy_from_slice(tail);
    lanes
}
