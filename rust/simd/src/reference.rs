//! The plainest form of each kernel, against which the others are tested.

use half::f16;

use crate::{packed, packed1, packed2};

/// Sum of products, in double precision.
pub fn dot_f32(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

/// Sum of squared differences, in double precision.
pub fn l2_f32(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum()
}

/// Convert half precision to single precision.
pub fn widen(values: &[u16]) -> Vec<f32> {
    values.iter().map(|bits| f16::from_bits(*bits).to_f32()).collect()
}

/// Sum of products of 8-bit codes with a query.
pub fn dot_u8i8(codes: &[u8], query: &[i8]) -> i32 {
    codes.iter().zip(query).map(|(c, q)| i32::from(*c) * i32::from(*q)).sum()
}

/// Sum of squared differences of 8-bit codes, offset by 128, and a query.
pub fn l2_u8i8(codes: &[u8], query: &[i8]) -> i32 {
    codes.iter().zip(query).map(|(c, q)| (i32::from(*c) - 128 - i32::from(*q)).pow(2)).sum()
}

/// Sum of products of packed 4-bit codes with a query.
pub fn dot_u4i8(codes: &[u8], query: &[i8]) -> i32 {
    let mut unpacked = vec![0; query.len()];
    packed::unpack(codes, &mut unpacked);
    dot_u8i8(&unpacked, query)
}

/// Sum of squared differences of packed 4-bit codes, as `8 * code - 60`, and a query.
pub fn l2_u4i8(codes: &[u8], query: &[i8]) -> i32 {
    let mut unpacked = vec![0; query.len()];
    packed::unpack(codes, &mut unpacked);
    unpacked.iter().zip(query).map(|(c, q)| (8 * i32::from(*c) - 60 - i32::from(*q)).pow(2)).sum()
}

/// Sum of products of packed 1-bit codes with a query.
pub fn dot_u1i8(codes: &[u8], query: &[i8]) -> i32 {
    let mut unpacked = vec![0; query.len()];
    packed1::unpack(codes, &mut unpacked);
    dot_u8i8(&unpacked, query)
}

/// Sum of products of packed 2-bit codes with a query.
pub fn dot_u2i8(codes: &[u8], query: &[i8]) -> i32 {
    let mut unpacked = vec![0; query.len()];
    packed2::unpack(codes, &mut unpacked);
    dot_u8i8(&unpacked, query)
}

/// Sum of the distances that a row of packed 4-bit codes finds: entry `16 i + c` is that of code `c` in
/// place `i`.
pub fn sum_of_tables(entries: &[u8], row: &[u8]) -> u32 {
    let codes = row.iter().flat_map(|byte| [byte & 15, byte >> 4]);
    entries.chunks_exact(16).zip(codes).map(|(table, code)| u32::from(table[usize::from(code)])).sum()
}

/// The Walsh-Hadamard transform of a power of two of values, times `scale`.
pub fn hadamard(values: &[f32], scale: f32) -> Vec<f32> {
    let mut values = values.to_vec();
    let mut half = values.len() / 2;
    while half > 0 {
        for pair in values.chunks_exact_mut(2 * half) {
            for low in 0..half {
                let (x, y) = (pair[low], pair[low + half]);
                (pair[low], pair[low + half]) = (x + y, x - y);
            }
        }
        half /= 2;
    }
    values.iter().map(|value| value * scale).collect()
}
