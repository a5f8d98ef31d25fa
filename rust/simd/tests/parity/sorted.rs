//! Insertion keeps an array sorted, at every length and at every place.

use tiercel_simd::kernels;

use crate::{LONGEST, at_every_level, mixed};

/// Insert `value` under every instruction set, and compare with the standard library.
fn check(values: &[u64], value: u64) {
    let mut expected = values.to_vec();
    expected.insert(values.partition_point(|other| *other < value), value);
    at_every_level(|level| {
        let mut got = values.to_vec();
        kernels::insert_sorted(level, &mut got, value);
        assert_eq!(got, expected, "{value} into {values:?} {level:?}");
    });
}

#[test]
fn a_value_lands_at_its_place() {
    for n in 0..=40 {
        let values: Vec<u64> = (0..n).map(|at| 10 * at + 5).collect();
        for place in 0..=n {
            check(&values, 10 * place);
        }
    }
}

#[test]
fn values_compare_without_a_sign() {
    let values = [0, 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX - 1, u64::MAX];
    for value in values.into_iter().flat_map(|value| [value.wrapping_sub(1), value, value.wrapping_add(1)]) {
        check(&values, value);
        check(&values.map(|value| [value; 5]).concat(), value);
    }
}

#[test]
fn many_values_come_out_sorted() {
    let numbers: Vec<u64> = (0..LONGEST).map(mixed).collect();
    let mut expected = numbers.clone();
    expected.sort_unstable();
    at_every_level(|level| {
        let mut got = Vec::new();
        for number in &numbers {
            kernels::insert_sorted(level, &mut got, *number);
        }
        assert_eq!(got, expected, "{level:?}");
    });
}
